"""``din run``: make what changed, and only that, and say what became of it."""

import argparse
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from din_assets.command import config_files
from din_assets.command.saying import say
from din_assets.command.subcommand import Commands
from din_assets.making import preset_files
from din_core.errors import WrongRequestError

if TYPE_CHECKING:
    import dagster as dg

    from din_assets.command.one_pass import Decision


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "run",
        aliases=["refresh"],
        help="make what changed, and only that",
        description="Make what changed, and only that. Source and options are those of the last "
        "run where none are named. The first run reads the synthetic log unless it is told which: "
        "din run --csv log.csv",
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
        help=f"the steps' options of a preset ({', '.join(preset_files.names())}); other steps "
        "keep theirs, and those of -c come on top",
    )
    parser.add_argument(
        "--defaults", action="store_true", help="leave the options of the last run for the defaults"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make it.

    Raises:
        WrongRequestError: The source that is named is empty, as an unset variable of a shell is.
        DinError: What is asked for is wrong, or a step failed.
    """
    from din_assets.runs import folders, paths

    if found := folders.current_project():
        say(f"project: {found.root}")
    asked = config_files.asked_for(arguments.config, arguments.preset, defaults=arguments.defaults)
    if arguments.csv == "":
        raise WrongRequestError("--csv is empty: name a file or a glob, or leave it out")
    named = paths.SYNTHETIC if arguments.synthetic else arguments.csv
    if named is not None:
        named = paths.resolve_source(named, Path.cwd())
    # Dagster resolves the instance's folders from the working directory.
    os.chdir(paths.project_root())
    return _run(asked, named, everything=arguments.all, dry_run=arguments.dry_run)


def _instance() -> "dg.DagsterInstance":
    """Return the instance that ``dagster dev`` shows: DAGSTER_HOME's, or the project's.

    Raises:
        WrongRequestError: DAGSTER_HOME is not the full path of a folder.
    """
    import dagster as dg

    from din_assets.runs import paths

    home = os.environ.get("DAGSTER_HOME")
    if not home:
        return dg.DagsterInstance.from_config(str(paths.project_root()))
    folder = Path(home).expanduser()
    if not (folder.is_absolute() and folder.is_dir()):
        raise WrongRequestError(
            f"DAGSTER_HOME is '{home}', which is not the full path of a folder: make the folder, "
            "with a copy of dagster.yaml in it, or leave the variable out"
        )
    return dg.DagsterInstance.get()


def _run(asked: config_files.Asked, named: str | None, *, everything: bool, dry_run: bool) -> int:
    from din_assets.command import outcome
    from din_assets.command.refresh import refresh
    from din_assets.runs import console, dead_runs, story
    from din_assets.runs.resources import StoreResource
    from din_assets.starting import refresh_config

    began = time.monotonic()
    decisions: list[Decision] = []
    # A dry run leaves the run history alone, which opening alone may create.
    with (
        contextlib.nullcontext() if dry_run else _instance() as instance,
        console.told_as(story.Story(ends_in_its_failures=False)) as told,
    ):
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
            on_wait=told.tell,
            on_note=told.tell,
        ):
            decisions.append(decision)
            told.tell_step(outcome.note(decision))
    if dry_run:
        outcome.show_plan(decisions)
        return 0
    options = refresh_config.config_of(asked.run_config, "resources", "store")
    resource = StoreResource(**options)
    outcome.show(resource, decisions, told, seconds=time.monotonic() - began)
    return 0
