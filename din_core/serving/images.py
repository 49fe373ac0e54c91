"""Images of graphs: drawn by Graphviz as PNG and SVG, and small ones for a page."""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class DrawnGraph:
    """A graph that lies in two files.

    Attributes:
        png: The PNG, for print.
        svg: The SVG.
        source: The graph in Graphviz's language.
    """

    png: Path
    svg: Path
    source: str

    def preview(self, width: int = 480, height: int = 640, colours: int = 32) -> bytes:
        """Draw it small, for a data URI in the UI.

        It is drawn anew: making the PNG for print smaller takes five times as long.

        Args:
            width: Most pixels across.
            height: Most pixels down.
            colours: Different ones that are left.

        Returns:
            A PNG of some 30 kB.

        Raises:
            PictureError: Graphviz is not installed.
        """
        across, up = _size_in_points(self.svg.read_bytes())
        fits = _POINTS_PER_INCH * min(width / across, height / up)
        # Twice as large, so that making it smaller smooths it.
        png = rendered(self.source, "png", dpi=max(1, min(300, round(2 * fits))))
        return thumbnail(png, width, height, colours)


def draw(source: str, path_stem: Path | str, dpi: int = 300) -> DrawnGraph:
    """Draw a graph as PNG and as SVG.

    Args:
        source: A ``digraph`` with a line ``  graph [``.
        path_stem: Files without their endings; the directory is made where it does not exist.
        dpi: Resolution of the PNG.

    Raises:
        PictureError: Graphviz is not installed.
    """
    stem = Path(path_stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    png, svg = (stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg"))
    as_svg = rendered(source, "svg", dpi)
    whole = _padded_to_whole_pixels(source, _size_in_points(as_svg), dpi)
    for path, content in ((svg, as_svg), (png, rendered(whole, "png", dpi))):
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return DrawnGraph(png, svg, source)


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
