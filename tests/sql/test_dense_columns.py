"""Numbers of items, users and interactions: read, decided, and carried to the samples by role."""

import duckdb
import pytest

from din_core.config import OptionsError, SequenceConfig, SourceConfig
from din_core.tables import checks, sequences
from tests.core.ingested_logs import ingested, refused, rows, write

HEADER = "user_id,item_id,time,cate_id,price\n"


def prices(con, path, written, option="item_dense_cols"):
    """Read a log with those prices, in rows of their own."""
    lines = [f"1,{item},{item},c,{price}\n" for item, price in enumerate(written, start=1)]
    return ingested(con, write(path, HEADER + "".join(lines)), **{option: ("price",)})


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("9.5", 9.5),
        ("7", 7.0),
        ("007", 7.0),
        ("+.5", 0.5),
        ("-1.", -1.0),
        ("1.25e3", 1250.0),
        ("true", 1.0),
        ("False", 0.0),
        ("3.4e38", 3.4e38),
    ],
)
def test_a_number_is_read_as_written(con, tmp_path, written, number):
    report = prices(con, tmp_path / "log.csv", [written])
    assert rows(con, "price, typeof(price)") == [(number, "DOUBLE")]
    assert report.source.notes == ()


def test_a_minus_before_zero_says_nothing(con, tmp_path):
    prices(con, tmp_path / "log.csv", ["-0.0"])
    assert rows(con, "cast(price as varchar)") == [("0.0",)]


@pytest.mark.parametrize("written", ["$7", "1,5", "NaN", "inf", "1e999", "3.5e38", "0x1F", "none"])
def test_what_is_no_finite_number_costs_that_number_and_not_the_row(con, tmp_path, written):
    quoted = f'"{written}"' if "," in written else written
    report = prices(con, tmp_path / "log.csv", ["1", quoted, "", "4"])
    assert rows(con, "item_id, price") == [(1, 1.0), (2, None), (3, None), (4, 4.0)]
    assert report.rejected == 0
    (note,) = report.source.notes
    assert f"'price' is no finite number in 1 of 4 rows (first log.csv line 3: '{written}')" in note
    assert "the number 'price' is empty in 1 of 4 rows" in report.source.recognised[0]


def test_a_column_of_text_is_no_dense_column(con, tmp_path):
    path = write(tmp_path / "log.csv", HEADER + "1,1,1,c,cheap\n1,2,2,c,\n")
    message = refused(con, path, context_dense_cols=("price",))
    assert "context_dense_cols: 'price' holds no finite number (log.csv line 2: 'cheap')" in message


def test_a_dense_column_that_is_empty_is_said(con, tmp_path):
    report = prices(con, tmp_path / "log.csv", ["", ""], "context_dense_cols")
    assert "the number 'price' is empty in every row: it says nothing" in report.source.notes[0]
    assert rows(con, "price") == [(None,), (None,)]


def test_a_rejected_row_counts_as_none_of_them(con, tmp_path):
    path = write(tmp_path / "log.csv", HEADER + "1,,1,c,cheap\n1,2,2,c,5\n")
    assert ingested(con, path, item_dense_cols=("price",)).source.notes == ()


def test_rows_that_differ_in_a_number_are_no_duplicates(con, tmp_path):
    path = write(tmp_path / "log.csv", HEADER + "1,1,1,c,5\n1,1,1,c,5.0\n1,1,1,c,6\n")
    report = ingested(con, path, context_dense_cols=("price",), drop_duplicates=True)
    assert (report.duplicates, rows(con, "price")) == (1, [(5.0,), (6.0,)])


def test_a_dense_column_needs_a_name_of_its_own(con, tmp_path):
    path = write(tmp_path / "log.csv", "user_id,item_id,time,cate_id,split\n1,1,1,c,5\n")
    message = refused(con, path, item_dense_cols=("split",))
    assert "item_dense_cols: the column 'split' cannot be a dense feature" in message
    twice = "item_attribute_cols and context_dense_cols name the column 'cate_id' twice"
    with pytest.raises(OptionsError, match=twice):
        ingested(con, path, context_dense_cols=("cate_id",))


def build(con, log, **options):
    """Build all tables from rows (user, item, time, price, age, hour[, label])."""
    marks = ", ".join("?" for _ in log[0])
    numbers = ", ".join(f"{name} double" for name in ("price", "age", "hour"))
    label = "label integer, " if len(log[0]) == 7 else ""
    con.execute(
        "create or replace table interactions (user_id bigint, item_id bigint, time bigint, "
        f"{numbers}, {label}file varchar, line bigint)"
    )
    con.executemany(
        f"insert into interactions values ({marks}, 'a.csv', ?)",
        [(*row, line) for line, row in enumerate(log, start=2)],
    )
    source = SourceConfig(
        path="",
        item_attribute_cols=(),
        item_dense_cols=("price",),
        user_dense_cols=("age",),
        context_dense_cols=("hour",),
    )
    sequences.build(con, source, SequenceConfig(**options))
    return source


LOG = [
    (1, 10, 1, 5.0, 30.0, 8.0),
    (1, 20, 2, None, 30.0, 9.0),
    (2, 10, 3, 7.0, None, None),
    (2, 20, 4, None, 20.0, 11.0),
    (3, 10, 5, 5.0, 41.0, 12.0),
    (3, 30, 6, 4.0, 40.0, 13.0),
    (3, 30, 7, 3.0, None, 14.0),
]


def test_a_number_is_what_most_rows_say_and_then_the_smallest(con):
    build(con, LOG)
    # Item 10: 5, 7, 5. Item 20: nobody says. Item 30: 4 and 3, once each.
    assert con.execute("select item_id, price from items order by 1").fetchall() == [
        (10, 5.0),
        (20, None),
        (30, 3.0),
    ]
    # User 3: 41 and 40, once each.
    assert con.execute("select user_id, age from users order by 1").fetchall() == [
        (1, 30.0),
        (2, 20.0),
        (3, 40.0),
    ]


def test_a_number_of_the_context_stays_with_its_event(con):
    build(con, LOG)
    hours = con.execute("select user_idx, position, hour from events order by 1, 2").fetchall()
    assert hours == [
        (1, 1, 8.0),
        (1, 2, 9.0),
        (2, 1, None),
        (2, 2, 11.0),
        (3, 1, 12.0),
        (3, 2, 13.0),
        (3, 3, 14.0),
    ]


def test_a_drawn_negative_has_the_context_of_its_positive(con):
    build(con, LOG, negatives_per_positive=2)
    found = con.execute(
        "select distinct user_idx, position, label, hour from sample_bounds order by 1, 2, 3"
    ).fetchall()
    assert found == [
        (1, 2, 0, 9.0),
        (1, 2, 1, 9.0),
        (2, 2, 0, 11.0),
        (2, 2, 1, 11.0),
        (3, 2, 0, 13.0),
        (3, 2, 1, 13.0),
        (3, 3, 0, 14.0),
        (3, 3, 1, 14.0),
    ]


def test_a_logged_negative_has_a_context_of_its_own(con):
    log = [(1, item, item, 1.0, 1.0, 10.0 * item, item % 2) for item in range(1, 6)]
    build(con, log)
    found = con.execute("select item_idx, label, hour from sample_bounds order by 1").fetchall()
    assert found == [(2, 0, 20.0), (3, 1, 30.0), (4, 0, 40.0), (5, 1, 50.0)]


def test_roles_are_those_that_the_options_declare(con):
    build(con, LOG)
    found = con.execute("select name, role, kind, place from column_roles order by 1").fetchall()
    assert found == [
        ("age", "user", "dense", 1),
        ("hour", "context", "dense", 1),
        ("price", "item", "dense", 1),
    ]


def test_items_of_several_prices_are_told(con):
    source = build(con, LOG)
    context = sequences.template_context(con, source, SequenceConfig())
    result = checks.run_check(con, "items_conflicting_attributes", context)
    assert [(each["attribute"], each["item_id"], each["n_values"]) for each in result.examples] == [
        ("price", "10", 2),
        ("price", "30", 2),
    ]


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ({"item_dense_cols": ("price",), "context_dense_cols": ("target_price",)}, "target_price"),
        ({"item_attribute_cols": ("price",), "user_dense_cols": ("price_idx",)}, "price_idx"),
        ({"item_attribute_cols": ("price",), "context_dense_cols": ("prices",)}, "prices"),
        ({"context_dense_cols": ("last_moment",)}, "last_moment"),
    ],
)
def test_two_columns_of_one_name_are_refused(source, column):
    source = SourceConfig(path="", **{"item_attribute_cols": (), **source})
    with duckdb.connect() as con:
        con.execute(
            "create table interactions as select 1 as price, 1 as target_price, 1 as price_idx, "
            "1 as prices, 1 as last_moment"
        )
        with pytest.raises(OptionsError, match=f"column '{column}'"):
            sequences.template_context(con, source, SequenceConfig())


@pytest.mark.parametrize("option", ["item_dense_cols", "user_dense_cols", "context_dense_cols"])
def test_a_name_alone_gives_a_column_no_role(con, tmp_path, option):
    names = ("target_price", "hist_price", "value", "place", "n_votes", "k_")
    lines = "".join(f"1,{item},{item},{item % 2}{f',{item}.5' * 6}\n" for item in range(1, 5))
    path = write(tmp_path / "log.csv", f"user_id,item_id,time,cate_id,{','.join(names)}\n{lines}")
    source = SourceConfig(path=path, **{option: names})
    ingested(con, path, **{option: names})
    sequences.build(con, source, SequenceConfig())
    role = option.removesuffix("_dense_cols")
    for name in names:
        found = con.execute("select role, kind from column_roles where name = ?", [name]).fetchall()
        assert found == [(role, "dense")], name
