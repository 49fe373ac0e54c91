"""The overview shows what the model object is: its modules, its shapes, what feeds what."""

from __future__ import annotations

import re
import shutil
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from torch import nn

from din_core.config import BaseModelConfig, DINConfig, PNNConfig
from din_core.network.features import Normalization, SequenceFeature, SparseFeature
from din_core.network.models import DIN, ClickModel, build_model
from din_core.network.vocabulary import Vocabulary
from din_core.serving import images
from din_core.serving.architecture.flow import flow_of
from din_core.serving.architecture.folding import MOST, folded
from din_core.serving.architecture.overview import overview_source

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
VOCABULARY = Vocabulary(n_users=3, n_items=4, item_attributes={"cate_idx": 2})
SMALL = {"embed_dim": 4, "mlp_dims": (5,)}
UNIT = {"attention_dims": (6,)}


def build(config, vocabulary=VOCABULARY):
    torch.manual_seed(0)
    return build_model(config, vocabulary)


def said(step):
    """A step with what feeds it, by kind and name."""
    return step.kind, step.name, [feeding.name for feeding, _ in step.inputs]


def test_flow_of_din_is_that_of_the_paper():
    steps = flow_of(build(DINConfig(**SMALL, **UNIT))).steps
    item, unit, _, mlp = (
        next(step for step in steps if step.kind == kind)
        for kind in ("table", "attend", "table", "layers")
    )
    # One table feeds history and target, and the unit reads both from it.
    assert said(item) == ("table", "target_item_idx", ["target_item_idx", "hist_item_idx"])
    assert [shape for _, shape in item.inputs] == [("B",), ("B", "L")]
    assert (item.rows, item.shape) == (5, ("4",))
    assert [(feeding, shape) for feeding, shape in unit.inputs] == [
        (item, ("B", "4")),
        (item, ("B", "L", "4")),
    ]
    assert unit.layers == ("Linear 16 → 6", "Dice", "Linear 6 → 1")
    assert unit.shape == ("B", "4")
    [(join, width)] = mlp.inputs
    assert width == ("B", "20")
    assert said(join) == (
        "join",
        "cat",
        ["activation unit", "activation unit", "target_item_idx", "target_cate_idx", "user_idx"],
    )
    assert mlp.layers == ("Linear 20 → 5", "Dice", "Linear 5 → 1")
    assert steps[-1] is mlp


def test_flow_follows_the_options():
    config = DINConfig(
        **SMALL, **UNIT, attention="joint", product_inputs=True, use_softmax=True, dropout=0.5,
        position_bias=9,
    )  # fmt: skip
    steps = flow_of(build(config)).steps
    [unit] = [step for step in steps if step.kind == "attend"]
    assert unit.layers[-2:] == ("+ bias of the position", "softmax over L")
    assert unit.shape == ("B", "8")
    products = [said(step)[2] for step in steps if step.kind == "product"]
    assert products == [["activation unit", "cat"], ["sum", "cat"]]
    assert "Dropout 0.5" in steps[-1].layers


def test_models_without_attention_show_what_they_do():
    base = [step.kind for step in flow_of(build(BaseModelConfig(**SMALL))).steps]
    assert (base.count("attend"), base.count("pool"), base.count("product")) == (0, 2, 0)
    inner = flow_of(build(PNNConfig(**SMALL))).steps
    # Sums and candidates of both, and the user: 5 fields, 10 pairs.
    [products] = [step for step in inner if step.name == "InnerProducts"]
    assert (products.shape, len(products.inputs)) == (("B", "10"), 5)


def test_numbers_enter_beside_their_normalisation():
    vocabulary = Vocabulary(
        n_users=3, n_items=4, item_dense={"price": Normalization()}, user_attributes={"sex_idx": 2}
    )
    steps = flow_of(build(DINConfig(**SMALL, **UNIT), vocabulary)).steps
    [number] = [step for step in steps if step.kind == "numbers"]
    assert said(number) == ("numbers", "target_price", ["target_price"])
    assert number.shape == ("B", "2")


def test_tables_are_shared_as_the_features_say():
    target = SparseFeature("item", 9, 4)
    other = SparseFeature("seller_of_item", 9, 4, shared_with="item")
    history = SequenceFeature("hist", 9, 4, pooling="concat", shared_with="item")
    model = DIN([other], [history], [target], {"dims": ()}, {"dims": (3,)})
    [table] = [step for step in flow_of(model).steps if step.kind == "table"]
    assert [feeding.name for feeding, _ in table.inputs] == ["item", "seller_of_item", "hist"]
    assert "one table for 3 features" in overview_source(model)


def test_first_activation_unit_is_unfolded_and_no_other():
    source = overview_source(build(DINConfig(**SMALL, **UNIT)))
    assert source.count("subgraph cluster") == 1
    assert source.count("Linear 16 → 6") == 1
    assert source.count("the same layers, own weights") == 1
    assert "concatenate [B, L, 16]" in source


def attributes(n, **options):
    names = {f"a{number}_idx": 2 for number in range(n)}
    return Vocabulary(n_users=3, n_items=4, item_attributes=names, **options)


@pytest.mark.parametrize("attention", ["per_feature", "joint"])
def test_many_features_of_one_treatment_are_drawn_once(attention):
    config = DINConfig(**SMALL, **UNIT, attention=attention)
    few = flow_of(build(config, attributes(MOST - 1)))
    assert folded(few) is few
    many = folded(flow_of(build(config, attributes(60))))
    assert sum(step.kind == "attend" for step in many.steps) == 1
    [further] = [step for step in many.steps if step.kind == "further"]
    assert further.name == "60 more, each as target_item_idx"
    assert further.layers == ("target_a0_idx, target_a1_idx, target_a2_idx, …",)
    # The user's table stays, and every step is fed by steps that are drawn before it.
    assert [step.rows for step in many.steps if step.kind == "table"] == [5, 4]
    for place, step in enumerate(many.steps):
        assert all(feeding in many.steps[:place] for feeding, _ in step.inputs)


def test_features_that_differ_in_treatment_are_not_drawn_as_one():
    wide = [SparseFeature(f"w{number}", 9, 4 + number % 2) for number in range(MOST + 1)]
    target = SparseFeature("item", 9, 4)
    history = SequenceFeature("hist", 9, 4, pooling="concat", shared_with="item")
    model = DIN(wide, [history], [target], {"dims": ()}, {"dims": (3,)})
    flow = flow_of(model)
    assert folded(flow) is flow  # three of one width, two of the other


class Extraordinary(ClickModel):
    """Layers of its own, an operation without a name here, and no pooling by attention."""

    title = "Extraordinary"

    def __init__(self, *inputs):
        super().__init__(*inputs)
        self.gate = nn.Linear(4, 4)

    def interact(self, x):
        history = x.positions.sum(self.gate(x.histories[0]))
        return torch.tanh(history - x.targets[0]).sum(1)


def test_model_that_nobody_foresaw_is_drawn():
    target = SparseFeature("item", 9, 4)
    history = SequenceFeature("hist", 9, 4, pooling="concat", shared_with="item")
    model = Extraordinary([], [history], [target])
    assert [said(step)[:2] for step in flow_of(model).steps if step.kind != "input"] == [
        ("table", "item"),
        ("layers", "Linear 4 → 4"),
        ("pool", "sum"),
        ("other", "sub"),
        ("other", "tanh"),
        ("pool", "sum"),
    ]
    assert overview_source(model).count("Linear 4 → 4") == 1


def test_drawing_leaves_the_model_as_it_was():
    model = build(DINConfig(**SMALL, **UNIT)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    overview_source(model)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())


def test_equal_networks_give_equal_pictures():
    config = DINConfig(**SMALL, **UNIT)
    assert overview_source(build(config)) == overview_source(build(config))
    assert overview_source(build(config)) != overview_source(build(PNNConfig(**SMALL)))


NAMES = ['a"b', "back\\slash", "<b>&amp;", "{x|y}", "zwei\nZeilen", "→\x1b[2J"]


@needs_dot
@pytest.mark.parametrize("name", NAMES)
def test_any_column_name_can_be_drawn(name, tmp_path):
    vocabulary = Vocabulary(n_users=3, n_items=4, user_attributes={name: 2})
    images.draw(
        overview_source(build(DINConfig(**SMALL, **UNIT), vocabulary)), tmp_path / "overview"
    )
    drawn = ElementTree.parse(tmp_path / "overview.svg").iter("{http://www.w3.org/2000/svg}text")
    expected = re.sub(r"[\n\x1b]", lambda found: {"\n": "\\n", "\x1b": "\\x1b"}[found[0]], name)
    assert expected in [text.text for text in drawn]


@needs_dot
def test_picture_is_png_at_300_dpi_and_svg(tmp_path):
    source = overview_source(build(BaseModelConfig(**SMALL)))
    drawn = images.draw(source, tmp_path / "new" / "din_overview")
    assert (drawn.png.name, drawn.svg.name) == ("din_overview.png", "din_overview.svg")
    with Image.open(drawn.png) as picture:
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=1)
