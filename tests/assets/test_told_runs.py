"""How a run is told: on a terminal, in a pipe, in another encoding; what takes long says so."""

from __future__ import annotations

import io
import logging
import time
from types import SimpleNamespace

import dagster as dg
import pytest

from din_assets.making.figure_checks import beats_popularity
from din_assets.runs import story
from din_assets.runs.figures import duration, main_figure
from din_assets.runs.progress import Progress, tell
from din_assets.runs.story import Checks, Story
from din_assets.runs.terminal import Terminal
from din_core.evaluation.comparisons import Comparison
from din_core.evaluation.intervals import Interval
from din_core.evaluation.judgement import Evaluation, Figure


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def record(message: str = "", *, level: int = logging.INFO, event=None, step=None, **extra):
    made = logging.makeLogRecord({"levelno": level, "msg": message, **extra})
    made.dagster_meta = {"dagster_event": event, "step_key": step, "orig_message": message}
    return made


def event(kind: dg.DagsterEventType, **data):
    """An event of the step `samples`, as a story looks at it."""
    return SimpleNamespace(
        event_type=kind,
        is_step_start=kind == dg.DagsterEventType.STEP_START,
        is_step_materialization=kind == dg.DagsterEventType.ASSET_MATERIALIZATION,
        is_step_success=kind == dg.DagsterEventType.STEP_SUCCESS,
        is_step_failure=kind == dg.DagsterEventType.STEP_FAILURE,
        is_run_failure=kind == dg.DagsterEventType.RUN_FAILURE,
        step_key="samples",
        **data,
    )


def begin(told: Story, level: int = logging.INFO) -> None:
    told.hear(record(event=event(dg.DagsterEventType.STEP_START)), level)


def progress_record(share: float, **others):
    kept = {}
    log = SimpleNamespace(info=lambda _, extra: kept.update(extra))
    tell(log, "read 7 rows", Progress(share, **others))
    return record("read 7 rows", step="samples", **kept)


def until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "_REDRAWN_SECONDS", 0.01)
    monkeypatch.setattr(story, "_SILENCE_SECONDS", 0.02)


@pytest.mark.usefixtures("quick")
def test_pipe_hears_of_a_step_that_takes_long_in_whole_lines():
    pipe = io.StringIO()
    told = Story(Terminal(pipe))
    begin(told)
    until(lambda: "samples: working, 0 s\n" in pipe.getvalue())
    told.hear(progress_record(0.5, at_most=True, seconds_left=100.0), logging.INFO)
    until(lambda: " 50%, at most 1 min 40 s left\n" in pipe.getvalue())
    told.close()
    assert "\x1b" not in pipe.getvalue()
    assert "\r" not in pipe.getvalue()


@pytest.mark.usefixtures("quick")
def test_terminal_has_one_line_with_a_bar_that_is_drawn_over_and_taken_away():
    screen = Screen()
    told = Story(Terminal(screen))
    begin(told)
    told.hear(progress_record(0.25), logging.INFO)
    until(lambda: "█████░░░░░░░░░░░░░░░ 25%" in screen.getvalue())
    assert "\n" not in screen.getvalue()  # what the bar shows is no line of its own
    told.close()
    assert screen.getvalue().endswith("\r\x1b[2K")


@pytest.mark.usefixtures("quick")
def test_level_above_info_hears_of_no_work():
    pipe = io.StringIO()
    told = Story(Terminal(pipe))
    begin(told, logging.WARNING)
    told.hear(progress_record(0.5), logging.WARNING)
    told.hear(record("mind this", level=logging.WARNING, step="samples"), logging.WARNING)
    told.close()
    assert pipe.getvalue() == "WARNING samples: mind this\n"


def test_time_left_without_an_estimate_follows_from_the_share(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(story.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(story, "_REDRAWN_SECONDS", 3600.0)
    told = Story(Terminal(Screen()))
    begin(told)
    now[0] = 110.0
    told.hear(progress_record(0.2), logging.INFO)  # a fifth in 10 s: 40 s for the rest
    now[0] = 115.0
    assert told._working().endswith("working, 15 s ████░░░░░░░░░░░░░░░░ 20%, about 35 s left")
    told.close()


@pytest.mark.parametrize(
    ("variable", "coloured"), [(None, True), ("NO_COLOR", False), ("TERM", False)]
)
def test_colours_are_for_a_terminal_that_wants_them(monkeypatch, variable, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if variable is not None:
        monkeypatch.setenv(variable, "dumb")
    assert ("\x1b[" in Terminal(Screen()).styled("failed", "red")) == coloured
    assert Terminal(io.StringIO()).styled("failed", "red") == "failed"


def test_stream_without_unicode_gets_a_frame_and_lines_it_can_show():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    terminal = Terminal(stream)
    terminal.box(["AUC 0.81", "x"])
    terminal.write("50 → 2")
    assert raw.getvalue().decode() == (
        "+----------+\n| AUC 0.81 |\n| x        |\n+----------+\n50 ? 2\n"
    )


def test_checks_are_counted_and_those_that_failed_are_named():
    checks = Checks(passed=["a", "b"], warned=["events_ties_in_time"])
    assert checks.summary() == "3 checks: 2 passed, 1 warned (events_ties_in_time)"
    assert Checks(passed=["a"]).summary() == "1 check: 1 passed"


@pytest.mark.parametrize(("level", "is_told"), [("INFO", True), ("ERROR", False)])
def test_step_that_is_tried_again_says_so_and_why(level, is_told, capsys):
    said = "OSError: [Errno 5] Input/output error\n"
    cause = SimpleNamespace(message=said, cause=None)
    again = SimpleNamespace(error=cause, seconds_to_wait=5)
    told, level = Story(), logging.getLevelNamesMapping()[level]
    begin(told, level)
    happened = event(dg.DagsterEventType.STEP_UP_FOR_RETRY, event_specific_data=again)
    told.hear(record("samples has requested a retry", event=happened), level)
    told.close()
    line = "WARNING samples: OSError: [Errno 5] Input/output error; it is tried again in 5 s\n"
    assert capsys.readouterr().err == (line if is_told else "")


def test_verdict_that_a_failed_check_told_is_told_already(capsys):
    compared = Comparison("popularity", "auc", Interval(0.01, -0.1, 0.12), 300, None)
    figures = Evaluation(
        (Figure("auc", Interval(0.5), 600),), comparisons=(compared,), n_samples=600
    )
    too_few, verdict = figures.warnings()
    told = Story()
    assert not told.has_told(verdict)
    finding = beats_popularity(figures, blocked=False).finding()
    told.hear(record(finding, level=logging.WARNING, step="test_auc"), logging.INFO)
    assert "too small to tell whether the model beats popularity" in capsys.readouterr().err
    assert told.has_told(verdict)
    assert not told.has_told(too_few)


@pytest.mark.parametrize(
    ("metadata", "figure"),
    [
        ({"dagster/row_count": dg.MetadataValue.int(121_892)}, "121,892 rows"),
        ({"dagster/row_count": dg.MetadataValue.int(1)}, "1 row"),
        (
            {
                "auc": dg.MetadataValue.float(0.84361),
                "popularity_auc": dg.MetadataValue.float(0.678),
            },
            "test AUC 0.8436, popularity 0.6780",
        ),
        (
            {"val_auc": dg.MetadataValue.float(0.8), "best_epoch": dg.MetadataValue.int(3)},
            "validation AUC 0.8000, epoch 3",
        ),
        ({}, ""),
    ],
)
def test_main_figure_is_what_one_asks_of_an_asset_first(metadata, figure):
    assert main_figure(metadata) == figure


def test_files_have_their_size(tmp_path):
    (tmp_path / "a").write_bytes(bytes(1_400_000))
    (tmp_path / "b").write_bytes(bytes(100_000))
    assert main_figure({"path": dg.MetadataValue.path(str(tmp_path))}) == "1.5 MB"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (125, "2 min 05 s"), (4200, "1 h 10 min"), (-3, "0 s")],
)
def test_times_are_said_as_one_says_them(seconds, said):
    assert duration(seconds) == said
