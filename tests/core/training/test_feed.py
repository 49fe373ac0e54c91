"""Feed: the batches of an epoch's steps, some of which are gathered together."""

import dataclasses

import pytest
import torch

from din_core.config import TrainingConfig
from din_core.inputs.batches import BatchGatherer
from din_core.inputs.epochs import EpochPlanner
from din_core.training import feed
from tests.core.training_logs import planted_log

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("world_size", "positions", "at_once"),
    # The shares of one process of two do not follow on one another.
    [(1, 1 << 19, 8), (1, 50, 2), (1, 1, 1), (2, 1 << 19, 1)],
)
@pytest.mark.parametrize("first", [0, 3])
def test_batches_gathered_together_are_those_gathered_one_by_one(
    world_size, positions, at_once, first, monkeypatch
):
    monkeypatch.setattr(feed, "_POSITIONS", positions)
    data = planted_log(n_users=20)
    plan = EpochPlanner(data, TrainingConfig()).plan(0)
    steps = plan.steps(7, world_size, rank=world_size - 1)
    shares = [rows for rows, _ in steps][first:]
    gatherer = BatchGatherer(data, CPU)
    reader = feed.PlanReader(plan, gatherer, CPU)
    one_by_one = [reader.batch(rows) for rows in shares]
    assert len(one_by_one) > 10

    gathered = []
    gather = gatherer.gather
    monkeypatch.setattr(gatherer, "gather", lambda **of: gathered.append(of) or gather(**of))
    together = list(feed.batches(plan, shares, gatherer, CPU))
    for ours, expected in zip(together, one_by_one, strict=True):
        for name, value in dataclasses.asdict(expected).items():
            found = getattr(ours, name)
            for key, each in value.items() if isinstance(value, dict) else [(None, value)]:
                of_key = found if key is None else found[key]
                assert of_key.dtype == each.dtype
                assert torch.equal(of_key, each), (name, key)
    n_gathered = [len(of["user"]) for of in gathered]
    assert max(n_gathered) == at_once * 7
