"""The command line ``din``: refresh what changed, prune what is old."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from din_assets import dead_runs, paths
from din_assets.failures import of_the_disk
from din_assets.resources import WarehouseResource
from din_core import artifacts, ledger
from din_core.errors import DinError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command of ``din`` and return its exit status."""
    parser = argparse.ArgumentParser(prog="din", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    refresh = commands.add_parser("refresh", help="make again what changed, and only that")
    refresh.add_argument("-c", "--config", type=Path, help="run configuration (YAML)")
    refresh.add_argument("--dry-run", action="store_true", help="say what would be done")
    commands.add_parser("prune", help="remove artifact versions that are not current")
    options = parser.parse_args(arguments)
    try:
        config = _read_config(options.config) if options.command == "refresh" else {}
        # Dagster resolves the instance's folders from the working directory.
        os.chdir(paths.project_root())
        return _refresh(config, options.dry_run) if options.command == "refresh" else _prune()
    except (DinError, RuntimeError) as error:
        _say(str(error))
        return 1
    except OSError as error:
        _say(of_the_disk(error))
        return 1


class _ConfigFileError(DinError, ValueError):
    """The file of the run configuration cannot be used."""


def _read_config(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise _ConfigFileError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise _ConfigFileError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise _ConfigFileError(
            f"{path} holds a {type(config).__name__}; a run configuration has keys, as 'ops:'"
        )
    return config


def _instance() -> dg.DagsterInstance:
    """Return the instance that ``dagster dev`` shows: DAGSTER_HOME's, or the project's."""
    return (
        dg.DagsterInstance.get()
        if os.environ.get("DAGSTER_HOME")
        else dg.DagsterInstance.from_config(str(paths.project_root()))
    )


def _say(sentence: str) -> None:
    print(f"din: {sentence}", file=sys.stderr, flush=True)


def _refresh(config: dict[str, Any], dry_run: bool) -> int:
    from din_assets.refresh import refresh

    rows: list[tuple[str, str, str, str]] = []
    with _instance() as instance:
        # Here, since a refresh that finds nothing to do starts no run that would.
        dead_runs.mark_failed(instance)
        decisions = refresh(
            instance,
            run_config=config,
            dry_run=dry_run,
            on_wait=_say,
        )
        for decision in decisions:
            took = f"{decision.seconds:.1f} s" if decision.seconds else ""
            reasons = "; ".join(decision.reasons)
            rows.append((", ".join(decision.assets), decision.outcome, took, reasons))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        print("  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]).rstrip())
    made = sum(1 for row in rows if row[1] != "up to date")
    print(f"{made} of {len(rows)} steps {'would be made' if dry_run else 'were made'}.")
    return 0


def _prune() -> int:
    resource = WarehouseResource()
    if not resource.pipeline_path.is_file():
        print(f"{resource.folder} holds no results: nothing to remove.")
        return 0
    with resource.locked("din prune", on_wait=_say), resource.connection(read_only=True) as con:
        current = {
            entry.asset: Path(entry.artifact).name
            for entry in ledger.entries(con).values()
            if entry.artifact
        }
        removed = artifacts.prune(resource.artifacts_root, current)
    for folder in removed:
        print(f"removed {folder.relative_to(resource.folder)}")
    print(f"{len(removed)} old versions removed, {len(current)} current ones kept.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
