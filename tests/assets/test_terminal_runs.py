"""Runs of the terminal: how one ends that is interrupted, and where the UI shows them."""

from __future__ import annotations

import copy
import errno
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from din_assets import jobs
from din_assets.assets.catalogue import MADE_BY
from din_assets.command import cli
from din_assets.definitions import build_defs
from din_assets.making import preset_files
from din_assets.names import PLAIN
from din_assets.runs import choices, last_run, origins, paths
from din_assets.starting import run_start
from din_assets.starting.parts_of_run import own_part
from din_core.config import OptionsError
from tests.assets import interrupted_query
from tests.assets.places import Place, finish, wait_until
from tests.assets.small_pipeline import SMALL_RUN, failure_of

LONG_TRAINING = copy.deepcopy(SMALL_RUN)
LONG_TRAINING["ops"]["din_model"]["config"] |= {
    "n_epoch": 100_000, "earlystop_patience": 100_000, "checkpoint_seconds": 0.001,
}  # fmt: skip
ONLY_TRAINING = {"ops": {"din_model": LONG_TRAINING["ops"]["din_model"]}}
#: Another asset that is made in the same way shows the same.
MORE_OF_THE_SAME = {
    "architecture_graph", "cates", "events", "items", "negatives", "onnx_model", "samples",
    "user_sequences", "users",
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    try:
        yield place
    finally:
        place.stop_everything()


@pytest.mark.parametrize("command", ["din", "dagster"])
def test_interrupted_run_is_cancelled_and_says_so_in_a_sentence(place, finished, command):
    shutil.copytree(finished.home, place.data, symlinks=True)  # all but this training is made
    config = place.write(LONG_TRAINING, "INFO")
    words = {
        "din": ("run", "-c", config),
        "dagster": place.materialize("din_model", ONLY_TRAINING, "INFO"),
    }
    process = place.start_warm(command, *words[command])
    for line in process.stdout:
        if "epoch 2/" in line:
            break
    os.kill(process.pid, signal.SIGINT)
    output = finish(process, 130 if command == "din" else 1)
    assert "Traceback" not in output
    assert "Stack Trace" not in output
    if command == "din":
        assert output.splitlines()[-1] == "din: interrupted; what was made before it stays"
    assert list(place.statuses().values()) == ["CANCELED"]
    # Nothing is lost: the samples are there, and the training goes on where it was.
    assert (place.data / "checkpoints" / "din_model").is_dir()


def test_interruption_of_a_query_is_one_of_the_run(place):
    at_work = place.home / "at_work.csv"
    process = place.start(sys.executable, interrupted_query.__file__, str(at_work))
    wait_until(lambda: at_work.exists() or process.poll() is not None, lambda: None)
    os.kill(process.pid, signal.SIGINT)
    # The sentence is of the query: a signal outside of one would have none.
    assert finish(process) == "interrupted: Query interrupted\n"


def test_run_of_the_command_line_has_the_code_location_that_the_ui_serves():
    run = dg.DagsterRun(job_name="full_run", run_id="r")
    origin = origins.with_origin(run).remote_job_origin
    assert origin.repository_origin.get_label() == "__repository__@din_assets.definitions"
    assert origin.job_name == "full_run"
    of_ui = origins.with_origin(run)
    assert origins.with_origin(of_ui) is of_ui


def test_code_location_is_the_one_of_the_workspace(tmp_path, monkeypatch):
    (tmp_path / "workspace.yaml").write_text("load_from: [{python_module: ours.definitions}]")
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    run = dg.DagsterRun(job_name="full_run", run_id="r")
    assert origins.with_origin(run).remote_job_origin.location_name == "ours.definitions"


def test_every_recorded_run_has_one(place):
    with dg.DagsterInstance.from_config(str(place.home)) as instance:
        run = instance.create_run_for_job(build_defs().resolve_job_def(jobs.FULL_RUN))
        recorded = instance.get_run_by_id(run.run_id)
    assert recorded.remote_job_origin.location_name == "din_assets.definitions"


@pytest.mark.parametrize(
    "asset",
    [
        "interactions",
        "rejected_rows",
        # Like rejected_rows, beside the asset that is read.
        pytest.param("source_files", marks=pytest.mark.thorough),
    ],
)
def test_any_of_the_assets_that_are_made_together_can_be_made_by_its_name(
    pipeline, asset, write_csv, monkeypatch
):
    monkeypatch.setenv("DIN_CSV", str(write_csv("u1,i1,1,c1", "u1,i2,2,c1")))
    assert pipeline.run(asset, config=pipeline.config | {"ops": {}}).success
    made = {
        event.step_materialization_data.materialization.asset_key.to_user_string()
        for event in pipeline.result.all_events
        if event.is_step_materialization
    }
    assert made == {"interactions", "rejected_rows", "source_files"} == set(pipeline.versions())
    for name, version in pipeline.versions().items():
        event = pipeline.instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event.asset_materialization.tags["dagster/data_version"] == version


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, marks=[pytest.mark.thorough] if step in MORE_OF_THE_SAME else [])
        for step in sorted({*MADE_BY} - {"interactions", "ablation"})
    ],
)
def test_asset_alone_on_an_empty_store_ends_in_a_sentence(pipeline, step, capsys):
    [key, *_] = MADE_BY[step]
    result = pipeline.run(key.to_user_string())
    if not result.success:
        assert any(way in failure_of(result) for way in ("din run", "make run", "materialize"))
    assert "Stack Trace" not in capsys.readouterr().err


def test_jobs_cover_the_parts_of_the_road_between_them():
    definitions = build_defs()

    def assets(job: str) -> set[str]:
        selected = definitions.resolve_job_def(job).asset_layer.executable_asset_keys
        return {key.to_user_string() for key in selected}

    parts = [assets(job) for job in ("data_only", "train_only", "evaluate", "publish")]
    assert set.union(*parts) == assets("full_run")
    assert sum(map(len, parts)) == len(assets("full_run"))
    assert {"interactions", "samples"} <= parts[0]
    assert parts[1] == {"din_model"}
    assert {"test_auc", "attention_weights"} <= parts[2]
    assert {"bundle", "warehouse"} <= parts[3]


@pytest.mark.parametrize("preset", preset_files.names())
def test_launchpad_of_a_preset_opens_with_its_options(preset):
    job = build_defs().resolve_job_def(f"full_run_{preset}")
    assert job.run_config == preset_files.read(preset)
    assert job.description
    assert preset_files.says(preset) in job.description
    dg.validate_run_config(job, job.run_config)


def test_run_with_a_preset_keeps_the_options_of_the_steps_that_it_does_not_name(pipeline):
    remembered = {"samples": {"max_history": 7}, "din_model": {"n_epoch": 3}}
    pipeline.home.mkdir()
    last_run.write(pipeline.home / last_run.FILE, remembered)
    run_config = preset_files.read("best")
    assert choices.of_run(run_config, pipeline.home).options("samples") == {}
    job = build_defs().resolve_job_def("full_run_best")
    run = dg.DagsterRun(job_name=job.name, run_id="r", run_config=run_config, tags=job.run_tags)
    own = own_part(run, pipeline.instance, PLAIN)
    asked = run_start.asked_for(own, pipeline.home)
    assert asked.options("samples") == {"max_history": 7}
    assert asked.options("din_model") == {"n_epoch": 36}


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (OSError(errno.EIO, "Input/output error"), 3),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (OptionsError("options that do not go together"), 1),
    ],
)
def test_only_what_a_disk_says_for_a_moment_is_tried_again(
    pipeline, monkeypatch, capsys, error, tries
):
    seen = []
    pipeline.config["loggers"]["console"]["config"]["log_level"] = "INFO"

    def failing(*_, **__):
        seen.append(1)
        raise error

    monkeypatch.setattr("din_assets.runs.failures._WAIT_SECONDS", 0)
    monkeypatch.setattr("din_core.sources.ingest", failing)
    assert str(error.args[-1]) in failure_of(pipeline.run("interactions"))
    assert len(seen) == tries
    # The wait is told with its reason, and not only in the UI.
    told = [line for line in capsys.readouterr().err.splitlines() if "tried again" in line]
    reason = "WARNING interactions: OSError: [Errno 5] Input/output error"
    assert told == [f"{reason}; it is tried again in 0 s"] * (tries - 1)


def test_step_that_computes_is_not_tried_again(pipeline, finished, monkeypatch):
    seen = []

    def failing(*_, **__):
        seen.append(1)
        raise OSError(errno.EIO, "Input/output error")

    shutil.copytree(finished.home, pipeline.home, symlinks=True)
    monkeypatch.setattr("din_assets.assets.sequences.build_table", failing)
    assert not pipeline.run("users").success
    assert len(seen) == 1


def test_command_without_words_shows_the_way(capsys):
    assert cli.main([]) == 2
    shown = capsys.readouterr().out
    assert "din run --csv log.csv" in shown
    assert {"run", "rank", "serve", "ui", "prune"} <= set(shown.split())
