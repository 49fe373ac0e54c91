"""Numbers of the log itself: counted by hand, from training events that are earlier."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from din_core.config import DINConfig, TrainingConfig
from din_core.inputs.batches import BatchGatherer
from din_core.inputs.log_numbers import LogNumbersError
from din_core.training.loop import train
from din_core.training.prediction import predict
from tests.core.training_logs import log, planted_log

DAY = 86_400.0
CPU = torch.device("cpu")
#: Four events each: positions 1 and 2 are seen in training, 3 is validation, 4 is test.
SEQUENCES = [[1, 2, 3, 1], [2, 1, 4, 3]]
DAYS = [[0, 10, 400, 400], [5, 10, 200, 500]]


def timed(sequences=SEQUENCES, days=DAYS):
    """The log with times; a sample is when its positive is."""
    data = log(sequences, cates=[1, 2, 1, 2, 1], n_items=5)
    times = np.concatenate([np.array(each) * DAY for each in days]).astype(np.float64)
    samples = {
        split: dataclasses.replace(of, time=times[data.user_offsets[of.user - 1] + of.position - 1])
        for split, of in data.samples.items()
    }
    return dataclasses.replace(data, event_times=times, samples=samples)


def numbers_of(data, *names, user=1, item, day, start=0, end=0):
    """The numbers of one sample, asked for freely."""
    batch = BatchGatherer(data, CPU, names).gather(
        user=torch.tensor([user]),
        item=torch.tensor([item]),
        start=torch.tensor([start]),
        end=torch.tensor([end]),
        n_positions=end - start,
        time=torch.tensor([day * DAY], dtype=torch.float64),
    )
    return [float(batch.sparse[name]) for name in names]


def test_popularity_is_of_earlier_training_events_beside_the_average_items():
    data = timed()
    # Training: item 1 on day 0, 2 on day 5, and on day 10 item 2 and item 1. Five items.
    for day, of_item, of_all in [(0, 0, 0), (1, 1, 1), (10, 1, 2), (11, 2, 4), (600, 2, 4)]:
        (found,) = numbers_of(data, "popularity", item=1, day=day)
        assert found == pytest.approx(math.log1p(of_item) - math.log1p(of_all / 5))


def test_an_event_that_is_held_out_makes_no_item_popular():
    (found,) = numbers_of(timed(), "popularity", item=3, day=600)  # held out twice
    assert found == pytest.approx(-math.log1p(4 / 5))


def test_popularity_of_a_window_forgets_what_is_older():
    # On day 98 the window of 90 days begins on day 8: item 1 on day 10, two events in all.
    (found,) = numbers_of(timed(), "popularity_90_days", item=1, day=98)
    assert found == pytest.approx(math.log1p(1) - math.log1p(2 / 5))
    (found,) = numbers_of(timed(), "popularity_365_days", item=1, day=98)
    assert found == pytest.approx(math.log1p(2) - math.log1p(4 / 5))


@pytest.mark.parametrize(("name", "day"), [("trend_90_days", 94), ("trend_365_days", 369)])
def test_a_trend_is_of_the_latest_events_beside_what_those_so_far_promise(name, day):
    # The window begins on day 4: three of the four events are in it, and so promise three quarters.
    for item, of_item, promised in [(1, 1, 1.5), (2, 2, 1.5), (3, 0, 0.0), (0, 0, 0.0)]:
        (found,) = numbers_of(timed(), name, item=item, day=day)
        assert found == pytest.approx(math.log1p(of_item) - math.log1p(promised))


def test_no_trend_is_known_before_the_window_begins():
    for item, day in [(1, 0), (1, 6), (2, 80), (3, 80)]:
        (found,) = numbers_of(timed(), "trend_90_days", item=item, day=day)
        assert found == 0


def test_days_since_an_items_last_event_are_missing_before_its_first():
    for item, day, expected in [(1, 9, 9), (1, 10, 10), (1, 12, 2), (2, 7, 2)]:
        (found,) = numbers_of(timed(), "days_since_item_event", item=item, day=day)
        assert found == pytest.approx(math.log1p(expected))
    for item, day in [(1, 0), (2, 5), (3, 600), (5, 600)]:
        assert math.isnan(*numbers_of(timed(), "days_since_item_event", item=item, day=day))


def test_history_says_how_long_ago_and_what_was_alike():
    data = timed()
    names = ("days_since_last_event", "same_category_events", "same_moment_events")
    # The user's first three events: items 1, 2, 3 of categories 1, 2, 1 on days 0, 10, 400.
    found = numbers_of(data, *names, item=5, day=400, end=3)
    assert found == pytest.approx([math.log1p(0), math.log1p(2), math.log1p(1)])
    found = numbers_of(data, *names, item=4, day=12, end=2)
    assert found == pytest.approx([math.log1p(2), math.log1p(1), math.log1p(0)])


def test_an_empty_history_has_no_last_event():
    (found,) = numbers_of(timed(), "days_since_last_event", item=1, day=3)
    assert math.isnan(found)


def test_a_log_without_training_events_has_popular_items_nowhere():
    data = timed([[1, 2], [3, 4]], [[0, 1], [0, 1]])
    names = ("popularity", "popularity_90_days", "days_since_item_event")
    popularity, recent, days = numbers_of(data, *names, item=1, day=9)
    assert (popularity, recent) == (0.0, 0.0)
    assert math.isnan(days)


def test_trends_do_not_tell_training_labels_where_nothing_trends_and_popularity_does():
    """An embedding knows how many events its item has in all, a positive's own among them."""
    rng = np.random.default_rng(1)
    n_users, n_items = 1_000, 600
    sequences = rng.integers(1, n_items + 1, (n_users, 6)).tolist()
    data = log(sequences, cates=[1] * n_items, n_items=n_items)
    # A user is there once, any time of a thousand days.
    times = np.repeat(rng.uniform(0, 1_000, n_users), 6) * DAY + np.tile(np.arange(6.0), n_users)
    data = dataclasses.replace(data, event_times=times)
    train = data.samples["train"]
    positives = train.take(train.label == 1)
    names = ("popularity", "trend_90_days", "trend_365_days")

    def means(items):
        batch = BatchGatherer(data, CPU, names).gather(
            user=torch.as_tensor(positives.user),
            item=torch.as_tensor(items),
            start=torch.as_tensor(positives.start),
            end=torch.as_tensor(positives.end),
            n_positions=int((positives.end - positives.start).sum()),
            time=torch.as_tensor(times[positives.end]),
        )
        return np.array([batch.sparse[name].mean() for name in names])

    # Negatives of the very same items, so that they have the same events in all.
    popularity, *trends = means(rng.permutation(positives.item)) - means(positives.item)
    assert popularity > 0.08
    assert trends == pytest.approx([0, 0], abs=0.03)


def test_a_log_that_was_read_without_times_is_refused():
    data = log(SEQUENCES, cates=[1, 2, 1, 2, 1], n_items=5)
    with pytest.raises(LogNumbersError, match=r"'popularity'.*with_times"):
        BatchGatherer(data, CPU, ["popularity"])


def test_a_category_is_needed_to_count_those_of_its_kind():
    data = dataclasses.replace(timed(), item_attributes={})
    with pytest.raises(LogNumbersError, match="item_attribute_cols"):
        BatchGatherer(data, CPU, ["same_category_events"])


def test_a_model_learns_from_popularity_what_its_ids_do_not_say():
    """Every user takes items at random, so that only what is popular tells anything."""
    rng = np.random.default_rng(0)
    data = planted_log(n_users=200, n_events=8)
    weight = 1 / np.arange(1, 21) ** 1.5
    items = rng.choice(np.arange(1, 21), len(data.event_items), p=weight / weight.sum())
    data = dataclasses.replace(data, event_items=items.astype(np.int32))
    times = np.tile(np.arange(8) * DAY, 200) + 1.0

    def positives(of):
        row = data.user_offsets[of.user - 1] + of.position - 1
        item = np.where(of.label == 1, items[row], of.item).astype(np.int32)
        return dataclasses.replace(of, item=item, time=times[row])

    samples = {split: positives(of) for split, of in data.samples.items()}
    data = dataclasses.replace(data, event_times=times, samples=samples)
    network = DINConfig(
        embed_dim=2, mlp_dims=(8,), attention_dims=(4,), use_user=False, log_numbers=("popularity",)
    )
    loop = TrainingConfig(
        n_epoch=3, batch_size=64, learning_rate=0.02, fused=False, num_threads=1,
        checkpoint_seconds=0, earlystop_patience=3,
    )  # fmt: skip
    trained = train(network, loop, data)
    assert trained.best.val_auc > 0.75
    scores = predict(trained.model, data, "test")["score"].to_numpy()
    assert len(scores) == len(samples["test"])
    assert np.isfinite(scores).all()
