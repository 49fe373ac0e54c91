"""Pictures are drawn whole, small where they must be, and depend on the model alone."""

from __future__ import annotations

import io
import re
import shutil
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

from din_core.config import DINConfig
from din_core.network.models import build_model
from din_core.network.vocabulary import Vocabulary
from din_core.serving import images, pictures
from din_core.training.reports import EpochReport
from tests import forks

VOCABULARY = Vocabulary(n_users=3, n_items=4)
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


def make_model(seed=0, **options):
    torch.manual_seed(seed)
    return build_model(DINConfig(mlp_dims=(3,), attention_dims=(3,), **options), VOCABULARY)


def epoch(number, loss, auc):
    return EpochReport(
        epoch=number,
        n_epoch=9,
        train_loss=loss,
        val_auc=auc,
        val_logloss=None,
        samples_per_second=1.0,
        seconds=1.0,
        eta_seconds=1.0,
        is_best=False,
    )


@needs_dot
def test_graph_is_drawn_as_png_at_300_dpi_and_as_svg(tmp_path):
    drawn = images.draw(pictures.graph_source(make_model()), tmp_path / "new" / "din", dpi=300)
    png, svg = drawn.png, drawn.svg
    assert (png.name, svg.name) == ("din.png", "din.svg")
    with Image.open(png) as picture:
        assert picture.format == "PNG"
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=1)
        assert picture.width <= 8.27 * 300  # a page of A4
        assert picture.height <= 11.69 * 300
    assert "units.0.mlp.layers.0.weight" in svg.read_text()
    assert sorted(path.name for path in tmp_path.glob("new/*")) == ["din.png", "din.svg"]


@needs_dot
@pytest.mark.parametrize("dpi", [50, 99, 300])
def test_a_png_ends_where_its_last_pixels_do(dpi, tmp_path):
    drawn = images.draw('digraph {\n  graph [label="x"]\n  a -> b\n}\n', tmp_path / "ab", dpi=dpi)
    with Image.open(drawn.png) as picture:
        assert picture.mode == "RGB"  # no pixel is half covered, so none is transparent
        in_points = [each * 72 / dpi for each in picture.size]
    across, up = re.search(r'viewBox="0.00 0.00 (\S+) (\S+)"', drawn.svg.read_text()).groups()
    assert in_points == pytest.approx([float(across), float(up)], abs=72 / dpi)


@needs_dot
def test_equal_networks_give_equal_pictures(tmp_path):
    first = images.draw(pictures.graph_source(make_model(0)), tmp_path / "a", dpi=50)
    second = images.draw(pictures.graph_source(make_model(1)), tmp_path / "b", dpi=50)
    assert first.png.read_bytes() == second.png.read_bytes()
    assert pictures.canonical_graph(first.svg.read_bytes()) == pictures.canonical_graph(
        second.svg.read_bytes()
    )


def test_graph_names_every_parameter_once_and_no_object_ids():
    model = make_model()
    source = pictures.graph_source(model)
    for name, _ in model.named_parameters():
        assert source.count(f'"{name}\\n') == 1
    assert "AccumulateGrad" not in source
    assert "Backward" not in source
    assert source.count("probability") == 1
    nodes = [line.split()[0] for line in source.splitlines() if "[label=" in line]
    assert nodes == [f"n{i}" for i in range(len(nodes))]
    # Every edge joins two nodes that are drawn.
    edges = [line.split() for line in source.splitlines() if " -> " in line]
    assert len(edges) > len(list(model.parameters()))
    assert {edge[0] for edge in edges} | {edge[2] for edge in edges} == set(nodes)


NAMES = ['a"b', "back\\slash", "<b>&amp;", "{x|y}", "zwei\nZeilen", "→\x1b[2J", "AccumulateGrad"]


@needs_dot
@pytest.mark.parametrize("name", NAMES)
def test_any_column_name_can_be_drawn(name, tmp_path):
    vocabulary = Vocabulary(n_users=3, n_items=4, item_attributes={name: 2})
    model = build_model(DINConfig(mlp_dims=(3,), attention_dims=(3,)), vocabulary)
    source = pictures.graph_source(model)
    assert len(re.findall(r"^  n\d+ \[label=", source, flags=re.M)) == source.count("[label=")
    pictures.save_graph(model, tmp_path / "din.svg")
    drawn = ElementTree.parse(tmp_path / "din.svg").iter("{http://www.w3.org/2000/svg}text")
    shown = [text.text for text in drawn]
    expected = re.sub(r'["\\\n\x1b]', lambda found: f"%{ord(found[0]):02X}", name)
    assert f"embedding.target_{expected}_table.weight" in shown
    assert any(text.startswith("probability") for text in shown)


def test_another_network_gives_another_graph():
    plain = pictures.graph_source(make_model())
    assert pictures.graph_source(make_model(product_inputs=True)) != plain
    assert pictures.graph_source(make_model(activation="relu")) != plain


def test_drawing_leaves_the_model_as_it_was():
    model = make_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def kernel(*arguments):
        raise AssertionError("the picture shows the plain formula")

    model.units[0].kernel = kernel
    pictures.graph_source(model)
    assert model.training
    assert model.units[0].kernel is kernel
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_missing_graphviz_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(images.PictureError, match="apt-get install graphviz"):
        images.draw_all({tmp_path / "din": (pictures.graph_source(make_model()), images.SMALL)})
    assert list(tmp_path.iterdir()) == []


def test_canonical_graph_leaves_the_version_of_graphviz_out():
    svg = b"<?xml?>\n<!-- Generated by graphviz version 2.43\n -->\n<svg>n0</svg>"
    assert pictures.canonical_graph(svg) == b"<?xml?>\n<svg>n0</svg>"


def test_curve_is_small_and_the_same_for_the_same_history():
    history = [epoch(i, 0.7 - 0.01 * i, 0.6 + 0.01 * i) for i in range(1, 25)]
    curve = pictures.training_curve(history)
    with Image.open(io.BytesIO(curve)) as picture:
        assert picture.size == (640, 320)
    assert len(curve) < 60_000
    assert curve == pictures.training_curve(history)
    assert curve != pictures.training_curve(history[:-1])


@pytest.mark.parametrize(
    "history", [[], [epoch(1, None, None)], [epoch(1, 0.7, None), epoch(2, 0.6, 0.5)]]
)
def test_curve_of_little_or_nothing_is_still_a_picture(history):
    with Image.open(io.BytesIO(pictures.training_curve(history))) as picture:
        assert picture.format == "PNG"


def test_the_graph_is_drawn_without_setuptools_and_distutils():
    code = (
        "import sys, torch\n"
        "in_vain = {'setuptools', 'distutils'}\n"
        "def loaded(*of): return {name for name in sys.modules if name.partition('.')[0] in of}\n"
        "for name in loaded('torchviz', *in_vain): del sys.modules[name]\n"
        "from din_core.serving.autograd_graph import make_dot\n"
        "weight = torch.ones(2, requires_grad=True)\n"
        "assert 'weight' in make_dot(weight.sum(), {'weight': weight}).source\n"
        "assert loaded('torchviz')\n"
        "pipe.send(loaded(*in_vain))\n"
    )
    assert forks.answer(code) == set()
