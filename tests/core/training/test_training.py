"""The loop learns, keeps the best weights, repeats itself bit for bit, and defines its edges.

Planted interests are learned with each pair of an activation, a regularization and a kind of
negatives; `make test-thorough` takes all triples.
"""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch

from din_core import metrics
from din_core.config import DINConfig, OptionsError, TrainingConfig
from din_core.inputs.samplers import SamplingError
from din_core.network.models import build_model
from din_core.network.tensor_hash import tensors_hash
from din_core.training.learner import Learner
from din_core.training.loop import TrainingError, train
from din_core.training.prediction import predict
from tests.core.training_logs import log, planted_log, samples

MODEL = DINConfig(
    embed_dim=4, mlp_dims=(16,), attention_dims=(8, 8), embedding_init_std=0.05, use_user=False
)
LOOP = TrainingConfig(
    n_epoch=4,
    batch_size=64,
    learning_rate=0.01,
    weight_decay=0.0,
    negatives="redrawn",
    fused=False,
    num_threads=1,
    checkpoint_seconds=0,
)


def changed(config, **options):
    return dataclasses.replace(config, **options)


def hash_of(result):
    return tensors_hash(result.model.state_dict())


def without_split(data, *names):
    nothing = samples([], data.user_offsets)
    return dataclasses.replace(
        data,
        samples={name: nothing if name in names else each for name, each in data.samples.items()},
    )


@pytest.fixture(scope="module")
def planted():
    return planted_log()


# Each choice is in one of two triples; pairs of them are for the thorough tests.
QUICK = {("dice", "l2", "redrawn"), ("relu", "mini_batch_aware", "fixed")}


@pytest.mark.parametrize(
    ("activation", "regularization", "negatives"),
    [
        pytest.param(*triple, marks=[] if triple in QUICK else [pytest.mark.thorough])
        for triple in itertools.product(
            ("dice", "relu"), ("l2", "mini_batch_aware"), ("redrawn", "fixed")
        )
    ],
)
def test_planted_interests_are_learned(planted, activation, regularization, negatives):
    loop = changed(
        LOOP,
        regularization=regularization,
        negatives=negatives,
        embedding_l2=1e-3,
        ema_decay=0.9,
        n_epoch=10,
        learning_rate=0.02,
    )
    result = train(changed(MODEL, activation=activation), loop, planted)
    table = predict(result.model, planted, "test")
    # A user's own category against the other one or a leftover of the own: about 0.9 is possible.
    assert metrics.auc(table["label"].to_numpy(), table["score"].to_numpy()) > 0.8
    assert not result.model.training


def test_the_best_weights_are_kept_although_training_went_on(planted, monkeypatch):
    def ends_after(n_epoch):
        aucs = iter([0.6, 0.9, 0.7][:n_epoch])
        monkeypatch.setattr(metrics, "auc", lambda *_: next(aucs))
        return train(MODEL, changed(LOOP, n_epoch=n_epoch, earlystop_patience=3), planted)

    whole, until_best = ends_after(3), ends_after(2)
    assert [report.is_best for report in whole.history] == [True, True, False]
    assert whole.best_epoch == 2
    # The third epoch moved the weights, and what is kept is what the second ended with.
    assert whole.history[2].val_logloss != whole.history[1].val_logloss
    assert hash_of(whole) == hash_of(until_best)


def test_training_stops_after_patience_epochs_without_a_better_auc(planted, monkeypatch):
    aucs = iter([0.6, 0.7, 0.7, 0.65, 0.9])
    monkeypatch.setattr(metrics, "auc", lambda *_: next(aucs))
    result = train(MODEL, changed(LOOP, n_epoch=5, earlystop_patience=2), planted)
    assert (len(result.history), result.best_epoch) == (4, 2)
    assert [report.is_best for report in result.history] == [True, True, False, False]


def test_the_averaged_weights_are_what_is_kept(planted):
    loop = changed(LOOP, n_epoch=1)
    plain = train(MODEL, loop, planted)
    averaged = train(MODEL, changed(loop, ema_decay=0.99), planted)
    assert plain.history[0].train_loss == averaged.history[0].train_loss
    assert plain.history[0].val_logloss != averaged.history[0].val_logloss


def test_the_same_seed_gives_the_same_weights_and_another_one_others(planted):
    loop = changed(LOOP, n_epoch=2)
    first, again = (train(MODEL, loop, planted) for _ in range(2))
    assert hash_of(first) == hash_of(again)
    assert hash_of(first) != hash_of(train(MODEL, changed(loop, seed=1), planted))


def test_the_callers_random_numbers_and_threads_are_left_alone():
    data = planted_log(n_users=2)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    train(changed(MODEL, dropout=0.5), changed(LOOP, n_epoch=1, num_threads=2), data)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads


def test_epochs_are_reported_as_they_end(planted):
    told = []
    result = train(MODEL, changed(LOOP, n_epoch=2), planted, on_epoch=told.append)
    assert told == result.history
    first = told[0]
    assert (first.epoch, first.n_epoch) == (1, 2)
    assert 0 < first.train_loss < 1
    assert told[-1].eta_seconds == 0
    assert "epoch 1/2: training loss 0." in first.summary()
    json.dumps([first.metrics(), result.metrics()])


def test_the_training_loss_is_the_mean_over_samples_also_with_a_short_last_batch(planted):
    # With weights that hardly move, the loss must not depend on how an epoch is cut.
    still = changed(LOOP, n_epoch=1, learning_rate=1e-12)
    losses = [
        train(changed(MODEL, activation="relu"), changed(still, batch_size=size), planted)
        .history[0]
        .train_loss
        for size in (64, 1000, 37)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


def test_the_cosine_schedule_ends_near_zero(planted, monkeypatch):
    rates = []
    step = Learner.step

    def spy(self, batch, n_samples, learning_rate):
        rates.append(learning_rate)
        return step(self, batch, n_samples, learning_rate)

    monkeypatch.setattr(Learner, "step", spy)
    train(MODEL, changed(LOOP, n_epoch=2, learning_rate_schedule="cosine"), planted)
    half = len(rates) // 2
    assert rates[0] == 0.01
    assert rates[half] == pytest.approx(0.005)
    assert rates[-1] == pytest.approx(0.01 * (1 + math.cos(math.pi * (1 - 1 / len(rates)))) / 2)
    assert rates == sorted(rates, reverse=True)


def test_a_loss_that_is_no_number_names_place_rate_and_way_out(planted):
    with pytest.raises(
        TrainingError, match=r"epoch 1, step \d+ of \d+: the loss is (nan|inf)"
    ) as e:
        train(changed(MODEL, activation="relu"), changed(LOOP, learning_rate=1e30), planted)
    assert "learning_rate 1e+30" in str(e.value)
    assert "lower learning_rate" in str(e.value)


def test_weights_that_the_last_step_broke_name_the_epoch(planted, monkeypatch):
    step = Learner.step

    def breaking_step(self, *arguments):
        loss = step(self, *arguments)
        with torch.no_grad():
            self.model.mlp.output.bias.fill_(torch.nan)
        return loss

    monkeypatch.setattr(Learner, "step", breaking_step)
    with pytest.raises(TrainingError, match=r"epoch 1: .* are NaN or infinite .* lower learning"):
        train(MODEL, changed(LOOP, batch_size=100_000), planted)


UNTRAINED = changed(LOOP, allow_untrained=True)


def only(data, label):
    samples = data.samples["train"].take(data.samples["train"].label == label)
    return dataclasses.replace(data, samples={**data.samples, "train": samples})


FULL = log([[1, 2, 3, 1, 2, 3]], cates=[1] * 3, n_items=3)  # every item interacted with in training
NOTHING_TO_RANK_BY = {
    "no event": (
        dataclasses.replace(
            without_split(FULL, "train"),
            event_items=FULL.event_items[:0],
            user_offsets=np.zeros(2, dtype=np.int64),
        ),
        {},
        "the log has no event of a user that is kept",
    ),
    "no positive": (
        dataclasses.replace(
            without_split(FULL, "train"),
            event_items=FULL.event_items[:0],
            user_offsets=np.zeros(2, dtype=np.int64),
            labelled=True,
        ),
        {"negatives": "auto"},
        "no row of a user that is kept has label 1",
    ),
    "short users": (
        log([[1, 2, 3], [2, 3]], cates=[1] * 3, n_items=3),
        {},
        "every user has too few events, 3 at most",
    ),
    "negatives only": (only(planted_log(), 0), {"negatives": "fixed"}, "have label 0"),
    "positives only": (only(planted_log(), 1), {"negatives": "fixed"}, "no negative was drawn"),
    "logged positives only": (
        dataclasses.replace(only(planted_log(), 1), labelled=True),
        {"negatives": "auto"},
        "no impression that was not taken",
    ),
    "no negatives redrawn": (
        dataclasses.replace(planted_log(), negatives_per_positive=0),
        {"negatives": "redrawn"},
        "redraw some with redrawn_per_positive",
    ),
    "nothing left to draw": (
        FULL,
        {"negatives": "redrawn"},
        "every user has interacted with every item",
    ),
}


@pytest.mark.parametrize(
    ("data", "options", "cause"), NOTHING_TO_RANK_BY.values(), ids=NOTHING_TO_RANK_BY
)
def test_a_log_without_both_labels_gives_a_model_only_where_that_is_asked_for(data, options, cause):
    loop = changed(LOOP, n_epoch=1, **options)
    with pytest.raises(TrainingError, match=f"nothing to train a model on: .*{cause}.*allow_untr"):
        train(MODEL, loop, data)
    result = train(MODEL, changed(loop, allow_untrained=True), data)
    [warning] = [each for each in result.warnings if cause in each]
    assert warning.endswith("the model cannot rank")


def test_redrawn_negatives_count_where_the_table_has_none(planted):
    # Every user interacted with 10 of 20 items, so that an epoch draws what the table lacks.
    result = train(MODEL, changed(LOOP, n_epoch=1, negatives="redrawn"), only(planted, 1))
    assert not any("cannot rank" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    "options",
    [
        {"n_epoch": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"ema_decay": 1.0},
        {"earlystop_patience": 0},
        {"embedding_l2": -1.0},
        {"weight_decay": float("nan")},
        {"checkpoint_seconds": float("nan")},
        {"num_threads": -1},
        {"redrawn_per_positive": 0},
        {"seed": 2**30},
        {"precision": "float16"},
        {"regularization": "none"},
        {"learning_rate_schedule": "linear"},
    ],
)
def test_options_out_of_range_are_named(planted, options):
    ((name, value),) = options.items()
    with pytest.raises(OptionsError, match=f"^{name} is {value!r}, must be "):
        train(MODEL, changed(LOOP, **options), planted)


def test_without_validation_samples_the_last_weights_are_kept(planted):
    result = train(MODEL, changed(LOOP, n_epoch=2), without_split(planted, "val"))
    assert (len(result.history), result.best_epoch) == (2, 2)
    assert result.history[-1].val_auc is None
    assert result.history[-1].val_logloss is None
    assert any("no validation sample" in warning for warning in result.warnings)
    assert "validation AUC -" in result.history[0].summary()


def test_without_training_samples_the_initial_weights_are_kept(planted):
    result = train(MODEL, UNTRAINED, without_split(planted, "train"))
    assert (result.history, result.best_epoch, result.best) == ([], 0, None)
    assert any("no training sample" in warning for warning in result.warnings)
    assert len(predict(result.model, planted, "test")) == len(planted.samples["test"])


def test_validation_samples_of_one_label_leave_the_auc_undefined(planted):
    val = planted.samples["val"]
    positives = val.take(val.label == 1)
    data = dataclasses.replace(planted, samples={**planted.samples, "val": positives})
    result = train(MODEL, changed(LOOP, n_epoch=1), data)
    assert result.history[0].val_auc is None
    assert result.history[0].val_logloss is not None
    assert any("all validation samples have the same label" in each for each in result.warnings)


def test_a_tiny_log_trains_and_says_that_its_figures_mean_little():
    data = log([[1, 2, 3, 4, 5], [2, 3, 1, 5]], cates=[1] * 6, n_items=6)
    result = train(MODEL, LOOP, data)
    assert result.history
    assert any("too few" in warning for warning in result.warnings)


def test_logged_negatives_are_kept_by_default_and_not_redrawn_on_request(planted):
    data = dataclasses.replace(planted, labelled=True)
    loop = changed(LOOP, n_epoch=1)
    kept = train(MODEL, changed(loop, negatives="auto"), data)
    assert kept.metrics()["negatives"] == "logged"
    assert hash_of(kept) == hash_of(train(MODEL, changed(loop, negatives="fixed"), data))
    with pytest.raises(SamplingError, match="the log is labelled"):
        train(MODEL, LOOP, data)


def test_popular_negatives_are_redrawn_by_popularity_and_that_is_told(planted):
    data = dataclasses.replace(planted, negative_sampling="popularity")
    result = train(MODEL, changed(LOOP, n_epoch=1), data)
    assert result.metrics()["negatives"] == "redrawn, popularity, 1 for each positive"
    told = changed(LOOP, n_epoch=1, redrawn_sampling="popularity")
    assert hash_of(result) == hash_of(train(MODEL, told, planted))
    assert hash_of(result) != hash_of(train(MODEL, changed(LOOP, n_epoch=1), planted))


@pytest.mark.parametrize("activation", ["dice", "prelu", "relu"])
def test_one_sample_in_the_last_batch_is_trained_on(activation):
    data = planted_log(n_users=9)
    n_samples = len(data.samples["train"])
    loop = changed(LOOP, n_epoch=2, negatives="fixed", batch_size=n_samples - 1)
    result = train(changed(MODEL, activation=activation), loop, data)
    assert np.isfinite(result.history[-1].train_loss)


@pytest.mark.parametrize("activation", ["dice", "relu"])
def test_samples_without_any_history_are_trained_on(planted, activation):
    train_samples = planted.samples["train"]
    empty = dataclasses.replace(train_samples, end=train_samples.start)
    data = dataclasses.replace(planted, samples={**planted.samples, "train": empty})
    loop = changed(LOOP, negatives="fixed")
    result = train(changed(MODEL, activation=activation), loop, data)
    assert np.isfinite(result.history[-1].train_loss)
    assert np.isfinite(predict(result.model, data, "test")["score"].to_numpy()).all()


def test_a_user_unseen_in_training_is_scored():
    # Three events give no training sample: this user's embedding never moved.
    data = log([*[[1, 2, 3, 4, 5]] * 8, [1, 2, 3]], cates=[1] * 6, n_items=6)
    result = train(changed(MODEL, use_user=True), LOOP, data)
    table = predict(result.model, data, "test").to_pydict()
    assert table["user_idx"][-1] == 9
    assert 0 < table["score"][-1] < 1
    torch.manual_seed(LOOP.seed)
    initial = build_model(changed(MODEL, use_user=True), data.vocabulary)
    before, after = (dict(m.embedding.tables())["user_idx"].weight for m in (initial, result.model))
    assert torch.equal(before[9], after[9])
    assert not torch.isclose(before[1:9], after[1:9]).all(dim=1).any()


def test_predictions_come_in_the_samples_order_with_their_keys(planted):
    result = train(MODEL, changed(LOOP, n_epoch=1), planted)
    table = predict(result.model, planted, "val").to_pydict()
    assert list(table) == [
        "user_idx", "position", "k", "label", "item_idx", "history_length", "score",
    ]  # fmt: skip
    keys = list(zip(table["user_idx"], table["position"], table["k"], strict=True))
    assert keys == sorted(keys)
    assert set(table["history_length"]) == {10}  # 12 events: validation is the eleventh


def test_event_files_are_written_where_asked(planted, tmp_path):
    train(MODEL, changed(LOOP, n_epoch=2), planted, tensorboard_dir=tmp_path / "events")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [point.step for point in events.Scalars("val_auc")] == [1, 2]
