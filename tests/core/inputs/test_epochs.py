"""An epoch is a function of seed and number; its negatives know only what training may see."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from din_core.config import TrainingConfig
from din_core.inputs.epochs import EpochPlan, EpochPlanner
from din_core.inputs.samplers import SAMPLERS, epoch_seed, seen_in_training, visible_log
from tests import oracle
from tests.core.training_logs import log, planted_log

REDRAWN = TrainingConfig(negatives="redrawn", seed=7)


def columns(plan):
    """A whole epoch, column by column."""
    return SimpleNamespace(**plan.columns())


def rows(plan):
    """Samples of a plan as a sorted list."""
    return sorted(zip(*[column.tolist() for column in plan.columns().values()], strict=True))


def test_a_fixed_epoch_holds_every_training_sample_once():
    data = planted_log()
    plan = EpochPlanner(data, TrainingConfig(negatives="fixed")).plan(0)
    train = data.samples["train"]
    expected = zip(
        *[getattr(train, name).tolist() for name in ("user", "item", "label", "start", "end")],
        strict=True,
    )
    assert rows(plan) == sorted(expected)


def test_an_epoch_depends_on_seed_and_number_alone():
    data = planted_log()
    first, again = EpochPlanner(data, REDRAWN).plan(3), EpochPlanner(data, REDRAWN).plan(3)
    assert first.item.tolist() == again.item.tolist()
    other = EpochPlanner(data, dataclasses.replace(REDRAWN, seed=8)).plan(3)
    assert first.item.tolist() != other.item.tolist()


def test_redrawn_negatives_change_with_the_epoch_and_positives_do_not():
    planner = EpochPlanner(planted_log(), REDRAWN)
    first, second = planner.plan(0), planner.plan(1)
    assert [r for r in rows(first) if r[2] == 1] == [r for r in rows(second) if r[2] == 1]
    assert [r for r in rows(first) if r[2] == 0] != [r for r in rows(second) if r[2] == 0]


def test_a_positive_and_its_negatives_stand_side_by_side():
    config = dataclasses.replace(REDRAWN, redrawn_per_positive=3)
    plan = columns(EpochPlanner(planted_log(), config).plan(0))
    groups = plan.label.reshape(-1, 4)
    assert (groups == [1, 0, 0, 0]).all()
    assert (plan.end.reshape(-1, 4) == plan.end.reshape(-1, 4)[:, :1]).all()


def test_redrawn_negatives_are_those_of_the_hash():
    # One user, train positions 2 and 3 (of 5 events), items 1 2 3 seen by training: 6 are free.
    data = log([[1, 2, 3, 4, 5]], cates=[1] * 9, n_items=9)
    plan = columns(EpochPlanner(data, REDRAWN).plan(2))
    free = oracle.deck([4, 5, 6, 7, 8, 9])
    expected = [oracle.pick(free, epoch_seed(7, 2), 1, position, 1) for position in (2, 3)]
    by_position = dict(zip(plan.end[plan.label == 0], plan.item[plan.label == 0], strict=True))
    assert [by_position[1], by_position[2]] == expected


def test_held_out_items_may_be_drawn_and_training_items_never():
    # Training sees 1, 2, 3; validation's 4 and test's 5 must be as likely as 6.
    data = log([[1, 2, 3, 4, 5]], cates=[1] * 6, n_items=6)
    planner = EpochPlanner(data, REDRAWN)
    drawn = np.concatenate([plan.item[plan.label == 0] for plan in map(planner.plan, range(300))])
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [4, 5, 6]
    assert counts.min() > 150  # of 600 draws, 200 each; five standard deviations are 58


def test_the_first_event_is_seen_by_training_too():
    data = log([[6, 2, 3, 4, 5], [1, 1, 2, 3, 4]], cates=[1] * 6, n_items=6)
    planner = EpochPlanner(data, REDRAWN)
    plans = [columns(planner.plan(epoch)) for epoch in range(50)]
    drawn = [plan.item[(plan.label == 0) & (plan.user == 1)] for plan in plans]
    assert 6 not in np.concatenate(drawn)


def test_a_user_who_interacted_with_every_item_contributes_positives_only():
    data = log([[1, 2, 3, 1, 2], [1, 1, 1, 2, 3]], cates=[1] * 3, n_items=3)
    plan = columns(EpochPlanner(data, REDRAWN).plan(0))
    assert plan.label[plan.user == 1].tolist() == [1, 1]
    assert sorted(plan.label[plan.user == 2].tolist()) == [0, 0, 1, 1]


def moved(data, random):
    """The same training samples, with other events held out: the last two of each user."""
    items = data.event_items.copy()
    for end in data.user_offsets[1:]:
        items[end - 2 : end] = random.integers(1, data.vocabulary.n_items + 1, size=2)
    return dataclasses.replace(data, event_items=items)


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_what_is_held_out_changes_no_redrawn_negative(sampling):
    data, random = planted_log(), np.random.default_rng(1)
    config = dataclasses.replace(REDRAWN, redrawn_sampling=sampling, redrawn_per_positive=3)
    plans = [EpochPlanner(each, config).plan(1) for each in (data, moved(data, random))]
    assert rows(plans[0]) == rows(plans[1])
    # What training sees does change them.
    items = data.event_items.copy()
    items[data.user_offsets[:-1]] = 1
    seen = dataclasses.replace(data, event_items=items)
    assert rows(EpochPlanner(seen, config).plan(1)) != rows(plans[0])


def test_an_item_weighs_what_training_sees_of_it():
    # Item 1 is each user's last event, item 2 each user's first, and item 3 nobody's.
    sequences = [[2, item, item, item, 1] for item in range(4, 14)]
    data = log(sequences, cates=[1] * 13, n_items=13)
    assert seen_in_training(data).item_counts.tolist() == [0, 0, 10, 0, *[2] * 10]
    config = dataclasses.replace(REDRAWN, redrawn_sampling="popularity", redrawn_per_positive=500)
    plan = EpochPlanner(data, config).plan(0)
    drawn = np.bincount(plan.item[plan.label == 0], minlength=14)
    # Of 10,000 draws: 1 and 3 weigh 1 each, and nine others of 27 are free to each user.
    assert drawn[2] == 0
    assert drawn[[1, 3]].max() < 100
    assert drawn[4:].min() > 700


def test_a_sampler_of_one_s_own_is_redrawn_by_its_name(monkeypatch):
    class NextItem:
        """The item behind the positive's, whoever has interacted with it."""

        def __init__(self, seen):
            self.n_items = seen.n_items

        def items(self, draws):
            return draws.item % self.n_items + draws.k

    monkeypatch.setitem(SAMPLERS, "next_item", NextItem)
    data = log([[1, 2, 3, 4, 5], [4, 4, 5, 1, 2]], cates=[1] * 9, n_items=9)
    config = dataclasses.replace(REDRAWN, redrawn_sampling="next_item", redrawn_per_positive=2)
    planner = EpochPlanner(data, config)
    assert planner.labels == {0, 1}
    assert planner.negatives == "redrawn, next_item, 2 for each positive"
    assert [row[:3] for row in rows(planner.plan(0))] == [
        (1, 2, 1), (1, 3, 0), (1, 3, 1), (1, 4, 0), (1, 4, 0), (1, 5, 0),
        (2, 4, 1), (2, 5, 0), (2, 5, 1), (2, 6, 0), (2, 6, 0), (2, 7, 0),
    ]  # fmt: skip


def test_a_late_negative_is_found_by_who_asks_for_the_labels(monkeypatch):
    # The first nine users interact with everything; only the tenth has an item left.
    data = log([*[[1, 2, 3, 1, 2]] * 9, [1, 1, 1, 2, 3]], cates=[1] * 3, n_items=3)
    monkeypatch.setattr("din_core.inputs.epochs._FIRST_ROWS", 1)
    assert EpochPlanner(data, REDRAWN).labels == {0, 1}
    full = log([[1, 2, 3, 1, 2]] * 9, cates=[1] * 3, n_items=3)
    assert EpochPlanner(full, REDRAWN).labels == {1}


@pytest.mark.parametrize("negatives", ["fixed", "redrawn"])
def test_a_part_of_an_epoch_is_that_part_of_its_columns(negatives):
    plan = EpochPlanner(planted_log(), dataclasses.replace(REDRAWN, negatives=negatives)).plan(1)
    whole, part = plan.columns(), slice(100, 164)
    for name, values in plan.columns(part).items():
        assert values.tolist() == whole[name][part].tolist()
    assert plan.n_positions(part) == (whole["end"] - whole["start"])[part].sum()


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_what_training_may_see_does_not_depend_on_how_many_users_are_looked_at_at_once(
    monkeypatch, chunk
):
    data = log(
        [[6, 2, 3, 4, 5], [1, 2], [1, 1, 2, 3, 4], [3, 2, 3, 1, 1]], cates=[1] * 6, n_items=6
    )
    monkeypatch.setattr(visible_log, "_CHUNK_USERS", chunk)
    seen = seen_in_training(data)
    # Up to the last training positive: not the last two events, and nothing of a user of two.
    assert seen.interacted_items.tolist() == [2, 3, 6, 1, 2, 2, 3]
    assert seen.interacted_offsets.tolist() == [0, 3, 3, 5, 7]
    assert seen.users_of_items().tolist() == [1, 1, 1, 3, 3, 4, 4]
    assert seen.item_counts.tolist() == [0, 2, 3, 3, 0, 0, 1]


@pytest.mark.parametrize("n_samples", [1, 7, 8, 9, 16])
def test_processes_share_a_step_without_gap_or_overlap(n_samples):
    plan = EpochPlan(planted_log().samples["train"], np.zeros(n_samples, dtype=np.int32))
    together = list(plan.steps(8))
    shares = [list(plan.steps(4, 2, process)) for process in (0, 1)]
    assert len(shares[0]) == len(shares[1]) == len(together)
    for (whole, n_rows), (first, n_first), (second, n_second) in zip(
        together, *shares, strict=True
    ):
        assert n_first == n_second == n_rows == whole.stop - whole.start
        assert (first.start, second.stop) == (whole.start, whole.stop)
        assert first.stop == second.start
