"""Proof of value: two checkouts make the same of the same logs, number for number.

A change that claims to move code and nothing else shows it here. Each checkout runs its own
``din run --all`` on each log, on one thread in float32, in a home of its own. Compared are the data
versions in the ledger, which are hashes of content: of every table, of the model's weights, of the
bytes of the ONNX graphs.

    python -m benchmarks.proof_of_value BEFORE AFTER LOG.csv [LOG.csv …]

A log is a CSV, or ``synthetic``. Assets that only one checkout has are told and are a difference,
unless ``--renamed OLD=NEW`` names them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

import duckdb
import yaml

_CONFIG = {
    "ops": {
        "din_model": {
            "config": {"n_epoch": 2, "num_threads": 1, "precision": "float32", "device": "cpu"}
        }
    }
}


def versions(checkout: Path, log: str) -> dict[str, str]:
    """Make everything of a log with a checkout's code.

    Args:
        checkout: Root of a checkout.
        log: A CSV, or ``synthetic``.

    Returns:
        Data version by asset.

    Raises:
        subprocess.CalledProcessError: The run failed; its output has been printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        config.write_text(yaml.safe_dump(_CONFIG))
        source = ["--synthetic"] if log == "synthetic" else ["--csv", str(Path(log).resolve())]
        # Where `din` begins, as the checkout itself says: it may lie elsewhere in the other.
        project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
        module, _, function = project["scripts"]["din"].partition(":")
        program = f"from {module} import {function}; {function}()"
        command = [sys.executable, "-c", program, "run", "--all"]
        environment = os.environ | {
            "DIN_HOME": str(Path(folder, "home")),
            "DAGSTER_HOME": str(Path(folder, "dagster")),
            "PYTHONPATH": str(checkout),
        }
        Path(folder, "dagster").mkdir()
        subprocess.run(
            [*command, *source, "--config", str(config)],
            cwd=checkout,
            env=environment,
            check=True,
            stdout=sys.stderr,
        )
        with duckdb.connect(str(Path(folder, "home", "pipeline.duckdb")), read_only=True) as con:
            rows = con.execute("select asset, data_version from ledger").fetchall()
    return dict(rows)


def differences(
    before: Mapping[str, str], after: Mapping[str, str], renamed: Mapping[str, str]
) -> list[str]:
    """Find the assets whose content differs, or that only one checkout has.

    Args:
        before: Data version by asset, of the checkout before.
        after: The same of the one after.
        renamed: New name by old name.

    Returns:
        Their names, those of afterwards, in alphabetical order.
    """
    as_renamed = {renamed.get(asset, asset): version for asset, version in before.items()}
    assets = as_renamed.keys() | after.keys()
    return sorted(each for each in assets if as_renamed.get(each) != after.get(each))


def main() -> None:
    """Compare, print a line a log, and exit with 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("logs", nargs="+")
    parser.add_argument("--renamed", action="append", default=[], metavar="OLD=NEW")
    options = parser.parse_args()
    renamed = dict(each.split("=", 1) for each in options.renamed)
    differing = 0
    for log in options.logs:
        before = versions(options.before.resolve(), log)
        after = versions(options.after.resolve(), log)
        different = differences(before, after, renamed)
        differing += len(different)
        told = f"differ: {', '.join(different)}" if different else "equal"
        print(f"{Path(log).name}: {len(after)} assets, {told}")
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
