"""A network computed in one call equals the same computed operation by operation."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import math

import pytest
import torch

from din_core.network import kernels
from din_core.network.batch import Batch
from din_core.network.features import SequenceFeature, SparseFeature
from din_core.network.kernels import whole_network
from din_core.network.layers.attention import plain_formula
from din_core.network.models import DIN
from tests.core.network.small_networks import (
    CONTEXT,
    HISTORIES,
    TARGETS,
    assert_close,
    by_operation,
    in_one_call,
    make_batch,
    make_network,
    rows_at_hand,
)

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"the plain formula runs here: {kernels.why_not()}"
)


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


@pytest.mark.parametrize(
    ("weight", "bias", "in_float32", "in_bfloat16"),
    [
        (-3.0, 3.01, 0.01, 0.015625),
        (-3.01, 3.0, -0.01, -0.015625),
        (1.0, 0.005, 1.005, 1.0078125),
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_log_odds_and_their_gradient_are_rounded_as_by_autocast(
    weight, bias, in_float32, in_bfloat16, precision
):
    """One sample, whose last hidden layer gives 1 to the output."""
    network = make_network(dims=(1,))
    with torch.no_grad():
        network.mlp.layers[0].weight.zero_()
        network.mlp.layers[0].bias.fill_(1.0)
        network.mlp.output.weight.fill_(weight)
        network.mlp.output.bias.fill_(bias)
    batch = dataclasses.replace(make_batch([3]), label=torch.ones(1))
    loss, *gradients = in_one_call(network, batch, 1, precision)
    log_odds = in_float32 if precision == "float32" else in_bfloat16
    assert float(loss) == pytest.approx(math.log1p(math.exp(-log_odds)), abs=1e-5)
    expected = torch.tensor(-1 / (1 + math.exp(log_odds)))
    if precision == "bfloat16":
        expected = expected.bfloat16().float()
    of_bias = gradients[-1 - len(rows_at_hand(network))]  # the last weight before the rows
    assert float(of_bias) == pytest.approx(float(expected), abs=1e-6)


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


def test_a_table_that_several_histories_share_gets_all_of_its_gradient():
    """Whatever the number of threads: each adds to rows that no other one adds to."""
    features = [SparseFeature("bought", 2, 16), SparseFeature("seen", 2, 16, "bought")]
    histories = [
        SequenceFeature(f"{each.name}_before", 2, 16, pooling="concat", shared_with=each.name)
        for each in features
    ]
    torch.manual_seed(1)
    network = DIN(
        *([], histories, features),
        {"dims": (20,), "activation": "relu"},
        {"dims": (20, 12), "activation": "relu"},
        attention="joint",
        embedding_init_std=0.5,
    )
    kernels.use_fused_units(network)
    lengths = torch.arange(1, 250)
    segment_ids, n_samples = torch.repeat_interleave(lengths), len(lengths)
    batch = Batch(
        # All look up the same row, and so would meet there.
        sparse={each.name: torch.ones(n_samples, dtype=torch.int64) for each in features},
        sequences={each.name: torch.ones_like(segment_ids) for each in histories},
        offsets=torch.nn.functional.pad(lengths.cumsum(0), (1, 0)),
        segment_ids=segment_ids,
        label=torch.randint(2, (n_samples,)).float(),
    )
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = in_one_call(network, batch)
        assert_close(alone, by_operation(network, batch), 1e-3)  # one row is a long sum in float32
        torch.set_num_threads(2)
        for _ in range(20):
            assert_close(in_one_call(network, batch), alone, 1e-5)
    finally:
        torch.set_num_threads(before)


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
