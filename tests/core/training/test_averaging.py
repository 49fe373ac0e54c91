"""The lazy average of embedding rows against the plain one over all of them."""

import pytest
import torch
from torch import nn

from din_core.training.averaging import WeightEMA
from din_core.training.lookups import LookUps
from din_core.training.row_adam import RowAdam


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 2)
        self.layer = nn.Linear(2, 1)
        self.register_buffer("running", torch.zeros(2))
        self.register_buffer("n_updates", torch.zeros((), dtype=torch.int64))


@pytest.mark.parametrize("dim", [16, 64])
def test_training_keeps_as_many_bytes_of_a_row_as_adr_33_reckons_with(dim):
    table = nn.Embedding(100, dim)
    average = WeightEMA(table, {"t": table}, 0.9)
    marks = LookUps({"t": 100}, {"x": "t"}, static_size=False)._marks
    kept = [*RowAdam({"t": table}, 1e-3).state["t"].values(), *marks.values()]
    # Beside the weight itself and its copy of the best epoch, of four bytes each.
    assert 2 * 4 * dim + sum(each.nbytes for each in kept) / 100 == 16 * dim + 8
    of_average = [average._row_average["t"], average._row_log["t"]]
    assert sum(each.nbytes for each in of_average) / 100 == 4 * dim + 8


def run(net, average, n_steps, *, oracle=None, decay=0.0, keeps_start=False):
    """Move weights at random, the rows of the table only now and then."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for step in range(1, n_steps + 1):
            rows = torch.randperm(5, generator=generator)[: int(step % 3)]
            before = net.table.weight[rows]
            after = before + torch.randn(before.shape, generator=generator)
            average.before_update("table", rows, before)
            net.table.weight[rows] = after
            net.layer.weight += torch.randn(net.layer.weight.shape, generator=generator)
            net.running += 1
            net.n_updates += 1
            average.step()
            if oracle is not None:
                d = decay if keeps_start else min(decay, (1 + step) / (10 + step))
                for name, tensor in net.state_dict().items():
                    oracle[name] = d * oracle[name] + (1 - d) * tensor


@pytest.mark.parametrize("decay", [0.1, 0.9, 0.998])
def test_the_lazy_average_is_the_plain_one(decay):
    net = Net()
    oracle = {name: tensor.clone().float() for name, tensor in net.state_dict().items()}
    average = WeightEMA(net, {"table": net.table}, decay)
    run(net, average, 60, oracle=oracle, decay=decay)
    with average.applied():
        held = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for name in ("table.weight", "layer.weight", "running"):
        torch.testing.assert_close(held[name], oracle[name], rtol=1e-5, atol=1e-5)


def test_weights_of_another_model_are_kept_from_the_first_step_and_random_rows_are_not():
    net, decay, n_steps = Net(), 0.9, 5
    start = net.table.weight.detach().clone()
    oracle = {name: tensor.clone().float() for name, tensor in net.state_dict().items()}
    new = torch.tensor([1, 4])
    average = WeightEMA(net, {"table": net.table}, decay, new_rows={"table": new})
    run(net, average, n_steps, oracle=oracle, decay=decay, keeps_start=True)
    # Of what the new rows' average holds, 0.9 ** 5 is their random start.
    p = decay**n_steps
    rows = oracle["table.weight"].clone()
    rows[new] = (rows[new] - p * start[new]) / (1 - p)
    as_it_is = {name: each.clone() for name, each in average.state().items()}
    for _ in range(2):  # looking at it changes nothing
        with average.applied():
            torch.testing.assert_close(net.table.weight, rows, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(net.layer.weight, oracle["layer.weight"])
    again = average.state()
    torch.testing.assert_close(again["rows.table"][new], oracle["table.weight"][new])
    assert torch.equal(again["dense.layer.weight"], as_it_is["dense.layer.weight"])


def test_counters_are_copied_not_averaged():
    net = Net()
    average = WeightEMA(net, {"table": net.table}, 0.9)
    run(net, average, 4)
    with average.applied():
        assert net.n_updates.item() == 4


def test_looking_at_the_average_gives_the_weights_back_and_changes_nothing_after():
    nets = Net(), Net()
    nets[1].load_state_dict(nets[0].state_dict())
    averages = [WeightEMA(net, {"table": net.table}, 0.9) for net in nets]
    for net, average in zip(nets, averages, strict=True):
        run(net, average, 5)
    before = {name: tensor.clone() for name, tensor in nets[0].state_dict().items()}
    with averages[0].applied():
        assert not torch.equal(nets[0].table.weight, before["table.weight"])
    assert all(torch.equal(nets[0].state_dict()[name], each) for name, each in before.items())
    for net, average in zip(nets, averages, strict=True):
        run(net, average, 5)
    with averages[0].applied(), averages[1].applied():
        torch.testing.assert_close(nets[0].table.weight, nets[1].table.weight)


def test_weights_come_back_after_an_error():
    net = Net()
    average = WeightEMA(net, {"table": net.table}, 0.9)
    run(net, average, 3)
    before = net.layer.weight.detach().clone()
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    assert torch.equal(net.layer.weight, before)


def test_a_restored_average_goes_on_bit_for_bit():
    nets = Net(), Net()
    averages = [WeightEMA(net, {"table": net.table}, 0.9) for net in nets]
    run(nets[0], averages[0], 7)
    nets[1].load_state_dict(nets[0].state_dict())
    averages[1].restore({name: each.clone() for name, each in averages[0].state().items()})
    for net, average in zip(nets, averages, strict=True):
        run(net, average, 7)
    first, second = (average.state() for average in averages)
    assert all(torch.equal(first[name], second[name]) for name in first)
