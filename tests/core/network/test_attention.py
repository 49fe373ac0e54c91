"""The activation unit weighs a history as the paper draws it, and only the sample's own."""

from __future__ import annotations

import math

import pytest
import torch

from din_core.network.layers.attention import ActivationUnit, plain_formula
from din_core.network.layers.segments import segment_softmax, segment_sum

# Three samples with histories of 2, 0 and 3 positions.
OFFSETS = torch.tensor([0, 2, 2, 5])
ROW = torch.tensor([0, 0, 2, 2, 2])


def random_inputs(dim, dtype=torch.float32):
    torch.manual_seed(0)
    target = torch.randn(3, dim, dtype=dtype, requires_grad=True)
    history = torch.randn(5, dim, dtype=dtype, requires_grad=True)
    return target, history


def make_unit(**options):
    torch.manual_seed(1)
    unit = ActivationUnit(4, dims=(6, 5), **options)
    for activation in unit.mlp.activations:
        if hasattr(activation, "alpha"):
            torch.nn.init.uniform_(activation.alpha, -0.5, 0.5)
    return unit


def tiny_unit(use_softmax=False):
    """One dimension, one hidden unit: relu(1 t + 2 h + 3 (t - h) + 4 t h + 5), then 0.1 x - 1."""
    unit = ActivationUnit(1, dims=(1,), activation="relu", use_softmax=use_softmax)
    with torch.no_grad():
        unit.mlp.layers[0].weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
        unit.mlp.layers[0].bias.fill_(5.0)
        unit.mlp.output.weight.fill_(0.1)
        unit.mlp.output.bias.fill_(-1.0)
    return unit


def test_golden_numbers_by_hand():
    target = torch.tensor([[2.0], [7.0], [-1.0]])
    history = torch.tensor([[1.0], [-1.0], [0.0], [1.0], [3.0]])
    # t = 2:  h = 1: 2 + 2 + 3 + 8 + 5 = 20 → 1.0;   h = -1: 2 - 2 + 9 - 8 + 5 = 6 → -0.4
    # t = -1: h = 0: -1 + 0 - 3 + 0 + 5 = 1 → -0.9;  h = 1: -1 + 2 - 6 - 4 + 5 = -4, relu 0 → -1
    #         h = 3: -1 + 6 - 12 - 12 + 5 = -14, relu 0 → -1
    weights = tiny_unit().scores(target, history, ROW)
    torch.testing.assert_close(weights, torch.tensor([1.0, -0.4, -0.9, -1.0, -1.0]))
    # 1 * 1 - 0.4 * -1 = 1.4;  no history: 0;  -0.9 * 0 - 1 * 1 - 1 * 3 = -4
    pooled = tiny_unit()(target, history, ROW, OFFSETS)
    torch.testing.assert_close(pooled, torch.tensor([[1.4], [0.0], [-4.0]]))


def test_softmax_is_over_each_samples_own_positions():
    target = torch.tensor([[2.0], [7.0], [-1.0]])
    history = torch.tensor([[1.0], [-1.0], [0.0], [1.0], [3.0]])
    # The weights 1.0 and -0.4 of the first sample, computed above.
    first = math.exp(1.0) / (math.exp(1.0) + math.exp(-0.4))
    # -0.9, -1, -1 of the third.
    total = math.exp(-0.9) + 2 * math.exp(-1)
    third = (math.exp(-1) * 1 + math.exp(-1) * 3) / total
    pooled = tiny_unit(use_softmax=True)(target, history, ROW, OFFSETS)
    expected = torch.tensor([[first * 1 + (1 - first) * -1], [0.0], [third]])
    torch.testing.assert_close(pooled, expected)


def biased(unit, *biases):
    unit.position_bias = torch.nn.Parameter(torch.tensor(biases))
    return unit


def test_a_bias_is_added_to_the_weight_of_its_position_counted_from_the_latest():
    target = torch.tensor([[2.0], [7.0], [-1.0]])
    history = torch.tensor([[1.0], [-1.0], [0.0], [1.0], [3.0]])
    unit = biased(tiny_unit(), 10.0, 0.5)
    # 1.0, -0.4 and -0.9, -1, -1, as above. The latest gets 10, the one before 0.5, and the one
    # before that, for which there is no bias of its own, 0.5 as well.
    weights = unit.weights(target, history, ROW)
    torch.testing.assert_close(weights, torch.tensor([1.5, 9.6, -0.4, -0.5, 9.0]))
    # 1.5 * 1 + 9.6 * -1 = -8.1;  no history: 0;  -0.4 * 0 - 0.5 * 1 + 9 * 3 = 26.5
    pooled = unit(target, history, ROW, OFFSETS)
    torch.testing.assert_close(pooled, torch.tensor([[-8.1], [0.0], [26.5]]))
    unit.use_softmax = True
    shares = unit.weights(target, history, ROW)
    first = math.exp(1.5) / (math.exp(1.5) + math.exp(9.6))
    torch.testing.assert_close(shares[:2], torch.tensor([first, 1 - first]))


def test_biases_begin_as_nothing_and_leave_the_other_weights_as_they_are_drawn():
    unit, without = make_unit(position_bias=3), make_unit()
    assert torch.equal(unit.position_bias, torch.zeros(3))
    assert without.position_bias is None
    for name, each in without.state_dict().items():
        assert torch.equal(unit.state_dict()[name], each), name


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ["dice", "prelu", "relu", "sigmoid"])
def test_split_first_layer_equals_the_concatenation(activation, training):
    unit = make_unit(activation=activation).train(training)
    target, history = random_inputs(4)
    split = unit.scores(target, history, ROW)
    plain = unit.scores_by_concatenation(target, history, ROW)
    torch.testing.assert_close(split, plain, rtol=1e-5, atol=1e-6)
    inputs = [target, history, *unit.parameters()]
    grads = torch.autograd.grad(split.square().sum(), inputs)
    reference = torch.autograd.grad(plain.square().sum(), inputs)
    for mine, theirs in zip(grads, reference, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("use_softmax", [False, True])
@pytest.mark.parametrize("activation", ["dice", "prelu"])
def test_gradients_are_exact(activation, use_softmax):
    unit = make_unit(activation=activation, use_softmax=use_softmax, position_bias=2).double()
    inputs = random_inputs(4, torch.float64)
    names, parameters = zip(*unit.named_parameters(), strict=True)
    parameters = [parameter.detach().clone().requires_grad_() for parameter in parameters]

    def run(target, history, *values):
        arguments = (target, history, ROW, OFFSETS)
        return torch.func.functional_call(unit, dict(zip(names, values, strict=True)), arguments)

    assert torch.autograd.gradcheck(run, (*inputs, *parameters))


def test_dice_statistics_are_over_all_positions_of_the_batch():
    unit = make_unit()
    target, history = random_inputs(4)
    unit(target, history, ROW, OFFSETS)
    t = target[ROW]
    s = unit.mlp.layers[0](torch.cat([t, history, t - history, t * history], 1))
    dice = unit.mlp.activations[0]
    torch.testing.assert_close(dice.running_mean, s.mean(0))
    torch.testing.assert_close(dice.running_var, s.var(0, correction=0))


@pytest.mark.parametrize("biases", [(), (0.5, -2.0), (0.5, -2.0, 3.0, 0.0)])
@pytest.mark.parametrize("use_softmax", [False, True])
def test_padded_rectangles_give_the_same(use_softmax, biases):
    unit = make_unit(use_softmax=use_softmax)
    unit = biased(unit, *biases) if biases else unit
    target, history = random_inputs(4)
    unit(target, history, ROW, OFFSETS)
    unit.eval()
    rectangle = torch.full((3, 4, 4), 9.0)  # what stands at padding must not matter
    is_position = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]], dtype=torch.bool)
    rectangle[is_position] = history.detach()
    torch.testing.assert_close(
        unit.pool_padded(target, rectangle, is_position),
        unit(target, history, ROW, OFFSETS),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("use_softmax", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_a_batch_of_empty_histories_is_zero_with_zero_gradients(training, use_softmax):
    unit = make_unit(use_softmax=use_softmax, position_bias=2).train(training)
    target = torch.randn(3, 4, requires_grad=True)
    none = torch.zeros(0, dtype=torch.int64)
    pooled = unit(target, torch.zeros(0, 4), none, torch.zeros(4, dtype=torch.int64))
    pooled.sum().backward()
    assert torch.equal(pooled, torch.zeros(3, 4))
    for tensor in (target, *unit.parameters()):
        assert torch.equal(tensor.grad, torch.zeros_like(tensor))


def test_softmax_survives_extreme_scores():
    weights = segment_softmax(torch.tensor([1e4, 1e4, -1e4]), torch.tensor([0, 0, 1]), 3)
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.5, 1.0]))


def test_positions_are_summed_into_their_samples():
    values = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    expected = torch.tensor([[3.0, 30.0], [0.0, 0.0], [4.0, 40.0]])
    assert torch.equal(segment_sum(values, torch.tensor([0, 0, 2]), 3), expected)


def test_a_kernel_takes_the_place_of_the_formula_and_can_be_set_aside():
    unit = make_unit().eval()
    target, history = random_inputs(4)
    expected = unit(target, history, ROW, OFFSETS)
    seen = []

    def kernel(unit, target, history, row, offsets):
        seen.append((unit, row.shape, offsets.shape))
        return target * 0 + 7

    unit.kernel = kernel
    assert torch.equal(unit(target, history, ROW, OFFSETS), torch.full((3, 4), 7.0))
    assert seen == [(unit, (5,), (4,))]
    with plain_formula(unit):
        assert torch.equal(unit(target, history, ROW, OFFSETS), expected)
    assert unit.kernel is kernel


def test_a_unit_without_hidden_layer_is_refused():
    with pytest.raises(ValueError, match="at least one hidden layer; dims is empty"):
        ActivationUnit(4, dims=())


def test_defaults_are_the_tutorials():
    unit = ActivationUnit(8)
    assert [layer.out_features for layer in unit.mlp.layers] == [256, 128]
    assert unit.mlp.layers[0].in_features == 32
    assert unit.use_softmax is False
