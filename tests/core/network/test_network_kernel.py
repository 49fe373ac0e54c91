"""A network computed in one call equals the same computed operation by operation."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import logging
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from din_core.network import kernels
from din_core.network.batch import Batch
from din_core.network.features import (
    DenseFeature,
    Normalization,
    SequenceFeature,
    SparseFeature,
)
from din_core.network.kernels import whole_network
from din_core.network.layers.attention import ActivationUnit, plain_formula
from din_core.network.models import DIN

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"the plain formula runs here: {kernels.why_not()}"
)

TARGETS = [SparseFeature("item", 40, 8), SparseFeature("cate", 12, 8), SparseFeature("shop", 9, 5)]
HISTORIES = [
    # The shop has no history, and the item's table is shared.
    SequenceFeature("items", 40, 8, pooling="concat", shared_with="item"),
    SequenceFeature("cates", 12, 8, pooling="concat", shared_with="cate", own_table=True),
]
CONTEXT = [
    SparseFeature("user", 30, 3),
    DenseFeature("price", normalization=Normalization(mean=1.0, std=2.0, has_missing=True)),
    DenseFeature("vector", 3),
]
LENGTHS = [3, 0, 50, 1, 7, 0, 12, 33, 0, 90, 41, 5, 28, 0]  # spans chunks; empty ones at the end


def make_network(activation="relu", *, dims=(40, 21), unit_dims=(20, 12), dropout=0.0, **options):
    torch.manual_seed(1)
    network = DIN(
        CONTEXT,
        HISTORIES,
        TARGETS,
        {"dims": dims, "activation": activation, "dropout": dropout},
        {"dims": unit_dims, "activation": activation, "use_softmax": options.pop("softmax", False)},
        embedding_init_std=0.5,
        **options,
    )
    with torch.no_grad():  # where they begin at 0 nothing would be seen of them
        for name, each in network.named_parameters():
            if name.endswith("position_bias"):
                each.uniform_(-0.5, 0.5)
    kernels.use_fused_units(network)
    return network


def make_batch(lengths: Sequence[int] = LENGTHS) -> Batch:
    generator = torch.Generator().manual_seed(2)
    n_samples = len(lengths)

    def places(feature, n):
        return torch.randint(feature.vocab_size, (n,), generator=generator)

    offsets = torch.tensor([0, *lengths]).cumsum(0)
    price = torch.randn(n_samples, generator=generator)
    price[::5] = torch.nan
    return Batch(
        sparse={
            **{each.name: places(each, n_samples) for each in (*TARGETS, CONTEXT[0])},
            "price": price,
            "vector": torch.randn(n_samples, 3, generator=generator),
        },
        sequences={each.name: places(each, int(offsets[-1])) for each in HISTORIES},
        offsets=offsets,
        segment_ids=torch.arange(n_samples).repeat_interleave(offsets.diff()),
        label=torch.randint(2, (n_samples,), generator=generator).float(),
    )


def rows_at_hand(network, dtype=torch.float32) -> dict[str, Tensor]:
    """All rows of all tables, so that an id is its place."""
    return {
        name: table.weight.detach().to(dtype, copy=True).requires_grad_()
        for name, table in network.embedding.tables()
    }


def by_operation(network, batch, n_samples=100, dtype=torch.float64) -> list[Tensor]:
    """The loss and all gradients, as torch computes them."""
    owners = {id(table.weight) for _, table in network.embedding.tables()}
    network = network.to(dtype)
    label = batch.label.to(dtype)
    rows = rows_at_hand(network, dtype)
    weights = [each for each in network.parameters() if id(each) not in owners]
    with plain_formula(network), network.embedding.gathered_rows(rows):
        logits = network.logits(batch)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, label, reduction="sum")
    loss = loss / n_samples
    found = [loss.detach(), *torch.autograd.grad(loss, [*weights, *rows.values()])]
    network.to(torch.float32)
    return found


def in_one_call(network, batch, n_samples=100, precision="float32") -> list[Tensor]:
    kernel = kernels.network_kernel(network, precision)
    assert kernel is not None
    found = kernel(rows_at_hand(network), batch, n_samples)
    assert found is not None
    return [found[0], *found[1]]


def assert_close(ours: list[Tensor], reference: list[Tensor], tolerance: float) -> None:
    """Compare by the length of the difference, relative to the length of the reference."""
    for number, (found, expected) in enumerate(zip(ours, reference, strict=True)):
        assert found.shape == expected.shape
        difference = (found.double() - expected.double()).norm()
        assert difference <= tolerance * expected.double().norm() + 1e-9, (number, difference)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("activation", ["relu", "prelu"])
@pytest.mark.parametrize("attention", ["joint", "per_feature"])
@pytest.mark.parametrize("product_inputs", [True, False])
@pytest.mark.parametrize("position_bias", [0, 4])
def test_float32_equals_the_operations_in_float64(
    activation, attention, product_inputs, position_bias, threads
):
    network = make_network(
        activation,
        attention=attention,
        product_inputs=product_inputs,
        position_bias=position_bias,
    )
    batch, before = make_batch(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = in_one_call(network, batch)
    finally:
        torch.set_num_threads(before)
    assert_close(ours, by_operation(network, batch), 2e-5)


# The last ones are wider than what goes into the first.
@pytest.mark.parametrize("dims", [(1,), (17, 16, 3), (3, 300, 9), (300,)])
def test_any_number_of_hidden_layers(dims):
    network, batch = make_network("prelu", dims=dims), make_batch([2, 1, 0, 5])
    assert_close(in_one_call(network, batch), by_operation(network, batch), 2e-5)


def test_bfloat16_differs_by_its_rounding():
    network = make_network("prelu", product_inputs=True)
    batch = make_batch()
    ours = in_one_call(network, batch, precision="bfloat16")
    reference = by_operation(network, batch)
    assert_close(ours, reference, 0.05)
    # It did not multiply in float32.
    assert not torch.allclose(ours[-1].double(), reference[-1], rtol=1e-5, atol=0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("position_bias", [0, 4])
def test_scores_are_those_of_the_operations_and_always_float32(precision, position_bias):
    network, batch = make_network("prelu", position_bias=position_bias), make_batch()
    logits = kernels.network_kernel(network, precision).logits(batch)
    with torch.inference_mode(), plain_formula(network.double()):
        expected = network.logits(batch)
    assert_close([logits], [expected], 1e-5)


@pytest.mark.skipif(
    not kernels.multiplies_in_bfloat16(), reason="this processor has no products in bfloat16"
)
def test_units_multiply_in_a_precision_of_their_own():
    network, batch = make_network("prelu", product_inputs=True), make_batch()
    exact = in_one_call(network, batch)
    kernels.use_fused_units(network, "bfloat16")
    rounded = in_one_call(network, batch)
    assert_close(rounded, exact, 0.05)
    assert not torch.allclose(rounded[-1], exact[-1], rtol=1e-5, atol=0)


def test_the_samples_of_a_step_can_be_cut_into_shares():
    network, batch = make_network(), make_batch()
    whole = in_one_call(network, batch)
    shares = [in_one_call(network, share) for share in batch.shares(3)]
    assert_close([sum(parts) for parts in zip(*shares, strict=True)], whole, 2e-6)


def test_the_weights_that_the_model_has_by_now_count():
    """An average of the weights takes their place for a while, in memory of its own."""
    network, batch = make_network(), make_batch()
    kernel, rows = kernels.network_kernel(network), rows_at_hand(network)
    kernel(rows, batch, 100)
    for each in network.parameters():
        each.data = each.data * 0.5
    loss, _ = kernel(rows_at_hand(network), batch, 100)
    assert float(loss) == pytest.approx(float(by_operation(network, batch)[0]), rel=1e-5)


@pytest.mark.parametrize("lengths", [[], [0, 0, 0], [0, 1, 0]])
def test_batches_with_next_to_no_position_are_left_to_torch(lengths):
    network = make_network()
    kernel = kernels.network_kernel(network)
    assert kernel(rows_at_hand(network), make_batch(lengths), 10) is None
    assert kernel.logits(make_batch(lengths)) is None


def test_labels_may_lie_between_0_and_1():
    network, batch = make_network(), make_batch()
    batch = dataclasses.replace(batch, label=torch.linspace(0, 1, batch.n_samples))
    assert_close(in_one_call(network, batch), by_operation(network, batch), 2e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("product_inputs", [True, False])
def test_nothing_is_read_before_it_is_written(product_inputs, precision):
    network = make_network("prelu", product_inputs=product_inputs, position_bias=4)
    batch = make_batch()
    kernels.use_fused_units(network, precision)
    expected = in_one_call(network, batch, precision=precision)
    torch.use_deterministic_algorithms(True)  # new memory is NaN
    try:
        found = in_one_call(network, batch, precision=precision)
    finally:
        torch.use_deterministic_algorithms(False)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("certainty", [-1e4, 1e4])
def test_a_loss_without_bounds_stays_finite(certainty):
    network, batch = make_network(), make_batch()
    with torch.no_grad():
        network.mlp.output.bias.fill_(certainty)
    ours = in_one_call(network, batch)
    assert all(each.isfinite().all() for each in ours)
    assert_close(ours, by_operation(network, batch), 2e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "where", ["mlp.layers.0.weight", "mlp.output.bias", "units.0.mlp.output.bias"]
)
# Rounding must not carry into the sign of the one whose bits are all set.
@pytest.mark.parametrize("bits", [0x7FC00000, -1])
def test_nan_is_passed_on(precision, where, bits):
    network = make_network()
    with torch.no_grad():
        network.get_parameter(where).view(torch.int32).view(-1)[0] = bits
    assert in_one_call(network, make_batch(), precision=precision)[0].isnan()


@pytest.mark.parametrize("name", ["item", "shop", "user", "items", "cates"])
@pytest.mark.parametrize("is_below", [True, False])
def test_a_place_that_is_no_row_at_hand_is_refused(name, is_below):
    network, batch = make_network(), make_batch()
    n_rows = {each.name: each.vocab_size for each in (*TARGETS, *HISTORIES, CONTEXT[0])}
    {**batch.sparse, **batch.sequences}[name][3] = -1 if is_below else n_rows[name]
    with pytest.raises(IndexError, match=r"outside the rows at hand, \[40, 12, 9, 30, 12\]"):
        in_one_call(network, batch)
    with pytest.raises(IndexError, match="outside the rows at hand"):
        kernels.network_kernel(network).logits(batch)


def test_places_in_narrower_numbers_are_read_as_they_are():
    network, batch = make_network(), make_batch()
    narrow = dataclasses.replace(
        batch, sequences={name: each.int() for name, each in batch.sequences.items()}
    )
    for ours, expected in zip(
        in_one_call(network, narrow), in_one_call(network, batch), strict=True
    ):
        assert torch.equal(ours, expected)


def test_numbers_of_another_type_are_read_as_they_are():
    network, batch = make_network(), make_batch()
    of_others = dataclasses.replace(
        batch, segment_ids=batch.segment_ids.int(), label=batch.label.double()
    )
    for ours, expected in zip(
        in_one_call(network, of_others), in_one_call(network, batch), strict=True
    ):
        assert torch.equal(ours, expected)


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


def test_rows_may_lie_in_any_order():
    network, batch = make_network(), make_batch()
    turned = {name: each.t().contiguous().t() for name, each in rows_at_hand(network).items()}
    _, ours = kernels.network_kernel(network)(turned, batch, 100)
    for found, expected in zip(ours, in_one_call(network, batch)[1:], strict=True):
        assert torch.equal(found, expected)


def test_the_type_that_torch_makes_tensors_of_does_not_matter():
    network, batch = make_network(), make_batch()
    expected = in_one_call(network, batch)
    torch.set_default_dtype(torch.float64)
    try:
        found = in_one_call(network, batch)
    finally:
        torch.set_default_dtype(torch.float32)
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        assert torch.equal(ours, theirs)


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


@pytest.fixture
def functions(monkeypatch):
    """A copy of what is called of torch, to be changed."""
    copied = whole_network._Torch.from_buffer_copy(whole_network._functions_of_torch())
    monkeypatch.setattr(whole_network, "_functions_of_torch", lambda: copied)
    return copied


def refuse_products(functions):
    refusing = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 3)(lambda *_: 1)
    functions.mm_out = ctypes.cast(refusing, ctypes.c_void_p)
    return refusing  # whoever calls it keeps it alive


def test_what_torch_refuses_is_an_error(functions):
    _refusing = refuse_products(functions)
    with pytest.raises(RuntimeError, match="torch has refused a product of the final MLP"):
        in_one_call(make_network(), make_batch())


@pytest.mark.parametrize("is_refused", [False, True])
def test_all_tensors_of_a_call_are_given_back(functions, is_refused):
    calls = {"from_blob": 0, "release": 0}

    def counting(name, *types):
        kind = ctypes.CFUNCTYPE(ctypes.c_int32, *types)
        function = kind(getattr(functions, name))

        def call(*of):
            calls[name] += 1
            return function(*of)

        counted = kind(call)
        setattr(functions, name, ctypes.cast(counted, ctypes.c_void_p))
        return counted

    number, address, small = ctypes.c_int64, ctypes.c_void_p, ctypes.c_int32
    shape = (address, number, address, address, number)
    _alive = [
        counting("from_blob", *shape, small, small, small, address),
        counting("release", address),
        refuse_products(functions) if is_refused else None,
    ]
    with pytest.raises(RuntimeError) if is_refused else contextlib.nullcontext():
        in_one_call(make_network(), make_batch())
    assert calls["from_blob"] == calls["release"] > 0
