"""``din run``: make what changed, and only that, and say what became of it."""

import argparse
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from din_assets.command import config_files
from din_assets.command.saying import say
from din_assets.command.subcommand import Commands

if TYPE_CHECKING:
    import dagster as dg

    from din_assets.command.refresh import Decision
    from din_assets.runs.resources import StoreResource


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "run",
        aliases=["refresh"],
        help="make what changed, and only that",
        description="Make what changed, and only that. Source and options are those of the last "
        "run where none are named.",
    )
    parser.add_argument("--all", action="store_true", help="make everything, changed or not")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be made, and change nothing"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--csv",
        metavar="PATH",
        help="the log: a file or a glob, relative to the working directory ('synthetic' is the "
        "synthetic log)",
    )
    source.add_argument("--synthetic", action="store_true", help="read the synthetic log")
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        help="run configuration (YAML); where it names steps, what it does not say is default",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"the steps' options of a preset ({', '.join(config_files.presets())}); other steps "
        "keep theirs, and those of -c come on top",
    )
    parser.add_argument(
        "--defaults", action="store_true", help="leave the options of the last run for the defaults"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make it.

    Raises:
        DinError: What is asked for is wrong, or a step failed.
    """
    from din_assets.runs import paths

    asked = config_files.asked_for(arguments.config, arguments.preset, defaults=arguments.defaults)
    named = paths.SYNTHETIC if arguments.synthetic else arguments.csv or None
    if named is not None:
        named = paths.resolve_source(named, Path.cwd())
    # Dagster resolves the instance's folders from the working directory.
    os.chdir(paths.project_root())
    return _run(asked, named, everything=arguments.all, dry_run=arguments.dry_run)


def _instance() -> "dg.DagsterInstance":
    """Return the instance that ``dagster dev`` shows: DAGSTER_HOME's, or the project's."""
    import dagster as dg

    from din_assets.runs import paths

    return (
        dg.DagsterInstance.get()
        if os.environ.get("DAGSTER_HOME")
        else dg.DagsterInstance.from_config(str(paths.project_root()))
    )


def _run(asked: config_files.Asked, named: str | None, *, everything: bool, dry_run: bool) -> int:
    from din_assets.command.refresh import refresh
    from din_assets.runs import dead_runs
    from din_assets.runs.resources import StoreResource
    from din_assets.starting import refresh_config

    decisions: list[Decision] = []
    try:
        # A dry run leaves the run history alone, which opening alone may create.
        with contextlib.nullcontext() if dry_run else _instance() as instance:
            if instance is not None:
                # Here, since a call that finds nothing to do starts no run that would.
                dead_runs.mark_failed(instance)
            for decision in refresh(
                instance,
                run_config=asked.run_config,
                keeps_others=asked.keeps_others,
                named=named,
                everything=everything,
                dry_run=dry_run,
                on_wait=say,
                on_note=say,
            ):
                decisions.append(decision)  # noqa: PERF402  (those before a failure are shown)
    finally:
        _show(decisions)
    made = sum(1 for decision in decisions if decision.outcome != "up to date")
    print(f"{made} of {len(decisions)} steps {'would be made' if dry_run else 'were made'}.")
    if not dry_run:
        options = refresh_config.config_of(asked.run_config, "resources", "store")
        _show_results(StoreResource(**options))
    return 0


def _show(decisions: "Sequence[Decision]") -> None:
    rows = [
        (
            ", ".join(decision.assets),
            decision.outcome,
            f"{decision.seconds:.1f} s" if decision.seconds else "",
            "; ".join(decision.reasons),
        )
        for decision in decisions
    ]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    for row in rows:
        print("  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]).rstrip())


def _show_results(resource: "StoreResource") -> None:
    """Say how good the model is and where it lies.

    Read from the published file, which is closed: the next run may have the pipeline's own by now.
    """
    from din_core import store
    from din_core.evaluation import metrics_table
    from din_core.store import artifacts, ledger

    with store.connect(resource.published_path, read_only=True) as con:
        made = ledger.entries(con)
        figures = metrics_table.read_test(con, made["din_model"].data_version)
    print(figures.summary())
    for warning in figures.warnings():
        print(f"Mind: {warning}.")
    print(f"For analysts: {resource.published_path}")
    print(f"For serving: {resource.artifacts_root / 'bundle' / artifacts.CURRENT}")
