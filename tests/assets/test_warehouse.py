"""The analysts' file on a log that is too large for it: a sample, which says that it is one."""

import shutil

import duckdb
import pytest

from din_assets.command import changes, cli
from din_assets.runs.resources import StoreResource
from din_core import store
from din_core.store import kept_instance
from tests.assets.small_pipeline import Pipeline, run_history

# One row per split, item, length or tenth: no sample may tell them.
OF_ALL_USERS = (
    "split_summary", "item_popularity", "cate_mix", "history_lengths", "calibration",
    "prediction_quality", "current_metrics", "metrics_by_slice", "rejected_summary",
)  # fmt: skip
OF_USERS = ("samples", "encoded_samples", "sample_bounds", "predictions", "user_activity")


@pytest.fixture
def sampled(finished, tmp_path):
    home = tmp_path / "data"
    shutil.copytree(finished.home, home, symlinks=True)
    with run_history() as instance:
        yield Pipeline(home, instance)


def run_with(pipeline, max_rows):
    pipeline.config["ops"]["warehouse"] = {"config": {"max_rows": max_rows}}
    pipeline.config["loggers"] = {"console": {"config": {"log_level": "WARNING"}}}
    assert pipeline.run("warehouse").success
    (made,) = pipeline.result.get_asset_materialization_events()
    return made.materialization


def largest(pipeline):
    """Rows of the largest table with users: on a log so small, the one of all weights."""
    return pipeline.query("select count(*) from attention_weights")[0][0]


def rows(home, sql):
    with store.connect(home / "warehouse.duckdb", read_only=True) as con:
        return con.execute(sql).fetchall()


def test_a_sample_tells_of_its_users_alone_and_of_the_log_as_a_whole(
    finished, sampled, capfd, monkeypatch
):
    made = run_with(sampled, max_rows=-(-largest(finished) // 6))

    (told,) = rows(sampled.home, "select comment from duckdb_tables() where table_name = 'events'")
    assert "A SAMPLE: the rows of 1 in 6 users (those with user_idx % 6 = 1)" in told[0]
    whole = "select user_idx, count(*) from events where user_idx % 6 = 1 group by 1 order by 1"
    expected = finished.query(whole)
    assert len(expected) == 10  # of 60 users
    assert rows(sampled.home, whole.replace("where user_idx % 6 = 1", "")) == expected
    for name in OF_ALL_USERS:
        assert rows(sampled.home, f"from {name} order by all") == rows(
            finished.home, f"from {name} order by all"
        ), name
    for name in OF_USERS:
        user = "user_id" if name in ("samples", "predictions", "user_activity") else "user_idx"
        of_sample = f"where {user} in (select {user} from users where user_idx % 6 = 1)"
        found = rows(sampled.home, f"from {name} order by all")
        assert found == rows(finished.home, f"from {name} {of_sample} order by all"), name
        assert found, name
    warned = capfd.readouterr().err
    assert "warehouse.duckdb: a sample, all rows of 1 in 6 users" in warned
    assert "max_rows" in warned
    assert "1 in 6 users" in made.metadata["users"].value
    assert sampled.versions()["warehouse"] != finished.versions()["warehouse"]

    # A decision about a model publishes the same sample again.
    monkeypatch.setenv("DIN_HOME", str(sampled.home))
    ((model,),) = sampled.query("select model_version from model_versions")
    assert cli.main(["models", "--pin", model]) == 0
    assert rows(sampled.home, "select count(*) from users") == [(10,)]
    assert rows(sampled.home, "select action from publications order by decided_at") == [
        ("published",),
        ("pinned",),
    ]
    assert sampled.query("select count(*) from users") == [(60,)]


def test_a_file_that_holds_all_rows_is_that_of_a_run_without_the_option(finished, sampled):
    made = run_with(sampled, max_rows=largest(finished))
    assert made.metadata["users"].value == "all"
    assert sampled.versions()["warehouse"] == finished.versions()["warehouse"]


def test_a_run_that_looks_at_both_files_in_turn_makes_no_instance_of_duckdb_for_each(
    sampled, monkeypatch
):
    resource = StoreResource(home=str(sampled.home))
    made, connect = [], duckdb.connect

    def counted(*arguments, **options):
        made.append(arguments)
        return connect(*arguments, **options)

    monkeypatch.setattr(duckdb, "connect", counted)
    monkeypatch.setattr(kept_instance, "_kept", [])  # the one that all tests share
    with resource.locked("a test"):
        for _ in range(3):
            state = changes.read_state(resource)
            assert state.shown == state.decided
            assert len(state.shown) == 1
    assert len(made) == 1
