"""A candidate is judged: what is decided (:mod:`.decision`) goes to the tables and the link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from din_core.errors import DinError
from din_core.evaluation.intervals import Interval
from din_core.serving.bundle.contents import Bundle
from din_core.serving.publication import history
from din_core.serving.publication.decision import Case, Decision, decide, standing_decision
from din_core.serving.publication.history import SHORT, Action, ModelVersion, Publication
from din_core.store import artifacts, ledger, sql_files

if TYPE_CHECKING:
    import duckdb

    from din_core.config import Publish


class OutdatedBundleError(DinError):
    """The bundle belongs to another model or to other data than the tables do."""


@dataclass(frozen=True)
class Judged:
    """A candidate after its judgement; the tables are written.

    Attributes:
        row: Its row, as it is made now; the table keeps the one of its first judgement.
        decision: What was decided.
        served: Version of the bundle that is served; None where none is.
        not_served: That the candidate is not what is served, and why; None where it is.
    """

    row: ModelVersion
    decision: Decision
    served: str | None
    not_served: str | None = None

    @property
    def version(self) -> str:
        """Hash of what was judged; what was served before, and when, is left out of it."""
        return artifacts.digest(self.row.bundle_version.encode())

    @property
    def is_served(self) -> bool:
        """Whether the candidate is what is served."""
        return self.served == self.row.bundle_version

    def sentence(self) -> str:
        """Say what became of the candidate, and what is served."""
        if self.not_served is not None:
            return self.not_served
        return f"model {self.row.model_version[:SHORT]} is published: {self.decision.reason}"

    def metadata(self) -> dict[str, Any]:
        """Return what a page about it shows; what is undefined is left out."""
        row = self.row
        shown = {
            "decision": "published" if self.is_served else "refused",
            "reason": self.decision.reason,
            "model_version": row.model_version,
            "bundle_version": row.bundle_version,
            "served_bundle": self.served,
            "source": row.source,
            **{name: row.metrics.get(name, Interval(None)).value for name in history.FIGURES},
            "auc_difference": row.auc_difference.value,
            "auc_difference_low": row.auc_difference.low,
            "auc_difference_high": row.auc_difference.high,
        }
        return {name: value for name, value in shown.items() if value is not None}


def judge(
    con: duckdb.DuckDBPyConnection,
    root: Path,
    publish: Publish,
    *,
    options_before: Mapping[str, Any] | None = None,
) -> Judged:
    """Decide on the latest bundle, and add what was decided to the tables.

    What was decided last about this very bundle with the same option stands, whatever is served
    since: a rollback is not undone by the next run.

    Args:
        con: Connection to the pipeline's database, in a transaction. Once it is committed,
            :func:`point_to_served` has to follow.
        root: The artifacts' root.
        publish: When a candidate is published.
        options_before: Options of the last judgement; None where there was none.

    Raises:
        OutdatedBundleError: The bundle was made of another state of its inputs.
        NotMaterializedError: There is no bundle.
        DamagedArtifactError: A file of it is damaged.
    """
    case = _case(con, root, publish)
    same_option = options_before is not None and options_before.get("publish") == publish
    if (decision := standing_decision(case, same_option=same_option)) is not None:
        return _judged(_row(con, case, decision), decision, case.decided)
    decision = decide(con, case)
    action: Action = "published" if decision.publish else "refused"
    row = _row(con, case, decision)
    publication = Publication(
        decided_at=case.now,
        model_version=row.model_version,
        bundle_version=row.bundle_version,
        action=action,
        reason=decision.reason,
    )
    history.add(con, judged=[row], decided=[publication])
    return _judged(row, decision, (*case.decided, publication))


def _judged(row: ModelVersion, decision: Decision, decided: Sequence[Publication]) -> Judged:
    served = history.served(decided)
    version = served and served.bundle_version
    return Judged(row, decision, version, history.not_served(decided, row.bundle_version))


def point_to_served(root: Path, served: str | None) -> None:
    """Let ``current`` lead to the bundle that is served, as the tables say.

    Args:
        root: The artifacts' root.
        served: Version of the bundle; where none is served nothing is done.
    """
    if served is not None and artifacts.pointed_to(root, "bundle") != served:
        artifacts.point_to(root / "bundle" / served)


def _case(con: duckdb.DuckDBPyConnection, root: Path, publish: Publish) -> Case:
    made = ledger.entries(con)
    entry = ledger.entry(con, "bundle")
    if changed := ledger.changed_inputs(made, "bundle"):
        raise OutdatedBundleError(
            f"bundle was made of another state of {', '.join(changed)}, so it is not what would be "
            "judged; materialize bundle again, or run `din run`"
        )
    folder = artifacts.require_whole(root / (entry.artifact or ""))
    decided = history.publications(con)
    served = history.served(decided)
    # Before the first decision an earlier version of this program may have published one.
    standing = served.bundle_version if served else artifacts.pointed_to(root, "bundle")
    return Case(root, Bundle.open(folder), entry.inputs["din_model"], publish, decided, standing)


def _row(con: duckdb.DuckDBPyConnection, case: Case, decision: Decision) -> ModelVersion:
    about = case.bundle.about
    [(first_file, n_files, n_samples, n_users)] = con.execute(
        sql_files.render("judged_log")
    ).fetchall()
    paired = decision.paired
    made = ledger.entries(con)
    return ModelVersion(
        model_version=case.model_version,
        bundle_version=case.bundle.version,
        judged_at=case.now,
        decision="published" if decision.publish else "refused",
        reason=decision.reason,
        source=_source(made["interactions"].options, first_file, n_files),
        n_test_samples=n_samples,
        n_test_users=n_users,
        metrics={
            each["metric"]: Interval(each["value"], each["low"], each["high"])
            for each in about.get("metrics", [])
            if each["split"] == "test" and each["slice"] == "all"
        },
        compared_with=decision.compared_with,
        auc_difference=paired.difference if paired else Interval(None),
        n_compared_samples=paired.n_samples if paired else None,
        data_versions=about.get("data_versions", {}),
        code_versions=about.get("code_versions", {}),
        options=about.get("options", {}),
        libraries=about.get("libraries", {}),
        artifacts={
            asset: entry.artifact
            for asset, entry in sorted(made.items())
            if entry.artifact
            and (asset == "din_model" or entry.inputs.get("din_model") == case.model_version)
            # What is made after this judgement is there of the one before, if at all.
            and "model_versions" not in entry.inputs
        },
    )


def _source(options: Mapping[str, Any], first_file: str | None, n_files: int) -> str:
    """Name the log without the folders of this machine."""
    if options.get("synthetic") is not None:
        return "synthetic"
    if category := options.get("amazon_category"):
        return f"Amazon Reviews 2014, {category}"
    name = PurePath(first_file or "no file").name
    return name if n_files <= 1 else f"{name} and {n_files - 1:,} more"
