"""What becomes of a candidate: the rules, in their order, and the sentence that goes with each.

:mod:`.judgement` asks for it and writes it down.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from din_core import manifests
from din_core.errors import WrongRequestError
from din_core.serving.bundle.contents import Bundle, BundleError
from din_core.serving.publication import comparison, history
from din_core.serving.publication.comparison import Paired
from din_core.serving.publication.history import SHORT, Action, Publication

if TYPE_CHECKING:
    import duckdb

    from din_core.config import Publish

_JUDGED: tuple[Action, ...] = ("published", "refused")
_WAYS = "`publish: always` (ops: model_versions: config) or `din rollback {version}` publishes it"


@dataclass(frozen=True)
class Decision:
    """What became of a candidate.

    Attributes:
        publish: Whether it takes the place of the published one.
        reason: Why, in a sentence.
        paired: How it compares with the published one, where that was looked at.
        compared_with: Version of that one's bundle.
    """

    publish: bool
    reason: str
    paired: Paired | None = None
    compared_with: str | None = None


@dataclass(frozen=True)
class Case:
    """What a decision goes by.

    Attributes:
        root: The artifacts' root.
        bundle: The candidate.
        model_version: Data version of its model.
        publish: The option.
        decided: All decisions so far.
        standing: Version of the bundle that is published; None where none is.
        now: When it is decided, UTC without a time zone.
    """

    root: Path
    bundle: Bundle
    model_version: str
    publish: Publish
    decided: tuple[Publication, ...]
    standing: str | None
    now: datetime.datetime = field(default_factory=history.now)


def standing_decision(case: Case, *, same_option: bool) -> Decision | None:
    """Return what was decided about this very bundle before, where that stands.

    Args:
        case: What is known of it.
        same_option: Whether the option `publish` is what it was at the last judgement.
    """
    served = history.served(case.decided)
    last = next((each for each in reversed(case.decided) if each.action in _JUDGED), None)
    if last is None:
        return None
    is_last = last.bundle_version == case.bundle.version
    if served is not None and served.bundle_version == case.bundle.version:
        was_published = is_last and last.action == "published"
        return Decision(True, last.reason if was_published else "it is published already")
    can_be_served = served is None or _damage(case, served.bundle_version) is None
    if is_last and same_option and can_be_served:
        return Decision(last.action == "published", last.reason)
    return None


def _damage(case: Case, version: str) -> str | None:
    return manifests.damage_of(case.root / "bundle" / version)


def decide(con: duckdb.DuckDBPyConnection, case: Case) -> Decision:
    """Decide on a candidate.

    Args:
        con: Connection to the pipeline's database.
        case: What is known of it and of the published one.
    """
    if case.standing is None:
        first = "it is the first model"
        return _by_option(case, Decision(True, first))
    if case.standing == case.bundle.version:
        return Decision(True, "it is published already")
    if damage := _damage(case, case.standing):
        return _by_option(case, Decision(True, f"what was published cannot be served ({damage})"))
    folder = case.root / "bundle" / case.standing
    standing, short = case.standing, case.standing[:SHORT]
    try:
        published = Bundle.open(folder)
        if _model_of(published) == case.model_version:
            same = f"it is the model of the published bundle {short}, bundled anew"
            return _by_option(case, Decision(True, same))
        paired = comparison.with_latest(con, folder)
    except (BundleError, WrongRequestError) as error:
        reason = (
            f"the published bundle {short} cannot be asked about this log's test rows ({error})"
        )
        return _by_option(case, Decision(True, reason))
    doubt = comparison.doubt(con, published)
    return _by_option(case, _by_difference(case, paired, standing, doubt))


def _by_difference(case: Case, paired: Paired, standing: str, doubt: str | None) -> Decision:
    told = f"{paired.sentence()}, against the published bundle {standing[:SHORT]}"
    high = paired.difference.high
    if high is None:
        return Decision(True, f"{told}: too little to tell them apart", paired, standing)
    if high >= 0:
        return Decision(True, f"{told}: not significantly worse", paired, standing)
    if doubt is not None:
        told += (
            f"; mind that the published one may have been trained on rows that are test rows now: "
            f"{doubt}"
        )
    way = _WAYS.format(version=case.bundle.version[:SHORT])
    return Decision(False, f"{told}: significantly worse. {way} all the same", paired, standing)


def _by_option(case: Case, by_figures: Decision) -> Decision:
    """Let the option and what a person decided before have their say."""
    way = _WAYS.format(version=case.bundle.version[:SHORT])
    if case.publish == "never":
        reason = f"`publish: never` ({by_figures.reason}). {way}"
        return Decision(False, reason, by_figures.paired, by_figures.compared_with)
    if case.publish == "always":
        reason = f"`publish: always` ({by_figures.reason})"
        return Decision(True, reason, by_figures.paired, by_figures.compared_with)
    served = history.served(case.decided)
    rolled_back = (
        served is not None
        and served.action == "rolled back"
        and served.model_version != case.model_version
        and any(
            each.action == "published" and each.model_version == case.model_version
            for each in case.decided
        )
    )
    if (
        by_figures.publish
        and rolled_back
        and served
        and _damage(case, served.bundle_version) is None
    ):
        reason = (
            f"the model was published before, and {served.decided_at:%Y-%m-%d %H:%M} UTC somebody "
            f"went back to {served.bundle_version[:SHORT]}. {way} again"
        )
        return Decision(False, reason, by_figures.paired, by_figures.compared_with)
    return by_figures


def _model_of(bundle: Bundle) -> str | None:
    return bundle.about.get("data_versions", {}).get("din_model")
