"""One table for each group of features, row 0 empty, ids exact."""

from __future__ import annotations

import pytest
import torch

from din_core.network.features import SequenceFeature, SparseFeature
from din_core.network.layers.embedding import EmbeddingTables

ITEM = SparseFeature("target_item_id", 6, 2)
HISTORY = SequenceFeature("hist_item_id", 6, 2, "concat", shared_with="target_item_id")
USER = SparseFeature("user_id", 4, 3)


def test_shared_features_look_up_the_same_rows():
    tables = EmbeddingTables([ITEM, HISTORY, USER])
    ids = torch.tensor([3, 5])
    assert torch.equal(tables(ITEM, ids), tables(HISTORY, ids))
    assert tables(HISTORY, torch.tensor([[1, 2, 3], [4, 5, 0]])).shape == (2, 3, 2)
    assert [(name, table.weight.shape) for name, table in tables.tables()] == [
        ("target_item_id", (6, 2)),
        ("user_id", (4, 3)),
    ]


def test_row_zero_is_zero_and_never_trained():
    tables = EmbeddingTables([ITEM], init_std=1.0)
    optimizer = torch.optim.SGD(tables.parameters(), lr=1.0)
    tables(ITEM, torch.tensor([0, 2])).sum().backward()
    optimizer.step()
    assert torch.equal(tables.table(ITEM).weight[0], torch.zeros(2))


def test_sparse_gradients_hold_the_rows_of_the_batch_only():
    tables = EmbeddingTables([ITEM, HISTORY], sparse=True)
    (tables(ITEM, torch.tensor([3])).sum() + tables(HISTORY, torch.tensor([3, 5])).sum()).backward()
    gradient = tables.table(ITEM).weight.grad.coalesce()
    assert gradient.indices().tolist() == [[3, 5]]
    assert gradient.values().tolist() == [[2.0, 2.0], [1.0, 1.0]]


def test_gathered_rows_are_looked_up_by_place_and_get_the_gradient():
    tables = EmbeddingTables([ITEM, HISTORY, USER])
    item_rows = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    with tables.gathered_rows({"target_item_id": item_rows}):
        target = tables(ITEM, torch.tensor([2]))
        history = tables(HISTORY, torch.tensor([[1, 2], [0, 1]]))
        user = tables(USER, torch.tensor([3]))  # not at hand: by id, as always
    assert target.tolist() == [[3.0, 4.0]]
    assert history.tolist() == [[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [1.0, 2.0]]]
    assert torch.equal(user, tables.table(USER).weight[[3]])
    (target.sum() + history.sum()).backward()
    assert item_rows.grad.tolist() == [[1.0, 1.0], [2.0, 2.0], [2.0, 2.0]]
    assert tables.table(ITEM).weight.grad is None
    assert torch.equal(tables(ITEM, torch.tensor([5])), tables.table(ITEM).weight[[5]])


def test_gathered_rows_are_gone_after_an_error():
    tables = EmbeddingTables([ITEM])
    with pytest.raises(TypeError), tables.gathered_rows({"target_item_id": torch.zeros(1, 2)}):
        tables(ITEM, torch.zeros(1))
    assert torch.equal(tables(ITEM, torch.tensor([5])), tables.table(ITEM).weight[[5]])


def test_initial_rows_have_the_asked_for_deviation():
    torch.manual_seed(0)
    big = SparseFeature("item", 5_000, 8)
    weight = EmbeddingTables([big], init_std=0.03).table(big).weight
    assert weight[1:].std().item() == pytest.approx(0.03, rel=0.02)
    assert weight[1:].mean().item() == pytest.approx(0.0, abs=1e-3)


def test_ids_above_the_range_of_float32_are_exact():
    # 2**24 + 1 is the first integer that float32 does not hold.
    many = SparseFeature("item", 2**24 + 3, 1)
    tables = EmbeddingTables([many], init_std=0.0)
    with torch.no_grad():
        tables.table(many).weight[2**24 + 1] = 1.0
    looked_up = tables(many, torch.tensor([2**24, 2**24 + 1, 2**24 + 2]))
    assert looked_up.squeeze(1).tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool])
def test_ids_that_are_no_integers_are_refused(dtype):
    tables = EmbeddingTables([ITEM])
    with pytest.raises(TypeError, match=r"'target_item_id': indices are torch\..*pass int64"):
        tables(ITEM, torch.ones(2, dtype=dtype))


@pytest.mark.parametrize("bad", [6, -1])
def test_an_id_outside_the_table_is_named(bad):
    tables = EmbeddingTables([ITEM])
    with pytest.raises(IndexError, match=rf"'target_item_id': index .*{bad}.* is outside 0…5"):
        tables(ITEM, torch.tensor([1, bad]))


@pytest.mark.parametrize("name", ["type", "weight.kg", "forward", "a%2Eb", 'a"b', "a\nb"])
def test_any_column_name_will_do(name):
    feature = SparseFeature(name, 3, 2)
    tables = EmbeddingTables([feature, SparseFeature("other", 3, 2)])
    assert tables(feature, torch.tensor([1])).shape == (1, 2)
    assert len(tables.state_dict()) == 2


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        ([ITEM, SparseFeature("target_item_id", 7, 2)], "two different features are called"),
        ([HISTORY], "'hist_item_id' is shared with 'target_item_id', which is not a feature"),
        (
            [ITEM, SparseFeature("other", 6, 3, shared_with="target_item_id")],
            "'other' and 'target_item_id' share one table but ask for 6 x 3 and 6 x 2",
        ),
        (
            [SparseFeature("a", 3, 2, "b"), SparseFeature("b", 3, 2, "a")],
            "share their table in a circle: a → b",
        ),
    ],
    ids=["same name", "no owner", "width", "circle"],
)
def test_impossible_tables_are_refused(features, sentence):
    with pytest.raises(ValueError, match=sentence):
        EmbeddingTables(features)


def test_an_initializer_makes_the_table_of_its_owner():
    def counted(vocab_size, embed_dim):
        rows = torch.arange(vocab_size * embed_dim, dtype=torch.float32)
        return torch.nn.Embedding.from_pretrained(rows.view(vocab_size, embed_dim), freeze=True)

    feature = SparseFeature("a", 3, 2, initializer=counted)
    tables = EmbeddingTables([feature, SparseFeature("b", 3, 2)])
    # Row 0 is padding, whatever the initializer says.
    assert tables.table(feature).weight.tolist() == [[0, 0], [2, 3], [4, 5]]
    assert not tables.table(feature).weight.requires_grad
    assert tables.table(SparseFeature("b", 3, 2)).weight.requires_grad


def test_an_initializer_of_another_size_is_refused():
    feature = SparseFeature("a", 3, 2, initializer=lambda *_: torch.nn.Embedding(4, 2))
    with pytest.raises(ValueError, match=r"made a table of \[4, 2\], not of \[3, 2\]"):
        EmbeddingTables([feature])
