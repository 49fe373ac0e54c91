"""An epoch is a function of seed and number; its negatives respect what training may see."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from din_core.config import TrainingConfig
from din_core.inputs import epochs
from din_core.inputs.epochs import EpochPlan, EpochPlanner
from din_core.inputs.sampling import draw_negatives, epoch_seed
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
    config = dataclasses.replace(REDRAWN, negatives_per_positive=3)
    plan = columns(EpochPlanner(planted_log(), config).plan(0))
    groups = plan.label.reshape(-1, 4)
    assert (groups == [1, 0, 0, 0]).all()
    assert (plan.end.reshape(-1, 4) == plan.end.reshape(-1, 4)[:, :1]).all()


def test_redrawn_negatives_are_those_of_the_hash():
    # One user, train positions 2 and 3 (of 5 events), items 1 2 3 seen by training.
    data = log([[1, 2, 3, 4, 5]], cates=[1] * 9, n_items=9)
    plan = columns(EpochPlanner(data, REDRAWN).plan(2))
    expected = draw_negatives(
        seed=epoch_seed(7, 2),
        user_idx=np.array([1, 1]),
        position=np.array([2, 3]),
        k=1,
        interacted_items=np.array([1, 2, 3]),
        interacted_offsets=np.array([0, 3]),
        n_items=9,
    )
    by_position = dict(zip(plan.end[plan.label == 0], plan.item[plan.label == 0], strict=True))
    assert [by_position[1], by_position[2]] == expected.tolist()


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


@pytest.mark.parametrize("kind", [{"labelled": True}, {"negative_sampling": "popularity"}])
def test_negatives_that_uniform_ones_are_not_like_are_never_redrawn(kind):
    data = dataclasses.replace(planted_log(), **kind)
    planner = EpochPlanner(data, REDRAWN)
    assert not planner.redraws
    assert rows(planner.plan(0)) == rows(planner.plan(1))


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
    monkeypatch.setattr(epochs, "_CHUNK_USERS", chunk)
    items, offsets = epochs._interacted_in_training(data)
    # Up to the last training positive: not the last two events, and nothing of a user of two.
    assert items.tolist() == [2, 3, 6, 1, 2, 2, 3]
    assert offsets.tolist() == [0, 3, 3, 5, 7]


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
