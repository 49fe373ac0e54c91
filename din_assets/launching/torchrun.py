"""torchrun, and what it knows of how the workers ended.

Started by ``python -m``. The first argument is the folder of the launch, the others are torchrun's.
It ends with the workers when the process is gone that wanted them, also where that was killed.
"""

import json
import os
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

from din_core.training.launch import signs
from din_core.training.launch.failures import Exit
from din_core.training.launch.workers import LaunchFolder

_PAUSE_SECONDS = 1.0


def main(folder: LaunchFolder, arguments: list[str]) -> None:
    """Run torchrun and keep how the workers ended."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    threading.Thread(target=_end_when_unwanted, args=(folder,), daemon=True).start()
    try:
        run.run(run.parse_args(arguments))
    except ChildFailedError as error:
        exits = [
            asdict(Exit(rank=rank, pid=each.pid, code=each.exitcode))
            for rank, each in error.failures.items()
        ]
        folder.exits.write_text(json.dumps(exits), encoding="utf-8")
        sys.exit(1)


def _end_when_unwanted(folder: LaunchFolder) -> None:
    while signs.is_held(folder.launcher):
        time.sleep(_PAUSE_SECONDS)
    for sign in folder.signs():
        signs.kill(sign)
    os._exit(1)


if __name__ == "__main__":
    main(LaunchFolder(Path(sys.argv[1])), sys.argv[2:])
