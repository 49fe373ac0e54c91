"""The asset ``ablation``: made by name only, and kept from everything that is made by the way."""

import shutil

import dagster as dg
import pytest

from din_assets import evidence
from din_assets.definitions import build_defs
from din_assets.starting.refresh_config import RunConfigError, check_names
from din_assets.starting.run_start import RunStore
from din_core import presets
from din_core.config import DINConfig, TrainingConfig
from din_core.evaluation.ablation import plan
from din_core.store import connect

QUICK = {
    "ops": {"ablation": {"config": {"quick": True, "base": "tutorial"}}},
    "loggers": {"console": {"config": {"log_level": "ERROR"}}},
}


def materialize(pipeline, config):
    definitions = dg.Definitions(
        assets=evidence.defs.assets,
        resources={"store": RunStore(home=str(pipeline.home))},
        executor=dg.in_process_executor,
    )
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        run_config=config, instance=pipeline.instance, raise_on_error=False
    )


def test_no_selection_of_the_pipeline_makes_it():
    graph = build_defs().resolve_asset_graph()
    assert "ablation" not in {k.to_user_string() for k in graph.materializable_asset_keys}
    found = evidence.defs.resolve_asset_graph().materializable_asset_keys
    assert {key.to_user_string() for key in found} == {"ablation"}


def test_what_it_reads_is_drawn_where_it_is_made():
    key = dg.AssetKey("ablation")
    assert dg.AssetKey("samples") in evidence.defs.resolve_asset_graph().get(key).parent_keys
    shown = build_defs().resolve_asset_graph().get(key)
    assert (shown.parent_keys, shown.child_keys) == (set(), {dg.AssetKey("warehouse")})


@pytest.fixture
def small_network(monkeypatch):
    """Train a small network in large batches: what the trials come to is not looked at."""
    small = presets.Preset(
        model=DINConfig(embed_dim=2, mlp_dims=(2,), attention_dims=(2,)),
        training=TrainingConfig(batch_size=256, checkpoint_seconds=0),
    )
    monkeypatch.setitem(plan._PRESETS, "tutorial", small)


@pytest.mark.usefixtures("small_network")
def test_leaderboard_is_made_kept_and_published(finished, pipeline):
    shutil.copytree(finished.home, pipeline.home)
    result = materialize(pipeline, QUICK)
    assert result.success

    rows = pipeline.query("select variant, epochs from ablation order by variant")
    assert [variant for variant, _ in rows] == ["base", "max_history=5", "product inputs"]
    assert {epochs for _, epochs in rows} == {2}
    version = pipeline.versions()["ablation"]
    assert (pipeline.home / "artifacts" / "ablation" / version / "leaderboard.png").is_file()
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["trials"].value == 3

    # Made again from what is kept, seconds included.
    assert materialize(pipeline, QUICK).success
    assert pipeline.versions()["ablation"] == version

    assert pipeline.run("warehouse").success
    with connect(pipeline.home / "warehouse.duckdb", read_only=True) as con:
        found = con.sql("select variant, n_seeds from ablation_summary order by variant").fetchall()
    assert found == [("base", 1), ("max_history=5", 1), ("product inputs", 1)]


def test_wrong_options_are_refused_by_name():
    wrong = {"ops": {"ablation": {"config": {"base": "bset"}}}}
    with pytest.raises(RunConfigError, match=r"base is 'bset', must be one of 'best'"):
        check_names(wrong)
