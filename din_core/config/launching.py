"""How many processes train one model, and how long they wait for each other."""

from __future__ import annotations

from din_core.config.options import config_class, option


@config_class
class LaunchConfig:
    """The processes that train one model together, on this machine (defaults: this one alone)."""

    processes: int = option(
        1,
        "Processes that train together, started by torchrun. Each takes `batch_size` samples of a "
        "step, so two make the steps of one with the doubled `batch_size`. 1 trains in the run's "
        "own process.",
        ge=1,
        le=1_024,
    )
    worker_timeout_seconds: float = option(
        600.0,
        "Longest time that the processes wait for one of them that is suspended, stuck or cut off. "
        "The run then ends and says for which; the next one goes on from the checkpoint.",
        ge=1,
        le=604_800,
        decides=False,
    )
    worker_restarts: int = option(
        1,
        "How often all processes start again from the checkpoint, within the run, because one of "
        "them was killed. One that says what is wrong is not started again.",
        ge=0,
        le=100,
        decides=False,
    )

    def without_effect(self) -> dict[str, str]:
        """Return what is chosen of processes that are not started."""
        if self.processes > 1:
            return {}
        return {
            name: "processes is 1, so this process trains alone and waits for no other: set "
            f"processes to 2 or more, or leave {name} out"
            for name in ("worker_timeout_seconds", "worker_restarts")
        }
