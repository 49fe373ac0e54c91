"""What the compiled operations on embedding rows do equals the plain formulas."""

import copy

import pytest
import torch
from torch import nn

from din_core.network import kernels
from din_core.network.features import SparseFeature
from din_core.network.kernels import RowKernel
from din_core.network.layers.embedding import EmbeddingTables
from din_core.training.averaging import WeightEMA
from din_core.training.lookups import distinct_by_marks
from din_core.training.regularization import GatheredRowsL2
from din_core.training.row_adam import RowAdam

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"the plain formula runs here: {kernels.why_not()}"
)

FEATURES = [SparseFeature("narrow", 9, 5), SparseFeature("wide", 7, 37)]


def looked_up(kernel, places, dtype=torch.float32, threads=1):
    """Two features side by side in rows at hand, and the gradients of those rows."""
    generator = torch.Generator().manual_seed(0)
    rows = {
        feature.name: torch.randn(feature.vocab_size, feature.dim, generator=generator).to(dtype)
        for feature in FEATURES
    }
    for each in rows.values():
        each.requires_grad_()
    tables, before = EmbeddingTables(FEATURES), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with tables.gathered_rows(rows, kernel):
            out = tables.side_by_side(FEATURES, places)
        (out * torch.arange(out.numel()).view_as(out)).sum().backward()
    finally:
        torch.set_num_threads(before)
    return out.detach(), [each.grad for each in rows.values()]


@pytest.mark.parametrize("threads", [1, 2])
def test_side_by_side_look_ups_equal_the_plain_ones(threads):
    places = [torch.tensor([8, 0, 3, 3, 8, 8]), torch.tensor([0, 6, 6, 1, 6, 6])]
    out, gradients = looked_up(RowKernel(), places, threads=threads)
    expected, expected_gradients = looked_up(None, places)
    assert torch.equal(out, expected)
    for ours, plain in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, plain)


def test_a_look_up_of_nothing_is_empty():
    out, gradients = looked_up(RowKernel(), [torch.zeros(0, dtype=torch.int64)] * 2)
    assert out.shape == (0, 42)
    assert not any(each.any() for each in gradients)


@pytest.mark.parametrize("place", [-1, 7])
def test_a_place_that_is_no_row_at_hand_is_refused(place):
    with pytest.raises(IndexError, match=r"outside the rows at hand, \[9, 7\]"):
        looked_up(RowKernel(), [torch.tensor([0, 1]), torch.tensor([0, place])])


@pytest.mark.parametrize(
    ("index", "dtype"), [(torch.int32, torch.float32), (torch.int64, torch.float64)]
)
def test_what_the_kernel_does_not_take_is_looked_up_plainly(index, dtype):
    places = [torch.tensor([8, 0], dtype=index), torch.tensor([1, 6], dtype=index)]
    assert torch.equal(looked_up(RowKernel(), places, dtype)[0], looked_up(None, places, dtype)[0])


@pytest.mark.parametrize("ids", [[], [4], [3, 0, 3, 6, 0, 0, 2], [6, 5, 6, 5, 6]])
def test_distinct_ids_and_their_places_are_the_plain_ones(ids):
    ids = torch.tensor(ids, dtype=torch.int64)
    dirty = torch.arange(7, dtype=torch.int32) - 1  # as an earlier step left them
    rows, places = RowKernel().distinct(ids, dirty.clone())
    expected = distinct_by_marks(ids, dirty.clone())
    assert torch.equal(rows, expected.rows)
    assert torch.equal(places, expected.place)
    assert torch.equal(rows[places], ids)


@pytest.mark.parametrize("bad", [-1, 7])
def test_an_id_outside_the_table_is_named(bad):
    with pytest.raises(IndexError, match=rf"{bad}.*outside 0…6"):
        RowKernel().distinct(torch.tensor([1, bad]), torch.zeros(7, dtype=torch.int32))


def trained_rows(kernel, dtype, *, dim, l2, penalty=None, gap=0):
    """Weights and moments of a table whose rows are gathered now and then."""
    torch.manual_seed(1)
    table = nn.Embedding(12, dim, padding_idx=0).to(dtype)
    optimizer = RowAdam({"t": table}, 3e-3, l2=l2, penalty=penalty, kernel=kernel)
    state = optimizer.state["t"]
    state["moments"] = state["moments"].to(dtype)
    generator = torch.Generator().manual_seed(2)
    for step in range(30):
        rows = optimizer.take({"t": torch.randperm(12, generator=generator)[:4]})["t"]
        scale = 10.0 ** torch.randint(-4, 1, (4, dim), generator=generator)
        rows.grad = (torch.randn(4, dim, generator=generator) * scale).to(dtype)
        optimizer.step()
        if step == 20:
            optimizer.n_steps += gap  # steps that gathered none of the rows
    optimizer.catch_up_all()
    assert bool((state["last_step"] == optimizer.n_steps).all())
    return table.weight.detach(), state["moments"]


@pytest.mark.parametrize("dim", [3, 32])
@pytest.mark.parametrize("l2", [0.0, 2e-3])
@pytest.mark.parametrize("gap", [0, 50, 3_000])
def test_rows_move_as_by_the_plain_formula_in_float64(dim, l2, gap):
    weight, moments = trained_rows(RowKernel(), torch.float32, dim=dim, l2=l2, gap=gap)
    expected, expected_moments = trained_rows(None, torch.float64, dim=dim, l2=l2, gap=gap)
    torch.testing.assert_close(weight.double(), expected, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(moments.double(), expected_moments, rtol=1e-4, atol=1e-9)
    assert not weight[0].any()


def test_a_penalty_on_gathered_rows_is_taken_in():
    options = {"dim": 8, "l2": 1e-3, "penalty": GatheredRowsL2(0.1)}
    weight, _ = trained_rows(RowKernel(), torch.float32, **options)
    expected, _ = trained_rows(None, torch.float64, **options)
    torch.testing.assert_close(weight.double(), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("n_parts", [1, 2, 3])
def test_the_parts_of_a_gradient_are_added_up(n_parts):
    def moved(kernel):
        torch.manual_seed(5)
        table = nn.Embedding(9, 5)
        optimizer = RowAdam({"t": table}, 0.1, kernel=kernel)
        for _ in range(3):
            optimizer.take({"t": torch.arange(1, 9)})
            optimizer.step({"t": [torch.randn(8, 5) for _ in range(n_parts)]})
        return table.weight.detach()

    torch.testing.assert_close(moved(RowKernel()), moved(None))


def test_a_row_that_missed_no_step_is_taken_as_it_is():
    torch.manual_seed(3)
    table = nn.Embedding(3, 4)
    optimizer = RowAdam({"t": table}, 0.1, l2=0.1, kernel=RowKernel())
    for _ in range(3):
        before = table.weight.detach().clone()
        rows = optimizer.take({"t": torch.arange(3)})["t"]
        assert torch.equal(rows, before)
        rows.grad = torch.randn(3, 4)
        optimizer.step()


def test_the_average_of_rows_is_the_plain_one():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Embedding(6, 5))
    twin = copy.deepcopy(model)
    averages = []
    for each, kernel in ((model, RowKernel()), (twin, None)):
        table = each[0]
        average = WeightEMA(each, {"t": table}, 0.9, kernel)
        for rows in ([0, 3], [1, 3, 5], [2], [3, 0]):
            index = torch.tensor(rows)
            with torch.no_grad():
                average.before_update("t", index, table.weight[index])
                table.weight[index] += index.unsqueeze(1) + 1.0
            average.step()
        with average.applied():
            averages.append(table.weight.detach().clone())
    torch.testing.assert_close(*averages)
