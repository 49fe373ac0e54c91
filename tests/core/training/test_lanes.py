"""Lanes: the same step on several threads, and things made one ahead."""

import dataclasses
import threading
import time

import numpy as np
import pytest
import torch

from din_core.config import DINConfig, TrainingConfig
from din_core.inputs.batches import BatchGatherer
from din_core.network import kernels
from din_core.network.batch import Batch
from din_core.network.models import build_model
from din_core.network.tensor_hash import tensors_hash
from din_core.training import loop, placement
from din_core.training.lanes import (
    LEAST_SAMPLES,
    MOST_LANES,
    Lanes,
    lanes,
    number_of_lanes,
    one_ahead,
)
from din_core.training.learner import Learner
from din_core.training.prediction import score
from tests.core.training_logs import planted_log

RELU = DINConfig(
    embed_dim=4, mlp_dims=(8,), attention_dims=(8, 4), activation="relu", embedding_init_std=0.1
)
LOOP = TrainingConfig(batch_size=2 * LEAST_SAMPLES, n_epoch=2, num_threads=2, embedding_l2=1e-3)


@pytest.fixture(scope="module")
def planted():
    return planted_log()


@pytest.mark.parametrize(
    ("n_samples", "n_threads", "expected"),
    [
        (0, 2, 1),
        (LEAST_SAMPLES, 8, 1),
        (2 * LEAST_SAMPLES, 8, 2),
        (100 * LEAST_SAMPLES, 2, 2),
        (100 * LEAST_SAMPLES, 64, MOST_LANES),
        (100 * LEAST_SAMPLES, 5, 1),
        (100 * LEAST_SAMPLES, 6, 3),
        (3 * LEAST_SAMPLES, 8, 2),
    ],
)
def test_a_lane_has_enough_samples_and_a_thread_of_its_own(n_samples, n_threads, expected):
    assert number_of_lanes(n_samples, n_threads) == expected


def test_results_come_in_the_order_of_the_shares_and_threads_run_side_by_side():
    both_are_here = threading.Barrier(2, timeout=60)

    def work(share):
        both_are_here.wait()  # one thread alone would never get past it
        return share * 10, torch.get_num_threads()

    before = torch.get_num_threads()
    with lanes(2, threads_each=3) as opened:
        assert opened.map(work, [1, 2]) == [(10, 3), (20, 3)]
    assert torch.get_num_threads() == before
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [before]  # and that of later threads


def test_more_shares_than_lanes_are_taken_as_lanes_come_free():
    first_two_are_here = threading.Barrier(2, timeout=60)
    the_rest_is_done = threading.Event()

    def work(share):
        if share < 2:
            first_two_are_here.wait()
        if share == 1:
            assert the_rest_is_done.wait(timeout=60)  # by the other lane
        if share == 4:
            the_rest_is_done.set()
        return threading.current_thread().name

    with lanes(2) as opened:
        others = opened.map(work, range(5))
    busy = others.pop(1)
    assert len(set(others)) == 1
    assert busy not in others


@pytest.mark.parametrize("failing", [0, 1])  # the caller's, as a rule, and another lane's
def test_what_a_share_raises_reaches_the_caller_and_nobody_begins_another_one(failing):
    two_are_here = threading.Barrier(2, timeout=60)
    done = []

    def work(share):
        if share < 2:
            two_are_here.wait()
        if share == failing:
            raise KeyboardInterrupt(f"share {share}")
        time.sleep(0.001)  # all of them would take ten seconds
        done.append(share)

    with lanes(2) as opened, pytest.raises(KeyboardInterrupt, match=f"share {failing}"):
        opened.map(work, range(10_000))
    assert 1 <= len(done) < 5_000


def test_things_are_made_one_ahead_and_no_further():
    made = []

    def make(item):
        made.append(item)
        return item * 10

    things = one_ahead(make, range(5))
    assert next(things) == 0
    assert set(made) <= {0, 1}
    assert list(things) == [10, 20, 30, 40]
    assert list(one_ahead(make, [])) == []


def test_what_making_raises_reaches_the_caller_in_its_turn():
    things = one_ahead(lambda item: 1 // item, [1, 0])
    assert next(things) == 1
    with pytest.raises(ZeroDivisionError):
        next(things)


def test_a_batch_is_cut_into_consecutive_samples_with_their_positions():
    batch = Batch(
        sparse={"target_item_idx": torch.tensor([7, 8, 9])},
        sequences={"hist_item_idx": torch.tensor([1, 2, 3, 4])},
        offsets=torch.tensor([0, 1, 1, 4]),  # the second sample has no history
        segment_ids=torch.tensor([0, 2, 2, 2]),
        label=torch.tensor([1.0, 0.0, 1.0]),
    )
    first, second = batch.shares(2)
    assert first.sparse["target_item_idx"].tolist() == [7]
    assert first.sequences["hist_item_idx"].tolist() == [1]
    assert (first.offsets.tolist(), first.segment_ids.tolist()) == ([0, 1], [0])
    assert second.sparse["target_item_idx"].tolist() == [8, 9]
    assert second.sequences["hist_item_idx"].tolist() == [2, 3, 4]
    assert (second.offsets.tolist(), second.segment_ids.tolist()) == ([0, 0, 3], [1, 1, 1])
    assert second.label.tolist() == [0.0, 1.0]


def test_two_lanes_move_the_weights_as_one_does(planted):
    def weights_after(number):
        torch.manual_seed(0)
        samples = planted.samples["train"]
        assert len(samples) >= 2 * LEAST_SAMPLES
        batch = BatchGatherer(planted, torch.device("cpu")).gather(
            **{
                name: torch.as_tensor(getattr(samples, name))
                for name in ("user", "item", "start", "end", "label")
            },
            n_positions=int((samples.end - samples.start).sum()),
        )
        with lanes(number) as opened:
            learner = Learner(build_model(RELU, planted.vocabulary), LOOP, "float32", lanes=opened)
            losses = [learner.step(batch, len(samples), 0.01) for _ in range(3)]
        return torch.stack(losses), learner.model.state_dict()

    (losses, one), (losses_of_two, two) = weights_after(1), weights_after(2)
    torch.testing.assert_close(losses_of_two, losses)
    for name, weight in one.items():
        # Adam divides by the root of what may be next to nothing: hence not bit for bit.
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("fused", [False, True])
def test_a_training_on_two_lanes_is_the_same_each_time(planted, fused, monkeypatch):
    monkeypatch.setattr(placement, "WORTH_COMPILING", 0)
    cuts = []
    shares = Batch.shares
    monkeypatch.setattr(Batch, "shares", lambda batch, n: cuts.append(n) or shares(batch, n))
    hashes = {
        tensors_hash(
            loop.train(RELU, dataclasses.replace(LOOP, fused=fused), planted).model.state_dict()
        )
        for _ in range(3)
    }
    assert len(hashes) == 1
    assert 2 in cuts


@pytest.mark.skipif(not kernels.available(), reason="no kernels on this machine")
def test_compiled_kernels_train_as_the_plain_formulas_do(planted, monkeypatch):
    """One epoch of a few steps, before rounding has had time to grow."""
    monkeypatch.setattr(placement, "WORTH_COMPILING", 0)
    calls = set()
    for kernel, name in (
        (kernels.RowKernel, "distinct"),
        (kernels.NetworkKernel, "__call__"),
        (kernels.NetworkKernel, "logits"),
    ):
        method = getattr(kernel, name)
        monkeypatch.setattr(
            kernel, name, lambda *of, _name=name, _do=method: calls.add(_name) or _do(*of)
        )
    config = dataclasses.replace(LOOP, n_epoch=1)
    plain = loop.train(RELU, dataclasses.replace(config, fused=False), planted)
    assert not calls
    fused = loop.train(RELU, config, planted)
    assert calls == {"distinct", "__call__", "logits"}
    assert (plain.activation_unit, fused.activation_unit) == ("plain", "fused")
    for ours, theirs in zip(fused.history, plain.history, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        assert ours.val_logloss == pytest.approx(theirs.val_logloss, rel=1e-3)


@pytest.mark.skipif(not kernels.available(), reason="no kernels on this machine")
def test_a_state_of_operations_is_not_taken_up_in_one_call(planted, tmp_path, monkeypatch):
    monkeypatch.setattr(placement, "WORTH_COMPILING", 0)
    config = dataclasses.replace(LOOP, n_epoch=1)

    def trained_epochs():
        epochs = []
        loop.train(RELU, config, planted, checkpoint_dir=tmp_path, on_epoch=epochs.append)
        return len(epochs)

    with monkeypatch.context() as patch:
        patch.setattr(placement, "network_kernel", lambda *_: None)
        assert (trained_epochs(), trained_epochs()) == (1, 0)
    assert (trained_epochs(), trained_epochs()) == (1, 0)


@pytest.mark.skipif(not kernels.available(), reason="no kernels on this machine")
def test_units_have_the_precision_that_is_faster_and_a_state_of_another_is_not_taken_up(
    planted, tmp_path, monkeypatch
):
    monkeypatch.setattr(placement, "WORTH_COMPILING", 0)
    chosen = []
    use = placement.use_fused_units
    monkeypatch.setattr(placement, "use_fused_units", lambda *of: chosen.append(of[1]) or use(*of))
    config = dataclasses.replace(LOOP, precision="bfloat16", n_epoch=1)

    def trained_epochs(of_units):
        epochs = []
        monkeypatch.setattr(placement, "faster_precision", lambda *_: of_units)
        loop.train(RELU, config, planted, checkpoint_dir=tmp_path, on_epoch=epochs.append)
        return len(epochs)

    # The state of a finished run stays, so the same run has nothing left to train.
    assert [trained_epochs(each) for each in ("float32", "float32", "bfloat16")] == [1, 0, 1]
    assert chosen == ["float32", "float32", "bfloat16"]


def test_lanes_are_closed_where_the_run_cannot_begin(planted, monkeypatch):
    class BrokenError(RuntimeError):
        pass

    def breaks(*_, **__):
        raise BrokenError

    closed = []
    close = Lanes.close
    monkeypatch.setattr(Lanes, "close", lambda lanes: closed.append(lanes.number) or close(lanes))
    monkeypatch.setattr(loop, "Learner", breaks)
    with pytest.raises(BrokenError):
        loop.train(RELU, LOOP, planted)
    assert closed == [2]


@pytest.mark.parametrize("network", [{"activation": "dice"}, {"dropout": 0.3}])
def test_samples_that_share_statistics_or_chance_stay_together(planted, network, monkeypatch):
    model = build_model(dataclasses.replace(RELU, **network), planted.vocabulary)
    assert not model.samples_are_independent
    assert build_model(RELU, planted.vocabulary).samples_are_independent
    cuts = []
    shares = Batch.shares
    monkeypatch.setattr(Batch, "shares", lambda batch, n: cuts.append(n) or shares(batch, n))
    loop.train(dataclasses.replace(RELU, **network), LOOP, planted)
    assert set(cuts) == {1}


def test_a_split_is_scored_alike_by_one_thread_and_by_two(planted):
    torch.manual_seed(0)
    model = build_model(RELU, planted.vocabulary)
    gatherer = BatchGatherer(planted, torch.device("cpu"))
    samples = planted.samples["train"]
    one, two = (score(model, gatherer, samples, torch.device("cpu"), n_threads=n) for n in (1, 2))
    np.testing.assert_allclose(two, one, rtol=1e-5)
