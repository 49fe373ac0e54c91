"""Arrays made without pandas are those that pyarrow makes with it."""

import datetime
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from din_core.arrow_without_pandas import (
    as_numpy,
    filled,
    no_rows,
    numbers,
    read_parquet,
    table_of,
    texts,
)

SCHEMA = pa.schema(
    {"at": pa.timestamp("us"), "name": pa.string(), "n": pa.int64(), "value": pa.float64()}
)
ROWS = [
    {
        "at": datetime.datetime.fromisoformat("2026-01-02T03:04:05.000678"),
        "name": "ü",
        "n": 2**62,
        "value": 0.5,
    },
    {"at": None, "name": None, "n": None, "value": None},
    {"name": "", "value": float("nan")},
]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(9, dtype=np.int32)[::2], None),
        (np.array([1, -1]), pa.float64()),
        (np.array([1.5, np.nan], dtype=np.float32), pa.float64()),
        (np.array([True, False, True]), None),
        (np.array([True, False, True]), pa.bool_()),
        (np.zeros(0), None),
    ],
    ids=str,
)
def test_numbers_are_those_of_numpy(values, kind):
    assert numbers(values, kind).equals(pa.array(values, kind)) or np.isnan(values).any()
    assert numbers(values, kind).type == pa.array(values, kind).type
    np.testing.assert_array_equal(numbers(values, kind).to_pylist(), values)


def test_a_number_that_the_type_cannot_hold_is_refused():
    with pytest.raises(pa.ArrowInvalid, match="not in range"):
        numbers(np.array([2**40]), pa.int32())


@pytest.mark.parametrize("values", [[], ["a", None, "", "ü😀"], [None] * 9], ids=str)
def test_texts_are_those_of_the_list(values):
    made = texts(values)
    made.validate(full=True)
    assert (made.type, made.to_pylist()) == (pa.string(), values)


@pytest.mark.parametrize("rows", [ROWS, ROWS[1:2], []], ids=len)
def test_a_table_has_the_rows_and_types(rows):
    made, expected = table_of(rows, SCHEMA), pa.Table.from_pylist(rows, SCHEMA)
    made.validate(full=True)
    assert made.schema == expected.schema
    assert str(made.to_pylist()) == str(expected.to_pylist())


def test_null_is_filled():
    assert filled(pa.array([1.5, None]), 0).to_pylist() == [1.5, 0]
    assert filled(pa.chunked_array([[None], [7]], pa.int32()), 3).to_pylist() == [3, 7]
    assert filled(pa.array(["a", None], pa.large_string()), "b").to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, 2], pa.int16()),
        pa.array([1, None], pa.int32()),
        pa.array([1.5, None, float("nan")], pa.float32()),
        pa.array([True, False]),
        pa.array(["b", None, "b", "a"]),
        pa.chunked_array([[1], [2, None]]),
        pa.chunked_array([], pa.int64()),
        pa.chunked_array([], pa.string()),
        pa.array([None, None], pa.string()),
    ],
    ids=str,
)
def test_numpy_is_given_what_pyarrow_would_give(column):
    made, expected = as_numpy(column), column.to_numpy(**_COPIED.get(type(column), {}))
    assert made.dtype == expected.dtype
    np.testing.assert_array_equal(made, expected)


_COPIED = {
    type(pa.array(values)): {"zero_copy_only": False}
    for values in ([True], ["a"], np.zeros(1, np.int16), np.zeros(1, np.int32), np.zeros(1, "f"))
}


_ALL = """
import sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from pyarrow import parquet
from din_core.arrow_without_pandas import *

schema = pa.schema({"name": pa.string(), "at": pa.timestamp("us"), "n": pa.int64()})
file = Path(sys.argv[1])
parquet.write_table(table_of([{"name": "a", "n": 1}, {}], schema), file)
read = read_parquet(file, ["name", "n"])
found = [*map(as_numpy, [*read.columns, no_rows(schema)["n"], read["n"].is_null()])]
filled(read["n"], 7), numbers(np.zeros(2)), texts(["a"])
print(len(found), "pandas" in sys.modules)
"""


def test_none_of_it_imports_pandas(tmp_path):
    asked = [sys.executable, "-c", _ALL, str(tmp_path / "file.parquet")]
    assert subprocess.run(asked, capture_output=True, text=True).stdout == "4 False\n"


def test_a_file_is_read_as_pyarrow_reads_it(tmp_path):
    written = pa.Table.from_pylist(ROWS, SCHEMA)
    parquet.write_table(written, tmp_path / "file.parquet")
    assert read_parquet(tmp_path / "file.parquet").schema == SCHEMA
    some = read_parquet(tmp_path / "file.parquet", ["n", "name"])
    assert (
        some.to_pydict()
        == parquet.read_table(tmp_path / "file.parquet", columns=["n", "name"]).to_pydict()
    )
    assert no_rows(SCHEMA).equals(SCHEMA.empty_table())
