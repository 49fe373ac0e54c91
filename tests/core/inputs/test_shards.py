"""All shards together are the whole log, and each says no more than its users."""

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from din_core import store
from din_core.config import SequenceConfig, TrainingConfig
from din_core.engines.errors import EngineError
from din_core.engines.parquet_tables import ParquetRoot
from din_core.inputs import times, training_data
from din_core.inputs.epochs import EpochPlanner
from din_core.inputs.flat_log import SPLITS
from din_core.inputs.samplers import SAMPLERS
from din_core.inputs.shard_summaries import facts_of, moments_of, summarize
from din_core.inputs.shards import Shards
from din_core.inputs.training_data import TrainingDataError
from tests.core.parquet_roots import SEQUENCES, build_uneven_log, write_root

LOOP = TrainingConfig(negatives="redrawn", redrawn_per_positive=3, seed=5)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """By kind, the whole log and the root of its tables."""
    found = {}
    for kind in ("sampled", "labelled"):
        with store.connect(":memory:", threads=1) as con:
            build_uneven_log(con, labelled=kind == "labelled")
            whole = times.with_times(con, training_data.load(con, SEQUENCES))
            found[kind] = whole, write_root(con, str(tmp_path_factory.mktemp(kind)))
    return found


@pytest.fixture
def changeable(logs, tmp_path):
    """A copy of the root of sampled tables."""
    return ParquetRoot(str(shutil.copytree(logs["sampled"][1].url, tmp_path / "tables")))


EITHER_KIND = pytest.mark.parametrize("kind", ["sampled", "labelled"])


def shards_of(root, **options):
    return Shards(root, SEQUENCES, threads=1, with_times=True, **options)


def known(shards, config):
    """The shards, knowing what a pass over all of them finds out; and their summaries."""
    with shards.opened() as read:
        found = [summarize(read(n, ("train", "val")), config) for n in range(shards.number)]
    summaries = [summary for summary, _ in found]
    vocabulary = moments_of(summaries).put_into(shards.catalogue.vocabulary)
    counts = [counts for _, counts in found]
    return shards.knowing(vocabulary, None if counts[0] is None else sum(counts)), summaries


def rows_of(data, columns):
    """Samples as tuples, users by their index in the whole log, histories as items and times."""
    users = np.arange(data.n_users + 1) if data.share is None else data.share.users
    return Counter(
        (
            users[user], item, label, hour, time, data.user_attributes["country_idx"][user],
            data.user_dense["age"][user],
            tuple(data.event_items[start:end]), tuple(data.event_times[start:end]),
        )
        for user, item, label, hour, time, start, end in zip(
            columns["user"], columns["item"], columns["label"], columns["context"][:, 0],
            columns["time"], columns["start"], columns["end"], strict=True,
        )
    )  # fmt: skip


@EITHER_KIND
def test_shards_together_hold_the_samples_of_the_log(logs, kind):
    whole, root = logs[kind]
    shards = shards_of(root)
    opened = [shards.open(number, SPLITS) for number in range(shards.number)]
    for split in SPLITS:
        together = sum((rows_of(data, data.samples[split].columns()) for data in opened), Counter())
        assert together == rows_of(whole, whole.samples[split].columns())
    # Of 41 users those with the indices 2, 6 … 38 are in shard 2, counted from 1.
    assert opened[2].share.users.tolist() == [0, *range(2, 42, 4)]
    assert opened[0].share.users.tolist() == [0, *range(4, 42, 4)]
    assert opened[2].n_users == 10
    assert len(opened[1].samples["train"]) == 0


def test_only_the_splits_that_are_asked_for_are_read(logs):
    _, root = logs["sampled"]
    data = shards_of(root).open(2, ("val",))
    assert {split: len(data.samples[split]) > 0 for split in SPLITS} == {
        "train": False, "val": True, "test": False,
    }  # fmt: skip


# Labelled shards are read by the test before, and passed over by the one that measures them.
@pytest.mark.parametrize("kind", ["sampled", pytest.param("labelled", marks=pytest.mark.thorough)])
def test_a_pass_in_one_database_reads_what_each_shard_is_alone(logs, kind):
    shards = shards_of(logs[kind][1])
    alone = [shards.open(number, SPLITS).fingerprint() for number in range(shards.number)]
    with shards.opened() as read:
        together = [read(number, SPLITS).fingerprint() for number in (2, 0, 3, 1, 2)]
    assert together == [alone[number] for number in (2, 0, 3, 1, 2)]
    assert len(set(alone)) == 4


def test_a_pass_keeps_no_file_of_a_shard_that_is_done(logs):
    shards = shards_of(logs["sampled"][1])
    kept = "select count(distinct path) from duckdb_external_file_cache()"
    with shards.opened() as read:
        con = read.keywords["con"]
        con.execute("set cache_local_files = true")  # as those of an object store always are
        read(0, SPLITS)
        of_first = con.execute(kept).fetchall()
        read(2, SPLITS)
        of_second = con.execute(kept).fetchall()
    assert of_second == of_first != [(0,)]


def test_a_pass_leaves_no_database_behind_nor_does_one_that_failed(logs):
    shards = shards_of(logs["sampled"][1])
    counting = "select count(*) from duckdb_databases() where not internal"

    def databases():
        with shards.opened() as read:
            return read.keywords["con"].execute(counting).fetchall()

    assert databases() == [(2,)]  # the instance's own, and that of the pass
    with pytest.raises(ZeroDivisionError), shards.opened():
        1 / 0  # noqa: B018 (whatever goes wrong in a pass)
    assert databases() == databases() == [(2,)]


def test_of_negatives_that_are_redrawn_those_of_the_table_are_not_read(logs):
    shards, _ = known(shards_of(logs["sampled"][1]), LOOP)
    of_training = shards.open(2, ("train",)).samples["train"]
    with_all = shards.open(2, ("train", "val")).samples
    assert set(of_training.label) == {1}
    # Nine users with six, and user 2 with twelve that have no negatives.
    assert (len(of_training), len(with_all["train"])) == (66, 3 * 54 + 12)
    assert set(with_all["val"].label) == {0, 1}
    config = TrainingConfig(negatives="fixed")
    _, counts = summarize(shards.open(2, ("train", "val")), config)
    fixed = shards.knowing(shards.catalogue.vocabulary, counts)
    assert set(fixed.open(2, ("train",)).samples["train"].label) == {0, 1}


@EITHER_KIND
def test_what_is_measured_shard_by_shard_is_that_of_the_log(logs, kind):
    whole, root = logs[kind]
    config = TrainingConfig()
    shards, summaries = known(shards_of(root), config)
    assert facts_of(summaries).n_train == len(whole.samples["train"])
    assert facts_of(summaries).longest == np.diff(whole.user_offsets).max()
    assert facts_of(summaries).val_labels == {0, 1}
    found, expected = shards.catalogue.vocabulary, whole.vocabulary
    for kind in ("item_dense", "user_dense", "context_dense"):
        for name, measured in getattr(expected, kind).items():
            of_shards = getattr(found, kind)[name]
            assert dataclasses.astuple(of_shards) == pytest.approx(dataclasses.astuple(measured))
    assert dataclasses.replace(found, item_dense={}, user_dense={}, context_dense={}) == (
        dataclasses.replace(expected, item_dense={}, user_dense={}, context_dense={})
    )


# One process and two draw `uniform` alike in `test_sharded`, too.
@pytest.mark.parametrize(
    "sampling",
    [
        pytest.param(name, marks=[pytest.mark.thorough] if name == "uniform" else [])
        for name in SAMPLERS
    ],
)
def test_an_epoch_redraws_the_negatives_of_the_whole_log(logs, sampling):
    whole, root = logs["sampled"]
    config = dataclasses.replace(LOOP, redrawn_sampling=sampling)
    shards, summaries = known(shards_of(root), config)
    of_whole = EpochPlanner(whole, config)
    assert of_whole.n_planned == len(of_whole.plan(0)) < 4 * of_whole.n_samples  # user 2 has none
    for epoch in (0, 1):
        together = Counter()
        for summary in summaries:
            data = shards.open(summary.number, ("train",))
            plan = EpochPlanner(data, config).plan(epoch)
            assert len(plan) == summary.n_planned
            together += rows_of(data, plan.columns())
        assert together == rows_of(whole, of_whole.plan(epoch).columns())


def test_shards_of_equal_size_are_not_shuffled_alike(logs):
    _, root = logs["sampled"]
    data = shards_of(root).open(2, ("train",))
    other = dataclasses.replace(data, share=dataclasses.replace(data.share, number=3))
    config = TrainingConfig()
    orders = [EpochPlanner(each, config).plan(0).row.tolist() for each in (data, other)]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_processes_that_see_other_tables_see_another_version(changeable):
    before = shards_of(changeable).versions()
    assert shards_of(changeable).versions() == before
    manifest, tables = changeable.manifest(), Path(changeable.url)
    for name in ("events", "items", "attributes", "negatives"):
        table = manifest.tables[name]
        # The same rows, made again.
        again = dataclasses.replace(table, folder=f"{name}/0123456789ab")
        shutil.copytree(tables / table.folder, tables / again.folder)
        other = dataclasses.replace(manifest, tables={**manifest.tables, name: again})
        changeable.replace_manifest(other)
        assert shards_of(changeable).versions() != before, name


def test_a_bucket_without_users_is_an_empty_shard(tmp_path):
    with store.connect(":memory:", threads=1) as con:
        build_uneven_log(con, n_users=3)
        shards = shards_of(write_root(con, str(tmp_path), buckets=5))
    assert [shards.open(number, SPLITS).n_users for number in range(5)] == [0, 1, 1, 1, 0]
    assert len(shards.nobody().event_items) == 0


def test_a_shard_is_read_within_the_limits_that_are_given(logs, tmp_path, monkeypatch):
    found, load = [], training_data.load_users

    def looked_at(con, *arguments, **options):
        found.append(store.limits_of(con))
        return load(con, *arguments, **options)

    monkeypatch.setattr(training_data, "load_users", looked_at)
    spill = str(tmp_path / "spill")
    shards = shards_of(logs["sampled"][1], memory_limit="300MiB", temp_directory=spill)
    shards.open(2, SPLITS)
    assert found == [{"memory_limit": "300.0 MiB", "threads": 1, "temp_directory": spill}]


@pytest.mark.usefixtures("objects")
def test_a_root_may_lie_in_an_object_store():
    with store.connect(":memory:", threads=1) as con:
        build_uneven_log(con)
        whole = training_data.load(con)
        write_root(con, "memory://log/tables")
    shards = Shards(ParquetRoot("memory://log/tables"), SEQUENCES, threads=1)
    opened = [shards.open(number, ("train",)) for number in range(4)]
    assert sum(len(data.event_items) for data in opened) == len(whole.event_items)


def test_missing_tables_and_damaged_files_are_named(changeable, tmp_path):
    with pytest.raises(TrainingDataError, match=r"there is no 'users'.*DIN_ENGINE=spark"):
        Shards(ParquetRoot(str(tmp_path / "empty")), SequenceConfig())
    root = changeable
    shards = Shards(root, SEQUENCES)
    (events,) = root.files(root.manifest().tables["events"].folder, 3)
    Path(events).write_bytes(b"PAR1")
    assert len(shards.open(2, ("train",)).samples["train"]) > 0
    with pytest.raises(store.StoreError, match=r"a file of the table 'events' is gone, damaged"):
        shards.open(3, ("train",))
    with (
        shards.opened() as read,
        pytest.raises(store.StoreError, match=r"a file of the table 'events' is gone, damaged"),
    ):
        read(3, ("train",))
    Path(events).unlink()
    with pytest.raises(EngineError, match=r"'events' has .* rows there and was written with"):
        Shards(root, SEQUENCES)


def test_a_table_that_is_not_laid_out_by_user_is_refused(changeable):
    root = changeable
    manifest = root.manifest()
    scattered = dataclasses.replace(manifest.tables["events"], bucketed=False)
    root.replace_manifest(
        dataclasses.replace(manifest, tables={**manifest.tables, "events": scattered})
    )
    with pytest.raises(TrainingDataError, match="'events' does not lie in folders by user"):
        Shards(root, SEQUENCES)
