"""Random logs of few users and items, with the options that a log can have: for property tests."""

from decimal import Decimal

from hypothesis import strategies as st

from din_core.config import SequenceConfig, SourceConfig
from din_core.inputs.samplers import SAMPLERS
from din_core.store.sql_files import SQL_ROOT
from din_core.tables.lineage.heads import head_of

NUMBERS = ("price", "weight", "height", "hour")


def log_rows(interactions):
    """Interactions, numbered as lines of two files."""
    return [
        {**row, "file": f"{number % 2}.csv", "line": number // 2 + 2}
        for number, row in enumerate(interactions)
    ]


def create_interactions(con, rows, columns):
    def text(value):
        if value is None:
            return "null"
        return str(value) if isinstance(value, int | Decimal) else f"'{value}'"

    values = ", ".join(f"({', '.join(text(row[column]) for column in columns)})" for row in rows)
    con.execute(
        f"create or replace table interactions as select * from (values {values}) "
        f"as listed ({', '.join(columns)})"
    )
    if any(isinstance(row["time"], Decimal) for row in rows):
        con.execute("alter table interactions alter time type decimal(18, 6)")
    for column in columns:
        if column in NUMBERS:
            con.execute(f"alter table interactions alter {column} type double")
            continue
        if column == "time" and isinstance(rows[0]["time"], Decimal):
            continue
        if isinstance(rows[0][column], int) or (rows[0][column] is None and column == "cate_id"):
            con.execute(f"alter table interactions alter {column} type bigint")
        elif rows[0][column] is None:
            con.execute(f"alter table interactions alter {column} type varchar")


def ids(prefix, most):
    """Either integers or text that sorts otherwise than its numbers."""
    numbers = st.integers(1, most)
    return st.sampled_from([numbers, numbers.map(lambda number: f"{prefix}{number * 7}")])


def goes_by_an_attribute(sampler):
    """Whether a sampler needs an item attribute, as the head of its file says."""
    return "item_attributes" in head_of(SQL_ROOT / f"sequences/negatives.{sampler}.sql").needs


@st.composite
def logs(draw, *, always_labelled=False, n_users=4, latest=(0, 3, 30)):
    labelled = always_labelled or draw(st.booleans())
    seconds = st.integers(0, draw(st.sampled_from(latest)))
    # Some of which share their second and differ in the fraction alone.
    fractions = st.integers(0, 9_000).map(lambda each: Decimal(each) / 1000)
    user_id, item_id = draw(ids("u", n_users)), draw(ids("i", draw(st.sampled_from([1, 2, 5, 12]))))
    row = {
        "user_id": user_id,
        "item_id": item_id,
        "time": draw(st.sampled_from([seconds, fractions])),
        "cate_id": st.one_of(st.integers(1, 3), st.none()),
        "brand": st.sampled_from(["x", "y", "z", None]),
        "age": st.sampled_from(["young", "old", None]),
        **dict.fromkeys(NUMBERS, st.sampled_from([None, -1.5, 0.0, 0.1, 1e-300])),
    }
    if labelled:
        row["label"] = st.integers(0, 1)
    rows = log_rows(draw(st.lists(st.fixed_dictionaries(row), min_size=1, max_size=40)))
    item_attributes = draw(st.sampled_from([(), ("cate_id",), ("cate_id", "brand")]))
    strategies = [name for name in SAMPLERS if item_attributes or not goes_by_an_attribute(name)]
    source = SourceConfig(
        path="",
        item_attribute_cols=item_attributes,
        user_attribute_cols=draw(st.sampled_from([(), ("age",)])),
        item_dense_cols=draw(st.sampled_from([(), ("price",), ("weight", "price")])),
        user_dense_cols=draw(st.sampled_from([(), ("height",)])),
        context_dense_cols=draw(st.sampled_from([(), ("hour",)])),
    )
    moments = sorted(
        draw(
            st.one_of(
                st.tuples(st.integers(1, 30), st.integers(1, 30)),
                st.tuples(st.just(1.5), st.integers(1000, 9000).map(lambda each: each / 1000)),
                st.tuples(st.sampled_from([0.25, 0.5]), st.sampled_from([0.5, 0.75, 0.9])),
            )
        )
    )
    how_sampled = {
        "negatives_per_positive": draw(st.integers(0, 3)),
        "negative_sampling": draw(st.sampled_from(strategies)),
        "sampling_seed": draw(st.integers(0, 2**30 - 1)),
    }
    split = draw(st.sampled_from(["leave_one_out", "temporal"]))
    when = {"val_from": moments[0], "test_from": moments[1]} if split == "temporal" else {}
    config = SequenceConfig(
        **({} if labelled else how_sampled),
        **when,
        max_history=draw(st.integers(1, 6)),
        min_interactions=draw(st.integers(0, 3)),
        split=split,
    )
    return rows, source, config


def lists_shown_at_once():
    """Labelled logs of few users and moments, so that nearly every row ties with others."""
    return logs(always_labelled=True, n_users=2, latest=(2, 4, 8))
