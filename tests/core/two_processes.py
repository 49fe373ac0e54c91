"""Two processes that train together for a test, and their weights beside those of one.

They are started here. torchrun would be a third process that imports all of torch;
``tests/assets/test_launching.py`` starts it as users do.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


def run_in_two_processes(source: str, folder: Path, *arguments: str) -> None:
    """Run a script in two processes, each a member of torch's process group.

    Args:
        source: The script; it may import the modules of ``tests/core/training`` by their names,
            and has ``torch.distributed`` as ``dist``.
        folder: It is written there; the script's last argument.
        arguments: Those before.
    """
    script = folder / "one_of_two.py"
    script.write_text(_JOINED + source + "dist.destroy_process_group()\n")
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_HERE / "training")]),
    }
    with contextlib.ExitStack() as stack:
        each = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, script, *arguments, folder],
                    env={**environment, "RANK": str(rank), "WHERE_THEY_MEET": f"{folder}/meet"},
                )
            )
            for rank in range(2)
        ]
        # One that failed leaves the other one waiting.
        waiting = [*each]
        while waiting:
            ended = [process for process in waiting if process.poll() is not None]
            waiting = [process for process in waiting if process not in ended]
            if any(process.returncode for process in ended):
                for process in waiting:
                    process.kill()
            time.sleep(0.02)
    assert [process.returncode for process in each] == [0, 0]


_JOINED = """
import os
import din_core
import torch.distributed as dist

dist.init_process_group(
    "gloo",
    init_method="file://" + os.environ["WHERE_THEY_MEET"],
    rank=int(os.environ["RANK"]),
    world_size=2,
)
"""


def assert_weights_agree(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], alone: Mapping[str, Tensor]
) -> None:
    """Assert that two processes have the same weights, and within rounding those of one."""
    assert first.keys() == second.keys() == alone.keys()
    for name, expected in alone.items():
        assert torch.equal(first[name], second[name]), name
        # Some steps of 1e-3: Adam makes a rounding error of a tiny gradient a little larger.
        torch.testing.assert_close(
            first[name],
            expected,
            rtol=1e-5,
            atol=1e-4,
            msg=lambda text, name=name: f"{name}: {text}",
        )
