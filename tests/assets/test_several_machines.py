"""The recipe for several machines, as its page shows it, with a launcher for each on this one."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from din_core.serving import saved_models
from tests import documents
from tests.assets.places import PATIENCE
from tests.core.other_processes import free_port

PAGE = "docs/distributed.md"
TABLES = (
    "interactions", "known_ids", "users", "items", "attributes", "cates", "events",
    "user_sequences", "negatives", "samples",
)  # fmt: skip


@pytest.fixture
def folder(pipeline) -> Path:
    """Where the page's script and a log lie that trains for some seconds."""
    shape = {"n_users": 300, "n_items": 200, "n_cates": 8, "seed": 3}
    pipeline.config["ops"]["interactions"] = {"config": {"synthetic": shape}}
    assert pipeline.run(*TABLES).success
    [script] = [
        block.text
        for block in documents.blocks("python")
        if block.page == PAGE and block.text.startswith("# together.py")
    ]
    # A checkpoint after each epoch: the worker is killed after the first of ten.
    options = "replace(chosen.training, checkpoint_seconds=0.001)"
    often = script.replace("chosen.training,", f"{options},")
    assert often != script
    (pipeline.home / "together.py").write_text(f"from dataclasses import replace\n{often}")
    return pipeline.home


def launch(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *command],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(documents.ROOT),
                "OMP_NUM_THREADS": "1",  # as torchrun has it where it starts several processes
            },
            stdout=said,
            stderr=said,
        )


def on_two_machines(
    folder: Path, model: str, meanwhile: Callable[[int], object] = lambda _: None
) -> list[int]:
    """Start the page's command twice; return how both ended.

    Args:
        folder: The working directory.
        model: Where the model goes.
        meanwhile: Called with the process of the first launcher when there is a checkpoint.
    """
    [shown] = [each.text for each in documents.commands() if each.text.startswith("torchrun ")]
    shown = shown.replace("first-host:29500", f"localhost:{free_port()}")
    command = [*shlex.split(shown)[1:-1], model]
    both = [launch(folder, *command) for _ in range(2)]
    try:
        until = time.monotonic() + PATIENCE
        while not (folder / model / "checkpoint" / "checkpoint.safetensors").exists():
            assert time.monotonic() < until, (folder / "said.txt").read_text()
            time.sleep(0.02)
        meanwhile(both[0].pid)
        return [each.wait(PATIENCE) for each in both]
    finally:
        for each in both:
            each.kill()


def kill_worker(launcher: int) -> None:
    [worker] = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    os.kill(int(worker), signal.SIGKILL)


@pytest.mark.thorough  # one machine: test_launching.py
@pytest.mark.timeout(5 * PATIENCE)
def test_two_machines_train_the_model_of_two_processes_also_after_one_lost_its_worker(folder):
    assert (
        launch(folder, "--nproc_per_node", "2", "together.py", "pipeline.duckdb", "one").wait() == 0
    )
    assert on_two_machines(folder, "two") == [0, 0]
    assert on_two_machines(folder, "killed", kill_worker) == [1, 1]
    assert not (folder / "killed" / "model.safetensors").exists()
    # The same command again goes on from the checkpoint.
    assert on_two_machines(folder, "killed") == [0, 0]
    one, two, killed = (
        saved_models.load_model(folder / name).tensors_hash for name in ("one", "two", "killed")
    )
    assert one == two == killed
    assert "spin" not in (folder / "said.txt").read_text(), "torch was imported before din_core"
