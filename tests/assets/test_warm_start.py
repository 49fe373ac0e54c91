"""A log that grows, and models of which each starts from the one before: runs, records, a kill."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import signal

import duckdb
import pytest

from din_assets.command.refresh import refresh
from din_core.serving import saved_models
from din_core.store import ledger
from tests.assets.places import PATIENCE, Place, finish
from tests.assets.small_pipeline import Pipeline, run_history, write_rows
from tests.assets.stand_ins import stand_in_for_delivery

ROWS = [
    f"u{user},i{item},{100 * step + user},c{item % 4}"
    for user in range(12)
    for step, item in enumerate(range(7 * user, 7 * user + 18, 3))
]
#: Item a0 comes before all others, so that each index of an item moves.
NEW_ROWS = ["u1,a0,90000,c2", "u1,i22,99999,c2"]


def entry_of(home):
    with duckdb.connect(str(home / "pipeline.duckdb"), read_only=True) as con:
        return ledger.entry(con, "din_model")


def made(pipeline, until=None, **kwargs):
    """Refresh, all of it or up to an asset; return what was made, with the reasons."""
    found = {}
    decisions = refresh(pipeline.instance, run_config=pipeline.config, **kwargs)
    with contextlib.closing(decisions):
        for decision in decisions:
            if decision.outcome != "up to date":
                found |= dict.fromkeys(decision.assets, decision.reasons)
            if until in decision.assets:
                break
    return found


def in_folder(pipeline, entry):
    return pipeline.home / "artifacts" / entry.artifact


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Two days of a log: the model of the first, and of the second, which started from it."""
    home = tmp_path_factory.mktemp("grown") / "data"
    log = write_rows(home.with_name("log.csv"), *ROWS)
    with pytest.MonkeyPatch.context() as patch, run_history() as instance:
        patch.delenv("DIN_HOME", raising=False)
        patch.setenv("DIN_CSV", str(log))
        patch.setenv("DIN_HOME", str(home))
        stand_in_for_delivery(patch)
        pipeline = Pipeline(home, instance)
        pipeline.config["ops"]["interactions"] = {"config": {}}
        model = pipeline.config["ops"]["din_model"]["config"]
        model |= {"warm_start": "last", "warm_start_epochs": 1}
        # Some steps in an epoch, and a checkpoint after each.
        model |= {"batch_size": 16, "checkpoint_seconds": 1e-9}
        made(pipeline, until="din_model")
        first = entry_of(home)
        write_rows(log, *ROWS, *NEW_ROWS)
        made(pipeline, until="model_versions")
        yield pipeline, first, entry_of(home)


@pytest.fixture
def copied(grown, tmp_path, monkeypatch, without_delivery):
    """The same, to go on from."""
    source = grown[0]
    home = tmp_path / "data"
    shutil.copytree(source.home, home, symlinks=True)
    log = shutil.copy(source.home.with_name("log.csv"), tmp_path)
    monkeypatch.setenv("DIN_HOME", str(home))
    monkeypatch.setenv("DIN_CSV", str(log))
    with run_history() as instance:
        yield Pipeline(home, instance, copy.deepcopy(source.config))


def test_first_model_starts_from_random_weights_and_the_next_from_it(grown):
    pipeline, first, second = grown
    assert "warm_started_from" not in first.inputs
    assert second.inputs["warm_started_from"] == first.data_version
    before, after = (
        saved_models.load_model(in_folder(pipeline, entry)).metadata for entry in (first, second)
    )
    assert ("warm_start" in before, before["epochs"]) == (False, 2)
    # One epoch more: warm_start_epochs, and not n_epoch.
    assert after["epochs"] == 3
    assert after["warm_start"]["from"] == first.data_version
    taken, n_rows = after["warm_start"]["rows"]["target_item_idx"]
    assert n_rows - taken == 1  # a0
    assert after["warm_start"]["held_out_but_seen"] == {"test": 0, "val": 0}


def test_bundle_says_what_the_model_started_from(grown):
    pipeline, first, _ = grown
    current = pipeline.home / "artifacts" / "bundle" / "current"
    about = json.loads((current / "manifest.json").read_text())
    assert first.data_version in json.dumps(about)
    card = (current / "README.md").read_text()
    assert f"Training started from model `{first.data_version}`, and took over " in card


def test_model_that_started_from_another_is_not_outdated_by_it(copied):
    assert made(copied, until="model_versions") == {}


def test_making_everything_again_goes_on_from_the_model_that_is_there(copied):
    before = entry_of(copied.home)
    assert made(copied, until="din_model", everything=True)["din_model"] == ("asked for",)
    after = entry_of(copied.home)
    assert after.inputs["warm_started_from"] == before.data_version
    assert after.data_version != before.data_version
    assert made(copied, until="din_model") == {}


def test_another_network_starts_from_random_weights_with_all_its_epochs(copied):
    copied.config["ops"]["din_model"]["config"]["embed_dim"] = 2
    assert made(copied, until="din_model")["din_model"] == ("embed_dim: 4 → 2",)
    after = entry_of(copied.home)
    assert "warm_started_from" not in after.inputs
    assert saved_models.load_model(in_folder(copied, after)).metadata["epochs"] == 2


@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.parametrize(
    ("where", "when"),
    [
        ("din_core.training.checkpoints:save_checkpoint", "after"),
        pytest.param("din_core.store.artifacts:commit", "after", marks=pytest.mark.thorough),
    ],
    ids=["after the first step", "model kept but not recorded"],
)
def test_killed_run_ends_with_the_model_of_one_that_was_not(copied, grown, tmp_path, where, when):
    _, first, second = grown
    # As on the first day, with the log of the second.
    with duckdb.connect(str(copied.home / "pipeline.duckdb")) as con:
        ledger.record(con, first)
    shutil.rmtree(copied.home / "artifacts" / "din_model" / second.data_version)
    place = Place(tmp_path, stands_in=stand_in_for_delivery.__name__)
    arguments = ("run", "--csv", str(tmp_path / "log.csv"), "-c", place.write(copied.config))
    try:
        finish(place.start_warm("din", *arguments, killed_at=(where, when)), -signal.SIGKILL)
    finally:
        place.stop_everything()
    assert entry_of(copied.home).data_version == first.data_version
    assert "din_model" in made(copied, until="din_model")
    assert entry_of(copied.home).data_version == second.data_version
