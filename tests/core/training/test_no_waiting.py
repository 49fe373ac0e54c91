"""A training step gives a GPU all its work without waiting for any of its results.

No GPU takes part: the steps run on the CPU in the way they do on a device, under a dispatch mode
that refuses what would make the host wait there. And they run on the device ``meta``, where tensors
have no values that anybody could wait for.
"""

import contextlib
import dataclasses

import numpy as np
import pytest
import torch

from din_core.config import BaseModelConfig, DINConfig, PNNConfig, TrainingConfig
from din_core.inputs.batches import BatchGatherer
from din_core.inputs.epochs import EpochPlanner
from din_core.network.models import build_model
from din_core.training.learner import Learner
from din_core.training.regularization import occurrences
from tests.core.training.no_waiting import NoWaiting
from tests.core.training_logs import planted_log

SHARED = {"embed_dim": 4, "mlp_dims": (16,), "embedding_init_std": 0.1, "use_user": True}
MODEL = DINConfig(**SHARED, attention_dims=(8, 8))
LOOP = TrainingConfig(
    batch_size=50,
    weight_decay=1e-3,
    embedding_l2=1e-2,
    ema_decay=0.9,
    negatives="redrawn",
    fused=False,
)
NETWORKS = {
    "dice, dropout": dataclasses.replace(MODEL, activation="dice", dropout=0.2),
    "prelu, softmax": dataclasses.replace(MODEL, activation="prelu", use_softmax=True),
    "relu, joint, products, biases": dataclasses.replace(
        MODEL, activation="relu", attention="joint", product_inputs=True, position_bias=2
    ),
    "base model": BaseModelConfig(**SHARED),
    "inner products": PNNConfig(**SHARED),
}
LOOPS = {
    "l2, average": {},
    "mini-batch aware": {"regularization": "mini_batch_aware"},
    "bare": {"embedding_l2": 0.0, "ema_decay": 0.0, "weight_decay": 0.0},
}


def log_with_gaps():
    """Items of no category, which look up padding, and samples without any history."""
    data = planted_log(n_users=15)
    train = data.samples["train"]
    start = np.where(train.position % 3 == 0, train.end, train.start).astype(np.int32)
    cates = data.item_attributes["cate_idx"].copy()
    cates[[3, 14]] = 0
    return dataclasses.replace(
        data,
        item_attributes={"cate_idx": cates},
        samples={**data.samples, "train": dataclasses.replace(train, start=start)},
    )


def train(
    network, loop, *, guard=None, n_epochs=1, every=1, precision="float32", device="cpu", **options
):
    """Train on every so many steps, the columns of an epoch resident as they are on a GPU.

    Returns:
        The learner, and the losses of its steps.
    """
    data = log_with_gaps()
    torch.manual_seed(0)
    model = build_model(network, data.vocabulary).to(device)
    learner = Learner(model, loop, precision, **options)
    gatherer = BatchGatherer(data, torch.device(device))
    planner, losses = EpochPlanner(data, loop), []
    for epoch in range(n_epochs):
        plan = planner.plan(epoch)
        if loop.regularization == "mini_batch_aware":
            learner.begin_epoch(occurrences(data, plan))
        columns = plan.columns().items()
        resident = {name: torch.as_tensor(each).to(device) for name, each in columns}
        for rows, n_samples in [*plan.steps(loop.batch_size)][::every]:
            n_positions = plan.n_positions(rows)
            with contextlib.nullcontext() if guard is None else guard:
                batch = gatherer.gather(
                    **{name: each[rows] for name, each in resident.items()},
                    n_positions=n_positions,
                )
                losses.append(learner.step(batch, n_samples, 0.01))
    return learner, losses


def pairs(quick_networks=tuple(NETWORKS)):
    """Networks and loops: each with the first of the others, and the rest for the thorough tests.

    A loop does the same with any network, whose weights are all that it knows of it.
    """
    first_network, first_loop = next(iter(NETWORKS)), next(iter(LOOPS))
    return [
        pytest.param(
            NETWORKS[network],
            LOOPS[options],
            id=f"{network}-{options}",
            marks=[]
            if network == first_network or (options == first_loop and network in quick_networks)
            else [pytest.mark.thorough],
        )
        for network in NETWORKS
        for options in LOOPS
    ]


@pytest.mark.parametrize(("network", "options"), pairs())
def test_no_step_waits_for_the_device(network, options):
    hold_steps_to_no_waiting(network, options, "float32")


# The layers that change their type are those of the two networks with all kinds of them.
@pytest.mark.parametrize(
    ("network", "options"), pairs(("dice, dropout", "relu, joint, products, biases"))
)
def test_no_step_of_mixed_precision_waits_for_the_device(network, options):
    hold_steps_to_no_waiting(network, options, "bfloat16")


def hold_steps_to_no_waiting(network, options, precision):
    guard = NoWaiting()
    loop = dataclasses.replace(LOOP, **options)
    _, losses = train(network, loop, guard=guard, precision=precision, static_size=True)
    assert len(losses) > 3
    assert torch.isfinite(torch.stack(losses)).all()
    # Forward, backward and all updates were under guard.
    assert {"repeat_interleave", "index_select", "index_add", "_fused_adam_", "index_copy_"} <= {
        *guard.seen
    }


@pytest.mark.parametrize(("network", "options"), pairs())
def test_all_of_a_step_lies_on_the_device_of_the_model(network, options, monkeypatch):
    # Fused Adam has no form without values, and the others count their steps on the host.
    monkeypatch.setattr(
        "din_core.training.learner.dense_adam", lambda weights, *_: torch.optim.SGD(weights, 0.1)
    )
    loop = dataclasses.replace(LOOP, **options)
    # Without values all steps are alike but the last one, which is shorter.
    _, losses = train(network, loop, guard=NoWaiting(), device="meta", every=5)
    assert len(losses) == 2
    assert {loss.device.type for loss in losses} == {"meta"}


def test_with_rows_counted_a_step_would_wait():
    with pytest.raises(AssertionError, match="mask, whose true elements the host must count"):
        train(MODEL, LOOP, guard=NoWaiting(), static_size=False)


@pytest.mark.parametrize("options", LOOPS.values(), ids=LOOPS)
def test_counted_rows_and_a_static_number_of_them_train_alike(options):
    loop = dataclasses.replace(LOOP, **options)
    (counted, losses), (static, static_losses) = (
        train(MODEL, loop, n_epochs=3, static_size=static_size) for static_size in (False, True)
    )
    torch.testing.assert_close(losses, static_losses, rtol=1e-5, atol=1e-7)
    expected, found = counted.state(), static.state()
    for name, each in expected.items():
        # When padding was last at hand is of no consequence.
        first = 1 if name.endswith("last_step") or name.startswith("average.log") else 0
        torch.testing.assert_close(
            found[name][first:] if first else found[name],
            each[first:] if first else each,
            rtol=1e-4,
            atol=1e-6,
            msg=lambda text, name=name: f"{name}: {text}",
        )
    for learner in (counted, static):
        with learner.evaluated_weights():
            for table in learner.tables.values():
                assert not table.weight[0].any()
                assert table.weight[1:].any(dim=1).all()


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (lambda x: x.sum().item(), "wait for its result"),
        (lambda x: bool(x.any()), "wait for its result"),
        (lambda x: int(x[0]), "wait for its result"),
        (lambda x: x.unique(), "wait for its result"),
        (lambda x: torch.unique_consecutive(x), "wait for its result"),
        (lambda x: x.nonzero(), "wait for its result"),
        (lambda x: x.masked_select(x > 0), "wait for its result"),
        (lambda x: torch.equal(x, x), "wait for its result"),
        (lambda x: x[x > 0], "takes a mask"),
        (lambda x: x.clone().index_put_((x > 0,), x[:1]), "takes a mask"),
        (lambda x: torch.repeat_interleave(x), "as large as its values say"),
        (lambda x: x.to("meta"), "copies to another device"),
        (lambda x: torch.zeros(3, device="meta").copy_(x), "mixes devices"),
        (lambda x: torch.zeros(3, device="meta").index_select(0, x), "mixes devices"),
        (lambda x: x.float().to_sparse(), "makes a sparse tensor"),
        (
            lambda x: torch.sparse_coo_tensor(x.unsqueeze(0), x, (3,), check_invariants=False),
            "makes a sparse tensor",
        ),
    ],
)
def test_the_guard_refuses_what_a_host_waits_for(operation, why):
    x = torch.tensor([1, 2, 2])
    with pytest.raises(AssertionError, match=why), NoWaiting():
        operation(x)
