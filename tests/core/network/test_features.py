"""Features describe inputs, pair by name, and refuse what cannot be."""

from __future__ import annotations

import dataclasses

import pytest

from din_core.network.features import (
    DenseFeature,
    SequenceFeature,
    SparseFeature,
    auto_embed_dim,
    pair_histories,
)
from din_core.network.vocabulary import Vocabulary


def target(name="target_item_id", vocab_size=10, embed_dim=4, **options):
    return SparseFeature(name, vocab_size, embed_dim, **options)


def history(name="hist_item_id", vocab_size=10, embed_dim=4, pooling="concat", **options):
    options.setdefault("shared_with", "target_item_id")
    return SequenceFeature(name, vocab_size, embed_dim, pooling, **options)


@pytest.mark.parametrize(("vocab_size", "expected"), [(1, 6), (16, 12), (17, 12), (10_000, 60)])
def test_automatic_width_is_six_times_the_fourth_root(vocab_size, expected):
    assert auto_embed_dim(vocab_size) == expected
    assert SparseFeature("user_id", vocab_size).dim == expected
    assert SequenceFeature("hist", vocab_size).dim == expected


def test_arguments_come_in_the_order_of_torch_rechub():
    feature = SequenceFeature("hist_item_id", 10, 4, "concat", "target_item_id", 0)
    assert (feature.pooling, feature.shared_with, feature.padding_idx) == (
        "concat",
        "target_item_id",
        0,
    )
    assert SequenceFeature("hist_item_id", 10, 4).pooling == "mean"
    assert SparseFeature("item", 10, 4, "target_item_id", 0).table == "target_item_id"


def test_a_feature_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        target().vocab_size = 11


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SparseFeature("", 3), "a feature needs a name"),
        (lambda: SparseFeature("item", 0), "feature 'item': vocab_size 0 leaves no row"),
        (lambda: SparseFeature("item", 3, 0), "feature 'item': embed_dim 0 must be 1 or more"),
        (lambda: SparseFeature("item", 3, 4, "item"), "'item' is shared with itself"),
        (lambda: SparseFeature("item", 3, 4, padding_idx=2), "'item': padding_idx 2 is not 0"),
        (lambda: SequenceFeature("hist", 3, 4, "max"), "'hist': pooling 'max' is none of"),
    ],
)
def test_impossible_features_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_histories_pair_by_name_and_not_by_position():
    cate, item = target("target_cate_id", 5), target("target_item_id", 10)
    hist_item = history("hist_item_id", 10, shared_with="target_item_id")
    hist_cate = history("hist_cate_id", 5, shared_with="target_cate_id")
    assert pair_histories([hist_item, hist_cate], [cate, item]) == {
        "hist_item_id": "target_item_id",
        "hist_cate_id": "target_cate_id",
    }


def test_a_target_without_history_is_legal():
    assert pair_histories([history()], [target(), target("user_id", 99, 3)]) == {
        "hist_item_id": "target_item_id"
    }


def test_history_and_target_may_both_share_a_third_table():
    shared = target("target_item_id", shared_with="item_id")
    assert pair_histories([history(shared_with="item_id")], [shared]) == {
        "hist_item_id": "target_item_id"
    }


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (
            history(shared_with=None),
            r"history 'hist_item_id' names no target.*\('target_item_id', 'target_shop'\)",
        ),
        (
            history("hist_cate_id", shared_with="target_cate_id"),
            "history 'hist_cate_id' is shared with 'target_cate_id', which is not among",
        ),
        (
            history(pooling="mean"),
            "'hist_item_id' and target 'target_item_id': pooling 'mean'.*use pooling='concat'",
        ),
        (
            history(embed_dim=8),
            "'hist_item_id' and target 'target_item_id' are 8 and 4 wide",
        ),
        (
            history(vocab_size=11),
            "'hist_item_id' and target 'target_item_id' have vocab_size 11 and 10",
        ),
    ],
    ids=["no target", "unknown target", "pooling", "width", "vocabulary"],
)
def test_mismatches_are_refused_with_both_names(bad, sentence):
    with pytest.raises(ValueError, match=sentence):
        pair_histories([bad], [target(), target("target_shop")])


def test_two_histories_of_one_target_are_refused():
    with pytest.raises(ValueError, match="'hist_item_id' and 'cart_item_id' are both paired"):
        pair_histories([history(), history("cart_item_id")], [target()])


def test_vocabulary_survives_the_way_through_plain_values():
    vocabulary = Vocabulary(n_users=3, n_items=5, item_attributes={"cate_idx": 2})
    assert vocabulary.to_dict() == {
        "n_users": 3,
        "n_items": 5,
        "item_attributes": {"cate_idx": 2},
        "user_attributes": {},
    }
    assert Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("",), "a feature needs a name"), (("price", 0), "'price': embed_dim 0 must be 1 or more")],
)
def test_impossible_dense_features_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        DenseFeature(*arguments)
