"""``din run`` where little or nothing was made before: who is in its way, and what it refuses."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from din_assets.command import cli, run
from din_assets.runs.resources import StoreResource
from din_core.store import StoreError
from tests.assets.refreshing import ROWS, Refreshing


@pytest.fixture
def csv(write_csv, monkeypatch, tmp_path) -> Path:
    path = write_csv(*ROWS)
    monkeypatch.setenv("DIN_CSV", str(path))
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "data"))
    return path


@pytest.fixture
def never_refreshed(pipeline, csv):
    return Refreshing(pipeline)


def test_publication_that_did_not_happen_is_made_up_for(never_refreshed, pipeline, monkeypatch):
    published = pipeline.home / "warehouse.duckdb"

    def reasons():
        found = never_refreshed(dry_run=True)["warehouse"].reasons
        return [reason for reason in found if "duckdb" in reason]

    def publish_fails(*_, **__):
        raise StoreError("no room")

    def republish():
        assert pipeline.run("warehouse").success
        assert reasons() == []

    assert pipeline.run("interactions", "rejected_rows", "source_files").success
    republish()
    assert pipeline.run("known_ids").success
    # What the pipeline's database says is committed before the file is swapped in.
    with monkeypatch.context() as patch:
        patch.setattr("din_assets.assets.delivery.database.publish", publish_fails)
        assert not pipeline.run("warehouse").success
    assert reasons() == ["warehouse.duckdb is not the latest"]
    republish()
    # The same tables under views of other code.
    with duckdb.connect(str(pipeline.home / "pipeline.duckdb")) as con:
        con.execute("update ledger set code_version = 'newer' where asset = 'warehouse'")
    assert reasons() == ["warehouse.duckdb is not the latest"]
    # Damage is told before that.
    content = published.read_bytes()
    published.chmod(0o644)
    published.write_bytes(b"no database")
    assert reasons() == ["warehouse.duckdb is not what was published"]
    # Damage far from what refresh reads of the file.
    published.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert reasons() == ["warehouse.duckdb is not what was published"]
    published.write_bytes(content)
    published.with_name("warehouse.duckdb.sha256").unlink()
    assert reasons() == ["warehouse.duckdb has no checksum beside it"]
    republish()
    published.unlink()
    assert reasons() == ["warehouse.duckdb is gone"]


def test_refresh_waits_for_whoever_writes(never_refreshed, pipeline):
    assert pipeline.run("interactions", "rejected_rows", "source_files").success
    resource = StoreResource(home=str(pipeline.home))
    said, order = [], []

    def write() -> None:
        with resource.locked("a run"), resource.connection():
            holding.set()
            while not said:
                time.sleep(0.01)
            order.append("written")

    holding = threading.Event()
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(write)
        assert holding.wait(60)
        assert "interactions" not in never_refreshed(dry_run=True, on_wait=said.append)
        order.append("refreshed")
        writer.result()
    assert order == ["written", "refreshed"]
    assert "a run" in said[0]


def test_dry_run_without_results_makes_no_home(never_refreshed, pipeline):
    assert "interactions" in never_refreshed(dry_run=True)
    assert not pipeline.home.exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ops: {sampels: {config: {max_history: 3}}}", "no step 'sampels'; is 'samples' meant?"),
        ("ops: {known_ids: {config: {min_interaction: 9}}}", "is 'min_interactions' meant?"),
        ("ops: {users: {min_interactions: 9}}", "users: its options belong below 'config:'"),
        ("ops: {events: {config: {seed: 1}}}", "'seed'; din_model and attention_weights have it"),
        ("ops: {negatives: {config: {sampling_seed: -1}}}", "negatives: sampling_seed is -1"),
        ("ops: [", "is not valid YAML"),
        ("- ops", 'holds ["ops"]; a run configuration has keys'),
        ("op: {}", "no section 'op'; is 'ops' meant?"),
        ("ops: [users]", "ops: ['users'] is not a mapping"),
        ("ops: {users: {config: [1]}}", "users: config: [1] is not a mapping"),
        ("ops: {users: {config: {1: 2}}}", "users: there is no option '1'"),
        ("ops: {interactions: {config: {synthetic: {n_user: 3}}}}", "is 'n_users' meant?"),
        ("resources: {store: {config: {hom: x}}}", "no option 'hom'; is 'home' meant?"),
        ("resources: {store: {config: {threads: 0}}}", "store: threads is 0"),
        ("loggers: {consol: {}}", "no logger 'consol'; is 'console' meant?"),
    ],
)
def test_wrong_configuration_ends_in_a_sentence(csv, tmp_path, capsys, text, says):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert cli.main(["refresh", "--dry-run", "-c", str(config)]) == 2
    assert says in capsys.readouterr().err


def test_source_that_is_named_and_empty_is_not_passed_over(csv, capsys):
    assert cli.main(["run", "--dry-run", "--csv", ""]) == 2
    assert capsys.readouterr().err == (
        "din: --csv is empty: name a file or a glob, or leave it out\n"
    )


def test_missing_configuration_ends_in_a_sentence(csv, tmp_path, capsys):
    assert cli.main(["refresh", "-c", str(tmp_path / "nowhere.yaml")]) == 2
    assert "nowhere.yaml: No such file" in capsys.readouterr().err


def test_prune_without_results_makes_none(csv, tmp_path, capsys):
    assert cli.main(["prune"]) == 0
    assert "holds no results" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


def test_interrupted_command_ends_in_a_sentence(csv, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_instance", dg.instance_for_test)
    monkeypatch.setattr("din_assets.command.refresh.refresh", interrupted)
    assert cli.main(["run"]) == 130
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "din: interrupted; what was made before it stays"


def test_home_that_is_a_file_ends_in_a_sentence(csv, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(run, "_instance", dg.instance_for_test)
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "file"))
    assert cli.main(["run"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"din: {tmp_path / 'file'} is not a folder; choose a writable home with DIN_HOME"
