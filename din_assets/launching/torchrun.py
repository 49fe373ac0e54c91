"""torchrun, and what it knows of how the workers ended.

Started by ``python -m``. The first argument is the folder of the launch, the others are torchrun's.
It ends with the workers when the process is gone that wanted them, also where that was killed.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from din_assets.launching.jobs import Job
from din_core.training.launch import signs
from din_core.training.launch.places import LaunchFolder


def main(folder: LaunchFolder, arguments: list[str]) -> None:
    """Run torchrun and keep how the workers ended."""

    def is_wanted() -> bool:
        if signs.is_held(folder.launcher):
            return True
        for sign in folder.signs():
            signs.kill(sign)  # also one that is suspended
        return False

    timeout = Job.read(folder.path).timeout
    with signs.shown(folder.torchrun, timeout=timeout, is_wanted=is_wanted):
        sys.exit(_run(folder, arguments))


def _run(folder: LaunchFolder, arguments: list[str]) -> int:
    # Here: by now others see that this process is alive.
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from din_core.training.launch.failures import Exit

    try:
        run.run(run.parse_args(arguments))
    except ChildFailedError as error:
        exits = [
            asdict(Exit(rank=rank, pid=each.pid, code=each.exitcode))
            for rank, each in error.failures.items()
        ]
        folder.exits.write_text(json.dumps(exits), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    main(LaunchFolder(Path(sys.argv[1])), sys.argv[2:])
