"""The run history keeps its connections, and others see what is written all the same."""

import contextlib
import os
import sqlite3

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.sqlite import sqlite_event_log

from din_assets.runs import kept_connections
from din_assets.runs.history_errors import RunHistoryError
from din_assets.runs.kept_connections import Engines
from din_assets.runs.run_history import RunHistory


@pytest.fixture
def history(tmp_path):
    storage = RunHistory.from_config_value(None, {"base_dir": str(tmp_path)})
    with dg.DagsterInstance.ephemeral() as instance:
        storage.register_instance(instance)
        yield storage.event_log_storage
    storage.dispose()


def event(number, run_id="a-run"):
    return dg.EventLogEntry(
        error_info=None,
        level=10,
        user_message=f"event {number}",
        run_id=run_id,
        timestamp=float(number),
    )


def test_no_engine_is_made_for_a_further_event_of_a_run(history, monkeypatch):
    history.store_event(event(0))
    made = []
    create = sa.create_engine
    monkeypatch.setattr(sa, "create_engine", lambda *a, **k: made.append(a) or create(*a, **k))
    for number in range(1, 5):
        history.store_event(event(number))
    assert made == []
    assert len(history.get_logs_for_run("a-run")) == 5


def test_a_table_is_looked_for_until_it_is_there(history, monkeypatch):
    asked = []
    create = sqlite_event_log.create_engine
    monkeypatch.setattr(
        sqlite_event_log, "create_engine", lambda *a, **k: asked.append(a) or create(*a, **k)
    )
    assert [history.has_table("asset_event_tags") for _ in range(3)] == [True] * 3
    assert len(asked) == 1
    assert not history.has_table("later")
    with history.index_connection() as connection:
        connection.execute(sa.text("create table later (x integer)"))
    assert history.has_table("later")


@pytest.mark.parametrize("kept", [False, True])
def test_the_file_of_a_run_changes_with_each_event_as_whoever_follows_it_waits_for(
    kept, history, tmp_path
):
    file = tmp_path / "history" / "runs" / "a-run.db"
    if kept:
        history.keep_open("a-run")
    for number in range(4):
        if number:
            os.utime(file, (0, 0))
        history.store_event(event(number))
        assert file.stat().st_mtime > 0
        with contextlib.closing(sqlite3.connect(file)) as other:
            assert other.execute("select count(*) from event_logs").fetchall() == [(number + 1,)]


def test_whoever_follows_a_run_is_told_of_an_event_that_is_there(history, monkeypatch):
    seen = []
    touch = os.utime

    def touched(file):
        with contextlib.closing(sqlite3.connect(file)) as other:
            seen.extend(other.execute("select count(*) from event_logs").fetchone())
        touch(file)

    monkeypatch.setattr(kept_connections.os, "utime", touched)
    history.keep_open("a-run")
    for number in range(3):
        history.store_event(event(number))
    history.let_go("a-run")
    assert seen == [1, 2, 3]


def test_a_file_of_a_run_is_kept_open_until_it_is_let_go(history, tmp_path):
    beside = tmp_path / "history" / "runs" / "a-run.db-wal"
    history.store_event(event(0))
    assert not beside.exists()
    history.keep_open("a-run")
    history.store_event(event(1))
    assert beside.exists()
    history.let_go("a-run")
    assert not beside.exists()
    history.let_go("a-run")
    history.store_event(event(2))
    assert not beside.exists()
    assert len(history.get_logs_for_run("a-run")) == 3


@pytest.mark.parametrize("kept", [True, False], ids=["this process", "another"])
def test_the_process_that_runs_a_run_keeps_its_file_open_until_the_run_ends(
    kept, history, tmp_path
):
    process = os.getpid() if kept else -1

    def store(number, kind):
        of_run = dg.DagsterEvent(event_type_value=kind.value, job_name="a_job", pid=process)
        history.store_event(event(number)._replace(dagster_event=of_run))

    beside = tmp_path / "history" / "runs" / "a-run.db-wal"
    store(0, dg.DagsterEventType.RUN_START)
    assert beside.exists() == kept
    history.store_event(event(1))
    assert beside.exists() == kept
    store(2, dg.DagsterEventType.RUN_SUCCESS)
    assert not beside.exists()


def test_engines_of_earlier_runs_are_let_go(history, monkeypatch):
    monkeypatch.setattr(kept_connections, "_KEPT_RUNS", 1)
    for number in range(2):
        history.store_event(event(number, f"run-{number}"))
    assert len(history._engines._of_runs) == 1
    assert [each.user_message for each in history.get_logs_for_run("run-0")] == ["event 0"]


def test_another_connection_sees_what_is_written_at_once(tmp_path):
    engines = Engines()
    with engines.shared(f"sqlite:///{tmp_path}/a.db").begin() as connection:
        connection.execute(sa.text("pragma journal_mode = wal"))
        connection.execute(sa.text("create table t (x integer)"))
    with engines.shared(f"sqlite:///{tmp_path}/a.db").begin() as connection:
        connection.execute(sa.text("insert into t values (7)"))
    with sqlite3.connect(tmp_path / "a.db") as other:
        assert other.execute("select x from t").fetchall() == [(7,)]
    other.close()
    engines.dispose()


def test_a_connection_stays_on_its_side_of_a_fork(tmp_path, monkeypatch):
    engines = Engines()
    url = f"sqlite:///{tmp_path}/a.db"
    of_parent = engines.shared(url)
    monkeypatch.setattr(kept_connections.os, "getpid", lambda: -1)
    of_child = engines.shared(url)
    assert of_child is not of_parent
    assert engines.shared(url) is of_child
    engines.dispose()


def test_what_is_disposed_of_is_closed_and_opens_again(tmp_path):
    engines = Engines()
    url = f"sqlite:///{tmp_path}/a.db"
    with engines.shared(url).begin() as connection:
        connection.execute(sa.text("pragma journal_mode = wal"))
        connection.execute(sa.text("create table t (x integer)"))
    assert (tmp_path / "a.db-wal").exists()
    engines.dispose()
    assert not (tmp_path / "a.db-wal").exists()
    with engines.shared(url).begin() as connection:
        assert connection.execute(sa.text("select count(*) from t")).scalar() == 0
    engines.dispose()


@pytest.fixture
def no_more_room():
    """Let no database grow from now on, as on a full disk."""

    def stop_growing(connection, _):
        connection.execute("pragma max_page_count = 1")

    sa.event.listen(sa.Engine, "connect", stop_growing)
    yield
    sa.event.remove(sa.Engine, "connect", stop_growing)


def test_history_without_room_is_a_sentence(history, tmp_path, request):
    def fill():
        for number in range(1, 2000):
            history.store_event(event(number))

    history.store_event(event(0))
    request.getfixturevalue("no_more_room")
    with pytest.raises(RunHistoryError) as caught:
        fill()
    assert str(caught.value).startswith(
        f"{tmp_path}/history/runs/a-run.db: database or disk is full; Dagster keeps its run history"
    )


def test_damaged_history_of_a_run_is_a_sentence(history, tmp_path):
    history.store_event(event(0))
    (tmp_path / "history" / "runs" / "a-run.db").write_bytes(b"no database" * 1000)
    with pytest.raises(RunHistoryError, match=r"a-run\.db: file is not a database; Dagster keeps"):
        history.store_event(event(1))


def test_history_of_a_run_that_somebody_removes_meanwhile_is_a_sentence(history, tmp_path):
    history.keep_open("a-run")
    history.store_event(event(0))
    for file in (tmp_path / "history" / "runs").glob("a-run.db*"):
        file.unlink()
    with pytest.raises(RunHistoryError, match=r"/a-run\.db: No such file or directory; Dagster"):
        history.store_event(event(1))
    history.let_go("a-run")


@pytest.mark.parametrize(("error", "n_told"), [(KeyboardInterrupt, 0), (OSError, 1)])
def test_an_interrupt_while_a_connection_closes_is_told_as_no_error(
    tmp_path, monkeypatch, caplog, error, n_told
):
    engine = Engines().of_run(f"sqlite:///{tmp_path / 'events.db'}")

    def interrupted(_):
        raise error

    monkeypatch.setattr(engine.dialect, "do_close", interrupted)
    with contextlib.suppress(error), engine.connect():
        pass
    assert len(caplog.records) == n_told
