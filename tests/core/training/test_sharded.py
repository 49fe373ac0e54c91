"""Training on shards: the same samples and figures as on the whole log, in bounded memory."""

import dataclasses
import json
import logging
import shutil
import weakref
from collections import Counter

import numpy as np
import pytest
from safetensors.torch import load_file

from din_core import store
from din_core.config import DINConfig, TrainingConfig
from din_core.inputs import times, training_data
from din_core.inputs.log_numbers import LogNumbersError
from din_core.inputs.samplers import SAMPLERS
from din_core.inputs.samplers.uniform import UniformSampler
from din_core.inputs.shards import Shards
from din_core.network.tensor_hash import tensors_hash
from din_core.training import distributed, loop, sharded
from din_core.training.learner import Learner
from din_core.training.loop import TrainingError
from tests.core.parquet_roots import SEQUENCES, build_uneven_log, write_root
from tests.core.two_processes import assert_weights_agree, run_in_two_processes

MODEL = DINConfig(
    embed_dim=4,
    mlp_dims=(16,),
    attention_dims=(8, 8),
    embedding_init_std=0.1,
    activation="dice",
    use_user=True,
)
LOOP = TrainingConfig(
    n_epoch=2,
    batch_size=32,
    learning_rate=1e-3,
    negatives="redrawn",
    redrawn_per_positive=3,
    ema_decay=0.9,
    fused=False,
    num_threads=1,
    checkpoint_seconds=0,
    earlystop_patience=9,
)
#: What two processes are to make as one does; the log has every kind of number and attribute.
LOOPS = {
    "popularity": {"redrawn_sampling": "popularity"},
    "uniform": {"redrawn_sampling": "uniform", "n_epoch": 1},
    "same_category": {"redrawn_sampling": "same_category", "n_epoch": 1},
    "fixed": {
        "n_epoch": 1,
        "negatives": "fixed",
        "redrawn_per_positive": None,
        "regularization": "mini_batch_aware",
        "embedding_l2": 0.01,
        "ema_decay": 0.0,
    },
}
# Samplers of which each shard and each process knows by itself all that they draw from. That shards
# draw as the whole log does, show those of the others, and test_shards.py.
THOROUGH = {"uniform", "same_category"}
EACH_LOOP = [
    pytest.param(name, marks=[pytest.mark.thorough] if name in THOROUGH else []) for name in LOOPS
]


def changed(config, **options):
    return dataclasses.replace(config, **options)


def train(root, config=LOOP, model=MODEL, n_streams=2, **options):
    return sharded.train(model, config, root, n_streams=n_streams, sequences=SEQUENCES, **options)


def hash_of(trained):
    return tensors_hash(trained.model.state_dict())


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The whole log, and the root of its tables in four buckets, one without training samples."""
    with store.connect(":memory:", threads=1) as con:
        build_uneven_log(con, n_users=21)
        whole = times.with_times(con, training_data.load(con, SEQUENCES))
        return whole, write_root(con, str(tmp_path_factory.mktemp("tables")))


@pytest.fixture
def root(tables):
    return tables[1]


ONE_EPOCH = changed(LOOP, n_epoch=1, checkpoint_seconds=30)


@pytest.fixture(scope="module")
def of_one_epoch(tables, tmp_path_factory):
    """Hash of the weights after an epoch, and the folder of its checkpoint; copy it to go on."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return hash_of(train(tables[1], ONE_EPOCH, checkpoint_dir=folder)), folder


ONE_OF_TWO = """
import json, sys
from safetensors.torch import save_file
from test_sharded import LOOP, LOOPS, changed, train
from din_core.engines.parquet_tables import ParquetRoot

_, name, root, folder = sys.argv
result = train(ParquetRoot(root), changed(LOOP, **LOOPS[name]))
save_file(result.model.state_dict(), f"{folder}/weights.{dist.get_rank()}")
history = [(each.train_loss, each.val_auc, each.val_logloss) for each in result.history]
with open(f"{folder}/history.{dist.get_rank()}.json", "w") as file:
    json.dump(history, file)
"""


@pytest.mark.parametrize("name", EACH_LOOP)
def test_two_processes_equal_one_on_the_doubled_batch(root, tmp_path, name):
    run_in_two_processes(ONE_OF_TWO, tmp_path, name, root.url)
    first, second = (load_file(tmp_path / f"weights.{rank}") for rank in "01")
    alone = train(root, changed(LOOP, **LOOPS[name], batch_size=64))
    assert_weights_agree(first, second, alone.model.state_dict())
    expected = [(each.train_loss, each.val_auc, each.val_logloss) for each in alone.history]
    for rank in "01":
        told = json.loads((tmp_path / f"history.{rank}.json").read_text())
        np.testing.assert_allclose(told, expected, rtol=1e-3)


def seen_by_steps(monkeypatch, run):
    """The samples that training gives to its steps, and the counts that it begins with."""
    seen, counted, sizes = Counter(), {}, []
    step, begin = Learner.step, Learner.begin_epoch

    def looked_at(self, batch, n_samples, learning_rate):
        sizes.append((batch.n_samples, n_samples))
        history = np.split(batch.sequences["hist_item_idx"].numpy(), batch.offsets[1:-1].tolist())
        names = ("user_idx", "target_item_idx", "target_cate_idx", "country_idx", "hour", "age")
        columns = [batch.sparse[name].tolist() for name in names]
        numbers = [each for each in MODEL_NUMBERS if each in batch.sparse]
        columns += [batch.sparse[name].nan_to_num(-1).tolist() for name in numbers]
        seen.update(
            (*of, tuple(items.tolist()))
            for *of, items in zip(*columns, batch.label.tolist(), history, strict=True)
        )
        return step(self, batch, n_samples, learning_rate)

    def noted(self, counts):
        counted.update(counts)
        return begin(self, counts)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", looked_at)
        patch.setattr(Learner, "begin_epoch", noted)
        run()
    return seen, counted, sizes


MODEL_NUMBERS = ("days_since_last_event", "same_moment_events", "same_category_events")


@pytest.mark.parametrize("name", EACH_LOOP)
def test_an_epoch_has_the_samples_of_the_whole_log(tables, monkeypatch, name):
    whole, root = tables
    config = changed(LOOP, **{**LOOPS[name], "n_epoch": 1})
    model = changed(MODEL, log_numbers=MODEL_NUMBERS)
    # More streams than shards have samples, which is no fault, and fewer.
    n_streams = 4 if name == "fixed" else 3
    seen, counts, sizes = seen_by_steps(monkeypatch, lambda: train(root, config, model, n_streams))
    expected, expected_counts, _ = seen_by_steps(
        monkeypatch, lambda: loop.train(model, config, whole)
    )
    assert seen == expected
    assert all(n_own == n_samples for n_own, n_samples in sizes)  # a single process has all
    assert counts.keys() == expected_counts.keys()
    for name, each in expected_counts.items():
        assert np.array_equal(counts[name], each), name


# With numbers of the log, all else is the same.
@pytest.mark.parametrize(
    "log_numbers", [pytest.param((), marks=pytest.mark.thorough), MODEL_NUMBERS]
)
def test_validation_is_that_of_the_whole_log(tables, log_numbers):
    whole, root = tables
    model = changed(MODEL, log_numbers=log_numbers)
    # Weights as good as those from the same seed; Dice learns what its inputs are, nothing more.
    still = changed(LOOP, n_epoch=1, learning_rate=1e-30, ema_decay=0.0, batch_size=4096)
    of_shards, of_whole = train(root, still, model), loop.train(model, still, whole)
    assert of_shards.history[0].val_auc == pytest.approx(of_whole.history[0].val_auc, abs=1e-3)
    assert of_shards.history[0].val_logloss == pytest.approx(
        of_whole.history[0].val_logloss, rel=1e-4
    )
    assert of_shards.warnings == of_whole.warnings
    assert of_shards.negatives == of_whole.negatives


def test_the_same_seed_gives_the_same_weights_and_another_one_others(root, of_one_epoch):
    # That the samplers' own name is told changes nothing of what they draw.
    told = changed(LOOP, n_epoch=1, redrawn_sampling="uniform")
    expected, _ = of_one_epoch
    assert hash_of(sharded.train(MODEL, told, root, n_streams=2)) == expected
    assert hash_of(train(root, changed(LOOP, n_epoch=1, seed=1))) != expected


class PulledPlugError(Exception):
    pass


def test_a_run_stopped_after_any_step_ends_with_the_same_weights(root, tmp_path, monkeypatch):
    config = changed(LOOP, checkpoint_seconds=1e-9)
    step, done = Learner.step, []

    def counted(self, *arguments):
        if stop == len(done):
            raise PulledPlugError
        done.append(1)
        return step(self, *arguments)

    monkeypatch.setattr(Learner, "step", counted)
    stop = None
    whole = train(root, config)
    n_steps = len(done)
    done.clear()
    # In the first shard of each stream, and in a later one of the second epoch.
    for n_done in (n_steps // 2 - 2, n_steps // 2 + 3):
        stop = n_done
        with pytest.raises(PulledPlugError):
            train(root, config, checkpoint_dir=tmp_path)
    stop = None
    resumed = train(root, config, checkpoint_dir=tmp_path)
    assert len(done) == n_steps
    assert hash_of(resumed) == hash_of(whole)
    assert [each.train_loss for each in resumed.history] == [
        each.train_loss for each in whole.history
    ]


def test_a_finished_run_is_not_trained_again_but_with_another_number_of_streams(
    root, of_one_epoch, tmp_path, monkeypatch, caplog
):
    expected, finished = of_one_epoch
    checkpoints = shutil.copytree(finished, tmp_path / "checkpoints")
    told = []
    again = train(root, ONE_EPOCH, checkpoint_dir=checkpoints, on_epoch=told.append)
    assert not told
    assert hash_of(again) == expected

    def pulled(*_):
        raise PulledPlugError

    monkeypatch.setattr(Learner, "step", pulled)
    with caplog.at_level(logging.WARNING), pytest.raises(PulledPlugError):
        train(root, ONE_EPOCH, n_streams=1, checkpoint_dir=checkpoints)
    assert "belongs to other data, options" in caplog.text


# Of a single stream less can be there.
@pytest.mark.parametrize("n_streams", [pytest.param(1, marks=pytest.mark.thorough), 2])
def test_no_more_shards_are_in_memory_than_streams_and_one(tmp_path, monkeypatch, n_streams):
    with store.connect(":memory:", threads=1) as con:
        build_uneven_log(con, n_users=21)
        root = write_root(con, str(tmp_path), buckets=5)
    alive, most = set(), []
    opened = Shards.open

    def counted(self, number, splits, **of_pass):
        data = opened(self, number, splits, **of_pass)
        token = object()
        alive.add(token)
        weakref.finalize(data, alive.discard, token)
        most.append(len(alive))
        return data

    monkeypatch.setattr(Shards, "open", counted)
    config = changed(LOOP, n_epoch=1, regularization="mini_batch_aware", embedding_l2=0.01)
    train(root, config, n_streams=n_streams)
    # A pass at first, then one to count, one to train, and one to validate.
    assert len(most) == 5 + 5 + 5 + 5
    assert max(most) <= n_streams + 1
    assert not alive


@pytest.mark.parametrize(
    ("n_processes", "n_streams", "expected"),
    [
        (1, 0, "n_streams is 0.*choose a multiple of 1"),
        (2, 3, "n_streams is 3, and 2 processes share them: choose a multiple of 2"),
        (1, 5, "the users lie in 4 buckets"),
        (5, 5, "choose fewer streams or processes"),
    ],
)
def test_streams_that_cannot_be_are_refused(root, monkeypatch, n_processes, n_streams, expected):
    monkeypatch.setattr(distributed, "world_size", lambda: n_processes)
    with pytest.raises(TrainingError, match=expected):
        train(root, n_streams=n_streams)


def test_a_step_of_fewer_samples_than_streams_is_refused(root):
    with pytest.raises(TrainingError, match=r"a step has 1 samples.*raise batch_size"):
        train(root, changed(LOOP, batch_size=1))


@pytest.mark.parametrize("number", ["popularity_90_days", "days_since_item_event"])
def test_a_number_that_counts_the_events_of_all_users_is_refused(root, number):
    model = changed(MODEL, log_numbers=("same_moment_events", number))
    with pytest.raises(LogNumbersError, match=f"log_numbers has '{number}'.*of all users"):
        train(root, model=model)


def test_negatives_like_those_of_the_table_must_be_told(root):
    with pytest.raises(TrainingError, match="hand over sequences"):
        sharded.train(MODEL, changed(LOOP, n_epoch=1), root, n_streams=1)


def test_tables_made_again_while_training_begins_are_noticed(root, monkeypatch):
    monkeypatch.setattr(
        distributed, "gather_objects", lambda value: [value, ("another version", value[1])]
    )
    with pytest.raises(TrainingError, match="different versions of the tables"):
        train(root)


def test_a_log_without_training_samples_is_refused_as_ever(tmp_path):
    with store.connect(":memory:", threads=1) as con:
        build_uneven_log(con, n_users=1)
        root = write_root(con, str(tmp_path))
    with pytest.raises(TrainingError, match="every user has too few events, 2 at most"):
        train(root)


def test_a_sampler_that_draws_more_in_one_epoch_than_in_another_is_noticed(root, monkeypatch):
    class Moody(UniformSampler):
        def items(self, draws):
            return super().items(draws) * (draws.seed == LOOP.seed)  # the seed of the first epoch

    monkeypatch.setitem(SAMPLERS, "uniform", Moody)
    with pytest.raises(TrainingError, match=r"in epoch 2, and \d+ were counted: its negative"):
        train(root)
