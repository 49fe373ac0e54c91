"""A source that changes while it is read ends in a sentence, and nothing of it is kept."""

import os
import re

import pytest

from din_core.config import SourceConfig
from din_core.sources import SourceError, fingerprint, ingest, staging
from tests.core.ingested_logs import write

LOG = "user_id,item_id,time,cate_id\n1,2,3,4\n1,3,soon,4\n1,2,5,4\n"
OTHER = "user_id,item_id,time,cate_id\n1,2,3,9\n1,3,soon,9\n1,2,5,9\n"


def appended(path):
    with path.open("a") as file:
        file.write("1,9,9,9\n")


def rewritten(path):
    with path.open("r+") as file:
        file.write(OTHER)
    os.utime(path, ns=(1, 1))


def replaced(path):
    status = path.stat()
    write(path.with_name("new.csv"), OTHER)
    os.utime(path.with_name("new.csv"), ns=(status.st_atime_ns, status.st_mtime_ns))
    path.with_name("new.csv").replace(path)


def removed(path):
    path.unlink()


CHANGES = [appended, rewritten, replaced, removed]


def refused_and_rolled_back(con, path, **options):
    con.execute("create or replace table before as select 1")
    con.execute("begin")
    with pytest.raises(SourceError, match=f"^{re.escape(str(path))}: the file changed while it"):
        ingest(con, SourceConfig(path=str(path)), **options)
    con.execute("rollback")
    assert con.execute("select table_name from duckdb_tables() where not temporary").fetchall() == [
        ("before",)
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_change_while_the_rows_are_read_is_refused(con, tmp_path, change):
    path = tmp_path / "log.csv"
    write(path, LOG)
    done = []

    def on_progress(_):
        if not done:
            done.append(change(path))

    refused_and_rolled_back(con, path, on_progress=on_progress)


@pytest.mark.parametrize("change", CHANGES)
def test_change_before_rejected_rows_are_fetched_again_is_refused(
    con, tmp_path, monkeypatch, change
):
    path = tmp_path / "log.csv"
    write(path, LOG)
    create_view = staging._create_view
    monkeypatch.setattr(
        staging, "_create_view", lambda *args: (create_view(*args), change(path))[0]
    )
    refused_and_rolled_back(con, path)


def test_change_that_leaves_size_and_time_is_found_by_the_content(con, tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    write(path, LOG)
    create_view = staging._create_view

    def change(*args):
        create_view(*args)
        status = path.stat()
        with path.open("r+") as file:
            file.write(OTHER)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    monkeypatch.setattr(staging, "_create_view", change)
    refused_and_rolled_back(con, path)


def test_change_between_header_and_rows_is_refused(con, tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    write(path, LOG)
    create_tables = staging._create_tables
    monkeypatch.setattr(
        staging, "_create_tables", lambda *args: (create_tables(*args), removed(path))[0]
    )
    refused_and_rolled_back(con, path)


def test_change_while_the_content_is_hashed_is_refused(tmp_path, monkeypatch):
    from din_core.sources import content_hashes

    path = tmp_path / "log.csv"
    write(path, LOG)
    rest_of_hash = content_hashes.rest_of_hash
    monkeypatch.setattr(
        content_hashes, "rest_of_hash", lambda stream: (rest_of_hash(stream), appended(path))[0]
    )
    with pytest.raises(SourceError, match="the file changed while it was read"):
        fingerprint(str(path))


def test_file_that_is_read_by_others_and_renamed_beside_is_no_change(con, tmp_path):
    path = tmp_path / "log.csv"
    write(path, LOG)

    def on_progress(_):
        path.read_bytes()
        write(tmp_path / "other.csv", OTHER)

    assert ingest(con, SourceConfig(path=str(path)), on_progress=on_progress).interactions == 2
