"""Memory that is freed and asked for again is the same memory."""

import os
import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import mmap, resource, sys
import numpy as np
from din_core.machine.freed_memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def step():
    for _ in range(2):  # the second is larger than what was freed before
        np.ones((4 << 20) + 4096 * len(done), dtype=np.uint8)
        done.append(None)

done = []
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * mmap.PAGESIZE >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other rules")
def test_a_block_of_a_step_is_not_cleared_again_in_the_next():
    environment = {name: of for name, of in os.environ.items() if not name.startswith("MALLOC_")}
    megabytes = [
        int(
            subprocess.run(
                [sys.executable, "-c", _PROGRAM, way],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for way in ("kept", "as_it_was")
    ]
    assert megabytes[0] < 20 < 40 < megabytes[1]
