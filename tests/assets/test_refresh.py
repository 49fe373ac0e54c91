"""``din refresh`` does only what changed, and ``din prune`` never removes what is current."""

from pathlib import Path

import duckdb
import pytest

from din_assets import cli
from din_assets.refresh import RefreshFailedError, refresh


@pytest.fixture
def csv(write_csv, monkeypatch, tmp_path) -> Path:
    rows = [
        f"u{user},i{item},{100 * step + user},c{item % 4}"
        for user in range(12)
        for step, item in enumerate(range(7 * user, 7 * user + 18, 3))
    ]
    path = write_csv(*rows)
    monkeypatch.setenv("DIN_CSV", str(path))
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "data"))
    return path


@pytest.fixture
def refreshed(pipeline, csv):
    """Refresh and return what was made, by asset."""
    config = pipeline.config
    config["ops"]["interactions"] = {"config": {}}

    def run(**kwargs):
        decisions = list(refresh(pipeline.instance, run_config=config, **kwargs))
        return {
            asset: decision
            for decision in decisions
            for asset in decision.assets
            if decision.outcome != "up to date"
        }

    run.config = config
    return run


def test_first_refresh_makes_everything_and_the_second_nothing(refreshed):
    first = refreshed()
    assert {"interactions", "samples", "din_model", "warehouse"} <= set(first)
    assert first["users"].reasons == ("never made",)
    assert refreshed() == {}


def test_same_rows_in_another_file_stop_after_ingestion(refreshed, csv):
    refreshed()
    csv.write_text(csv.read_text().replace("\n", "\r\n", 1))
    made = refreshed()
    assert set(made) == {"interactions", "rejected_rows"}
    assert made["interactions"].outcome == "made, same content"
    assert "the source has new content" in made["interactions"].reasons


def test_new_row_goes_all_the_way_down(refreshed, csv):
    refreshed()
    csv.write_text(csv.read_text() + "u1,i22,99999,c2\n")
    made = refreshed()
    assert {"interactions", "events", "samples", "din_model", "warehouse"} <= set(made)
    # The vocabularies of items and categories hold what they held before.
    assert made["cates"].outcome == "made, same content"


def test_changed_option_makes_what_it_touches(refreshed):
    refreshed()
    refreshed.config["ops"]["samples"] = {"config": {"max_history": 2}}
    made = refreshed()
    assert "max_history: 50 → 2" in made["samples"].reasons
    assert {"events", "negatives", "user_sequences"}.isdisjoint(made)
    assert "samples has new content" in made["din_model"].reasons


def test_changed_code_that_gives_the_same_rows_makes_one_table(refreshed, pipeline):
    refreshed()
    with duckdb.connect(str(pipeline.home / "pipeline.duckdb")) as con:
        con.execute("update ledger set code_version = 'of yesterday' where asset = 'users'")
    made = refreshed()
    assert set(made) == {"users"}
    assert made["users"].reasons == ("code changed",)
    assert made["users"].outcome == "made, same content"


def test_dry_run_makes_nothing_and_lists_what_may_follow(refreshed, csv):
    refreshed()
    csv.write_text(csv.read_text() + "u1,i22,99999,c2\n")
    planned = refreshed(dry_run=True)
    assert "interactions would be made" in planned["users"].reasons
    assert refreshed(dry_run=True).keys() == planned.keys()


def test_failing_step_stops_the_refresh_and_says_where(refreshed, csv):
    refreshed()
    csv.write_text("user_id,item_id\n1,2\n")
    with pytest.raises(RefreshFailedError, match="interactions"):
        refreshed()


def test_prune_keeps_the_current_version(refreshed, pipeline, csv, capsys):
    refreshed()
    stale = pipeline.home / "artifacts" / "din_model" / "0123"
    stale.mkdir()
    assert cli.main(["prune"]) == 0
    assert not stale.exists()
    assert len(list((pipeline.home / "artifacts" / "din_model").iterdir())) == 1
    assert "1 old versions removed" in capsys.readouterr().out
