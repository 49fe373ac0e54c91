"""A log in Parquet is read as if its values stood in a CSV file."""

import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from din_core.sources import parquet_rows
from tests.core.ingested_logs import ingested, refused, rejected, rows


def test_parquet_gives_the_same_rows_as_text(con, tmp_path):
    table = pa.table(
        {
            "user_id": pa.array(["u1", None, "u3"]),
            "item_id": pa.array([2**62, 5, 6], pa.int64()),
            "time": pa.array([0, 1, 1_000_000_500], pa.timestamp("ms", tz="UTC")),
            "cate_id": pa.array([1.0, 2.0, None]),
            "label": pa.array([True, False, False]),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    report = ingested(con, f"{tmp_path}/log.parquet")
    assert rows(con, "user_id, item_id, time, cate_id, label, line") == [
        ("u1", 2**62, 0, 1, 1, 1),
        ("u3", 6, Decimal("1000000.5"), None, 0, 3),
    ]
    ((line, reason, raw),) = rejected(con)
    assert (line, reason) == (2, "empty user_id")
    assert raw.startswith(",5,")
    assert report.lines_read == 3


def parquet(path, **columns):
    """One file with the columns of a log, those that are not given constant."""
    n_rows = len(next(iter(columns.values())))
    rest = {name: pa.array([1] * n_rows) for name in ("user_id", "item_id", "time", "cate_id")}
    pq.write_table(pa.table({**rest, **columns}), path)
    return str(path)


def test_parquet_float_is_the_same_text_whatever_stands_beside_it(con, tmp_path, monkeypatch):
    # Batches of two rows: user 100000000000 beside a whole number, a NaN, a fraction and NULL.
    monkeypatch.setattr(parquet_rows, "_BATCH_ROWS", 2)
    user = 1e11
    ids = pa.array([user, 7.0, user, float("nan"), user, 1.5, None, user, -0.0, float("inf")])
    path = parquet(tmp_path / "log.parquet", user_id=ids)
    ingested(con, path)
    assert rows(con, "line, user_id") == [
        *((1, "100000000000"), (2, "7"), (3, "100000000000"), (5, "100000000000")),
        *((6, "1.5"), (8, "100000000000"), (9, "0")),
    ]
    assert [row[:2] for row in rejected(con)] == [(line, "empty user_id") for line in (4, 7, 10)]


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_parquet_floats_of_whole_numbers_and_gaps_are_integers(con, tmp_path, kind):
    ids = pa.array(np.array([2048, np.nan, -3], dtype=kind.to_pandas_dtype()), kind)
    ingested(con, parquet(tmp_path / "log.parquet", item_id=ids))
    assert rows(con, "line, item_id") == [(1, 2048), (3, -3)]


def test_parquet_float_at_the_edge_of_64_bits_stays_itself(con, tmp_path):
    largest = 2.0**63 - 1024
    ids = pa.array([largest, -(2.0**63), 2.0**63, 1e300])
    ingested(con, parquet(tmp_path / "log.parquet", item_id=ids))
    found = [value for (value,) in rows(con, "item_id")]
    assert found[0] == str(int(largest))
    assert [float(value) for value in found] == ids.to_pylist()


def test_parquet_times_as_floats_are_judged_one_by_one(con, tmp_path):
    times = pa.array([1.7e9, float("nan"), 1.7e9 + 0.5, 1e10, float("-inf")])
    ingested(con, parquet(tmp_path / "log.parquet", time=times))
    assert rows(con, "line, time") == [
        *((1, 1_700_000_000), (3, Decimal("1700000000.5")), (4, 10_000_000_000))
    ]
    assert [row[:2] for row in rejected(con)] == [(2, "empty time"), (5, "empty time")]


def test_parquet_column_that_is_no_value_is_refused(con, tmp_path):
    table = pa.table({"user_id": [[1]], "item_id": [1], "time": [1], "cate_id": [1]})
    pq.write_table(table, tmp_path / "log.parquet")
    assert "column 'user_id' of type list" in refused(con, f"{tmp_path}/log.parquet")


def test_damaged_rows_of_a_parquet_file_are_told(con, tmp_path):
    path = parquet(tmp_path / "log.parquet", time=pa.array(range(1000)))
    content = bytearray((tmp_path / "log.parquet").read_bytes())
    content[4:64] = bytes(60)
    (tmp_path / "log.parquet").write_bytes(content)
    assert "log.parquet: no readable Parquet file" in refused(con, path)


def strings(*values):
    """A string array of bytes that a careless writer left as they were."""
    ends = np.cumsum([0, *map(len, values)]).astype(np.int32)
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def test_text_that_is_not_utf_8_is_refused_by_its_column(con, tmp_path):
    path = parquet(tmp_path / "log.parquet", user_id=strings(b"ann", b"\xff\xfe"))
    message = refused(con, path)
    assert message.startswith(f"{path}: column 'user_id' of type string cannot be read as text (")
    assert "Invalid UTF8" in message


def test_rejected_row_is_shown_whatever_else_it_holds(con, tmp_path):
    path = parquet(
        tmp_path / "log.parquet",
        user_id=pa.array([None, 1]),
        note=strings(b"caf\xe9", b"tea"),
        until=pa.array([2**52, 0], pa.timestamp("ms")),
        some=pa.array([[1, None], []]),
    )
    ingested(con, path)
    ((_, reason, raw),) = rejected(con)
    assert reason == "empty user_id"
    assert raw.startswith(r",1,1,1,caf\xe9,<value out of range: 4503599627370496>,")
    assert raw.endswith('"[1, None]"')


def test_rejected_row_beside_a_column_that_pyarrow_takes_no_part_of_is_shown(con, tmp_path):
    path = parquet(
        tmp_path / "log.parquet",
        user_id=pa.array([None, 1, 2]),
        note=pa.array(["caf\u00e9", None, "tea"], pa.string_view()),
        time=pa.array([1, 2, -3]),
    )
    ingested(con, path)
    assert [raw for _, _, raw in rejected(con)] == [",1,1,1,caf\u00e9", "2,1,-3,1,tea"]


def test_uuids_are_their_text(con, tmp_path):
    ids = [uuid.UUID(int=number) for number in (0, 2**127 + 5, 0xABCDEF)]
    column = pa.array([ids[1].bytes, None, *(each.bytes for each in ids)], pa.uuid())
    ingested(con, parquet(tmp_path / "log.parquet", user_id=column))
    assert rows(con, "line, user_id") == [
        *((1, str(ids[1])), (3, str(ids[0])), (4, str(ids[1])), (5, str(ids[2])))
    ]


@pytest.mark.parametrize(
    ("kind", "exact"), [(pa.float16(), 2**11), (pa.float32(), 2**24), (pa.float64(), 2**53)]
)
def test_floats_too_large_for_whole_numbers_are_warned_of(con, tmp_path, kind, exact):
    fits = parquet(tmp_path / "fits.parquet", user_id=pa.array([float(-exact), None, 7.0], kind))
    assert ingested(con, fits).source.notes == ()
    large = pa.array([1.0, 4.0 * exact, float("nan")], kind)
    path = parquet(tmp_path / "log.parquet", user_id=large, price=large)
    (note,) = ingested(con, path, context_dense_cols=("price",)).source.notes
    assert note.startswith(f"log.parquet: the column 'user_id' is of type {kind}, where whole numb")
    assert f"are exact up to {exact:,}, and has {4 * exact:,}: different ids may have" in note
    # Other writers leave statistics out where a column has NaN.
    pq.write_table(pq.read_table(path), path, write_statistics=False)
    assert ingested(con, path, context_dense_cols=("price",)).source.notes == (note,)


def test_backslash_n_is_nothing_in_parquet_as_in_text(con, tmp_path):
    users = pa.array(["ann", r"\N", r"C:\New"]).dictionary_encode()
    cates = pa.array([r"\N", "x", r"\N "], pa.large_string())
    ingested(con, parquet(tmp_path / "log.parquet", user_id=users, cate_id=cates))
    assert rows(con, "user_id, cate_id") == [("ann", None), (r"C:\New", None)]
    assert [row[:2] for row in rejected(con)] == [(2, "empty user_id")]


def test_infinities_in_a_column_of_numbers_are_counted_as_in_text(con, tmp_path):
    prices = pa.array([float("inf"), float("nan"), -float("inf"), 2.5, None, 3.0])
    path = parquet(tmp_path / "log.parquet", price=prices)
    pq.read_table(path).to_pandas().to_csv(tmp_path / "log.csv", index=False)
    for name, first in (("log.parquet", 1), ("log.csv", 2)):
        report = ingested(con, f"{tmp_path}/{name}", item_dense_cols=("price",))
        (note,) = report.source.notes
        assert (
            f"'price' is no finite number in 2 of 6 rows (first {name} line {first}: 'inf'" in note
        )
        assert [price for (price,) in rows(con, "price")] == [None, None, None, 2.5, None, 3]
    message = refused(
        con,
        parquet(tmp_path / "log.parquet", price=prices.slice(0, 3)),
        item_dense_cols=("price",),
    )
    assert "'price' holds no finite number (" in message


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_duration_is_its_seconds_whatever_its_unit(con, tmp_path, unit):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    counts = pa.array([5 * per_second, 400_000 * per_second, None], pa.duration(unit))
    path = parquet(tmp_path / "log.parquet", time=counts, shown=counts)
    ingested(con, path, context_dense_cols=("shown",))
    assert rows(con, "time, shown") == [(5, 5), (400_000, 400_000)]
    if unit != "s":
        halves = pa.array([per_second // 2, 3 * per_second], pa.duration(unit))
        ingested(con, parquet(tmp_path / "log.parquet", time=halves))
        assert rows(con, "time") == [(Decimal("0.5"),), (3,)]
