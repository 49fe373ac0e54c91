"""Blocks of a step come from memory that the process keeps, not from the system each time."""

import ctypes
import os
import subprocess
import sys

import pytest

# The block's bytes that the C library took from the system for it alone, to give back when freed.
_PROGRAM = """
import ctypes, sys
import numpy as np
from din_core.machine.freed_memory import keep_freed_memory

class Malloc(ctypes.Structure):  # struct mallinfo2
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd".split()]
    _fields_ += [(f"more_{number}", ctypes.c_size_t) for number in range(5)]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Malloc
if sys.argv[1] == "kept":
    keep_freed_memory()
before = mallinfo().hblkhd
block = np.empty(8 << 20, dtype=np.uint8)
print(mallinfo().hblkhd - before)
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="only glibc tells where a block is from"
)
@pytest.mark.parametrize(("way", "given_back"), [("kept", False), ("as_it_was", True)])
def test_a_large_block_stays_with_the_process_when_freed(way, given_back):
    environment = {name: of for name, of in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, way],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (int(done.stdout) >= 8 << 20) == given_back
