"""A new artifact is a function that fills a folder; the rest is the same for all of them."""

from __future__ import annotations

import contextlib
import json

import dagster as dg
import duckdb
import pytest

from din_assets.making.artifact_assets import CONFIG_CLASSES, Made, artifact_asset
from din_assets.runs.last_run import Settled
from din_assets.runs.resources import HeldStore
from din_core.errors import DinError
from din_core.store import artifacts, ledger
from tests.assets.small_pipeline import failure_of, run_history


class GreetingConfig(dg.Config):
    """What can be chosen about the toy artifact."""

    name: str = "world"


@pytest.fixture
def greeting(tmp_path):
    """An artifact made with or without a fault, and how to make it."""
    seen = []

    @artifact_asset(
        group="toys", deps=[], kinds={"text"}, description="A toy.", config_class=GreetingConfig
    )
    def greeting(making):
        text = f"Hello, {making.options['name']}!"
        (making.folder / "greeting.txt").write_text(text)
        if making.options["name"] == "nobody":
            raise DinError("there is nobody to greet")
        in_place = tmp_path / "artifacts" / "greeting"
        return Made(
            version=artifacts.digest(text.encode()),
            metadata={"words": 2},
            after_commit=lambda: seen.extend(in_place.glob("*/greeting.txt")),
        )

    def make(**options):
        settled = Settled({"greeting": options}, None, {}, tmp_path / "last_run.yaml")
        store = HeldStore.of_its_own()
        store.go_by(settled)
        warehouse = type(store)(home=str(tmp_path))
        with run_history() as instance:
            return dg.materialize(
                [greeting],
                resources={"store": warehouse},
                instance=instance,
                raise_on_error=False,
            )

    with contextlib.ExitStack() as stack:
        stack.callback(CONFIG_CLASSES.pop, "greeting")
        yield make, seen


def test_artifact_is_committed_recorded_and_shown_under_its_version(greeting, tmp_path):
    make, seen = greeting
    [made] = make(name="Ada").get_asset_materialization_events()
    version = artifacts.digest(b"Hello, Ada!")
    folder = tmp_path / "artifacts" / "greeting" / version
    assert (folder / "greeting.txt").read_text() == "Hello, Ada!"
    assert artifacts.damage_of(folder) is None
    assert seen == [folder / "greeting.txt"]  # it was there when `after_commit` was called
    shown = made.materialization.metadata
    assert shown["path"].value == str(folder)
    assert shown["words"].value == 2
    assert shown["options"].data == {"name": "Ada"}
    with duckdb.connect(str(tmp_path / "pipeline.duckdb"), read_only=True) as con:
        entry = ledger.entry(con, "greeting")
    assert (entry.data_version, entry.artifact) == (version, f"greeting/{version}")
    assert entry.options == {"name": "Ada"}
    assert json.loads((folder / "manifest.json").read_text())["version"] == version


def test_artifact_that_cannot_be_made_leaves_no_folder_and_no_record(greeting, tmp_path):
    make, seen = greeting
    assert failure_of(make(name="nobody")) == "there is nobody to greet"
    assert seen == []
    assert list((tmp_path / "artifacts" / "greeting").iterdir()) == []
    assert not (tmp_path / "pipeline.duckdb").exists()
