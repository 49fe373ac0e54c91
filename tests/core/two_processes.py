"""Two processes that train together for a test, and their weights beside those of one.

They are forks that have imported torch (:mod:`tests.forks`), and nobody waits for torchrun, which
would import it as well: ``tests/assets/test_launching.py`` starts that as users do.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from tests import forks

_HERE = Path(__file__).parent


def run_in_two_processes(source: str, folder: Path, *arguments: str) -> None:
    """Run a script in two processes, each a member of torch's process group.

    Args:
        source: The script; it may import the modules of ``tests/core/training`` by their names,
            and has ``torch.distributed`` as ``dist``.
        folder: Where they meet; the script's last argument.
        arguments: Those before.
    """
    words = ["one_of_two.py", *map(str, arguments), str(folder)]
    each = [
        forks.context().Process(target=_one_of_two, args=(source, words, rank, folder))
        for rank in range(2)
    ]
    for process in each:
        process.start()
    # One that failed leaves the other one waiting.
    while any(process.exitcode is None for process in each):
        if any(process.exitcode for process in each):
            for process in each:
                process.kill()
        time.sleep(0.02)
    failed = [path.read_text() for path in folder.glob("failed.*")]
    assert [process.exitcode for process in each] == [0, 0], "\n".join(failed)


def _one_of_two(source: str, words: list[str], rank: int, folder: Path) -> None:
    sys.path.insert(0, str(_HERE / "training"))
    sys.argv = words
    try:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
        )
        exec(compile(source, words[0], "exec"), {"__name__": "__main__", "dist": dist})
        dist.destroy_process_group()
    except BaseException:  # noqa: BLE001 (whatever it is, it is told)
        (folder / f"failed.{rank}").write_text(traceback.format_exc())
        os._exit(1)  # at once: what is left of the group could wait for the other one


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
