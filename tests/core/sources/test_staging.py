"""Rows on their way into the staged tables: none is lost or changed, however they are gathered."""

import functools

import duckdb
import pytest

from din_core.config import SourceConfig
from din_core.sources import ingest, staging
from din_core.sources.csv_blocks import read_rows


def write_logs(folder):
    """Two files with a column that becomes text midway, bad rows, and how they read."""
    expected, broken = [], []
    for name in ("a.csv", "b.csv"):
        lines = ["user_id,item_id,time,cate_id"]
        for line in range(2, 60):
            if line % 13 == 0:
                lines.append(f"{line},broken")
                broken.append((name, line, f"{line},broken"))
                continue
            item = f"item {line}" if name == "a.csv" and line > 40 else str(line)
            lines.append(f"{line % 5},{item},{line},7")
            expected.append((name, line, line % 5, item, line, 7))
        (folder / name).write_text("\n".join(lines) + "\n")
    return expected, broken


def in_blocks_of(n_bytes, monkeypatch):
    monkeypatch.setattr(staging, "BLOCK_BYTES", n_bytes)
    monkeypatch.setattr(staging, "read_rows", functools.partial(read_rows, block_bytes=n_bytes))


def inserts(monkeypatch):
    """The rows of each insert, as they come."""
    rows, append = [], staging._append
    monkeypatch.setattr(
        staging,
        "_append",
        lambda con, block, insert: (rows.append(block.num_rows), append(con, block, insert)),
    )
    return rows


@pytest.mark.parametrize(("row_group", "waiting"), [(1, 1), (4, 8), (7, 30), (1000, 2000)])
def test_rows_gathered_from_many_blocks_are_those_of_the_files(
    tmp_path, monkeypatch, row_group, waiting
):
    expected, broken = write_logs(tmp_path)
    monkeypatch.setattr(staging, "_ROW_GROUP", row_group)
    monkeypatch.setattr(staging, "_WAITING_ROWS", waiting)
    in_blocks_of(64, monkeypatch)
    with duckdb.connect() as con:
        report = ingest(con, SourceConfig(path=f"{tmp_path}/*.csv"))
        found = con.execute(
            "select file, line, user_id, item_id, time, cate_id from interactions order by all"
        ).fetchall()
        rejected = con.execute("select file, line, raw from rejected_rows order by all").fetchall()
    assert found == expected
    assert rejected == broken
    assert report.lines_read == len(expected) + len(broken)


def test_blocks_are_inserted_in_whole_row_groups_but_for_the_last(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,time\n" + "".join(f"1,{n},{n}\n" for n in range(100)))
    monkeypatch.setattr(staging, "_ROW_GROUP", 16)
    monkeypatch.setattr(staging, "_WAITING_ROWS", 32)
    in_blocks_of(128, monkeypatch)
    inserted = inserts(monkeypatch)
    with duckdb.connect() as con:
        ingest(con, SourceConfig(path=str(path), item_attribute_cols=()))
    assert sum(inserted) == 100
    assert [n for n in inserted if n % 16] == [inserted[-1]]
    assert inserted[:-1], "one insert for all would show nothing"


def test_long_texts_do_not_wait_for_a_row_group(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,time,note\n" + f"1,1,1,{'x' * 500}\n" * 20)
    monkeypatch.setattr(staging, "_WAITING_BYTES", 3000)
    in_blocks_of(600, monkeypatch)
    inserted = inserts(monkeypatch)
    with duckdb.connect() as con:
        ingest(con, SourceConfig(path=str(path), item_attribute_cols=("note",)))
        assert con.execute("select count(*), max(line) from interactions").fetchall() == [(20, 21)]
    assert len(inserted) >= 3
