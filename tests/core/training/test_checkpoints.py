"""A run that was killed goes on, and ends with the very weights of one that was not.

With the default options a run is stopped at each of its steps. With others it is stopped in the
first epoch, at the end of one and in the last one; `make test-thorough` takes the steps between.
"""

import dataclasses
import logging
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from din_core import metrics
from din_core.config import DINConfig, TrainingConfig
from din_core.network.tensor_hash import tensors_hash
from din_core.training import loop, placement
from din_core.training.checkpoints import (
    CHECKPOINT_FILE,
    DAMAGED_FILE,
    Checkpoint,
    clear_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from din_core.training.learner import Learner
from tests import forks
from tests.core.training_logs import planted_log

MODEL = DINConfig(
    embed_dim=4, mlp_dims=(8,), attention_dims=(8, 8), embedding_init_std=0.05, dropout=0.2
)
# A state after every step.
N_EPOCHS = 2
LOOP = TrainingConfig(
    n_epoch=N_EPOCHS,
    batch_size=128,
    learning_rate=0.01,
    negatives="redrawn",
    ema_decay=0.9,
    fused=False,
    num_threads=1,
    checkpoint_seconds=1e-9,
)
N_USERS = 20  # with 12 events each: 9 training positives and as many negatives
STEPS_PER_EPOCH = 3


class PulledPlugError(Exception):
    pass


def hash_of(result):
    return tensors_hash(result.model.state_dict())


@pytest.fixture(scope="module")
def data():
    return planted_log(n_users=N_USERS)


def interrupt_at(monkeypatch, n_steps):
    """Let the plug be pulled after that many steps."""
    step, done = Learner.step, []

    def interrupted(self, *arguments):
        if len(done) == n_steps:
            raise PulledPlugError
        done.append(1)
        return step(self, *arguments)

    monkeypatch.setattr(Learner, "step", interrupted)


EVERY_STEP = range(N_EPOCHS * STEPS_PER_EPOCH)
SOME_STEPS = (1, STEPS_PER_EPOCH, STEPS_PER_EPOCH + 1)
OTHER_OPTIONS = (
    {"ema_decay": 0.0, "regularization": "mini_batch_aware", "embedding_l2": 0.01},
    {"learning_rate_schedule": "cosine", "embedding_l2": 0.01},
    {"fused": True, "num_threads": 2},
)


@pytest.mark.parametrize(
    ("options", "stops"),
    [
        ({}, EVERY_STEP),
        *((options, SOME_STEPS) for options in OTHER_OPTIONS),
        *(
            pytest.param(
                options,
                [step for step in EVERY_STEP if step not in SOME_STEPS],
                marks=pytest.mark.thorough,
            )
            for options in OTHER_OPTIONS
        ),
    ],
)
def test_a_run_stopped_after_any_step_ends_with_the_same_weights(
    data, tmp_path, monkeypatch, options, stops
):
    monkeypatch.setattr(placement, "WORTH_COMPILING", 0)
    config = dataclasses.replace(LOOP, **options)
    whole = loop.train(MODEL, config, data)
    assert len(whole.history) == N_EPOCHS
    for stop in stops:
        with monkeypatch.context() as patch:
            interrupt_at(patch, stop)
            with pytest.raises(PulledPlugError):
                loop.train(MODEL, config, data, checkpoint_dir=tmp_path)
        assert (tmp_path / CHECKPOINT_FILE).exists() == (stop > 0)
        resumed = loop.train(MODEL, config, data, checkpoint_dir=tmp_path)
        assert hash_of(resumed) == hash_of(whole)
        for figure in ("val_auc", "val_logloss", "train_loss"):
            assert [getattr(each, figure) for each in resumed.history] == [
                getattr(each, figure) for each in whole.history
            ]
        clear_checkpoint(tmp_path)


def test_event_files_of_a_resumed_run_begin_with_its_first_epoch(data, tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    interrupted_once(data, tmp_path, monkeypatch)
    events = tmp_path / "events"
    loop.train(MODEL, LOOP, data, checkpoint_dir=tmp_path, tensorboard_dir=events)
    read = EventAccumulator(str(events)).Reload()
    assert [point.step for point in read.Scalars("val_auc")] == [1, 2]


def test_time_spent_before_the_crash_counts(data, tmp_path, monkeypatch):
    step = Learner.step

    def slow_step(self, *arguments):
        time.sleep(0.05)
        return step(self, *arguments)

    monkeypatch.setattr(Learner, "step", slow_step)
    interrupted_once(data, tmp_path, monkeypatch, stop=2 * STEPS_PER_EPOCH - 1)
    resumed = loop.train(MODEL, LOOP, data, checkpoint_dir=tmp_path)
    assert all(each.seconds >= STEPS_PER_EPOCH * 0.05 for each in resumed.history)
    fastest = N_USERS * 18 / (STEPS_PER_EPOCH * 0.05)
    assert all(each.samples_per_second <= fastest for each in resumed.history)


def test_what_killed_writers_left_is_removed(data, tmp_path):
    for name in (f".{CHECKPOINT_FILE}.abc.tmp", ".tmpXyZ1"):
        (tmp_path / name).write_bytes(b"half")
    loop.train(MODEL, LOOP, data, checkpoint_dir=tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / CHECKPOINT_FILE]


@pytest.mark.parametrize("options", [{}, {"checkpoint_seconds": 1000}])
def test_a_finished_run_is_not_trained_again_until_it_is_cleared(
    data, tmp_path, monkeypatch, options
):
    # As where the caller is killed between the training and the saving of its model.
    config = dataclasses.replace(LOOP, **options)
    finished = loop.train(MODEL, config, data, checkpoint_dir=tmp_path)
    told = []
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0)
        again = loop.train(MODEL, config, data, checkpoint_dir=tmp_path, on_epoch=told.append)
        assert hash_of(again) == hash_of(finished)
        assert again.history == finished.history
        assert again.metrics() == finished.metrics()
        assert told == []
        clear_checkpoint(tmp_path)
        with pytest.raises(PulledPlugError):
            loop.train(MODEL, config, data, checkpoint_dir=tmp_path)


def test_a_finished_run_of_other_code_is_not_taken_for_this_one(data, tmp_path, monkeypatch):
    loop.train(MODEL, LOOP, data, checkpoint_dir=tmp_path, program_version="old")
    interrupt_at(monkeypatch, 0)
    loop.train(MODEL, LOOP, data, checkpoint_dir=tmp_path, program_version="old")
    with pytest.raises(PulledPlugError):
        loop.train(MODEL, LOOP, data, checkpoint_dir=tmp_path, program_version="new")


def test_a_run_stopped_early_is_over_when_it_is_called_again(data, tmp_path, monkeypatch):
    aucs = iter([0.7, 0.6, 0.6])
    monkeypatch.setattr(metrics, "auc", lambda *_: next(aucs))
    config = dataclasses.replace(LOOP, n_epoch=9, earlystop_patience=2)
    finished, again = (loop.train(MODEL, config, data, checkpoint_dir=tmp_path) for _ in range(2))
    assert (len(again.history), again.best_epoch) == (3, 1)
    assert hash_of(again) == hash_of(finished)


def train_and_write_hash(directory, out):
    logging.basicConfig(filename=f"{out}.log", level=logging.INFO, force=True)
    result = loop.train(MODEL, LOOP, planted_log(n_users=N_USERS), checkpoint_dir=directory)
    out.write_text(hash_of(result))


def was_killed(directory, out, chance):
    """Pull the plug at a random moment after the first state that this attempt wrote."""

    def version():
        path = directory / CHECKPOINT_FILE
        return path.stat().st_mtime_ns if path.exists() else None

    before = version()
    attempt = forks.context().Process(target=train_and_write_hash, args=(directory, out))
    attempt.start()
    while version() in (before, None) and attempt.is_alive():
        time.sleep(0.0005)
    attempt.join(chance.uniform(0, 0.03))
    attempt.kill()
    attempt.join()
    assert attempt.exitcode in (0, -signal.SIGKILL)
    return attempt.exitcode != 0


def test_a_run_killed_at_random_moments_ends_with_the_same_weights(data, tmp_path):
    whole = loop.train(MODEL, LOOP, data)
    out, chance, n_kills = tmp_path / "hash", random.Random(7), 0
    while was_killed(tmp_path / "run", out, chance):
        n_kills += 1
        assert n_kills < 20  # each attempt takes a step at least, and there are six
    assert n_kills >= 1
    assert "going on at epoch" in Path(f"{out}.log").read_text()
    assert out.read_text() == hash_of(whole)


def interrupted_once(data, tmp_path, monkeypatch, config=LOOP, stop=STEPS_PER_EPOCH + 1):
    with monkeypatch.context() as patch:
        interrupt_at(patch, stop)
        with pytest.raises(PulledPlugError):
            loop.train(MODEL, config, data, checkpoint_dir=tmp_path)
    assert (tmp_path / CHECKPOINT_FILE).exists()


def test_a_state_of_other_options_is_passed_over(data, tmp_path, monkeypatch, caplog):
    interrupted_once(data, tmp_path, monkeypatch)
    other = dataclasses.replace(LOOP, learning_rate=0.02)
    with caplog.at_level(logging.INFO):
        result = loop.train(MODEL, other, data, checkpoint_dir=tmp_path)
    assert "it is ignored, and training starts afresh" in caplog.text
    assert hash_of(result) == hash_of(loop.train(MODEL, other, data))


def test_a_state_of_another_log_is_passed_over(data, tmp_path, monkeypatch, caplog):
    interrupted_once(data, tmp_path, monkeypatch)
    other = planted_log(n_users=N_USERS, seed=1)
    with caplog.at_level(logging.INFO):
        result = loop.train(MODEL, LOOP, other, checkpoint_dir=tmp_path)
    assert "it is ignored, and training starts afresh" in caplog.text
    assert hash_of(result) == hash_of(loop.train(MODEL, LOOP, other))


def test_how_often_states_are_written_does_not_decide_whose_they_are(
    data, tmp_path, monkeypatch, caplog
):
    interrupted_once(data, tmp_path, monkeypatch)
    rarely = dataclasses.replace(LOOP, checkpoint_seconds=1000)
    with caplog.at_level(logging.INFO):
        loop.train(MODEL, rarely, data, checkpoint_dir=tmp_path)
    assert "going on at epoch 2, step 2" in caplog.text


def test_a_torn_state_is_set_aside_with_a_warning(data, tmp_path, caplog):
    torn = b"\x08\x00\x00\x00\x00\x00\x00\x00{"
    (tmp_path / CHECKPOINT_FILE).write_bytes(torn)
    told = []
    result = loop.train(MODEL, LOOP, data, checkpoint_dir=tmp_path, on_warning=told.append)
    assert len(told) == 1
    assert "is damaged" in told[0]
    assert f"set aside as {DAMAGED_FILE}, and training starts afresh" in told[0]
    assert (tmp_path / DAMAGED_FILE).read_bytes() == torn
    assert result.history
    clear_checkpoint(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bit_that_flipped_in_a_state_does_not_change_the_model(data, tmp_path, monkeypatch):
    interrupted_once(data, tmp_path, monkeypatch)
    whole = (tmp_path / CHECKPOINT_FILE).read_bytes()
    length = int.from_bytes(whole[:8], "little")
    expected = hash_of(loop.train(MODEL, LOOP, data))
    places = {
        "length of the header": 1,
        "a figure of the history": whole.index(b"train_loss", 0, 8 + length) + 16,
        "name of a tensor": whole.index(b"best.embedding", 0, 8 + length) + 2,
        "first tensor": 8 + length,
        "last tensor": len(whole) - 1,
    }
    for place, position in places.items():
        flipped = bytearray(whole)
        flipped[position] ^= 1
        (tmp_path / CHECKPOINT_FILE).write_bytes(flipped)
        told = []
        result = loop.train(MODEL, LOOP, data, checkpoint_dir=tmp_path, on_warning=told.append)
        assert len(told) == 1, place
        assert "training starts afresh" in told[0], place
        assert hash_of(result) == expected, place


def test_no_state_is_written_where_it_is_switched_off(data, tmp_path, monkeypatch):
    config = dataclasses.replace(LOOP, checkpoint_seconds=0)
    with monkeypatch.context() as patch:
        interrupt_at(patch, STEPS_PER_EPOCH + 1)
        with pytest.raises(PulledPlugError):
            loop.train(MODEL, config, data, checkpoint_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_state_comes_back_as_it_was_saved(tmp_path):
    shared = torch.arange(6.0)
    state = Checkpoint({"a": shared, "b": shared[:2]}, {"epoch": 3, "best": None})
    save_checkpoint(tmp_path / "new", state, "mine")
    loaded = load_checkpoint(tmp_path / "new", "mine")
    assert torch.equal(loaded.tensors["a"], shared)
    assert torch.equal(loaded.tensors["b"], shared[:2])
    assert loaded.values == {"epoch": 3, "best": None}
    assert load_checkpoint(tmp_path / "new", "another") is None
    assert load_checkpoint(tmp_path / "nothing", "mine") is None
