"""Runs whose tables are made on Spark Connect, by Sail: the same assets, kept as Parquet."""

import copy
import json
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from din_assets.command.refresh import refresh
from din_assets.starting.run_start import RunStore
from din_core import store
from din_core.config import SequenceConfig
from din_core.engines import reading
from din_core.engines.parquet_tables import MANIFEST, ParquetRoot
from din_core.inputs import training_data
from din_core.inputs.flat_log import SPLITS
from din_core.inputs.shards import Shards
from tests.assets.small_pipeline import Pipeline, failure_of, run_history
from tests.assets.stand_ins import stand_in_for_delivery

TABLES = (
    "interactions", "known_ids", "users", "items", "attributes", "cates", "events",
    "user_sequences", "negatives", "samples",
)  # fmt: skip


@pytest.fixture(scope="module")
def kept_on_spark(tmp_path_factory):
    """A pipeline after one complete run on Sail, and a copy of its results as they were then.

    Without the graphs and pictures, which are made of the model, whose version is compared.
    """
    folder = tmp_path_factory.mktemp("spark")
    with run_history() as instance, pytest.MonkeyPatch.context() as patch:
        stand_in_for_delivery(patch)
        pipeline = Pipeline(folder / "data", instance, engine="spark", buckets=3)
        assert pipeline.run().success
        shutil.copytree(pipeline.home, folder / "as it was", symlinks=True)
        yield pipeline


@pytest.fixture
def made_on_spark(kept_on_spark):
    """The pipeline after its run; read it, do not change it."""
    if not kept_on_spark.home.exists():
        put_back(kept_on_spark, "as it was")
    return kept_on_spark


def put_back(pipeline, name):
    """Put a copy of its results where they were: the database names its files."""
    shutil.copytree(pipeline.home.parent / name, pipeline.home, symlinks=True)


@pytest.fixture
def on_spark(made_on_spark):
    """A pipeline with those results, to go on from."""
    with run_history() as instance:
        yield Pipeline(made_on_spark.home, instance, engine="spark", buckets=3)
    shutil.rmtree(made_on_spark.home, ignore_errors=True)


def root_of(pipeline):
    return ParquetRoot(str(pipeline.home / "tables"))


def test_a_whole_run_has_the_versions_and_the_checks_of_duckdb(made_on_spark, finished):
    ours, theirs = made_on_spark.versions(), finished.versions()
    assert {name: ours[name] for name in TABLES} == {name: theirs[name] for name in TABLES}
    of_the_model = ("din_model", "test_predictions", "test_auc")
    assert {n: ours[n] for n in of_the_model} == {n: theirs[n] for n in of_the_model}
    assert checks_of(made_on_spark) == checks_of(finished)


def checks_of(pipeline):
    evaluations = pipeline.result.get_asset_check_evaluations()
    return {(e.asset_key.to_user_string(), e.check_name, e.passed) for e in evaluations}


def test_the_rows_of_a_user_lie_in_one_folder(made_on_spark):
    root = root_of(made_on_spark)
    manifest = root.manifest()
    with duckdb.connect(str(made_on_spark.home / "pipeline.duckdb"), read_only=True) as con:

        def found(table, column, bucket):
            files = root.files(manifest.tables[table].folder, bucket)
            read = f"select {column} from read_parquet({files}, hive_partitioning = false)"
            return [value for (value,) in con.execute(read).fetchall()] if files else []

        for name in ("events", "user_sequences", "negatives", "users"):
            assert manifest.tables[name].bucketed
            n_rows = 0
            for bucket in range(manifest.buckets):
                users = found(name, "user_idx", bucket)
                assert {user % manifest.buckets for user in users} <= {bucket}
                n_rows += len(users)
            in_database = con.execute(f"select count(*) from {name}").fetchall()
            assert [(n_rows,)] == [(manifest.tables[name].rows,)] == in_database
        # Where rows have ids alone, likewise.
        assert manifest.tables["interactions"].bucketed
        folders = [{*found("interactions", "user_id", n)} for n in range(manifest.buckets)]
    assert sum(map(len, folders)) == len(set.union(*folders)) == 60


def test_an_earlier_version_holds_until_the_new_one_passed_its_checks(on_spark, other_sql):
    root = root_of(on_spark)
    held, rows = root.manifest(), on_spark.query("from users order by all")
    with other_sql("sequences/users.sql", "idx as user_idx", "idx + 1 as user_idx"):
        result = on_spark.run("users")
    assert "Nothing was committed. users_dense" in failure_of(result)
    assert root.manifest() == held
    assert on_spark.query("from users order by all") == rows
    assert len(list((on_spark.home / "tables" / "users").iterdir())) == 1


def settled(pipeline):
    """Begin a run that makes nothing; return what it says."""
    said = []
    with RunStore(home=str(pipeline.home), engine_name="spark").locked("it", on_note=said.append):
        pass
    return said


def killed_before_the_swap(pipeline):
    """Make other negatives, in a run that is killed when DuckDB has committed.

    Once for the tests of this file: the others put back what it has left.
    """
    after = pipeline.home.with_name("after the kill")
    if after.exists():
        shutil.rmtree(pipeline.home)
        put_back(pipeline, after.name)
    else:
        manifest = pipeline.home / "tables" / MANIFEST
        before, config = manifest.read_bytes(), copy.deepcopy(pipeline.config)
        config["ops"]["negatives"] = {"config": {"sampling_seed": 7}}
        assert pipeline.run("negatives", config=config).success
        manifest.write_bytes(before)
        shutil.copytree(pipeline.home, after, symlinks=True)
    return pipeline.query("from negatives order by all")


def test_a_run_reads_earlier_tables_and_the_next_brings_the_manifest_up_to_it(on_spark):
    before = on_spark.versions()
    expected = killed_before_the_swap(on_spark)
    after = on_spark.versions()
    assert {name for name in TABLES if after[name] != before[name]} == {"negatives"}
    (said,) = settled(on_spark)
    assert "manifest.json was behind the pipeline's database" in said
    assert settled(on_spark) == []
    with reading.open_tables(root_of(on_spark)) as con:
        assert con.execute("from negatives order by all").fetchall() == expected


# A manifest that is there is looked at by the test before.
@pytest.mark.parametrize("is_lost", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_what_a_killed_run_wrote_goes_with_the_next_change_and_not_what_the_database_reads(
    on_spark, is_lost, monkeypatch
):
    expected, held = killed_before_the_swap(on_spark), root_of(on_spark).manifest()
    if is_lost:
        (on_spark.home / "tables" / MANIFEST).unlink()
    leftover = on_spark.home / "tables" / "events" / "0123456789ab"
    leftover.mkdir()
    (leftover / "part-0.parquet").write_bytes(b"PAR1")
    # As where the root could not be reached when the run began.
    monkeypatch.setattr(RunStore, "_settle_tables", lambda _: [])
    assert on_spark.run("users").success
    assert not leftover.exists()
    assert on_spark.query("from negatives order by all") == expected
    assert on_spark.query("select count(*) from samples")[0][0] > 0
    assert root_of(on_spark).manifest().tables.keys() == held.tables.keys()


def test_a_manifest_that_is_lost_is_written_again(on_spark):
    held = root_of(on_spark).manifest()
    (on_spark.home / "tables" / MANIFEST).unlink()
    settled(on_spark)
    assert root_of(on_spark).manifest() == held


def test_tables_below_another_place_are_read_there_and_said(on_spark, tmp_path, monkeypatch):
    versions = on_spark.versions()
    monkeypatch.setenv("DIN_TABLES", str(tmp_path / "other"))
    (said,) = settled(on_spark)
    assert "user_sequences, users of the pipeline's database lie elsewhere than below" in said
    assert on_spark.run("negatives").success
    assert on_spark.versions() == versions
    # What was read is there, too, so that a reader of the root has it.
    with reading.open_tables(str(tmp_path / "other")) as con:
        for name in ("negatives", "events", "user_sequences"):
            query = f"from {name} order by all"
            assert con.execute(query).fetchall() == on_spark.query(query), name


def test_a_run_of_another_home_takes_no_tables_away(pipeline, tmp_path, monkeypatch):
    pipeline.engine, pipeline.buckets = "spark", 2
    monkeypatch.setenv("DIN_TABLES", str(tmp_path / "tables"))
    assert pipeline.run("interactions", "known_ids").success
    versions, home = pipeline.versions(), pipeline.home
    pipeline.home = tmp_path / "other"
    said = failure_of(pipeline.run("interactions"))
    assert "were made for another folder of results" in said
    # The folder may move: it stays the one that they were made for.
    pipeline.home = home.rename(tmp_path / "moved")
    assert pipeline.run("known_ids").success
    assert pipeline.versions() == versions


def test_the_way_out_of_a_lost_file_that_tables_go_on_from_leads_out(on_spark):
    versions, names = on_spark.versions(), ("interactions", "known_ids")
    shutil.rmtree(on_spark.home / "tables" / "known_ids")
    said = failure_of(on_spark.run("known_ids"))
    assert "a file of the table 'known_ids' is gone" in said
    assert "move pipeline.duckdb away" in said
    (on_spark.home / "pipeline.duckdb").rename(on_spark.home / "away")
    assert on_spark.run(*names).success
    found = on_spark.versions()
    assert {name: found[name] for name in names} == {name: versions[name] for name in names}


def files_of(pipeline, table):
    root = root_of(pipeline)
    return root.files(root.manifest().tables[table].folder)


def test_file_that_is_damaged_in_its_middle_is_named_by_the_step_that_reads_it_on_the_engine(
    on_spark,
):
    file = Path(files_of(on_spark, "events")[-1])
    content = bytearray(file.read_bytes())
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")  # it says what lies where
    for place in range(4, end, 5):
        content[place] ^= 0x5A
    file.write_bytes(content)
    said = failure_of(on_spark.run("negatives"))
    assert said.startswith(
        f"{file}: a file of the table 'events' is gone, damaged or another one's"
    )
    assert "make the tables again (din run --all)" in said


def test_file_of_another_table_is_not_read_as_missing_values_and_din_run_makes_the_table_again(
    on_spark,
):
    # Both have a row a user, so that not even the number of rows differs.
    file = files_of(on_spark, "user_sequences")[-1]
    shutil.copy(files_of(on_spark, "users")[-1], file)
    said = failure_of(on_spark.run("negatives"))
    assert said.startswith(f"{file}: the file is not one of 'user_sequences' (")

    store_of_it = {"home": str(on_spark.home), "engine_name": "spark"}
    config = {**on_spark.config, "resources": {"store": {"config": store_of_it}}}
    asked = list(refresh(None, run_config=config, dry_run=True))
    folder = root_of(on_spark).manifest().tables["user_sequences"].folder
    reasons = {asset: each.reasons for each in asked for asset in each.assets}
    assert reasons["events"] == ()
    assert reasons["user_sequences"] == (f"{folder} is not what was written",)


def test_engines_take_over_from_each_other(on_spark):
    versions = on_spark.versions()
    on_spark.engine = "duckdb"
    assert on_spark.run("events", "user_sequences").success
    assert on_spark.query(
        "select table_type from information_schema.tables where table_name = 'events'"
    ) == [("BASE TABLE",)]
    on_spark.engine = "spark"
    assert on_spark.run("negatives").success
    assert on_spark.versions() == versions


def test_the_manifest_names_columns_rows_and_views(made_on_spark):
    document = json.loads((made_on_spark.home / "tables" / MANIFEST).read_text())
    assert document["tables"]["items"]["rows"] == 80
    assert list(document["tables"]["items"]["columns"]) == ["item_idx", "item_id", "cate_idx"]
    assert {"cates", "sample_bounds", "samples"} <= set(document["views"])


def test_the_published_file_stands_alone_and_holds_the_same(made_on_spark, finished, tmp_path):
    copies = tmp_path / "spark.duckdb", tmp_path / "duckdb.duckdb"
    for pipeline, copied in zip((made_on_spark, finished), copies, strict=True):
        shutil.copy(pipeline.home / "warehouse.duckdb", copied)
    alone = {"enable_external_access": "false"}
    with (
        duckdb.connect(str(copies[0]), read_only=True, config=alone) as ours,
        duckdb.connect(str(copies[1]), read_only=True, config=alone) as theirs,
    ):
        kinds = store.relations(ours)
        assert kinds == store.relations(theirs)
        for name in kinds:
            columns = store.column_types(ours, name)
            assert columns == store.column_types(theirs, name), name
            if name == "ledger" or any(column.endswith("_at") for column in columns):
                continue  # they tell of runs
            query = f"from {name} order by all"
            assert ours.execute(query).fetchall() == theirs.execute(query).fetchall(), name
        comments = "select table_name, column_name, comment from duckdb_columns() order by all"
        assert ours.execute(comments).fetchall() == theirs.execute(comments).fetchall()


def test_shards_of_the_tables_are_the_log_that_duckdb_reads(made_on_spark):
    with store.connect(made_on_spark.home / "pipeline.duckdb", read_only=True) as con:
        whole = training_data.load(con)
    shards = Shards(root_of(made_on_spark), SequenceConfig(), threads=1)
    opened = [shards.open(number, SPLITS) for number in range(shards.number)]
    for split in SPLITS:
        rows = Counter()
        for data in opened:
            rows += samples_of(data, split, data.share.users)
        assert rows == samples_of(whole, split, range(whole.n_users + 1))


def samples_of(data, split, users):
    of = data.samples[split]
    return Counter(
        (users[user], position, k, label, item, tuple(data.event_items[start:end]))
        for user, position, k, label, item, start, end in zip(
            of.user, of.position, of.k, of.label, of.item, of.start, of.end, strict=True
        )
    )
