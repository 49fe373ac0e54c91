"""Parts of a text file read side by side give the rows and lines of the file read at once."""

import functools
import json
import pickle
import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from din_core.sources import part_reader, parts
from din_core.sources.files import find_files
from din_core.sources.layout import read_layout
from din_core.sources.parts import Told

WANTED = {name: (name, f"{name}_col") for name in ("user_id", "item_id", "time")}


def layout_of(path, content, quoting="minimal"):
    path.write_bytes(content)
    return read_layout(find_files(str(path)), WANTED, None, quoting)


def task(layout, part):
    """Read a part in this process: its rows, and what was said of it."""
    given = pa.RecordBatch.from_pylist([vars(part)])
    *rows, last = pa.Table.from_batches(part_reader.row_reader(layout)(iter([given]))).to_pylist()
    return rows, Told(**json.loads(last["told"]))


def read(layout, part_bytes):
    """Read all parts: rows with their lines in the file, what was said, and who was read when."""
    rows, rounds = {}, []

    def read_some(some):
        rounds.append([part.number for part in some])
        told = {}
        for part in some:
            rows[part.number], told[part.number] = task(layout, part)
        return told

    final, told = parts.read_all(parts.plan(layout, part_bytes), read_some)
    first = parts.lines_before(layout, final, told)
    placed = [
        {**row, "line": row["line"] + first[part.number], "part": 0, "attempt": 0}
        for part in final
        for row in rows[part.number]
    ]
    return sorted(placed, key=lambda row: row["line"]), told, rounds


pieces = st.sampled_from(['"', '""', ",", "\n", "\r\n", "1", "a b", " ", "é", "1,2,3\n", '"a\nb"'])


TEXTS = given(text=st.lists(pieces, max_size=30), part_bytes=st.integers(1, 20))


@settings(max_examples=60, deadline=None)
@TEXTS
def test_parts_give_the_rows_of_the_whole(tmp_path_factory, text, part_bytes):
    assert_parts_are_the_whole(tmp_path_factory, text, part_bytes)


@pytest.mark.thorough  # the same of more texts
@settings(max_examples=1000, deadline=None)
@TEXTS
def test_parts_of_many_texts_give_the_rows_of_the_whole(tmp_path_factory, text, part_bytes):
    assert_parts_are_the_whole(tmp_path_factory, text, part_bytes)


def assert_parts_are_the_whole(tmp_path_factory, text, part_bytes):
    content = "user_id,item_id,time\n1,2,3\n" + "".join(text)
    layout = layout_of(tmp_path_factory.mktemp("log") / "a.csv", content.encode())
    whole, told, _ = read(layout, 1 << 20)
    found, said, _ = read(layout, part_bytes)
    assert found == whole
    for count in ("rows", "lines", "continued"):
        assert sum(getattr(each, count) for each in said.values()) == getattr(told[0], count)
    assert {each.sha256 for each in said.values()} - {""} == {told[0].sha256}


def test_parts_that_begin_inside_a_quoted_value_are_read_again(tmp_path):
    # Of five bytes each: the second begins with `9,9,9`, which looks like a row, the third with
    # `",3`. The first row takes in both, so they have none.
    content = b'user_id,item_id,time\n1,"2\n9,9,9\n",3\n4,5,6\n'
    found, told, rounds = read(layout_of(tmp_path / "a.csv", content), 5)
    assert [(row["line"], row["value_1"]) for row in found] == [(2, "2\n9,9,9"), (5, "5")]
    assert rounds == [[0, 1, 2, 3, 4, 5], [1], [2]]
    assert [told[number].rows for number in range(6)] == [1, 0, 0, 1, 0, 0]


def test_the_first_row_that_may_have_swallowed_others_is_told_of_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(
        part_reader, "read_rows", functools.partial(part_reader.read_rows, block_bytes=8)
    )
    monkeypatch.setattr(part_reader, "BLOCK_BYTES", 8)
    rows = b"1,1,1\n" + b'1,"2\n9,9,9\n3",3\n' * 3
    layout = layout_of(tmp_path / "a.csv", b"user_id,item_id,time\n" + rows)
    (part,) = parts.plan(layout, 1 << 20)
    found, told = task(layout, part)
    assert [row["line"] for row in found] == [0, 1, 4, 7]
    assert (told.swallowed, told.first_swallowed, told.continued) == (3, 1, 6)


def test_a_worker_that_does_not_find_the_same_file_says_so(tmp_path):
    layout = layout_of(tmp_path / "a.csv", b"user_id,item_id,time\n1,2,3\n")
    (part,) = parts.plan(layout, 100)
    (tmp_path / "a.csv").write_bytes(b"user_id,item_id,time\n1,2,3\n4,5,6\n")
    _, told = task(layout, part)
    assert "a worker of the cluster finds 33 bytes there, where 27 were seen" in told.error
    (tmp_path / "a.csv").unlink()
    rows, told = task(layout, part)
    assert rows == []
    assert "the cluster cannot read this file" in told.error
    assert "put the source where each worker finds it" in told.error


def test_the_readers_need_no_installation_on_the_workers(tmp_path):
    layout = layout_of(tmp_path / "a.csv", b'user_id,item_id,time\n1,2,3\n1,"2\n",3\n1,2\n')
    cloudpickle = pytest.importorskip("pyspark.cloudpickle")
    with part_reader.on_workers():
        reader = cloudpickle.dumps(part_reader.row_reader(layout))
    fields = [vars(part) for part in parts.plan(layout, 100)]
    (tmp_path / "task").write_bytes(pickle.dumps((reader, fields)))
    program = """
import pickle, sys

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("din_core", "din_assets", "duckdb", "jinja2", "torch"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Nowhere())
import pyarrow as pa
reader, fields = pickle.load(open(sys.argv[1], "rb"))
batches = pickle.loads(reader)(iter([pa.RecordBatch.from_pylist(fields)]))
for row in pa.Table.from_batches(batches).to_pylist():
    print(row["line"], row["value_1"], row["problem"])
"""
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "task")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answer.stdout.splitlines()[:3] == [
        "0 2 None",
        "1 2 None",
        "3 None expected 3 fields, found 2",
    ]
