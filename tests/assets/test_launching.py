"""Training in several processes: the same as in one, and what becomes of a run that loses one."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import torch

from din_assets.assets import training
from din_assets.launching import launch
from din_assets.launching import training as of_worker
from din_assets.launching.jobs import Job
from din_core import presets, store
from din_core.config import LaunchConfig, TrainingConfig, config_from_mapping
from din_core.engines.parquet_tables import ParquetRoot
from din_core.machine import limits
from din_core.serving import saved_models
from din_core.tables import recorded_choices
from din_core.training import sharded
from din_core.training.launch import signs, supervision
from din_core.training.launch.failures import WorkerError
from din_core.training.launch.places import Place as WorkerPlace
from tests import documents, forks
from tests.assets.places import PATIENCE, Place, finish, wait_until
from tests.assets.small_pipeline import SMALL_RUN, Pipeline, failure_of, run_history
from tests.assets.test_spark_engine import TABLES

#: So long that only what the test does ends it.
ENDLESS = {"n_epoch": 100_000, "earlystop_patience": 100_000, "checkpoint_seconds": 0.001}
#: Long enough for a test to do something meanwhile.
LONG = ENDLESS | {"n_epoch": 6, "batch_size": 128}
BASE_MODEL = "select score from base_model_predictions order by user_idx, position, k"
pytestmark = pytest.mark.timeout(PATIENCE)


def with_options(**options: Any) -> dict[str, Any]:
    config = copy.deepcopy(SMALL_RUN)
    config["ops"]["din_model"]["config"] |= options
    return config


@pytest.fixture
def pipeline(tmp_path: Path, finished: Pipeline) -> Iterator[Pipeline]:
    """A pipeline whose tables are made."""
    shutil.copytree(finished.home, tmp_path / "data", symlinks=True)
    with run_history() as instance:
        yield Pipeline(tmp_path / "data", instance)


def train(pipeline: Pipeline, **options: Any) -> dg.ExecuteInProcessResult:
    return pipeline.run("din_model", config=with_options(processes=2, **options))


def workers(home: Path) -> dict[int, int]:
    """Process of each worker that is alive, by rank."""
    found = {}
    for path in (home / "checkpoints" / "din_model" / "launches").glob("*/worker-*"):
        sign = signs.read(path)
        if sign is not None and signs.is_held(path):
            found[int(path.name.removeprefix("worker-"))] = sign.pid
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def epoch_on_disk(home: Path) -> int:
    """Finished epochs of the checkpoint; none where there is no checkpoint."""
    path = home / "checkpoints" / "din_model" / "checkpoint.safetensors"
    try:
        # safe_open opens a file twice, and this one is replaced all the time.
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except FileNotFoundError:
        return 0
    return json.loads(header["__metadata__"]["din"])["values"]["epoch"]


def meanwhile(
    home: Path, act: Callable[[dict[int, int]], object], after_epoch: int = 1
) -> threading.Thread:
    """Do something to the two workers once so many epochs are behind them."""

    def wait_and_act() -> None:
        until = time.monotonic() + PATIENCE / 2
        while time.monotonic() < until and not (
            epoch_on_disk(home) >= after_epoch and len(workers(home)) == 2
        ):
            time.sleep(0.02)
        act(workers(home))

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def epochs(result: dg.ExecuteInProcessResult) -> list[dict[str, float]]:
    return [
        {name: each.value for name, each in observed.metadata.items()}
        for event in result.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
        and (observed := event.asset_observation_data.asset_observation).asset_key
        == dg.AssetKey("din_model")
    ]


def model_of(pipeline: Pipeline) -> Path:
    return pipeline.home / "artifacts" / "din_model" / pipeline.versions()["din_model"]


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [made] = result.asset_materializations_for_node("din_model")
    return {name: each.value for name, each in made.metadata.items()}


def kill(pid: int, killed: list[int]) -> None:
    os.kill(pid, signal.SIGKILL)
    killed.append(pid)


def test_two_processes_leave_what_one_leaves_with_the_doubled_batch_though_one_is_killed(
    pipeline, tmp_path, monkeypatch
):
    (tmp_path / "of_the_system").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "of_the_system"))
    shutil.copytree(pipeline.home, tmp_path / "alone", symlinks=True)
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # somebody else has it
            other.bind(("", 29500))  # torch's port by default: whoever has it is not in the way
            other.listen()
        killed: list[int] = []
        thread = meanwhile(pipeline.home, lambda found: kill(found[0], killed))
        result = train(pipeline, **LONG, precision="float32", worker_restarts=1)
        thread.join()
    assert result.success, failure_of(result)
    assert killed
    with run_history() as instance:
        alone = Pipeline(tmp_path / "alone", instance)
        options = {**LONG, "batch_size": 256, "precision": "float32"}
        expected = alone.run("din_model", config=with_options(**options))
    two, one = (saved_models.load_model(model_of(each)) for each in (pipeline, alone))
    for name, weight in one.model.state_dict().items():
        torch.testing.assert_close(two.model.state_dict()[name], weight, rtol=1e-4, atol=1e-4)
    # None twice: the workers that were started again went on from the checkpoint.
    assert [each["epoch"] for each in epochs(result)] == [*range(1, LONG["n_epoch"] + 1)]
    for ours, theirs in zip(epochs(result), epochs(expected), strict=True):
        assert {*ours} == {*theirs}
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-4)
        assert ours["val_auc"] == pytest.approx(theirs["val_auc"], abs=0.01)
    assert {*metadata(result)} == {*metadata(expected)}
    folders = [model_of(each) for each in (pipeline, alone)]
    files, expected_files = (
        {path.relative_to(folder).parts[:2] for path in folder.rglob("*.[jps]*")}
        for folder in folders
    )
    assert files == expected_files
    assert list((folders[0] / "tensorboard").iterdir())
    assert two.metadata == one.metadata
    assert not list((pipeline.home / "checkpoints" / "din_model").iterdir())
    assert not list((tmp_path / "of_the_system").glob("torch*"))
    # The BaseModel beside it is trained by one process, in the same steps.
    asked = {"ops": {"base_model_predictions": {"config": {"train": True}}}}
    for each in (pipeline, alone):
        each.instance = pipeline.instance
        assert each.run("base_model_predictions", config=asked).success
    beside, beside_one = (each.query(BASE_MODEL) for each in (pipeline, alone))
    assert beside == beside_one


# The launch is that of other tables, which the test before shows. That the root is told is shown by
# the test after this one, and what two processes make of it by tests/core/training/test_sharded.py.
@pytest.mark.thorough
def test_each_process_reads_its_share_of_the_users_where_the_tables_are_parquet(pipeline):
    pipeline.engine = "spark"
    assert pipeline.run(*TABLES).success
    root = ParquetRoot(str(pipeline.home / "tables"))
    with duckdb.connect(str(pipeline.home / "pipeline.duckdb"), read_only=True) as con:
        sequences = recorded_choices.sampling_config(con)
    config = with_options(processes=2, batch_size=128, precision="float32")
    result = pipeline.run("din_model", config=config)
    assert result.success, failure_of(result)
    options = config["ops"]["din_model"]["config"] | {"batch_size": 256}
    options = vars(presets.DEFAULT.training) | options
    # Two streams by one process, which makes the steps of two on the doubled batch.
    expected = sharded.train(
        training.chosen_model(vars(presets.DEFAULT.model) | options),
        config_from_mapping(TrainingConfig, options | {"checkpoint_seconds": 0}),
        root,
        n_streams=2,
        sequences=sequences,
    )
    ours = saved_models.load_model(model_of(pipeline))
    for name, weight in expected.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], weight, rtol=1e-4, atol=1e-4)
    losses = [each["train_loss"] for each in epochs(result)]
    assert losses == pytest.approx([each.train_loss for each in expected.history], rel=1e-4)
    # The files are those of Spark, and DuckDB has others by now.
    pipeline.engine = "duckdb"
    config["ops"]["negatives"] = {"config": {"sampling_seed": 7}}
    assert pipeline.run("negatives", config=config).success
    pipeline.engine = "spark"
    refused = failure_of(pipeline.run("din_model", config=config))
    assert "'negatives' below" in refused
    assert "was made by DuckDB since" in refused


def test_workers_are_told_what_was_chosen_for_the_store_and_for_them(pipeline, monkeypatch):
    told: list[tuple[Job, list[str]]] = []

    def looked_at(command, environment, folder, config, on_poll):
        told.append((Job.read(folder.path), command))
        raise WorkerError("that is all")

    monkeypatch.setattr(supervision, "supervise", looked_at)
    config = with_options(processes=2, worker_timeout_seconds=77, worker_restarts=5)
    config["resources"] = {"store": {"config": {"threads": 3, "memory_limit": "300MB"}}}
    assert failure_of(pipeline.run("din_model", config=config)) == "that is all"
    [(job, command)] = told
    assert (job.threads, job.memory_limit, job.timeout) == (3, "300MB", 77)
    assert job.database == str(pipeline.home / "pipeline.duckdb")
    assert job.tables_root == str(pipeline.home / "tables")
    options = dict(itertools.pairwise(command))
    assert (options["--nproc_per_node"], options["--max_restarts"]) == ("2", "5")


def test_worker_reads_within_the_limits_that_it_is_told_or_its_share(tmp_path, monkeypatch):
    duckdb.connect(str(tmp_path / "pipeline.duckdb")).close()
    job = Job(
        task={}, database=str(tmp_path / "pipeline.duckdb"), spill=str(tmp_path / "spill"),
        tables_root=str(tmp_path / "tables"), threads=1, memory_limit="300MiB", timeout=1.0,
    )  # fmt: skip
    of = WorkerPlace(rank=5, local_rank=1, on_machine=2)
    with of_worker._connected(job, of) as con:
        # Beside another worker on the machine, and not in one folder with it.
        spill = f"{tmp_path}/spill.5"
        assert store.limits_of(con) == {
            "memory_limit": "300.0 MiB", "threads": 1, "temp_directory": spill,
        }  # fmt: skip
        with pytest.raises(duckdb.Error, match="read-only"):
            con.execute("create table t as select 1")
    monkeypatch.setattr(limits, "cores", lambda: 4)
    monkeypatch.setattr(limits, "memory", lambda: 1 << 30)
    with of_worker._connected(replace(job, threads=None, memory_limit=None), of) as con:
        found = store.limits_of(con)
    assert (found["threads"], found["memory_limit"]) == (2, "409.0 MiB")  # 1 GiB * 4 / 5 / 2


#: Workers that live without torch: they show their sign, and wait.
WAITING = """
import os, sys, time
from pathlib import Path
from din_core.training.launch import places, signs
folder, rank = places.LaunchFolder(Path(sys.argv[1])), int(os.environ["RANK"])
with signs.shown(folder.sign(rank), timeout=60, is_wanted=folder.is_wanted()):
    Path(sys.argv[1], f"attempt-{os.environ['TORCHELASTIC_RESTART_COUNT']}-{rank}").touch()
    time.sleep(600)
"""


def wait_for_them(root: Path, restarts: int, seconds: float = 60) -> None:
    """Have such workers started by torchrun as a run has it, and wait for them as a run does."""
    script = root / "waiting.py"
    script.write_text(WAITING)
    config = LaunchConfig(processes=2, worker_timeout_seconds=seconds, worker_restarts=restarts)
    job = Job(
        task={}, database="", spill="", tables_root="", threads=1, memory_limit=None,
        timeout=seconds,
    )  # fmt: skip
    with supervision.launch_folder(root / "launches") as folder:
        job.write(folder.path)
        command = launch._command(folder, config)
        ours = command.index("-m", command.index("--nproc_per_node"))
        supervision.supervise(
            [*command[:ours], str(script), str(folder.path)],
            {**os.environ, "PYTHONPATH": str(documents.ROOT), "OMP_NUM_THREADS": "1"},
            folder,
            config,
            on_poll=lambda: None,
        )


def waiting(root: Path, attempt: int = 0) -> list[int]:
    """Processes of the workers that wait, once both do."""
    found: list[Path] = []

    def both() -> bool:
        found[:] = [
            path.with_name(f"worker-{path.name[-1]}")
            for path in sorted((root / "launches").glob(f"*/attempt-{attempt}-*"))
        ]
        return len(found) == 2

    wait_until(both, lambda: "the workers did not come up")
    return [signs.read(path).pid for path in found]


def test_killed_worker_is_started_again_as_often_as_asked_and_then_ends_all_in_a_sentence(tmp_path):
    killed: list[int] = []

    def kill_both_times() -> None:
        for attempt in (0, 1):
            killed.extend(waiting(tmp_path, attempt))
            os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill_both_times)
    thread.start()
    with pytest.raises(WorkerError) as caught:
        wait_for_them(tmp_path, restarts=1)
    thread.join()
    assert str(caught.value).startswith(
        f"worker 1 of 2 (counted from 0) (process {killed[-1]}) was killed by SIGKILL (the kernel "
    )
    assert str(caught.value).endswith("Run again: training goes on from the last checkpoint")
    assert len({*killed}) == 4
    assert not any(is_alive(pid) for pid in killed)


def wait_for_them_in_a_terminal(root: Path) -> None:
    """Wait for longer than the test does; what a shell begins in the background ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wait_for_them(root, restarts=0, seconds=2 * PATIENCE)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_no_worker_outlives_the_process_that_started_it(tmp_path, by):
    launcher = forks.context().Process(target=wait_for_them_in_a_terminal, args=(tmp_path,))
    launcher.start()
    pids = waiting(tmp_path)
    os.kill(pids[1], signal.SIGSTOP)  # one that cannot end by itself
    os.kill(launcher.pid, by)
    launcher.join()
    if by == signal.SIGINT:  # it has ended them itself
        assert not any(map(is_alive, pids))
    wait_until(lambda: not any(map(is_alive, pids)), lambda: str(pids))


# The tests before this one show the same of workers that do not train, and
# test_suspended_worker_ends_the_launch_within_the_configured_time of one that is suspended.
@pytest.mark.thorough
def test_killed_worker_ends_the_run_in_a_sentence_or_is_started_again_within_it(pipeline):
    killed: list[int] = []

    def kill_the_second(found: dict[int, int]) -> None:
        killed.extend(found.values())
        os.kill(found[1], signal.SIGKILL)

    thread = meanwhile(pipeline.home, kill_the_second)
    result = train(pipeline, **LONG, worker_restarts=0)
    thread.join()
    assert failure_of(result).startswith(
        f"worker 1 of 2 (counted from 0) (process {killed[1]}) was killed by SIGKILL (the kernel "
    )
    assert failure_of(result).endswith("Run again: training goes on from the last checkpoint")
    assert not any(is_alive(pid) for pid in killed)
    behind = epoch_on_disk(pipeline.home)
    thread = meanwhile(
        pipeline.home, lambda found: os.kill(found[0], signal.SIGKILL), after_epoch=behind + 1
    )
    again = train(pipeline, **LONG, worker_restarts=1)
    thread.join()
    assert again.success, failure_of(again)
    told = [int(each["epoch"]) for each in epochs(again)]
    assert told[0] > 1, "the next run went on from the checkpoint"
    assert told[-1] == LONG["n_epoch"]
    assert told.count(told[0]) == 1, "the second start went on from the checkpoint"


@pytest.mark.thorough
def test_suspended_worker_ends_the_run_within_the_configured_time(pipeline):
    suspended: list[int] = []

    def suspend(found: dict[int, int]) -> None:
        suspended.extend(found.values())
        os.kill(found[1], signal.SIGSTOP)

    thread = meanwhile(pipeline.home, suspend)
    result = train(pipeline, **ENDLESS, worker_timeout_seconds=20)
    thread.join()
    assert failure_of(result).startswith(
        f"worker 1 of 2 (counted from 0) (process {suspended[1]}) has shown no sign of life for "
        "20 s (worker_timeout_seconds)"
    )
    assert not any(is_alive(pid) for pid in suspended)


@pytest.mark.thorough
def test_what_a_worker_refuses_is_said_as_one_process_says_it(pipeline):
    result = train(pipeline, learning_rate=1e37)
    assert "lower learning_rate" in failure_of(result)


@pytest.mark.thorough  # of its process: test_no_worker_outlives_the_process_that_started_it
def test_no_worker_outlives_the_run_that_started_it(tmp_path, finished):
    place = Place(tmp_path)
    shutil.copytree(finished.home, place.data, symlinks=True)
    run = place.start_run("din_model", config=with_options(processes=2, **ENDLESS))
    try:
        wait_until(lambda: len(workers(place.data)) == 2, lambda: run.stdout.read())
        pids = [*workers(place.data).values()]
        os.kill(pids[1], signal.SIGSTOP)  # one that cannot end by itself
        os.kill(run.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, pids)), lambda: str(pids))
    finally:
        place.stop_everything()


# Of its process: test_no_worker_outlives_the_process_that_started_it. That a run is interrupted in
# the middle of a step, and is then told as cancelled: test_terminal_runs.py.
@pytest.mark.thorough
def test_interrupted_run_ends_its_workers(tmp_path, finished):
    place = Place(tmp_path)
    shutil.copytree(finished.home, place.data, symlinks=True)
    run = place.start_run("din_model", config=with_options(processes=2, **ENDLESS))
    try:
        wait_until(lambda: len(workers(place.data)) == 2, lambda: run.stdout.read())
        pids = [*workers(place.data).values()]
        os.kill(run.pid, signal.SIGINT)
        output = finish(run, 1)
        assert "Traceback" not in output
        assert list(place.statuses().values()) == ["CANCELED"]
        assert not any(map(is_alive, pids))
    finally:
        place.stop_everything()
