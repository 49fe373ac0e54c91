"""DIN keeps its invariants: a prediction depends on its own sample and on nothing else."""

from __future__ import annotations

import math

import pytest
import torch

from din_core.config import DINConfig
from din_core.network.batch import Batch, batch_from_padded
from din_core.network.features import DenseFeature, SequenceFeature, SparseFeature
from din_core.network.models import DIN, build_model
from din_core.network.vocabulary import Vocabulary

VARIANTS = {
    "din": {},
    "softmax": {"use_softmax": True},
    "joint": {"attention": "joint"},
    "products": {"product_inputs": True},
    "no user, relu": {"use_user": False, "activation": "relu"},
    "prelu": {"activation": "prelu"},
}
VOCABULARY = Vocabulary(
    n_users=9, n_items=20, item_attributes={"cate_idx": 5}, user_attributes={"gender_idx": 2}
)
HISTORIES = ["hist_item_idx", "hist_cate_idx"]


def padded_inputs(length=4):
    """Four samples: full, partly padded, empty, and padded in between."""
    items = [[3, 7, 20, 1], [5, 0, 0, 0], [0, 0, 0, 0], [2, 0, 9, 0]]
    cates = [[1, 2, 5, 1], [3, 0, 0, 0], [0, 0, 0, 0], [4, 0, 1, 0]]
    padding = [0] * (length - 4)
    return {
        "target_item_idx": torch.tensor([4, 8, 20, 1]),
        "target_cate_idx": torch.tensor([2, 3, 5, 1]),
        "user_idx": torch.tensor([1, 9, 3, 0]),
        "gender_idx": torch.tensor([1, 2, 0, 1]),
        "hist_item_idx": torch.tensor([row + padding for row in items]),
        "hist_cate_idx": torch.tensor([row + padding for row in cates]),
    }


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def model(request):
    torch.manual_seed(0)
    config = DINConfig(
        embed_dim=4, mlp_dims=(8, 6), attention_dims=(7, 5), embedding_init_std=1.0, **request.param
    )
    model = build_model(config, VOCABULARY)
    model(padded_inputs())  # running statistics that are not the initial ones
    return model.eval()


def test_padding_length_does_not_change_a_prediction(model):
    expected = model(padded_inputs())
    for length in (5, 50):
        torch.testing.assert_close(model(padded_inputs(length)), expected, rtol=0, atol=1e-6)


def test_place_of_the_padding_does_not_change_a_prediction(model):
    inputs = padded_inputs()
    flipped = {**inputs, **{name: inputs[name].flip(1) for name in HISTORIES}}
    torch.testing.assert_close(model(flipped), model(inputs), rtol=0, atol=1e-6)


def test_batch_order_does_not_change_a_prediction(model):
    order = torch.tensor([2, 0, 3, 1])
    inputs = padded_inputs()
    shuffled = {name: value[order] for name, value in inputs.items()}
    torch.testing.assert_close(model(shuffled), model(inputs)[order], rtol=0, atol=1e-6)


def test_batch_companions_do_not_change_a_prediction(model):
    inputs = padded_inputs()
    alone = [model({name: value[[b]] for name, value in inputs.items()}) for b in range(4)]
    torch.testing.assert_close(torch.cat(alone), model(inputs), rtol=0, atol=1e-6)


def test_flat_and_padded_paths_agree(model):
    inputs = padded_inputs()
    batch = Batch(
        sparse={name: value for name, value in inputs.items() if name not in HISTORIES},
        sequences={
            "hist_item_idx": torch.tensor([3, 7, 20, 1, 5, 2, 9]),
            "hist_cate_idx": torch.tensor([1, 2, 5, 1, 3, 4, 1]),
        },
        offsets=torch.tensor([0, 4, 5, 5, 7]),
        segment_ids=torch.tensor([0, 0, 0, 0, 1, 3, 3]),
    )
    torch.testing.assert_close(model(batch), model(inputs), rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.sigmoid(model.logits(batch)), model(batch))


@pytest.mark.parametrize("training", [True, False])
def test_only_empty_histories_are_finite_forward_and_backward(model, training):
    inputs = padded_inputs()
    empty = {**inputs, **{name: torch.zeros(4, 0, dtype=torch.int64) for name in HISTORIES}}
    out = model.train(training)(empty)
    out.sum().backward()
    assert torch.isfinite(out).all()
    for parameter in model.parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad.to_dense()).all()


def test_one_sample_trains_without_nan(model):
    single = {name: value[:1] for name, value in padded_inputs().items()}
    out = model.train()(single)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_history_changes_a_prediction(model):
    inputs = padded_inputs()
    other = {**inputs, "hist_item_idx": inputs["hist_item_idx"].clone()}
    other["hist_item_idx"][0, 0] = 19
    assert (model(other) - model(inputs))[0].abs() > 1e-5


def test_an_unseen_user_is_as_good_as_none(model):
    inputs = padded_inputs()
    unseen = {**inputs, "user_idx": torch.zeros(4, dtype=torch.int64)}
    assert torch.isfinite(model(unseen)).all()


@pytest.mark.parametrize("index", [-1, 21, 2**40, -(2**63), 2**63 - 1])
def test_an_index_outside_its_table_is_unknown_when_predicting_and_an_error_when_training(
    model, index
):
    inputs = padded_inputs()
    for name in ("target_item_idx", "hist_item_idx"):
        zero, outside = inputs[name].clone(), inputs[name].clone()
        zero.flatten()[0], outside.flatten()[0] = 0, index
        expected = model({**inputs, name: zero})
        assert torch.equal(model({**inputs, name: outside}), expected)
        with pytest.raises(IndexError, match="outside 0…20; raise vocab_size"):
            model.train()({**inputs, name: outside})
        model.eval()
    with pytest.raises(TypeError, match="pass int64 or int32"):
        model({**inputs, "target_item_idx": inputs["target_item_idx"].float()})


ITEM = SparseFeature("target_item_idx", 4, 1)
HISTORY = SequenceFeature("hist_item_idx", 4, 1, "concat", shared_with="target_item_idx")
USER = SparseFeature("user_idx", 3, 1)
SMALL = {
    "mlp_params": {"dims": [2], "activation": "relu"},
    "attention_mlp_params": {"dims": [1], "activation": "relu"},
}


def test_golden_forward_by_hand():
    model = DIN([USER], [HISTORY], [ITEM], **SMALL)
    with torch.no_grad():
        model.embedding.table(ITEM).weight.copy_(torch.tensor([[0.0], [1.0], [2.0], [-1.0]]))
        model.embedding.table(USER).weight.copy_(torch.tensor([[0.0], [0.5], [3.0]]))
        unit = model.units[0].mlp
        unit.layers[0].weight.copy_(torch.tensor([[1.0, 1.0, 0.0, 1.0]]))
        unit.layers[0].bias.zero_()
        unit.output.weight.fill_(0.5)
        unit.output.bias.fill_(0.1)
        model.mlp.layers[0].weight.copy_(torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]))
        model.mlp.layers[0].bias.copy_(torch.tensor([0.0, 1.0]))
        model.mlp.output.weight.copy_(torch.tensor([[0.1, 0.2]]))
        model.mlp.output.bias.fill_(-0.5)
    # Candidate 2 (embedding 2), user 1 (0.5), history items 1 and 3 (embeddings 1 and -1).
    # Activation unit, relu(t + h + t h) / 2 + 0.1:  1 → relu(5) / 2 + 0.1 = 2.6
    #                                               -1 → relu(-1) / 2 + 0.1 = 0.1
    # Interest: 2.6 * 1 + 0.1 * -1 = 2.5.  MLP input: [interest 2.5, candidate 2, user 0.5].
    # Hidden: relu(2.5 + 1.0) = 3.5 and relu(2 - 0.5 + 1) = 2.5.  Logit: 0.35 + 0.5 - 0.5 = 0.35.
    inputs = {
        "target_item_idx": torch.tensor([2]),
        "user_idx": torch.tensor([1]),
        "hist_item_idx": torch.tensor([[1, 3, 0]]),
    }
    torch.testing.assert_close(model.logits(model.as_batch(inputs)), torch.tensor([0.35]))
    torch.testing.assert_close(model(inputs), torch.tensor([1 / (1 + math.exp(-0.35))]))


def test_product_inputs_by_hand():
    model = DIN([], [HISTORY], [ITEM], **SMALL, product_inputs=True)
    seen = []
    model.mlp.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        model.embedding.table(ITEM).weight.copy_(torch.tensor([[0.0], [1.0], [2.0], [-4.0]]))
        for parameter in model.units.parameters():
            parameter.zero_()
        model.units[0].mlp.output.bias.fill_(0.5)  # every weight is one half
    model(
        {
            "target_item_idx": torch.tensor([2, 2]),
            "hist_item_idx": torch.tensor([[1, 3], [0, 0]]),
        }
    )
    # Interest (1 - 4) / 2, interest x candidate, sum 1 - 4, sum x candidate, candidate.
    expected = torch.tensor([[-1.5, -3.0, -3.0, -6.0, 2.0], [0.0, 0.0, 0.0, 0.0, 2.0]])
    torch.testing.assert_close(seen[0], expected)


def test_joint_attention_sees_item_and_category_together():
    config = DINConfig(embed_dim=4, mlp_dims=(3,), attention_dims=(5,), attention="joint")
    model = build_model(config, VOCABULARY)
    assert [unit.embed_dim for unit in model.units] == [8]
    separate = build_model(DINConfig(embed_dim=4, mlp_dims=(3,), attention_dims=(5,)), VOCABULARY)
    assert [unit.embed_dim for unit in separate.units] == [4, 4]


def test_two_models_of_the_same_features_share_nothing():
    first, second = (DIN([USER], [HISTORY], [ITEM], **SMALL) for _ in range(2))
    pointers = {parameter.data_ptr() for parameter in first.parameters()}
    assert pointers.isdisjoint(parameter.data_ptr() for parameter in second.parameters())


def test_history_and_target_share_one_table():
    model = DIN([USER], [HISTORY], [ITEM], **SMALL)
    assert [name for name, _ in model.embedding.tables()] == ["target_item_idx", "user_idx"]


def test_a_feature_in_both_lists_enters_once():
    # The tutorial hands the targets in as features, too; and its user id as a target.
    once = DIN([USER], [HISTORY], [ITEM], **SMALL)
    twice = DIN([ITEM, USER], [HISTORY], [ITEM, USER], **SMALL)
    assert twice.mlp.first_layer.in_features == once.mlp.first_layer.in_features == 3
    assert [feature.name for feature in twice.input_features] == [
        "target_item_idx",
        "user_idx",
        "hist_item_idx",
    ]


def test_dice_is_the_default_of_both_networks():
    model = DIN([], [HISTORY], [ITEM], {"dims": [2]}, {"dims": [2]})
    assert "Dice" in type(model.mlp.activations[0]).__name__
    assert "Dice" in type(model.units[0].mlp.activations[0]).__name__
    assert model.units[0].use_softmax is False


def test_ids_above_the_range_of_float32_reach_their_own_row():
    many = SparseFeature("target_item_idx", 2**24 + 2, 1)
    history = SequenceFeature("hist_item_idx", 2**24 + 2, 1, "concat", shared_with=many.name)
    model = DIN([], [history], [many], **SMALL, embedding_init_std=0.0).eval()
    with torch.no_grad():
        model.embedding.table(many).weight[2**24 + 1] = 1.0
    embedded = model.embed(
        batch_from_padded(
            {
                "target_item_idx": torch.tensor([2**24 + 1, 2**24]),
                "hist_item_idx": torch.tensor([[2**24, 2**24 + 1], [2**24, 0]]),
            },
            ["hist_item_idx"],
        )
    )
    assert embedded.targets[0].squeeze(1).tolist() == [1.0, 0.0]
    assert embedded.histories[0].squeeze(1).tolist() == [0.0, 1.0, 0.0]


def test_the_model_is_named_as_the_columns_of_samples():
    model = build_model(DINConfig(), VOCABULARY)
    assert {feature.name: feature.vocab_size for feature in model.input_features} == {
        "target_item_idx": 21,
        "target_cate_idx": 6,
        "user_idx": 10,
        "gender_idx": 3,
        "hist_item_idx": 21,
        "hist_cate_idx": 6,
    }
    without = build_model(DINConfig(use_user=False), Vocabulary(n_users=9, n_items=20))
    assert [each.name for each in without.input_features] == ["target_item_idx", "hist_item_idx"]


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (([], [], [ITEM]), {}, "history_features is empty"),
        (([], [HISTORY], []), {}, "'hist_item_idx' is shared with 'target_item_idx'"),
        (([], [HISTORY], [ITEM]), {"attention": "both"}, "attention 'both' is none of"),
    ],
)
def test_impossible_models_are_refused(arguments, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        DIN(*arguments, **SMALL, **options)


def test_a_sequence_among_the_plain_features_is_refused():
    with pytest.raises(TypeError, match="sequence feature 'hist_item_idx' is among features"):
        DIN([HISTORY], [HISTORY], [ITEM], **SMALL)


def test_a_missing_input_is_named():
    model = DIN([USER], [HISTORY], [ITEM], **SMALL)
    inputs = {"target_item_idx": torch.tensor([1]), "hist_item_idx": torch.tensor([[1]])}
    with pytest.raises(KeyError, match="no input for feature 'user_idx'; there are"):
        model(inputs)


def dense_din(*, features, targets=(), **options):
    item = SparseFeature("item", 3, 1)
    history = SequenceFeature("hist", 3, 1, "concat", shared_with="item")
    return DIN(features, [history], [item, *targets], {}, {"dims": [1]}, **options)


def dense_inputs(**values):
    return {"item": torch.tensor([1, 2]), "hist": torch.tensor([[2], [0]]), **values}


def test_dense_values_enter_the_final_mlp_as_they_are():
    price, vector = DenseFeature("price"), DenseFeature("vector", 2)
    model = dense_din(features=[vector], targets=[price]).eval()
    x = dense_inputs(price=torch.tensor([2, 3]), vector=torch.tensor([[1.0, 0.5], [0.0, -4.0]]))
    nothing = {**x, "price": torch.zeros(2), "vector": torch.zeros(2, 2)}
    with torch.no_grad():
        # In the order of the features: interest, item, price, vector.
        model.mlp.output.weight[0, 2:] = torch.tensor([10.0, 100.0, 1000.0])
        moved = model.logits(model.as_batch(x)) - model.logits(model.as_batch(nothing))
    assert moved.tolist() == pytest.approx([20 + 100 + 500, 30 - 4000])
    one_wide = {**x, "price": x["price"][:, None]}
    assert torch.equal(model(one_wide), model(x))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (torch.zeros(2, 3), r"feature 'price': its values have the shape \[2, 3\], not \[B\]"),
        (torch.zeros(2, 1, 1), r"the shape \[2, 1, 1\], not \[B\]"),
    ],
)
def test_dense_values_of_another_width_are_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        dense_din(features=[DenseFeature("price")])(dense_inputs(price=values))


@pytest.mark.parametrize(
    ("features", "histories", "error", "sentence"),
    [
        ([DenseFeature("item")], [], ValueError, "two different features are called 'item'"),
        ([], [DenseFeature("price")], TypeError, "DenseFeature.*is among history_features"),
        ([], [SparseFeature("user", 2)], TypeError, "SparseFeature.*is among history_features"),
    ],
)
def test_a_feature_in_the_wrong_place_is_refused(features, histories, error, sentence):
    history = SequenceFeature("hist", 3, 1, "concat", shared_with="item")
    with pytest.raises(error, match=sentence):
        DIN(features, [history, *histories], [SparseFeature("item", 3, 1)], {}, {})


def test_what_torch_rechub_leaves_out_is_what_it_defaults_to():
    model = dense_din(features=[])
    assert len(model.mlp.layers) == 0
    item = SparseFeature("item", 3, 1)
    history = SequenceFeature("hist", 3, 1, "concat", shared_with="item")
    model = DIN([], [history], [item], {"dims": None, "output_layer": True}, {})
    assert [layer.out_features for layer in model.units[0].mlp.layers] == [36]
    with pytest.raises(ValueError, match="output_layer=False leaves no probability"):
        DIN([], [history], [item], {"output_layer": False}, {})
    with pytest.raises(TypeError, match="attention_mlp_params: 'dropout' is none of 'dims'"):
        DIN([], [history], [item], {}, {"dropout": 0.1})


def test_separate_histories_have_tables_of_their_own():
    shared = build_model(DINConfig(), VOCABULARY)
    separate = build_model(DINConfig(history_embeddings="separate"), VOCABULARY)
    tables = dict(separate.embedding.tables())
    assert tables.keys() - dict(shared.embedding.tables()).keys() == {
        feature.name for feature in separate.history_features
    }
    # They are paired with their targets all the same.
    assert len(separate.groups) == len(separate.history_features)
    index = torch.tensor([1])
    history, target = separate.history_features[0], separate.groups[0][1][0]
    assert not torch.equal(separate.embedding(history, index), separate.embedding(target, index))
