"""The whole road on a small log: results, versions, and what happens when something is wrong."""

import json
import shutil

import dagster as dg
import duckdb
import pytest

from din_assets.runs import last_run
from din_core import store
from din_core.store import kept_instance, ledger
from din_core.tables import recorded_choices
from din_core.training.checkpoints import CHECKPOINT_FILE
from tests.assets.small_pipeline import failure_of, up_to, write_rows

BELOW_THE_MODEL = (
    "architecture_graph", "onnx_model", "test_predictions", "test_rankings",
    "base_model_predictions", "test_auc", "bundle", "warehouse",
)  # fmt: skip


def materializations(result):
    return {
        event.asset_key.to_user_string(): event.materialization
        for event in result.get_asset_materialization_events()
    }


def test_complete_run_leaves_model_graph_onnx_and_warehouse(finished):
    with duckdb.connect(str(finished.home / "pipeline.duckdb"), read_only=True) as con:
        made = ledger.entries(con)
    for asset, file in [
        ("din_model", "model.safetensors"),
        ("architecture_graph", "din.png"),
        ("architecture_graph", "din.svg"),
        ("architecture_graph", "din_overview.png"),
        ("architecture_graph", "din_overview.svg"),
        ("onnx_model", "din.onnx"),
    ]:
        assert (finished.home / "artifacts" / made[asset].artifact / file).stat().st_size > 0
    events = finished.home / "artifacts" / made["din_model"].artifact / "tensorboard"
    assert [file.stat().st_size > 0 for file in events.iterdir()] == [True]
    published = finished.home / "warehouse.duckdb"
    assert published.stat().st_mode & 0o222 == 0
    with duckdb.connect(str(published), read_only=True) as con:
        assert len(con.execute("from samples limit 5").fetchall()) == 5
        figures = dict(con.execute("select metric, value from current_metrics").fetchall())
    assert 0 <= figures["auc"] <= 1
    assert figures["oracle_auc"] > figures["popularity_auc"]


def test_metadata_shows_rows_columns_options_and_pictures(finished):
    made = materializations(finished.result)
    samples = made["samples"].metadata
    assert (
        samples["dagster/row_count"].value == finished.query("select count(*) from samples")[0][0]
    )
    columns = {column.name: column for column in samples["dagster/column_schema"].schema.columns}
    assert columns["hist_item_id"].description.startswith("Ids of")
    assert samples["options"].data["max_history"] == 50
    assert "data:image/png;base64," in made["din_model"].metadata["training_curve"].md_str
    for drawn in ("overview", "graph"):
        assert "data:image/png;base64," in made["architecture_graph"].metadata[drawn].md_str
    assert made["onnx_model"].metadata["largest_difference_to_torch"].value < 1e-5


def test_epochs_are_observed_while_training_goes_on(finished):
    observed = [
        event.asset_observation_data.asset_observation
        for event in finished.result.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
    ]
    # The step that reads the source observes that; din_model is observed twice, once an epoch.
    epochs = [seen for seen in observed if seen.asset_key == dg.AssetKey("din_model")]
    assert len(epochs) == 2
    assert {"epoch", "val_auc"} <= set(epochs[0].metadata)


#: What is drawn or exported, and what holds that; each takes longer than all tables.
DELIVERED = {
    "architecture_graph", "onnx_model", "attention_pictures", "bundle", "model_versions", "report",
    "warehouse",
}  # fmt: skip


@pytest.mark.parametrize(
    "left_out",
    [
        DELIVERED,
        # The same bytes of the same network and rows: test_pictures.py, test_attention_pictures.py,
        # test_index_graph.py, test_writing.py, test_report.py; the tables: test_exactness.py.
        pytest.param(set(), marks=pytest.mark.thorough),
    ],
    ids=["tables and model", "everything"],
)
def test_a_model_that_was_trained_but_not_kept_is_not_trained_again_and_ends_as_any_run(
    finished, pipeline, monkeypatch, left_out
):
    """The same tables, code and configuration give the same versions.

    So do the same source, code and configuration: test_exactness.py.
    """

    def pulled_plug(*_, **__):
        raise RuntimeError("somebody pulled the plug")

    shutil.copytree(finished.home, pipeline.home, symlinks=True)
    shutil.rmtree(pipeline.home / "artifacts")
    tables = [name for name in up_to("din_model", "drift") if name != "din_model"]
    with duckdb.connect(str(pipeline.home / "pipeline.duckdb")) as con:
        con.execute("delete from ledger where asset not in (select unnest(?))", [tables])
    with monkeypatch.context() as patch:
        patch.setattr("din_core.store.artifacts.commit", pulled_plug)
        assert not pipeline.run("din_model").success
    state = pipeline.home / "checkpoints" / "din_model" / CHECKPOINT_FILE
    assert state.exists()
    assert "din_model" not in pipeline.versions()
    with monkeypatch.context() as patch:
        patch.setattr("din_core.training.learner.Learner.step", pulled_plug)
        assert pipeline.run(
            *finished.versions().keys() - pipeline.versions().keys() - left_out
        ).success
    assert not state.exists()
    expected = finished.versions()
    assert left_out < expected.keys()
    assert pipeline.versions() == {k: v for k, v in expected.items() if k not in left_out}


@pytest.mark.usefixtures("without_delivery")
def test_another_seed_changes_negatives_and_what_is_below_and_nothing_above(finished, pipeline):
    pipeline.config["ops"]["negatives"] = {"config": {"sampling_seed": 1}}
    below = {"negatives", "samples", "test_predictions"}
    shutil.copytree(finished.home, pipeline.home, symlinks=True)
    # The negatives that it is trained on are other ones, which training draws itself.
    assert pipeline.run("user_sequences", "din_model", *below).success
    made = materializations(pipeline.result)
    assert made.keys() == {"user_sequences", "din_model", *below}
    before, after = finished.versions(), pipeline.versions()
    assert {asset for asset in after if before[asset] != after[asset]} == below


def test_a_run_makes_no_instance_of_duckdb_for_a_further_step(pipeline, monkeypatch):
    monkeypatch.setattr(kept_instance, "_kept", [])  # the one that all tests share
    made, connect = [], duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda *a, **k: made.append(a) or connect(*a, **k))
    ingestion = ("interactions", "rejected_rows", "source_files")
    assert pipeline.run(*ingestion).success
    n_made = len(made)
    made.clear()
    assert pipeline.run(*ingestion, "known_ids", "attributes", "users", "items").success
    assert len(made) == n_made


def test_failed_check_leaves_the_old_table_and_no_materialization(pipeline, other_sql):
    assert pipeline.run(
        "interactions", "rejected_rows", "source_files", "known_ids", "cates", "attributes", "users"
    ).success
    before = pipeline.query("from users order by 1")
    # A vocabulary that starts at 2.
    with other_sql("sequences/users.sql", "idx as user_idx", "idx + 1 as user_idx"):
        result = pipeline.run("users")
    assert "Nothing was committed" in failure_of(result)
    assert "users" not in materializations(result)
    evaluations = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert False in evaluations.values()
    assert pipeline.query("from users order by 1") == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "log.csv"),
        (b"", "empty"),
        (b"user_id,item_id,time,cate_id\n", "no row"),
        (b"user_id,item_id,when,cate_id\n1,2,3,4\n", "time"),
        (b"1,2,3,4\n5,6,7,8\n", "user_id"),
        ("user_id,item_id,time,cate_id\n1,2,3,4\n".encode("utf-16"), "UTF-16"),
        (b"user_id,item_id,time,cate_id\n1,2,yesterday,4\n", "yesterday"),
    ],
    ids=["missing", "empty", "header only", "column missing", "no header", "utf-16", "no good row"],
)
def test_unusable_source_ends_in_a_sentence(pipeline, tmp_path, monkeypatch, content, says):
    path = tmp_path / "log.csv"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("DIN_CSV", str(path))
    message = failure_of(pipeline.run("interactions", "rejected_rows", "source_files"))
    assert "log.csv" in message
    assert says in message
    assert "Traceback" not in message


def test_directory_as_source_ends_in_a_sentence(pipeline, tmp_path, monkeypatch):
    monkeypatch.setenv("DIN_CSV", str(tmp_path))
    assert "director" in failure_of(pipeline.run("interactions", "rejected_rows", "source_files"))


def test_bad_rows_are_kept_and_the_run_goes_on(pipeline, write_csv, monkeypatch):
    good = [f"{u},{i},{10 * u + i},{i % 2}" for u in range(1, 5) for i in range(1, 6)]
    path = write_csv(*good, "1,2,yesterday,1", ",3,7,1", "1,2,3", "1,2,-5,1")
    monkeypatch.setenv("DIN_CSV", str(path))
    assert pipeline.run("interactions", "rejected_rows", "source_files").success
    rejected = pipeline.query("select line, raw from rejected_rows order by line")
    assert [row[0] for row in rejected] == [22, 23, 24, 25]
    assert rejected[0][1] == "1,2,yesterday,1"
    assert pipeline.query("select count(*) from interactions") == [(20,)]


TOO_SMALL = {
    "one user": ([f"1,{i},{i},1" for i in range(1, 9)], None),
    "a user who interacted with every item": (
        [f"1,{i},{i},1" for i in range(1, 6)] + [f"2,{i},{i},1" for i in range(1, 4)],
        None,
    ),
    "one item": ([f"{u},1,{u},1" for u in range(1, 9)], "too few events, 1 at most"),
    "one row": (["1,1,1,1"], "too few events, 1 at most"),
}


#: Logs of `make test-thorough` alone, and which log of `make test` shows the kind.
MORE_OF_THE_SAME = {
    "one user": "one item",  # with which every user interacted, too, and it ends green where asked
    "a user who interacted with every item": "one item",
    "one row": "one item",  # untrained, too
}


@pytest.mark.usefixtures("without_drawn_network")
@pytest.mark.parametrize(
    ("rows", "untrained"),
    [
        pytest.param(
            *case,
            id=name,
            marks=[pytest.mark.thorough] if name in MORE_OF_THE_SAME else [],
        )
        for name, case in TOO_SMALL.items()
    ],
)
def test_small_log_ends_green_and_publishes_nothing_untrained_unless_asked(
    pipeline, write_csv, monkeypatch, rows, untrained
):
    monkeypatch.setenv("DIN_CSV", str(write_csv(*rows)))
    made = ()
    if untrained is not None:
        message = failure_of(pipeline.run())
        assert "there is nothing to train a model on" in message
        assert untrained in message
        assert "allow_untrained (ops: din_model: config)" in message
        assert not any((pipeline.home / "artifacts" / "din_model").iterdir())
        pipeline.config["ops"]["din_model"]["config"]["allow_untrained"] = True
        made = ("din_model", *BELOW_THE_MODEL)
    assert pipeline.run(*made).success
    assert (pipeline.home / "warehouse.duckdb").is_file()


def test_missing_input_says_what_to_materialize(pipeline):
    assert "'interactions' has not been materialized" in failure_of(pipeline.run("cates"))


def test_ledger_names_no_place_of_this_machine(finished):
    with duckdb.connect(str(finished.home / "pipeline.duckdb"), read_only=True) as con:
        content = json.dumps([vars(entry) for entry in ledger.entries(con).values()])
    assert str(finished.home) not in content


def test_earlier_step_is_not_judged_by_what_later_ones_recorded():
    per_asset = {
        "known_ids": {"min_interactions": 3},
        "negatives": {"negative_sampling": "same_category", "sampling_seed": 1},
        "samples": {"split": "temporal", "val_from": 1e-9},
    }
    with store.connect(":memory:") as con:
        for asset, options in per_asset.items():
            made = ledger.Entry(
                asset=asset, data_version="", code_version="", options=options, inputs={}
            )
            ledger.record(con, made)

        def taken(chosen):
            config = recorded_choices.sequence_config(con, chosen)
            sampling = config.negative_sampling, config.sampling_seed
            return config.min_interactions, *sampling, config.split

        # Steps that choose nothing (`attributes`), and then each that does.
        assert taken({}) == (0, "uniform", 2022, "leave_one_out")
        assert taken({"min_interactions": 5}) == (5, "uniform", 2022, "leave_one_out")
        assert taken({"sampling_seed": 7}) == (3, "uniform", 7, "leave_one_out")
        assert taken({"split": "leave_one_out"}) == (3, "same_category", 1, "leave_one_out")
        # Whoever reads the results needs all of it.
        assert taken(None) == (3, "same_category", 1, "temporal")


def test_published_tables_have_no_index_which_clients_of_duckdb_1_0_could_not_open(finished):
    with duckdb.connect(str(finished.home / "warehouse.duckdb"), read_only=True) as con:
        keys = "select table_name from duckdb_constraints() where constraint_type = 'PRIMARY KEY'"
        assert con.execute(keys).fetchall() == []
        assert con.execute("select index_name from duckdb_indexes()").fetchall() == []


@pytest.mark.usefixtures("without_delivery")
@pytest.mark.parametrize(
    "failing",
    [
        # A step that fails, as the line below.
        pytest.param("images.draw", marks=pytest.mark.thorough),
        "graphs.index_graph.export_onnx",
    ],
)
def test_published_file_stays_as_it_is_until_a_run_has_succeeded(
    finished, pipeline, monkeypatch, failing
):
    def broken(*_, **__):
        raise RuntimeError("no picture, no model for serving")

    shutil.copytree(finished.home, pipeline.home, symlinks=True)
    before = (pipeline.home / "warehouse.duckdb").read_bytes()
    pipeline.config["ops"]["din_model"]["config"]["seed"] = 1
    monkeypatch.setattr(f"din_core.serving.{failing}", broken)
    result = pipeline.run("din_model", *BELOW_THE_MODEL)
    assert not result.success
    assert {"din_model", "test_auc"} <= set(materializations(result))
    assert (pipeline.home / "warehouse.duckdb").read_bytes() == before


def test_a_step_before_its_inputs_says_what_to_make_first(pipeline):
    assert pipeline.run("interactions", "rejected_rows", "source_files").success
    message = failure_of(pipeline.run("cates"))
    assert message.startswith("'cates' is made from attributes, not materialized yet; `din run`")


def test_columns_that_would_become_one_are_refused_before_the_log_is_read(pipeline, tmp_path):
    header = "user_id,item_id,time,cate_id,price,target_price"
    log = write_rows(tmp_path / "log.csv", "u1,i1,1,c1,5,6", header=header)
    columns = {"item_dense_cols": ["price"], "user_dense_cols": ["target_price"]}
    pipeline.config["ops"]["interactions"] = {"config": {"path": str(log), **columns}}
    message = failure_of(pipeline.run())
    assert "sample column 'target_price' would be that of 'price' and of 'target_price'" in message
    assert not (pipeline.home / "pipeline.duckdb").exists()
    assert not (pipeline.home / last_run.FILE).exists()
