"""What starts runs by itself: off at first, and then for what is new and for nothing else."""

import dataclasses
import datetime
import functools
import re
import shutil
import time

import dagster as dg
import duckdb
import pytest

from din_assets.automation import freshness, new_files
from din_assets.automation.new_files import Memory
from din_assets.definitions import build_defs
from din_assets.runs import folders, last_run
from din_assets.runs.last_run import ChoicesError
from din_assets.starting.run_start import RunStore
from din_core import sources
from din_core.sources import looks
from din_core.store import run_lock
from tests.assets.small_pipeline import Pipeline, write_rows

ROWS = [f"u{user},i{item},{10 * item + user},c{item % 2}" for user in range(4) for item in range(5)]
SOURCE = dg.AssetKey("interactions_csv")
READING = ("interactions", "rejected_rows", "source_files")


@pytest.fixture
def at_rest(monkeypatch):
    """Files are looked at an hour after they were written."""
    now = time.time
    monkeypatch.setattr(looks.time, "time", lambda: now() + 3600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of every test: definitions, of which there are then one, hold a path in it."""
    return tmp_path_factory.mktemp("automation")


def emptied(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


@pytest.fixture
def incoming(folder):
    incoming = emptied(folder / "incoming")
    write_rows(incoming / "2026-11-01.csv", *ROWS)
    return incoming


@pytest.fixture
def store(folder, incoming) -> RunStore:
    """A store whose last run read the folder's files."""
    home = emptied(folder / "data")
    last_run.write(home / last_run.FILE, {"interactions": {"path": str(incoming / "*.csv")}})
    return RunStore(home=str(home))


def definitions(store=None):
    return _definitions(store and store.home)


@functools.cache
def _definitions(home):
    return build_defs(resource_overrides={"store": RunStore(home=home)} if home else None)


def test_all_of_it_is_off_until_it_is_switched_on_and_says_what_it_does():
    repository = definitions().get_repository_def()
    started = [*repository.schedule_defs, *repository.sensor_defs]
    assert {each.name for each in started} == {"daily_full_run", "new_files", "changed_source"}
    assert {each.default_status.value for each in started} == {"STOPPED"}
    assert all(each.description for each in started)
    assert all(node.freshness_policy is None for node in repository.asset_graph.asset_nodes)


def test_page_about_automation_names_what_there_is_and_how_to_start_it():
    page = (folders.project_root() / "docs" / "automation.md").read_text(encoding="utf-8")
    repository = definitions().get_repository_def()
    found = re.findall(r"dagster (schedule|sensor) start (\w+) -m din_assets.definitions", page)
    assert set(found) == {
        *(("schedule", each.name) for each in repository.schedule_defs),
        *(("sensor", each.name) for each in repository.sensor_defs),
    }


# The daily schedule


def test_daily_run_is_a_full_run_with_what_is_remembered(finished, pipeline):
    schedule = definitions().get_repository_def().get_schedule_def("daily_full_run")
    at = datetime.datetime(2026, 11, 27, 3, tzinfo=datetime.UTC)
    tick = schedule.evaluate_tick(
        dg.build_schedule_context(instance=pipeline.instance, scheduled_execution_time=at)
    )
    (request,) = tick.run_requests
    assert request.run_config == {}  # so that source and options are those of the last run
    job = definitions().resolve_job_def(schedule.job_name)
    made = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert made == set(finished.versions())


def test_run_without_configuration_goes_by_the_remembered_source_and_options(store, incoming):
    remembered = last_run.read(store.folder / last_run.FILE)
    last_run.write(
        store.folder / last_run.FILE, {**remembered, "known_ids": {"min_interactions": 2}}
    )
    with dg.DagsterInstance.ephemeral() as instance:
        pipeline = Pipeline(store.folder, instance)
        assert pipeline.start(*READING, "known_ids", config={}).success
        assert pipeline.query("select count(*) from interactions") == [(len(ROWS),)]
        options = pipeline.query("select options from ledger where asset = 'known_ids'")[0][0]
    assert '"min_interactions": 2' in options


# New files


def tick(store, cursor=None) -> dg.SensorResult:
    sensor = definitions(store).get_repository_def().get_sensor_def("new_files")
    return sensor(dg.build_sensor_context(cursor=cursor))


def look_twice(store, cursor=None) -> dg.SensorResult:
    first = tick(store, cursor)
    assert first.run_requests == []
    return tick(store, first.cursor)


def key_of(result) -> str:
    (request,) = result.run_requests
    assert request.run_config == {}
    return request.run_key


def test_new_files_start_one_run(store, at_rest):
    fired = look_twice(store)
    assert key_of(fired).startswith(sources.fingerprint(str(store.folder / "../incoming/*.csv")))
    again = tick(store, fired.cursor)
    assert again.run_requests == []
    assert "a run was requested for this content" in again.skip_reason.skip_message


def test_file_that_is_still_being_written_waits(store, incoming, at_rest):
    result = tick(store)
    for line in ("u7,i1,500,c1\n", "u7,i2,501,c1\n", "u7,i3,502,c1\n"):
        with (incoming / "2026-11-02.csv").open("a") as file:
            file.write(line)
        result = tick(store, result.cursor)
        assert result.run_requests == []
        assert "changed since the last look" in result.skip_reason.skip_message
    assert key_of(tick(store, result.cursor))


def test_file_that_was_written_just_now_waits_even_where_nothing_changed_between_looks(store):
    assert look_twice(store).run_requests == []  # as long as `at_rest` does not say otherwise


def test_file_that_is_cut_off_or_empty_waits_with_a_sentence(store, incoming, at_rest):
    (incoming / "2026-11-02.csv").touch()
    assert "2026-11-02.csv: the file is empty" in tick(store).skip_reason.skip_message
    (incoming / "2026-11-02.csv").write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03cut off")
    waiting = look_twice(store)
    assert waiting.run_requests == []
    assert "damaged or cut off" in waiting.skip_reason.skip_message


def test_corrected_file_starts_a_run_again_and_so_does_its_correction_back(
    store, incoming, at_rest
):
    file = incoming / "2026-11-01.csv"
    was = file.read_text()
    first = look_twice(store)
    file.write_text(was.replace("u0", "u9"))
    second = look_twice(store, first.cursor)
    file.write_text(was)
    third = look_twice(store, second.cursor)
    keys = [key_of(result) for result in (first, second, third)]
    assert len(set(keys)) == 3  # Dagster starts no second run of one key
    assert keys[0].split("-")[0] == keys[2].split("-")[0] != keys[1].split("-")[0]


def test_touched_file_starts_nothing(store, incoming, at_rest):
    fired = look_twice(store)
    (incoming / "2026-11-01.csv").touch()
    assert look_twice(store, fired.cursor).run_requests == []


def test_renamed_file_starts_a_run_only_where_the_files_come_in_another_order(
    store, incoming, at_rest
):
    write_rows(incoming / "2026-11-02.csv", "u7,i1,500,c1")
    fired = look_twice(store)
    assert key_of(fired)
    (incoming / "2026-11-02.csv").rename(incoming / "2026-11-03.csv")
    renamed = look_twice(store, fired.cursor)
    assert renamed.run_requests == []
    (incoming / "2026-11-03.csv").rename(incoming / "2026-10-31.csv")
    assert key_of(look_twice(store, renamed.cursor))


def publish_as_read(finished, store, version):
    """Let the store's published tables be made of content of that version."""
    published = store.folder / "warehouse.duckdb"
    published.write_bytes((finished.home / "warehouse.duckdb").read_bytes())
    with duckdb.connect(str(published)) as con:
        con.execute(
            "update ledger set inputs = json_object('interactions_csv', ?::varchar) "
            "where asset = 'interactions'",
            [version],
        )


def test_content_that_a_run_published_starts_nothing(finished, incoming, at_rest, store):
    publish_as_read(finished, store, sources.fingerprint(str(incoming / "*.csv")))
    waiting = look_twice(store)
    assert waiting.run_requests == []
    assert "nothing new" in waiting.skip_reason.skip_message
    write_rows(incoming / "2026-11-02.csv", "u1,i9,900,c0")
    assert key_of(look_twice(store, waiting.cursor))


def test_content_that_comes_back_after_a_run_by_hand_read_other_content_starts_a_run(
    finished, incoming, at_rest, store
):
    file = incoming / "2026-11-01.csv"
    was = file.read_text()
    file.write_text(was.replace("u0", "u9"))
    corrected = look_twice(store)
    file.write_text(was)
    publish_as_read(finished, store, sources.fingerprint(str(file)))  # `din run` read it
    waiting = look_twice(store, corrected.cursor)
    assert "nothing new" in waiting.skip_reason.skip_message
    file.write_text(was.replace("u0", "u9"))
    assert key_of(look_twice(store, waiting.cursor)) != key_of(corrected)


def test_content_is_hashed_once(store, at_rest, monkeypatch):
    hashed = []
    fingerprint = sources.fingerprint
    monkeypatch.setattr(sources, "fingerprint", lambda path: hashed.append(1) or fingerprint(path))
    result = look_twice(store)
    for _ in range(3):
        result = tick(store, result.cursor)
    assert len(hashed) == 1


def test_source_without_files_is_a_sentence(store, tmp_path, monkeypatch):
    monkeypatch.setenv("DIN_CSV", "synthetic")
    assert "has no files to watch" in tick(store).skip_reason.skip_message
    monkeypatch.setenv("DIN_CSV", str(tmp_path / "none/*.csv"))
    assert "there is no such file (DIN_CSV names it)" in tick(store).skip_reason.skip_message


def test_source_of_the_last_run_that_is_gone_fails_the_look(store, incoming):
    (incoming / "2026-11-01.csv").unlink()
    with pytest.raises(ChoicesError, match=r"the source of the last run, is gone"):
        new_files.look(store, Memory())


def test_looking_waits_for_no_run(store, at_rest):
    with run_lock(store.folder / "pipeline.lock", owner="a long run", on_wait=pytest.fail):
        assert key_of(look_twice(store))


@pytest.mark.parametrize("cursor", [None, "", "no json", "[]", '{"other": 1}'])
def test_cursor_of_somebody_else_is_an_empty_memory(cursor):
    assert Memory.of_cursor(cursor) == Memory()


def test_memory_survives_its_cursor():
    memory = Memory("a", "b", "c", "d")
    assert Memory.of_cursor(memory.cursor()) == memory
    assert Memory.of_cursor(dataclasses.replace(memory, version="x").cursor()) != memory


# Declarative automation


class Daemon:
    """Evaluates the conditions, one tick after another, as Dagster's daemon does."""

    def __init__(self, pipeline, store):
        self.pipeline, self.cursor = pipeline, None
        self.definitions = definitions(store)
        self.sensor = self.definitions.get_repository_def().get_sensor_def("changed_source")
        self.at = datetime.datetime.now(datetime.UTC).replace(minute=1)

    def tick(self, minutes=1) -> set[str]:
        """Let a time pass and return what would be made."""
        self.at += datetime.timedelta(minutes=minutes)
        result = dg.evaluate_automation_conditions(
            self.definitions,
            self.pipeline.instance,
            asset_selection=self.sensor.asset_selection,
            cursor=self.cursor,
            evaluation_time=self.at,
        )
        self.cursor = result.cursor
        keys = self.definitions.resolve_asset_graph().get_all_asset_keys()
        return {key.to_user_string() for key in keys if result.get_num_requested(key)}

    def all_that_is_made(self) -> set[str]:
        """Whatever a full run makes; the test of the daily run holds that to a finished one."""
        graph = self.definitions.resolve_asset_graph()
        return {key.to_user_string() for key in graph.materializable_asset_keys}

    def observe(self):
        assert self.pipeline.start("interactions_csv", config={}).success

    def read(self):
        assert self.pipeline.start(*READING, config={}).success


@pytest.fixture
def daemon(store):
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(Pipeline(store.folder, instance), store)
        daemon.read()
        assert daemon.tick() == set()
        yield daemon


def test_source_is_observed_every_quarter_of_an_hour(daemon):
    assert [daemon.tick(minutes=5) for _ in range(6)] == [
        set(), set(), {"interactions_csv"}, set(), set(), {"interactions_csv"}
    ]  # fmt: skip


def test_what_is_no_change_starts_nothing_and_a_change_one_run_of_all_that_is_made(
    daemon, incoming
):
    # The unchanged source, which the run that read it had observed.
    daemon.observe()
    assert daemon.tick() == set()
    # A table that somebody makes anew.
    assert daemon.pipeline.start("known_ids", config={}).success
    assert daemon.tick() == set()
    # A change that a run has read.
    write_rows(incoming / "2026-11-02.csv", "u1,i9,900,c0")
    daemon.read()
    assert daemon.tick() == set()
    daemon.observe()
    assert daemon.tick() == set()
    # A change that none has read.
    write_rows(incoming / "2026-11-03.csv", "u1,i8,901,c0")
    daemon.observe()
    assert daemon.tick() == daemon.all_that_is_made()
    # The run is on its way, and the same content is seen again.
    daemon.observe()
    assert daemon.tick() == set()


def test_run_that_failed_at_a_check_does_not_keep_the_next_one_from_being_whole(daemon, incoming):
    daemon.pipeline.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("known_ids"), check_name="known_ids_dense", passed=False
        )
    )
    assert daemon.tick() == set()
    write_rows(incoming / "2026-11-02.csv", "u1,i9,900,c0")
    daemon.observe()
    assert daemon.tick() == daemon.all_that_is_made()


def test_change_waits_for_the_end_of_a_run_that_reads_the_source_already(daemon, incoming):
    reading = {dg.AssetKey(name) for name in READING}
    job = daemon.definitions.resolve_implicit_global_asset_job_def()
    run = daemon.pipeline.instance.create_run_for_job(
        job.get_subset(asset_selection=reading),
        asset_selection=reading,
        status=dg.DagsterRunStatus.STARTED,
    )
    write_rows(incoming / "2026-11-02.csv", "u1,i9,900,c0")
    daemon.observe()
    assert daemon.tick() == set()
    # It has not read the change.
    daemon.pipeline.instance.report_run_failed(run)
    assert daemon.tick() == daemon.all_that_is_made()


# Freshness


@pytest.mark.parametrize(("hours", "fails", "warns"), [("26", 26, 19.5), ("0.5", 0.5, 0.375)])
def test_published_results_are_fresh_within_the_hours_that_are_named(
    monkeypatch, hours, fails, warns
):
    monkeypatch.setenv("DIN_FRESH_WITHIN_HOURS", hours)
    graph = build_defs().resolve_asset_graph()
    policies = {
        node.key.to_user_string(): node.freshness_policy
        for node in graph.asset_nodes
        if node.freshness_policy is not None
    }
    assert set(policies) == {"warehouse", "bundle"}
    for policy in policies.values():
        assert policy.fail_window.to_timedelta() == datetime.timedelta(hours=fails)
        assert policy.warn_window.to_timedelta() == datetime.timedelta(hours=warns)


@pytest.mark.parametrize("hours", ["soon", "0", "-3", "nan", "1e400", "0.01"])
def test_hours_that_are_none_are_refused(monkeypatch, hours):
    monkeypatch.setenv("DIN_FRESH_WITHIN_HOURS", hours)
    with pytest.raises(freshness.FreshnessError, match=rf"DIN_FRESH_WITHIN_HOURS is '{hours}'"):
        build_defs()
