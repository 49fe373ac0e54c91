"""A process that trains with others, as torchrun starts it: ``-m din_assets.launching.worker``.

The one argument is the folder of the launch. What it does is :mod:`din_assets.launching.training`'s
business, which is imported when others can see that this process is alive.
"""

import os
import sys
from pathlib import Path

from din_assets.launching.jobs import Job
from din_core.training.launch import signs
from din_core.training.launch.places import LaunchFolder, Place


def main(folder: LaunchFolder) -> int:
    """Work in the place that torchrun has given this process; return the exit status."""
    of = {name: int(os.environ[name]) for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE")}
    place = Place(
        rank=of["RANK"],
        local_rank=of["LOCAL_RANK"],
        on_machine=of["LOCAL_WORLD_SIZE"],
        attempt=int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")),
    )
    job, sign = Job.read(folder.path), folder.sign(place.rank)
    with signs.shown(sign, timeout=job.timeout, is_wanted=folder.is_wanted()):
        from din_assets.launching import training

        return training.work(folder, place, job)


if __name__ == "__main__":
    status = main(LaunchFolder(Path(sys.argv[1])))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
