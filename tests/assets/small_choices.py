"""A small log, options of a run, and what is remembered of them."""

from pathlib import Path

import yaml

from din_assets.runs import last_run
from tests.assets.small_pipeline import write_rows

ROWS = [f"u{user},i{item},{10 * item + user},c{item % 2}" for user in range(4) for item in range(5)]


def write_labelled(path: Path) -> Path:
    """Write the same log with every other row a click."""
    rows = [f"{row},{number % 2}" for number, row in enumerate(ROWS)]
    return write_rows(path, *rows, header="user_id,item_id,time,cate_id,label")


def config(**options):
    """Return a run configuration with the options of some steps."""
    return {"ops": {step: {"config": given} for step, given in options.items()}}


def remembered(home):
    """Return what is remembered of the last run, by step."""
    return yaml.safe_load((home / last_run.FILE).read_text())["ops"]
