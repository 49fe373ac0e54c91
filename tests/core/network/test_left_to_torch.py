"""Networks and batches that are not computed in one call, and why."""

import dataclasses
import logging

import pytest
import torch

from din_core.network import kernels
from din_core.network.kernels import whole_network
from din_core.network.layers.attention import ActivationUnit
from din_core.network.models import DIN
from tests.core.network.small_networks import make_batch, make_network, rows_at_hand

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"the plain formula runs here: {kernels.why_not()}"
)


@pytest.mark.parametrize("lengths", [[], [0, 0, 0], [0, 1, 0]])
def test_batches_with_next_to_no_position_are_left_to_torch(lengths):
    network = make_network()
    kernel = kernels.network_kernel(network)
    assert kernel(rows_at_hand(network), make_batch(lengths), 10) is None
    assert kernel.logits(make_batch(lengths)) is None


@pytest.mark.parametrize("name", ["item", "user", "price", "items", "label"])
def test_inputs_that_some_samples_lack_are_left_to_torch(name):
    network, batch = make_network(), make_batch()
    inputs = {**batch.sparse, **batch.sequences, "label": batch.label}
    for wrong in ([] if name == "label" else [None]) + [inputs[name][:-1]]:
        changed = {**inputs, name: wrong}
        changed = {key: each for key, each in changed.items() if each is not None}
        cut = dataclasses.replace(
            batch,
            sparse={key: changed[key] for key in batch.sparse if key in changed},
            sequences={key: changed[key] for key in batch.sequences if key in changed},
            label=changed["label"],
        )
        assert kernels.network_kernel(network)(rows_at_hand(network), cut, 100) is None


@pytest.mark.parametrize("name", ["item", "items"])
def test_places_that_are_no_integers_are_left_to_torch(name):
    network, batch = make_network(), make_batch()
    for inputs in (batch.sparse, batch.sequences):
        if name in inputs:
            inputs[name] = inputs[name].double()
    assert kernels.network_kernel(network)(rows_at_hand(network), batch, 100) is None


class Subclass(DIN):
    """Might interact in another way."""


def plain_units():
    network = make_network()
    for each in network.modules():
        if isinstance(each, ActivationUnit):
            each.kernel = None
    return network


def in_float64():
    return make_network().double()


def of_a_subclass():
    network = make_network()
    network.__class__ = Subclass
    return network


def with_a_frozen_layer():
    network = make_network()
    network.mlp.layers[0].weight.requires_grad_(False)
    return network


def with_weights_by_columns():
    network = make_network()
    weight = network.mlp.layers[0].weight
    weight.data = weight.detach().t().contiguous().t()
    return network


def with_softmax_in_a_fused_unit():
    network = make_network()
    network.units[0].use_softmax = True
    return network


def with_another_activation():
    network = make_network()
    network.mlp.activations[0] = torch.nn.Sigmoid()
    return network


def with_two_layers_in_one():
    network = make_network(dims=(40, 40, 40))
    network.mlp.layers[2].weight = network.mlp.layers[1].weight
    return network


def with_one_slope(path):
    network = make_network("prelu")
    network.get_submodule(path)[1] = torch.nn.PReLU()
    return network


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: make_network("dice"), "Dice takes its statistics over the batch"),
        (lambda: make_network(dropout=0.1), "it has dropout"),
        (lambda: make_network(softmax=True), "a unit runs by the plain formula"),
        (lambda: make_network(dims=()), "its final MLP has no hidden layer"),
        (plain_units, "a unit runs by the plain formula"),
        (in_float64, "its parameters are not float32"),
        (of_a_subclass, "it is a Subclass"),
        (with_weights_by_columns, "its parameters are not float32 and contiguous"),
        (with_softmax_in_a_fused_unit, "of a unit: its weights go through a softmax"),
        (with_another_activation, "its final MLP is none of prelu, relu"),
        (with_a_frozen_layer, "some of its parameters have no gradient"),
        (with_two_layers_in_one, "some of its layers share their parameters"),
        (lambda: with_one_slope("mlp.activations"), "a prelu has one slope for all channels"),
        (lambda: with_one_slope("units.0.mlp.activations"), "one slope for all channels"),
    ],
)
def test_networks_it_was_not_made_for_are_computed_by_operations(make, reason, caplog):
    with caplog.at_level(logging.INFO):
        assert kernels.network_kernel(make()) is None
    assert "the network is computed operation by operation" in caplog.text
    assert reason in caplog.text.replace("an activation unit", "a unit")


def test_another_torch_may_lack_what_is_called(monkeypatch, caplog):
    def lacking():
        raise AttributeError("undefined symbol: aoti_torch_mm_out")

    monkeypatch.setattr(whole_network, "_functions_of_torch", lacking)
    with caplog.at_level(logging.INFO):
        assert kernels.network_kernel(make_network()) is None
    assert "lacks what it calls (undefined symbol: aoti_torch_mm_out)" in caplog.text
