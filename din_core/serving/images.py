"""Images of graphs: drawn by Graphviz as PNG and SVG, and small ones for a page."""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import graphviz
from PIL.PngImagePlugin import PngImageFile

from din_core.atomic_files import replacing
from din_core.errors import DinError
from din_core.small_pngs import small_png

_POINTS_PER_INCH = 72
_PAD = 4  # points that Graphviz leaves on each side
_ROUNDED = 0.01  # of a pixel: what the size in an SVG is rounded by, and less than shows


class PictureError(DinError, RuntimeError):
    """A picture cannot be drawn on this machine; the message says what to install."""


class PreviewSize(NamedTuple):
    """How large a small picture may be.

    Attributes:
        width: Most pixels across.
        height: Most pixels down.
        colours: Different ones that are left.
    """

    width: int
    height: int
    colours: int


SMALL = PreviewSize(480, 640, 32)
DETAILED = PreviewSize(1000, 1000, 128)


@dataclass(frozen=True)
class DrawnGraph:
    """A graph that lies in two files.

    Attributes:
        png: The PNG, for print.
        svg: The SVG.
        preview: A PNG of some 30 kB, for a data URI in the UI.
    """

    png: Path
    svg: Path
    preview: bytes


def draw_all(sources: Mapping[Path, tuple[str, PreviewSize]], dpi: int = 300) -> list[DrawnGraph]:
    """Draw graphs as PNG and as SVG, side by side: each waits for programs of its own.

    Args:
        sources: Files without their endings, to a ``digraph`` with a line ``  graph [`` and the
            size of its preview. Directories are made where they do not exist.
        dpi: Resolution of the PNGs for print.

    Returns:
        The graphs in their order.

    Raises:
        PictureError: Graphviz is not installed.
    """
    with ThreadPoolExecutor(thread_name_prefix="graphviz") as threads:
        drawn = [
            threads.submit(draw, source, stem, size, dpi)
            for stem, (source, size) in sources.items()
        ]
    return [each.result() for each in drawn]


def draw(source: str, stem: Path, size: PreviewSize = SMALL, dpi: int = 300) -> DrawnGraph:
    """Draw a graph as PNG and as SVG.

    Args:
        source: A ``digraph`` with a line ``  graph [``.
        stem: Files without their endings; the directory is made where it does not exist.
        size: Of the preview.
        dpi: Resolution of the PNG for print.

    Raises:
        PictureError: Graphviz is not installed.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    png, svg = (stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg"))
    as_svg = rendered(source, "svg", dpi)
    across, up = _size_in_points(as_svg)
    whole = _padded_to_whole_pixels(source, (across, up), dpi)
    for path, content in ((svg, as_svg), (png, rendered(whole, "png", dpi))):
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    # Drawn anew: making the PNG for print smaller takes five times as long. Twice as large, so that
    # making it smaller smooths it.
    fits = _POINTS_PER_INCH * min(size.width / across, size.height / up)
    small = rendered(source, "png", dpi=max(1, min(300, round(2 * fits))))
    return DrawnGraph(png, svg, thumbnail(small, *size))


def _padded_to_whole_pixels(source: str, size: tuple[float, float], dpi: int) -> str:
    """Give a graph a margin with which it ends where a pixel does.

    The last row or column of pixels is half covered otherwise. The PNG then needs transparency for
    all of them, and Graphviz takes a third longer to write it.

    Args:
        source: A ``digraph`` with a line ``  graph [``.
        size: Width and height with Graphviz's own margin, in points.
        dpi: Resolution.
    """
    pads: list[str] = []
    for points in size:
        pixels = math.ceil(points * dpi / _POINTS_PER_INCH - _ROUNDED)
        more = pixels / dpi - points / _POINTS_PER_INCH
        pads.append(f"{_PAD / _POINTS_PER_INCH + more / 2 + _ROUNDED / dpi:.6f}")
    return source.replace("  graph [", f'  graph [pad="{",".join(pads)}" ', 1)


def rendered(source: str, ending: str, dpi: int) -> bytes:
    """Have Graphviz draw a graph.

    Args:
        source: A ``digraph`` with a line ``  graph [``.
        ending: ``png``, ``svg`` or ``pdf``.
        dpi: Resolution of a PNG.

    Raises:
        PictureError: Graphviz is not installed.
    """
    sized = source.replace("  graph [", f"  graph [dpi={dpi} ", 1) if ending == "png" else source
    try:
        drawn = graphviz.Source(sized).pipe(format=ending)
    except graphviz.ExecutableNotFound as error:
        raise PictureError(
            "drawing the architecture needs Graphviz's program 'dot', which is not on the PATH; "
            "install it with `apt-get install graphviz`, `brew install graphviz` or "
            "`conda install graphviz`"
        ) from error
    return _with_resolution(drawn, dpi) if ending == "png" else drawn


def _with_resolution(png: bytes, dpi: int) -> bytes:
    """Say in the file what its resolution is; Graphviz only draws accordingly."""
    if b"pHYs" in png[:200]:
        return png
    dots_per_metre = round(dpi / 0.0254)
    chunk = b"pHYs" + struct.pack(">IIB", dots_per_metre, dots_per_metre, 1)
    header = 8 + 25  # signature and IHDR, which comes first
    return b"".join(
        [
            png[:header],
            struct.pack(">I", len(chunk) - 4),
            chunk,
            struct.pack(">I", zlib.crc32(chunk)),
            png[header:],
        ]
    )


def thumbnail(png: Path | bytes, width: int = 480, height: int = 640, colours: int = 32) -> bytes:
    """A small copy of a picture, for a data URI in the UI.

    Args:
        png: The picture, as file or as bytes.
        width: Most pixels across.
        height: Most pixels down.
        colours: Different ones that are left.

    Returns:
        A PNG of some 30 kB.
    """
    # Not Image.open, which takes 90 million pixels for an attack: a graph with many attributes
    # at 300 dpi has them.
    with PngImageFile(io.BytesIO(png) if isinstance(png, bytes) else png) as picture:
        coarse = max(1, min(picture.width // width, picture.height // height) // 2)
        small = picture.convert("RGB").reduce(coarse)
    small.thumbnail((width, height))
    return small_png(small, colours)


def _size_in_points(svg: bytes) -> tuple[float, float]:
    """Width and height of a drawing, as Graphviz writes them into the head of an SVG."""
    found = re.search(rb'<svg [^>]*viewBox="0.00 0.00 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise ValueError("an SVG without a viewBox in points: is it Graphviz's?")
    return float(found[1]), float(found[2])
