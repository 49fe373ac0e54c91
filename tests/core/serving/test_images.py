"""Graphs are drawn for print and, small, for a page."""

from __future__ import annotations

import io
import shutil

import pytest
from PIL import Image

from din_core.serving import images

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
WIDE = (
    'digraph g {\n  graph [rankdir=LR]\n  a [label="first" fillcolor=red style=filled]\n'
    + "".join(f"  n{i} -> n{i + 1}\n" for i in range(8))
    + "  a -> n0\n}\n"
)


@needs_dot
@pytest.mark.parametrize("limits", [(300, 400), (1000, 20), (120, 4000)])
def test_preview_fills_what_it_may_and_keeps_the_proportions(tmp_path, limits):
    size = images.PreviewSize(*limits, colours=32)
    drawn = images.draw(WIDE, tmp_path / "new" / "wide", size, dpi=100)
    with Image.open(drawn.png) as large, Image.open(io.BytesIO(drawn.preview)) as small:
        assert small.width <= limits[0]
        assert small.height <= limits[1]
        # Of one side at least it takes all there is, but for rounding.
        assert small.width >= limits[0] - 2 or small.height >= limits[1] - 2
        assert small.width / small.height == pytest.approx(large.width / large.height, rel=0.15)
        colours = small.convert("RGB").getcolors(1 << 20)
        assert any(r > 200 and g < 60 and b < 60 for _, (r, g, b) in colours)


def test_a_picture_without_a_size_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "rendered", lambda *_: b"<svg/>")
    with pytest.raises(ValueError, match="without a viewBox"):
        images.draw(WIDE, tmp_path / "other")


@needs_dot
def test_graphs_drawn_side_by_side_are_those_drawn_alone_and_in_their_order(tmp_path):
    sources = {
        tmp_path / "wide": (WIDE, images.SMALL),
        tmp_path / "high": (WIDE.replace("=LR", "=TB"), images.DETAILED),
    }
    both = images.draw_all(sources, dpi=50)
    for drawn, (stem, (source, size)) in zip(both, sources.items(), strict=True):
        alone = images.draw(source, tmp_path / "alone" / stem.name, size, dpi=50)
        assert drawn.png == stem.with_suffix(".png")
        assert drawn.png.read_bytes() == alone.png.read_bytes()
        assert drawn.svg.read_bytes() == alone.svg.read_bytes()
        assert drawn.preview == alone.preview


@pytest.mark.parametrize(("size", "expected"), [((4000, 1000), (400, 100)), ((90, 60), (90, 60))])
def test_thumbnail_fits_and_keeps_the_proportions(tmp_path, size, expected):
    path = tmp_path / "picture.png"
    Image.new("RGBA", size, "red").save(path)
    small = images.thumbnail(path, width=400, height=400)
    assert small == images.thumbnail(path.read_bytes(), width=400, height=400)
    with Image.open(io.BytesIO(small)) as picture:
        assert picture.size == expected
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


def test_thumbnail_of_a_picture_of_100_million_pixels_is_no_attack(tmp_path):
    path = tmp_path / "picture.png"
    Image.new("1", (10_000, 10_000)).save(path)
    assert len(images.thumbnail(path)) < 5_000
