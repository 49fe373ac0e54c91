"""Small networks and batches of all kinds of features, and two ways to compute them."""

from __future__ import annotations

from collections.abc import Sequence

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
from din_core.network.layers.attention import plain_formula
from din_core.network.models import DIN

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
