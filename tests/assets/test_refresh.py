"""``din run`` does only what changed, and ``din prune`` never removes what is the latest."""

import asyncio
import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.asset_health.asset_materialization_health import (
    AssetMaterializationHealthState,
)
from dagster._core.loader import LoadingContextForTest

from din_assets.command import changes, cli, one_pass
from din_assets.command.refresh import RefreshFailedError, refresh
from din_assets.names import name_of
from din_core.store import StoreError
from din_core.tables.sequences import build_table
from tests.assets.refreshing import ROWS, Refreshing
from tests.assets.small_pipeline import Pipeline, failure_of, run_history, write_rows
from tests.assets.stand_ins import stand_in_for_delivery


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Stand-ins for pictures and graphs: what is made again, and why, does not hang on them."""
    with pytest.MonkeyPatch.context() as patch:
        stand_in_for_delivery(patch)
        yield


@pytest.fixture
def csv(write_csv, monkeypatch, tmp_path) -> Path:
    path = write_csv(*ROWS)
    monkeypatch.setenv("DIN_CSV", str(path))
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "data"))
    return path


def noted_calls(patch, where, name):
    """Note the arguments with which a function is called."""
    real, calls = getattr(where, name), []
    patch.setattr(where, name, lambda *each: calls.append(each) or real(*each))
    return calls


@pytest.fixture(scope="module")
def first_refresh(tmp_path_factory, quick):
    """What a first refresh made, where, and what it read again for that.

    Each test goes on from a copy.
    """
    home = tmp_path_factory.mktemp("first") / "data"
    path = write_rows(home.with_name("log.csv"), *ROWS)
    with pytest.MonkeyPatch.context() as patch, run_history() as instance:
        patch.setenv("DIN_CSV", str(path))
        patch.setenv("DIN_HOME", str(home))
        read = noted_calls(patch, one_pass, "read_again")
        return Refreshing(Pipeline(home, instance))(), home, read


@pytest.fixture
def never_refreshed(pipeline, csv):
    return Refreshing(pipeline)


@pytest.fixture
def refreshed(never_refreshed, pipeline, first_refresh, csv):
    shutil.copytree(first_refresh[1], pipeline.home, symlinks=True)
    # As if the log had lain here all along: another path is another log.
    remembered = pipeline.home / "last_run.yaml"
    there = first_refresh[1].with_name("log.csv")
    remembered.write_text(remembered.read_text().replace(str(there), str(csv)))
    return never_refreshed


def test_first_refresh_makes_everything_and_the_second_nothing(first_refresh, refreshed):
    made, _, read_again = first_refresh
    assert {"interactions", "samples", "din_model", "warehouse"} <= set(made)
    assert made["users"].reasons == ("never made",)
    assert read_again == []  # what was never made is made, whatever the ledger says by then
    assert refreshed() == {}


@pytest.fixture
def hashed(monkeypatch):
    """The paths that the comparison hashes, as often as it does."""
    seen = []

    def counted(real):
        def count(path):
            seen.append(path)
            return real(path)

        return count

    for where, name in (("manifests", "damage_of"), ("store", "damage_of_published")):
        real = getattr(changes, where).__dict__[name]
        # As the comparison sees it: steps that read an artifact look at it for themselves.
        monkeypatch.setattr(
            changes,
            where,
            SimpleNamespace(**{**vars(getattr(changes, where)), name: counted(real)}),
        )
    return seen


def test_same_rows_in_another_file_stop_after_ingestion_and_each_file_is_hashed_once(
    refreshed, pipeline, csv, hashed
):
    csv.write_text(csv.read_text().replace("\n", "\r\n", 1))
    made = refreshed()
    # The record of what was made says which source it was; the published file holds that record.
    assert set(made) == {"interactions", "rejected_rows", "source_files", "warehouse"}
    # The file is another one, which source_files tells.
    assert made["source_files"].outcome == "made, new content"
    assert "the source has new content" in made["interactions"].reasons
    n_artifacts = len(list((pipeline.home / "artifacts").iterdir()))
    assert len(hashed) == len(set(hashed)) == n_artifacts + 1  # and the published file


def test_row_that_cannot_be_used_changes_what_was_rejected_and_stops_there(
    refreshed, pipeline, csv
):
    csv.write_text(csv.read_text() + "u1,i22,yesterday,c2\n")
    before = pipeline.versions()
    made = refreshed()
    after = pipeline.versions()
    assert before["interactions"] == after["interactions"]
    assert before["rejected_rows"] != after["rejected_rows"]
    assert {"known_ids", "events", "din_model"}.isdisjoint(made)
    with duckdb.connect(str(pipeline.home / "warehouse.duckdb"), read_only=True) as con:
        raw = con.execute("select line, raw from rejected_rows").fetchall()
    assert raw == [(2 + len(ROWS), "u1,i22,yesterday,c2")]


def test_option_that_changes_no_row_makes_no_model(refreshed):
    # No history is that long.
    refreshed.config["ops"]["samples"] = {"config": {"max_history": 49}}
    made = refreshed(until="test_predictions")
    assert made["samples"].outcome == "made, same content"
    assert {"din_model", "test_predictions"}.isdisjoint(made)


def test_step_that_fails_lets_nothing_below_it_be_made(refreshed, pipeline, csv, monkeypatch):
    csv.write_text(csv.read_text() + "u1,i22,99999,c2\n")
    before = pipeline.versions()

    def failing(*_, **__):
        raise StoreError("no room")

    monkeypatch.setattr("din_assets.assets.sequences.build_table", failing)
    with pytest.raises(RefreshFailedError, match="known_ids: no room"):
        refreshed()
    after = pipeline.versions()
    assert {asset for asset in after if after[asset] != before[asset]} == {
        "interactions",
        "source_files",
        "drift",
    }
    [run] = pipeline.instance.get_runs()
    assert run.status == dg.DagsterRunStatus.FAILURE


def shown_as_failed(pipeline: Pipeline) -> set[str]:
    """The assets that are red in the UI, as Dagster finds them for it."""
    context = LoadingContextForTest(pipeline.instance)

    async def all_of_them() -> set[str]:
        keys = pipeline.instance.all_asset_keys()
        states = [
            (key, await AssetMaterializationHealthState.compute_for_asset(key, None, context))
            for key in keys
        ]
        return {name_of(key) for key, state in states if not state.failed_subset.is_empty}

    return asyncio.run(all_of_them())


@pytest.fixture
def samples_fail_once(refreshed, monkeypatch):
    """Refresh, and fail at the samples: what lies above them is made, or spared."""

    def failing(con, name, *others):
        if name == "samples":
            raise StoreError("no room")
        return build_table(con, name, *others)

    def fail_once():
        with monkeypatch.context() as patch:
            patch.setattr("din_assets.assets.sequences.build_table", failing)
            with pytest.raises(RefreshFailedError, match="samples: no room"):
                refreshed()

    return fail_once


def test_all_that_changed_is_made_in_one_run_and_what_it_spared_does_not_stay_red(
    refreshed, pipeline, csv, monkeypatch
):
    # The row names a user who is new, and nothing else that is: the items stay as they were.
    csv.write_text(csv.read_text() + "u99,i22,99999,c2\n")

    def failing(*_, **__):
        raise StoreError("no room")

    with monkeypatch.context() as patch:
        patch.setattr("din_core.evaluation.report.render", failing)
        with pytest.raises(RefreshFailedError, match="report: no room"):
            refreshed()
    made = refreshed.made
    assert {"interactions", "events", "samples", "din_model", "bundle"} <= set(made)
    assert "events has new content" in made["samples"].reasons
    assert made["attributes"].outcome == "made, same content"
    assert "cates" not in made
    [run] = pipeline.instance.get_runs()
    assert run.job_name == "full_run"
    steps = pipeline.instance.get_run_step_stats(run.run_id)
    skipped = {step.step_key for step in steps if step.status.value == "SKIPPED"}
    assert "cates" in skipped

    assert {"cates", "report", "warehouse"} <= shown_as_failed(pipeline)
    # What it made and spared is up to date by now, and the next run makes the rest.
    assert set(refreshed()) == {"report", "warehouse"}
    assert shown_as_failed(pipeline) == set()
    assert pipeline.instance.get_runs()[0].is_success


def test_asset_that_is_red_is_put_right_where_nothing_is_left_to_be_made(
    refreshed, pipeline, samples_fail_once
):
    as_before = refreshed.config["ops"].get("samples", {})
    refreshed.config["ops"]["samples"] = {"config": {"max_history": 2}}
    samples_fail_once()
    assert {"samples", "din_model"} <= shown_as_failed(pipeline)
    refreshed.config["ops"]["samples"] = as_before
    before = pipeline.versions()
    assert refreshed() == {}
    assert shown_as_failed(pipeline) == set()
    assert pipeline.versions() == before
    last, _ = pipeline.instance.get_runs()
    assert last.is_success
    assert last.tags["din/reasons"] == "shown as failed, and up to date"
    # Once: the next one finds nothing that is red, and starts no run.
    assert refreshed() == {}
    assert len(pipeline.instance.get_runs()) == 2


def test_changed_option_makes_what_it_affects(refreshed):
    refreshed.config["ops"]["samples"] = {"config": {"max_history": 2}}
    made = refreshed(until="din_model")
    assert "max_history: 50 → 2" in made["samples"].reasons
    assert {"events", "negatives", "user_sequences"}.isdisjoint(made)
    assert "samples has new content" in made["din_model"].reasons


def test_changed_code_that_gives_the_same_rows_makes_one_table(refreshed, pipeline):
    with duckdb.connect(str(pipeline.home / "pipeline.duckdb")) as con:
        con.execute("update ledger set code_version = 'of yesterday' where asset = 'users'")
    made = refreshed()
    assert set(made) == {"users"}
    assert made["users"].reasons == ("code changed",)
    assert made["users"].outcome == "made, same content"


def test_dry_run_makes_nothing_and_lists_what_may_follow(refreshed, csv):
    csv.write_text(csv.read_text() + "u1,i22,99999,c2\n")
    planned = refreshed(dry_run=True)
    assert "interactions would be made" in planned["users"].reasons
    assert refreshed(dry_run=True).keys() == planned.keys()


# As in test_step_that_fails_lets_nothing_below_it_be_made, with the first step.
@pytest.mark.thorough
def test_failing_step_stops_the_refresh_and_says_where(refreshed, csv):
    csv.write_text("user_id,item_id\n1,2\n")
    with pytest.raises(RefreshFailedError, match="interactions"):
        refreshed()


def test_what_a_killed_run_left_behind_goes_although_nothing_is_made(refreshed, pipeline):
    leftover = pipeline.home / "artifacts" / "din_model" / ".staging-of-a-killed-run"
    leftover.mkdir()
    said = []
    assert refreshed(on_note=said.append) == {}
    assert not leftover.exists()
    assert f"removed what a killed run left behind: {leftover}" in said


def _files_below(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes()) if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != "pipeline.lock"  # held meanwhile, and empty before and after
    }


def test_dry_run_changes_nothing_not_even_what_killed_runs_left(
    refreshed, pipeline, csv, tmp_path, monkeypatch, capsys
):
    csv.write_text(csv.read_text() + "u1,i22,99999,c2\n")
    (pipeline.home / "artifacts" / "din_model" / ".staging-of-a-killed-run").mkdir()
    (pipeline.home / ".warehouse.duckdb.publishing-of-a-killed-run").mkdir()
    (tmp_path / "dagster.yaml").write_text("")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    before = _files_below(tmp_path)
    assert cli.main(["run", "--dry-run"]) == 0
    assert "the source has new content" in capsys.readouterr().out
    assert _files_below(tmp_path) == before


def artifact_of(pipeline, asset):
    [folder] = (pipeline.home / "artifacts" / asset).iterdir()
    return folder


@pytest.mark.parametrize(
    ("asset", "file"),
    [
        ("din_model", "model.safetensors"),
        # Files of a manifest, as the line above.
        pytest.param("onnx_model", "din.onnx", marks=pytest.mark.thorough),
        pytest.param("architecture_graph", "din.png", marks=pytest.mark.thorough),
    ],
)
def test_damaged_artifact_is_told_and_replaced_as_is_a_lost_link_to_the_current_bundle(
    refreshed, pipeline, asset, file
):
    current = pipeline.home / "artifacts" / "bundle" / "current"
    version = current.readlink()
    current.unlink()
    path = artifact_of(pipeline, asset) / file
    whole = path.read_bytes()
    os.truncate(path, 1000)
    assert f"{file} has 1,000 bytes instead of" in refreshed(dry_run=True)[asset].reasons[0]
    made = refreshed()
    assert set(made) == {asset, "model_versions"}
    assert made[asset].outcome == "made, same content"
    assert path.read_bytes() == whole
    reasons = made["model_versions"].reasons
    assert reasons == ("bundle/current does not lead to the published version",)
    assert made["model_versions"].outcome == "made, same content"
    assert current.readlink() == version
    assert refreshed() == {}


# A lost manifest, as in test_exactness.py; what is said of it: tests/core/store/test_artifacts.py.
@pytest.mark.thorough
def test_artifact_of_an_older_version_without_manifest_is_made_again(refreshed, pipeline):
    (artifact_of(pipeline, "onnx_model") / "manifest.json").unlink()
    assert "has no manifest.json" in refreshed()["onnx_model"].reasons[0]
    assert refreshed() == {}


@pytest.mark.parametrize("asset", ["onnx_model", "architecture_graph", "test_predictions"])
def test_damaged_model_is_not_used(refreshed, pipeline, asset):
    os.truncate(artifact_of(pipeline, "din_model") / "model.safetensors", 1000)
    message = failure_of(pipeline.run(asset))
    assert "model.safetensors has 1,000 bytes instead of" in message
    assert "materialize din_model again" in message


@pytest.mark.parametrize("command", ["refresh", "prune"])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_damaged_database_is_told_with_the_way_out(refreshed, pipeline, capsys, command, damage):
    path = pipeline.home / "pipeline.duckdb"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        for position in range(4096, len(content), 512):
            content[position] ^= 1
    path.write_bytes(content[: None if damage == "flipped" else 20_000])
    assert cli.main([command]) == 1
    said = capsys.readouterr().err
    assert "pipeline.duckdb: damaged" in said
    assert "move pipeline.duckdb away" in said
    assert "Traceback" not in said


def test_damaged_table_is_told_by_the_step_that_reads_it(refreshed, pipeline):
    path = pipeline.home / "pipeline.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create table filling as select hash(i) as h from range(100000) as r (i)")
        blocks = con.execute("select block_id from pragma_storage_info('interactions')").fetchall()
    content = bytearray(path.read_bytes())
    for (block,) in set(blocks):
        content[12_288 + 262_144 * block + 1000] ^= 1
    path.write_bytes(content)
    message = failure_of(pipeline.run("known_ids"))
    assert "pipeline.duckdb: damaged" in message


def test_same_category_can_be_left_together_with_the_category(refreshed):
    refreshed.config["ops"]["negatives"] = {"config": {"negative_sampling": "same_category"}}
    assert "negatives" in refreshed(until="negatives")
    refreshed.config["ops"]["interactions"] = {"config": {"item_attribute_cols": []}}
    refreshed.config["ops"]["negatives"] = {"config": {"negative_sampling": "uniform"}}
    assert "negatives" in refreshed(until="negatives")


def test_refresh_is_alone_from_its_first_step_on_and_row_of_known_ids_makes_no_vocabulary(
    refreshed, pipeline, csv
):
    csv.write_text(csv.read_text() + "u1,i22,99999,c2\n")
    outcomes = {}
    steps = refresh(pipeline.instance, run_config=refreshed.config)
    with contextlib.closing(steps):
        # The lock is held between the steps.
        for asset in ("interactions", "events"):
            while asset not in outcomes:
                decision = next(steps)
                outcomes |= dict.fromkeys(decision.assets, decision.outcome)
            assert outcomes[asset] == "made, new content"
            with (pipeline.home / "pipeline.lock").open() as lock, pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (pipeline.home / "pipeline.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # Every id was known before, and no vocabulary of attributes is made again.
    assert outcomes["known_ids"] == "made, same content"
    assert outcomes["attributes"] == "up to date"
    # Nobody asked for the steps below.
    [run] = pipeline.instance.get_runs()
    assert run.status == dg.DagsterRunStatus.CANCELED


def test_prune_keeps_the_current_version(refreshed, pipeline, csv, capsys):
    stale = pipeline.home / "artifacts" / "din_model" / "0123"
    stale.mkdir()
    assert cli.main(["prune"]) == 0
    assert not stale.exists()
    assert len(list((pipeline.home / "artifacts" / "din_model").iterdir())) == 1
    assert "1 old versions removed" in capsys.readouterr().out
