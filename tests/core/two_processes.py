"""Two processes that torchrun starts for a test, and their weights beside those of one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


def run_in_two_processes(source: str, folder: Path, *arguments: str) -> None:
    """Run a script in two processes that can find each other.

    Args:
        source: The script; it may import the modules of ``tests/core/training`` by their names.
        folder: It is written there; the script's last argument.
        arguments: Those before.
    """
    script = folder / "one_of_two.py"
    script.write_text(source)
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", script, *arguments, folder),
        ],
        check=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_HERE / "training")]),
        },
    )


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
