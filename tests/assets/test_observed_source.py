"""The source is an asset: observed by itself or by the run that reads it, and never silently."""

import os
import time
import warnings

import dagster as dg
import duckdb
import pytest

from din_assets.definitions import build_defs
from din_assets.runs import last_run
from din_assets.runs.resources import StoreResource
from din_assets.starting.run_start import RunStore
from din_core import sources
from din_core.sources import looks
from tests.assets.small_pipeline import Pipeline, failure_of, write_rows

SOURCE = dg.AssetKey("interactions_csv")
ROWS = [f"u{user},i{item},{10 * item + user},c{item % 2}" for user in range(4) for item in range(5)]
READING = ("interactions", "rejected_rows")


@pytest.fixture
def log(tmp_path):
    return write_rows(tmp_path / "log.csv", *ROWS)


@pytest.fixture
def at_rest(monkeypatch):
    """Files are looked at an hour after they were written."""
    now = time.time
    monkeypatch.setattr(looks.time, "time", lambda: now() + 3600)


def read(pipeline, log):
    config = {"ops": {"interactions": {"config": {"path": str(log)}}}}
    assert pipeline.start(*READING, config=config).success


def remember(pipeline, **options):
    pipeline.home.mkdir()
    last_run.write(pipeline.home / last_run.FILE, {"interactions": options})


def observe(pipeline: Pipeline):
    assert pipeline.start("interactions_csv", config={}).success
    return observed(pipeline)


def observed(pipeline: Pipeline) -> dg.AssetObservation:
    return pipeline.instance.fetch_observations(SOURCE, limit=1).records[0].asset_observation


def facts(observation):
    return {name: value.value for name, value in observation.metadata.items()}


def test_source_is_in_the_picture():
    node = build_defs().resolve_asset_graph().get(SOURCE)
    assert node.is_observable
    assert (node.group_name, node.kinds) == ("ingest", {"csv"})
    assert node.description
    assert node.owners


def test_observation_says_where_the_source_is_and_what_is_in_it(pipeline, log):
    remember(pipeline, path=str(log))
    os.utime(log, (1_000, 1_000))
    seen = observe(pipeline)
    assert seen.data_version == sources.fingerprint(str(log))
    assert facts(seen) == {
        "source": str(log),
        "named_by": "the last run",
        "files": 1,
        "bytes": log.stat().st_size,
        "modified": 1_000,
    }


def test_observation_is_of_what_din_csv_names(pipeline, log, monkeypatch):
    monkeypatch.setenv("DIN_CSV", str(log))
    assert facts(observe(pipeline))["source"] == str(log)


def test_run_that_reads_the_source_observes_it_with_its_rows(pipeline, log):
    read(pipeline, log)
    seen = observed(pipeline)
    assert seen.data_version == sources.fingerprint(str(log))
    assert facts(seen)["rows"] == len(ROWS)
    # The rows stay known while the content is the same, and only then.
    assert facts(observe(pipeline))["rows"] == len(ROWS)
    with log.open("a") as file:
        file.write("u9,i9,999,c1\n")
    assert "rows" not in facts(observe(pipeline))


def test_metadata_of_interactions_names_the_file_that_was_read(pipeline, log):
    read(pipeline, log)
    made = pipeline.instance.get_latest_materialization_event(dg.AssetKey("interactions"))
    shown = made.asset_materialization.metadata
    assert shown["source"].value == str(log)
    assert shown["source_sha256"].value == sources.fingerprint(str(log))


def test_result_is_recorded_as_made_of_the_source_that_was_read(pipeline, log):
    read(pipeline, log)
    log.write_text(log.read_text() + "u9,i9,999,c1\n")
    read(pipeline, log)
    for asset in READING:
        made = pipeline.instance.get_latest_materialization_event(dg.AssetKey(asset))
        version = made.asset_materialization.tags["dagster/input_data_version/interactions_csv"]
        assert version == observed(pipeline).data_version, asset


def test_source_at_rest_is_hashed_once(pipeline, log, at_rest, monkeypatch):
    read(pipeline, log)
    version = observed(pipeline).data_version

    def read_again(path):
        raise AssertionError(path)

    with monkeypatch.context() as patch:
        patch.setattr(sources, "fingerprint", read_again)
        assert observe(pipeline).data_version == version
        assert observe(pipeline).data_version == version
    log.write_text(log.read_text() + "u9,i9,999,c1\n")
    assert observe(pipeline).data_version == sources.fingerprint(str(log)) != version


def test_content_that_changed_within_one_moment_is_seen(pipeline, log, monkeypatch):
    # As on a file system whose clock stands still: the stamp of both contents is the same.
    remember(pipeline, path=str(log))
    look = sources.look_at(str(log))
    monkeypatch.setattr(sources, "look_at", lambda _: look)
    first = observe(pipeline).data_version
    log.write_text(log.read_text().replace("u0", "u5"))
    assert observe(pipeline).data_version != first


def test_synthetic_log_has_the_version_of_its_shape(pipeline):
    assert pipeline.run(*READING).success
    seen = observed(pipeline)
    assert seen.data_version.startswith("synthetic-")
    assert facts(seen)["source"] == "the synthetic log"
    assert observe(pipeline).data_version == seen.data_version
    pipeline.config["ops"]["interactions"]["config"]["synthetic"]["seed"] = 8
    assert pipeline.run(*READING).success
    assert observed(pipeline).data_version != seen.data_version


def test_missing_source_is_a_sentence(pipeline, log, monkeypatch):
    read(pipeline, log)
    log.unlink()
    result = pipeline.start("interactions_csv", config={})
    assert "log.csv, the source of the last run, is gone: put it back" in failure_of(result)
    monkeypatch.setenv("DIN_CSV", str(log))
    result = pipeline.start("interactions_csv", config={})
    assert "log.csv: there is no such file (DIN_CSV names it)" in failure_of(result)


def test_category_that_is_not_fetched_is_a_sentence(pipeline):
    remember(pipeline, amazon_category="Beauty")
    result = pipeline.start("interactions_csv", config={})
    assert "nothing is seen of it before it is fetched" in failure_of(result)


def test_observing_waits_for_nobody_and_changes_nothing(pipeline, log, monkeypatch):
    read(pipeline, log)
    before = {path: path.read_bytes() for path in pipeline.home.rglob("*") if path.is_file()}
    # Nothing else would notice that it asks for the lock: it would wait for ever.
    monkeypatch.setattr(StoreResource, "locked", lambda *_, **__: pytest.fail("it takes the lock"))
    observe(pipeline)
    assert {path: path.read_bytes() for path in before} == before


def test_observing_does_not_say_that_the_synthetic_log_is_next_where_a_log_was_read(
    finished, tmp_path
):
    home = tmp_path / "data"
    home.mkdir()
    published = home / "warehouse.duckdb"
    published.write_bytes((finished.home / "warehouse.duckdb").read_bytes())
    with duckdb.connect(str(published)) as con:
        con.execute("""update ledger set options = '{"user_col": "user_id"}'
                       where asset = 'interactions'""")
    with dg.DagsterInstance.ephemeral() as instance:
        result = Pipeline(home, instance).start("interactions_csv", config={})
    assert "the synthetic one would replace them" in failure_of(result)


def test_no_warning_of_dagster_reaches_who_loads_the_definitions():
    with warnings.catch_warnings():
        warnings.simplefilter("error", dg.BetaWarning)
        build_defs(resource_overrides={"store": RunStore()}).resolve_asset_graph()
