"""Pooling gives the same in either layout, whatever stands where there is padding."""

from __future__ import annotations

import torch

from din_core.network.layers.attention import ActivationUnit
from din_core.network.layers.positions import (
    FlatPositions,
    PaddedPositions,
    PartsOfOne,
    SharedPositions,
)

# Three samples: two positions, none, one. 9 stands on padding.
FLAT = FlatPositions(torch.tensor([0, 0, 2]), torch.tensor([0, 2, 2, 3]))
PADDED = PaddedPositions(torch.tensor([[True, False, True], [False] * 3, [False, True, False]]))
FLAT_HISTORY = torch.tensor([[1.0, 2.0], [3.0, -5.0], [0.5, 4.0]])
PADDED_HISTORY = torch.full((3, 3, 2), 9.0)
PADDED_HISTORY[PADDED.is_position] = FLAT_HISTORY
SUMS = torch.tensor([[4.0, -3.0], [0.0, 0.0], [0.5, 4.0]])


def test_positions_are_summed_by_sample():
    assert torch.equal(FLAT.sum(FLAT_HISTORY), SUMS)
    assert torch.equal(PADDED.sum(PADDED_HISTORY), SUMS)


def test_positions_are_weighed_by_the_unit():
    unit = ActivationUnit(2, (3,), "relu")
    with torch.no_grad():
        for parameter in unit.parameters():
            parameter.zero_()
        unit.mlp.layers[0].weight[:, 0] = 1.0  # of the candidate's first number
        unit.mlp.output.weight.fill_(1.0)
        unit.mlp.output.bias.fill_(0.5)
    target = torch.tensor([[2.0, 7.0], [1.0, 1.0], [-1.0, 0.0]])
    # The weight of every position is 3 relu(t) + 0.5: 6.5 in the first sample and 0.5 in the last.
    expected = SUMS * torch.tensor([[6.5], [3.5], [0.5]])
    torch.testing.assert_close(FLAT.attend(unit, target, FLAT_HISTORY), expected)
    torch.testing.assert_close(PADDED.attend(unit, target, PADDED_HISTORY), expected)


def test_biases_count_positions_from_the_latest_that_a_sample_sees():
    unit = ActivationUnit(2, (3,), "relu", position_bias=2)
    with torch.no_grad():
        for parameter in unit.parameters():
            parameter.zero_()
        unit.position_bias.copy_(torch.tensor([1.0, 10.0]))
    target, history = torch.ones(3, 2), FLAT_HISTORY
    shared = SharedPositions(torch.zeros(3, dtype=torch.int64))
    # Weights 10, 10, 1 on the three events, as one history.
    expected = torch.tensor([[10 + 30 + 0.5, 20 - 50 + 4.0]])
    torch.testing.assert_close(shared.attend(unit, target, history), expected.expand(3, 2))
    is_position = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    parts = PartsOfOne(is_position)
    # Without the third event the second is the latest, and so on.
    expected = torch.cat([expected, torch.tensor([[10 + 3.0, 20 - 5.0], [1.0, 2.0]])])
    torch.testing.assert_close(parts.attend(unit, target, history), expected)
    torch.testing.assert_close(parts.weights[0], torch.tensor([10.0, 10.0, 1.0]))
