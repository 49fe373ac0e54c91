"""What `din run` says of a run that is over: how good the model is, where things are, what next."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from din_assets.command.one_pass import Decision
from din_assets.runs.story import Story
from din_assets.runs.terminal import Terminal

if TYPE_CHECKING:
    import duckdb

    from din_assets.runs.resources import StoreResource
    from din_core.evaluation.judgement import Evaluation

#: Names of the table ``metrics``, as a reader knows them.
_BASELINES = {
    "popularity_auc": "popularity",
    "item_cooccurrence_auc": "item co-occurrence",
    "oracle_auc": "oracle (the true propensities)",
}
_EXPECTED = {("never made",), ("asked for",)}


def note(decision: Decision) -> str:
    """Return why a step was made, and whether its content changed; empty where both are plain."""
    said = [] if decision.reasons in _EXPECTED else [*decision.reasons]
    if decision.outcome == "made, same content":
        said.append("same content")
    return "; ".join(said)


def show_plan(decisions: Sequence[Decision]) -> None:
    """Print what would be made, and why."""
    rows = [(", ".join(each.assets), each.outcome, "; ".join(each.reasons)) for each in decisions]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
    for row in rows:
        print("  ".join([*(row[i].ljust(widths[i]) for i in range(2)), row[2]]).rstrip())
    made = sum(1 for each in decisions if each.reasons)
    print(f"{made} of {len(decisions)} steps would be made.")


def show(
    resource: "StoreResource", decisions: Sequence[Decision], told: Story, *, seconds: float
) -> None:
    """Print how good the model is, what became of the checks, where things are and what is next.

    Read from the published file, which is closed: the next run may have the pipeline's own by now.

    Args:
        resource: The store.
        decisions: What was decided about each step.
        told: The story of the run, with its checks; what it has told is not repeated.
        seconds: Time that all of it took.
    """
    from din_core.evaluation import metrics_table
    from din_core.serving.publication import history
    from din_core.store import ledger

    with resource.published() as con:
        made_with = ledger.entries(con)
        figures = metrics_table.read_test(con, made_with["din_model"].data_version)
        bundle = made_with["bundle"].data_version
        not_served = history.not_served(history.publications(con), bundle)
        user = _a_user(con)
    made = sum(1 for each in decisions if each.reasons)
    lines = [
        *figure_lines(figures),
        "",
        f"{len(decisions)} steps: {made} made, {len(decisions) - made} up to date, {seconds:.0f} s",
        *([told.checks.summary()] if told.checks else []),
        "",
        *_places(resource),
        "",
        *next_lines(resource.published_path, user),
    ]
    Terminal(sys.stdout).box(lines)
    for warning in [*figures.warnings(), *([not_served] if not_served else [])]:
        if not told.has_told(warning):
            print(f"Mind: {warning}.")


def figure_lines(figures: "Evaluation") -> list[str]:
    """Return the test AUC with its interval, beside what it is held against.

    Args:
        figures: Those of the model that was made last.
    """
    found = figures.whole
    if (auc := found.get("auc")) is None or auc.value is None:
        return ["Test AUC: undefined on this log"]
    between = "" if auc.low is None else f" (95%: {auc.low:.4f} to {auc.high:.4f})"
    lines = [f"Test AUC {auc.value:.4f}{between} on {figures.n_samples:,} samples"]
    for name, title in _BASELINES.items():
        if name in found and (value := found[name].value) is not None:
            lines.append(f"  {title} {value:.4f}{_margin(figures, name)}")
    return lines


def _margin(figures: "Evaluation", name: str) -> str:
    """By how much the model is better than a rival, where the interval is known."""
    for each in figures.comparisons:
        found = each.difference
        if (
            f"{each.rival}_{each.metric}" == name
            and found.value is not None
            and found.low is not None
        ):
            return f"; the model {found.value:+.4f} (95%: {found.low:+.4f} to {found.high:+.4f})"
    return ""


def _a_user(con: "duckdb.DuckDBPyConnection") -> str | None:
    """One of the log's users, so that the command can be typed as it stands."""
    found = con.table("users").select("user_id").limit(1).fetchall()
    return str(found[0][0]) if found else None


def _places(resource: "StoreResource") -> list[str]:
    from din_core.store import artifacts

    return [
        f"For analysts  {resource.published_path}",
        f"For serving   {resource.artifacts_root / 'bundle' / artifacts.CURRENT}",
        f"All files     {resource.artifacts_root}",
    ]


def next_lines(published: Path, user: str | None) -> list[str]:
    """Return commands to type next.

    Args:
        published: The database file that analysts open.
        user: One of the log's users, if it has any.
    """
    named = "U" if user is None else shlex.quote(user)
    shell = "" if shutil.which("duckdb") else "    # DuckDB's shell: pip install duckdb-cli"
    return [
        "Next",
        f"  {_program()} rank --user {named} --top 5",
        f"  duckdb -readonly {_short(published)} 'from split_summary'{shell}",
        f"  {_program()} ui    # every step and its pictures, in the browser",
    ]


def _program() -> str:
    """The command as it can be typed here: where no ``din`` is on the path, the one that runs."""
    return "din" if shutil.which("din") else _short(Path(sys.argv[0]).absolute())


def _short(path: Path) -> str:
    """The path as one types it here."""
    try:
        return shlex.quote(str(path.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(path))
