"""Small PNGs keep their size and, nearly, their colours."""

import io

import numpy as np
from PIL import Image

from din_core.small_pngs import small_png


def test_a_picture_of_many_colours_is_left_with_few_near_ones():
    up, across = np.mgrid[0:120, 0:200]
    pixels = np.stack([across, 2 * up, 255 - across], axis=-1).astype(np.uint8)
    with Image.open(io.BytesIO(small_png(Image.fromarray(pixels), 128))) as small:
        assert small.size == (200, 120)
        left = np.asarray(small.convert("RGB")).astype(int)
    assert 64 < len(np.unique(left.reshape(-1, 3), axis=0)) <= 128
    assert np.abs(left - pixels).mean() < 16


def test_equal_pictures_are_equal_bytes():
    pictures = [Image.new("RGB", (30, 20), "orange") for _ in range(2)]
    assert small_png(pictures[0], 8) == small_png(pictures[1], 8)
