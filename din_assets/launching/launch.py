"""A training in several processes, from the step's side: start them, hear them, leave none."""

import os
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import dagster as dg

from din_assets.launching.jobs import Job
from din_assets.making.artifact_assets import Making
from din_core.config import LaunchConfig
from din_core.training.launch.places import LaunchFolder

if TYPE_CHECKING:
    from din_core.serving.fitting import Fitted, Task
    from din_core.training.reports import EpochReport

#: Below the root of the checkpoints.
_FOLDER = "launches"


def fit(
    making: Making, task: "Task", config: LaunchConfig, on_epoch: Callable[["EpochReport"], object]
) -> "Fitted":
    """Fit a model with several processes, as :func:`din_core.serving.fitting.fit` does with one.

    This process holds no connection meanwhile, so that all of them may read the database.

    Args:
        making: What the step is given.
        task: The model.
        config: How many processes, and how long they wait for each other.
        on_epoch: Called after each epoch, while the training goes on.

    Raises:
        WorkerError: One of them failed; the message says which, and what to do.
    """
    from din_core.serving.fitting import Fitted
    from din_core.training.launch import supervision
    from din_core.training.launch.failures import UnexpectedWorkerError
    from din_core.training.reports import EpochReport

    store = making.store
    job = Job(
        task=task.to_json(),
        database=str(store.pipeline_path),
        spill=str(store.folder / "pipeline.tmp"),
        tables_root=store.tables_root,
        threads=store.threads,
        memory_limit=store.memory_limit,
        timeout=config.worker_timeout_seconds,
    )
    fitted: list[Fitted] = []
    n_heard = 0

    def hear(messages: Any) -> None:
        nonlocal n_heard
        for message in messages[n_heard:]:
            n_heard += 1
            if "epoch" in message:
                on_epoch(EpochReport(**message["epoch"]))
            else:
                fitted.append(Fitted.from_json(message["fitted"]))

    with supervision.launch_folder(task.checkpoints / _FOLDER) as folder:
        job.write(folder.path)
        with _session(making.context) as session:
            try:
                supervision.supervise(
                    _command(folder, config),
                    {**_THREADS, **os.environ, **session.get_bootstrap_env_vars()},
                    folder,
                    config,
                    on_poll=lambda: hear(session.get_custom_messages()),
                )
            finally:
                with suppress(FileNotFoundError):  # it could not be made, as the error says
                    written = folder.output.read_text(encoding="utf-8", errors="replace")
                    making.context.log.debug(f"torchrun and the workers wrote:\n{written}")
        hear(session.get_custom_messages())
    if not fitted:
        raise UnexpectedWorkerError("the processes that train ended without saying what came of it")
    return fitted[-1]


@contextmanager
def _session(context: dg.AssetExecutionContext) -> Generator[dg.PipesSession]:
    injector, reader = dg.PipesEnvContextInjector(), dg.PipesTempFileMessageReader()
    with ExitStack() as stack:
        with warnings.catch_warnings():
            # Dagster warns of previews and deprecations of its own that it uses here itself.
            warnings.simplefilter("ignore")
            session = stack.enter_context(dg.open_pipes_session(context, injector, reader))
        try:
            yield session
        except BaseException:
            # Workers that were ended did not say that they were done, and Dagster would wonder.
            session.message_handler.handle_message(_CLOSED)
            raise


_CLOSED: Any = {"__dagster_pipes_version": "0.1", "method": "closed", "params": None}

#: torchrun warns where nobody has said this. Each worker takes its share of the cores itself.
_THREADS = {"OMP_NUM_THREADS": "1"}


def _command(folder: LaunchFolder, config: LaunchConfig) -> list[str]:
    path = os.fspath(folder.path)
    return [
        *(sys.executable, "-m", "din_assets.launching.torchrun", path),
        *("--standalone", "--nproc_per_node", str(config.processes)),
        *("--max_restarts", str(config.worker_restarts)),
        *("--log_dir", os.fspath(folder.logs)),  # else in the system's temporary folder, for good
        *("-m", "din_assets.launching.worker", path),
    ]
