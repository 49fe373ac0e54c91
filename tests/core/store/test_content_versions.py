"""A version follows the content of a table, and nothing else."""

import pytest

from din_core import store

BASE = "select * from (values (1, 'a', null), (2, 'b', 3)) as listed (x, y, z)"


def version_of(con, select):
    con.execute(f"create or replace table versioned as {select}")
    return store.content_version(con, "versioned")


def test_neither_row_order_nor_integer_width_matters(con):
    other = (
        f"select cast(x as bigint) as x, y, cast(z as smallint) as z from ({BASE}) order by x desc"
    )
    assert version_of(con, BASE) == version_of(con, other)


@pytest.mark.parametrize("kind", ["bigint", "double", "varchar", "bigint[]"])
def test_what_stands_above_a_missing_value_does_not_matter(con, kind, monkeypatch):
    # Engines write rows in an order of their own, and so batches begin with other values.
    values = {"bigint[]": ["[1]", "[2]"]}.get(kind, ["'1'", "'2'"])
    rows = ", ".join(f"({n}, {value}::{kind})" for n, value in enumerate([*values, "null", "null"]))
    select = f"select * from (values {rows}) as listed (n, x) order by n"
    orders = {version_of(con, f"{select} {order}") for order in ("asc", "desc", "% 2", "% 2 desc")}
    monkeypatch.setattr("din_core.store.content_versions._BATCH_ROWS", 1)
    assert {version_of(con, select)} == orders


@pytest.mark.parametrize(
    "changed",
    [
        "select * from (values (1, 'a', null), (2, 'b', 4)) as listed (x, y, z)",
        "select * from (values (1, 'a', 0), (2, 'b', 3)) as listed (x, y, z)",
        "select * from (values (1, 'b', null), (2, 'a', 3)) as listed (x, y, z)",
        "select * from (values (2, 'a', null), (1, 'b', 3)) as listed (x, y, z)",
        "select * from (values (1, 'a', null), (2, 'b', 3)) as listed (x, y, w)",
        "select * from (values (1, 'a', null), (2, 'b', 3)) as listed (y, x, z)",
        "select * from (values (1, 'a', null)) as listed (x, y, z)",
        "select * from (values (1, 'a', null), (2, 'b', 3), (2, 'b', 3)) as listed (x, y, z)",
        "select * from (values (1, null, null), (2, 'b', 3)) as listed (x, y, z)",
        "select x, y, z::varchar as z from (values (1, 'a', null), (2, 'b', 3)) as l (x, y, z)",
    ],
)
def test_every_change_of_content_shows(con, changed):
    assert version_of(con, BASE) != version_of(con, changed)


def test_pairs_of_equal_rows_do_not_cancel(con):
    twice = "select unnest([{}, {}]) as x"
    assert version_of(con, twice.format(1, 1)) != version_of(con, twice.format(2, 2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[1, 2]", "[2, 1]"),
        ("[1, null]", "[1]"),
        ("cast(null as bigint[])", "cast([] as bigint[])"),
        ("0.1::double", "0.2::double"),
        ("true", "false"),
        ("'null'", "cast(null as varchar)"),
        ("-1", "255"),
        ("1.5::decimal(18,6)", "1.500001::decimal(18,6)"),
        ("1.5::decimal(18,6)", "1500000"),
        ("1.5::decimal(18,6)", "1500::decimal(18,3)"),
        ("1.5::decimal(38,18)", "1.500000000000000001::decimal(38,18)"),
        ("null::decimal(18,6)", "0::decimal(18,6)"),
    ],
)
def test_values_of_other_types_are_told_apart(con, one, other):
    assert version_of(con, f"select {one} as x") != version_of(con, f"select {other} as x")


def test_equal_numbers_are_equal(con):
    assert version_of(con, "select 0.0::double as x") == version_of(con, "select -0.0::double as x")
    assert version_of(con, "select -1::tinyint as x") == version_of(con, "select -1::bigint as x")


def test_no_rows_have_a_version_too(con):
    assert version_of(con, f"{BASE} where false") != version_of(con, BASE)


def test_the_number_of_batches_does_not_matter(con, monkeypatch):
    many = "select range % 17 as x, 'v' || (range % 5) as y from range(10000)"
    whole = version_of(con, many)
    monkeypatch.setattr("din_core.store.content_versions._BATCH_ROWS", 700)
    assert version_of(con, many) == whole


def test_the_version_is_a_constant_of_the_content(con):
    # A published constant: a change here makes every recorded version out of date.
    assert version_of(con, BASE) == "fa5656bd0cfddf9083d8117146a60793"


def test_name_of_a_source_file_does_not_enter_but_its_place_does(con):
    con.execute("create table a as select * from (values ('x', 1), ('y', 2)) as t (file, line)")
    con.execute("create table b as select * from (values ('p', 1), ('q', 2)) as t (file, line)")
    con.execute("create table c as select * from (values ('q', 1), ('p', 2)) as t (file, line)")
    assert store.content_version(con, "a") == store.content_version(con, "b")
    assert store.content_version(con, "a") != store.content_version(con, "c")
