"""What is seen of a source from outside, and when that is enough to know its content."""

import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from din_core.sources import SourceError, look_at, looks

LOG = "user_id,item_id,time,cate_id\n1,2,3,4\n"


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return path


def in_an_hour(monkeypatch):
    now = time.time()
    monkeypatch.setattr(looks.time, "time", lambda: now + 3600)


def test_look_counts_files_and_bytes_and_names_the_latest_change(tmp_path):
    for day, second in (("01", 1_000), ("02", 5_000), ("03", 3_000)):
        path = tmp_path / f"2026-11-{day}.csv"
        path.write_text(LOG)
        os.utime(path, (second, second))
    look = look_at(str(tmp_path / "*.csv"))
    assert (look.files, look.bytes, look.rows) == (3, 3 * len(LOG), None)
    assert look.modified.timestamp() == 5_000


def test_rows_of_parquet_are_known_without_reading_them(tmp_path):
    for name, rows in (("a", 3), ("b", 4)):
        pq.write_table(pa.table({"user_id": range(rows)}), tmp_path / f"{name}.parquet")
    assert look_at(str(tmp_path / "*.parquet")).rows == 7


def test_stamp_is_the_same_while_nobody_writes(log, monkeypatch):
    in_an_hour(monkeypatch)
    first, second = look_at(str(log)), look_at(str(log))
    assert first.stamp == second.stamp
    assert first.is_at_rest


def test_stamp_shows_a_change_that_keeps_size_place_and_modification_time(log):
    was, status = look_at(str(log)), log.stat()
    with log.open("r+") as file:
        file.write(LOG.replace("4", "5"))
    os.utime(log, ns=(status.st_atime_ns, status.st_mtime_ns))
    now = look_at(str(log))
    assert (now.bytes, now.modified) == (was.bytes, was.modified)
    assert now.stamp != was.stamp


def test_file_that_changed_just_now_is_not_at_rest(log):
    os.utime(log, (1_000, 1_000))  # its modification time says nothing of it
    assert not look_at(str(log)).is_at_rest


def test_file_more_in_the_glob_is_another_stamp(log):
    was = look_at(str(log.with_name("*.csv")))
    log.with_name("more.csv").write_text(LOG)
    assert look_at(str(log.with_name("*.csv"))).stamp != was.stamp


def test_nothing_to_look_at_is_said(tmp_path):
    with pytest.raises(SourceError, match=r"no file matches"):
        look_at(str(tmp_path / "*.csv"))
