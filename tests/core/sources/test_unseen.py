"""Characters at the ends of ids that nobody sees: told of, and not removed."""

import pandas as pd
import pyarrow as pa
import pytest

from din_core.sources import csv_blocks
from din_core.sources.unseen import may_have_unseen, rows_with_unseen
from tests.core.ingested_logs import ingested, rows, write
from tests.core.tutorial.tutorial_logs import LOG, generate

BARE = {"item_attribute_cols": ()}
NO_BREAK = "\u00a0"
SAID = "rows (the first in {} {}) have a value that begins or ends with a character nobody sees"


@pytest.mark.parametrize("quoted", ["", '"a,b"'])  # whole blocks at once, and row by row
def test_rows_of_a_file_are_counted_and_their_ids_left_as_they_are(con, tmp_path, quoted):
    ids = ["u1", f"u1{NO_BREAK}", f"{NO_BREAK}u2", f"u{NO_BREAK}3", "é"]
    lines = [f"{user},{user},{100 + i},{quoted}" for i, user in enumerate(ids)]
    text = "\n".join(["user_id,item_id,time,title", *lines])
    (note,) = ingested(con, write(tmp_path / "log.csv", text), **BARE).source.notes
    assert note.startswith(f"log.csv: 2 {SAID.format('line', 3)}")
    assert "(U+00A0)" in note
    assert [user for (user,) in rows(con, "user_id")] == ids


def test_rows_of_parquet_and_of_a_frame_are_counted(con, tmp_path, caplog):
    path = tmp_path / "log.parquet"
    frame = pd.DataFrame({"user_id": [1, 2], "item_id": ["a", f"a{NO_BREAK}"], "time": [3, 4]})
    frame.to_parquet(path)
    (note,) = ingested(con, str(path), **BARE).source.notes
    assert note.startswith(f"log.parquet: 1 {SAID.format('row', 2)}")
    generate(LOG.assign(item=LOG["item"].where(LOG.index != 6, f"f{NO_BREAK}")))
    assert any(f"data: 1 {SAID.format('row', 7)}" in message for message in caplog.messages)


def test_later_blocks_and_files_are_counted_from_their_own_first_line(con, tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    lines = [f"u{i},i{i},{i}" for i in range(40)]
    lines[30] += NO_BREAK  # its time, which is no name
    lines[33] = f"u33,i33{NO_BREAK},33"
    for name in ("a.csv", "b.csv"):
        write(tmp_path / name, "\n".join(["user_id,item_id,time", *lines]))
    notes = ingested(con, str(tmp_path / "*.csv"), **BARE).source.notes
    told = [note for note in notes if "nobody sees" in note]
    assert [note.split(" (U+")[0].split(": ")[0] for note in told] == ["a.csv", "b.csv"]
    assert all(f": 1 {SAID.format('line', 35)}" in note for note in told)


SEEN = ["a", "é", "中文", "a\u00a0b", "\u2019", "\u3001", "\u00a1"]
UNSEEN = ["\u00a0", "\u00ad", "\u200b", "\u200e", "\u2009", "\u202f", "\u2060", "\u3000", "\ufeff"]


def test_what_is_looked_for_first_is_in_all_that_is_found():
    values = {"user_id": pa.array([*SEEN, *(f"a{each}" for each in UNSEEN), *UNSEEN])}
    found = rows_with_unseen(values)
    assert found == list(range(len(SEEN), len(values["user_id"])))
    assert all(may_have_unseen(f"x,{each}y".encode()) for each in UNSEEN)
    assert not any(may_have_unseen(each.encode()) for each in ("a", "é", "中文", "\u3001"))
    assert rows_with_unseen({"time": pa.array(UNSEEN), "user_id": pa.array([1, 2])}) == []
