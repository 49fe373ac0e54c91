"""The same values in a CSV file, in Parquet and in a data frame are the same log.

pandas writes what it holds in several ways: an integer column with a gap as floats, true and false
by name, a moment with or without its fraction. The oracle is given the values themselves.
"""

from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.sources import SourceError, ingest
from din_core.tables import sequences
from din_core.tutorial import generate_seq_feature
from tests import oracle

FIRST = 1_593_907_703  # seconds


@pytest.fixture(scope="module")
def con():
    with store.connect(":memory:", threads=1) as connection:
        yield connection


def times(draw, n_rows):
    """A column of times, and what they are in seconds."""
    millis = draw(st.lists(st.integers(0, 3000), min_size=n_rows, max_size=n_rows))
    unit = draw(st.sampled_from(["s", "float", "ms", "us", "ns", "date", "date with zone"]))
    if unit == "s":
        millis = [each // 1000 * 1000 for each in millis]
    exact = [FIRST * 1000 + each for each in millis]
    seconds = [Decimal(each) / 1000 for each in exact]
    if unit.startswith("date"):
        return pd.to_datetime(exact, unit="ms", utc=unit != "date"), seconds
    if unit == "float":
        return [each / 1000 for each in exact], seconds
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return [int(each * per_second) for each in seconds], seconds


@st.composite
def frames(draw):
    """A frame of interactions, and its rows as the oracle takes them."""
    n_rows = draw(st.integers(1, 12))

    def column(values):
        return draw(st.lists(values, min_size=n_rows, max_size=n_rows))

    written, exact = times(draw, n_rows)
    users, items = column(st.integers(1, 3)), column(st.integers(-1, 4))
    cates = column(st.sampled_from([1, 2, 10, None]))
    brands = column(st.sampled_from(["x", "y", None]))
    flags = column(st.booleans())
    kind = draw(st.sampled_from(["int64", "float64"]))
    frame = pd.DataFrame(
        {
            "user_id": pd.array(users, kind),
            "item_id": pd.array(items, kind),
            "time": written,
            "cate_id": pd.array(cates, "float64"),
            "brand": brands,
            "flag": flags,
        }
    )
    rows = [
        {
            "user_id": user,
            "item_id": item,
            "time": time,
            "cate_id": cate,
            "brand": brand,
            "flag": int(flag),
            "file": "log",
            "line": line,
        }
        for line, (user, item, time, cate, brand, flag) in enumerate(
            zip(users, items, exact, cates, brands, flags, strict=True)
        )
    ]
    return frame, rows


def tables_of(con, path):
    columns = ("cate_id", "brand", "flag")
    source = SourceConfig(path=str(path), item_attribute_cols=columns)
    config = SequenceConfig(max_history=4)
    with store.transaction(con):
        report = ingest(con, source)
    assert report.rejected == 0
    sequences.build(con, source, config)
    found = {
        table: con.execute(f"from {table} order by all").fetchall()
        for table in ("users", "items", "cates", "attributes", "events")
    }
    return found, source, config


@settings(max_examples=max(4, settings.default.max_examples // 6))
@given(frames())
def test_text_parquet_and_frames_agree_with_the_values(con, tmp_path_factory, drawn):
    frame, rows = drawn
    folder = tmp_path_factory.mktemp("same")
    frame.to_csv(folder / "log.csv", index=False)
    frame.to_parquet(folder / "log.parquet", index=False)
    for name in ("log.csv", "log.parquet"):
        found, source, config = tables_of(con, folder / name)
        expected = oracle.build(rows, source, config)
        for table, some in found.items():
            assert some == sorted(expected[table]), (name, table)

    # The frame goes the way of the tutorial; its samples are those of the last build.
    if not con.execute("select count(*) from encoded_samples").fetchone()[0]:
        with pytest.raises(SourceError, match="gives no sample"):
            generate_seq_feature(frame, "user_id", "item_id", "time", ["cate_id", "brand", "flag"])
        return
    parts = generate_seq_feature(
        frame, "user_id", "item_id", "time", ["cate_id", "brand", "flag"], shuffle=False, max_len=4
    )
    for split, part in zip(("train", "val", "test"), parts, strict=True):
        in_order = [
            (label, user, item, [*history, *[0] * (4 - len(history))])
            for label, user, item, history in con.execute(
                "select label, user_idx, target_item_idx, hist_item_idx from encoded_samples "
                "where split = ? order by user_idx, position, label desc, target_item_idx",
                [split],
            ).fetchall()
        ]
        got = zip(
            part["label"],
            part["user_id"],
            part["target_item_id"],
            map(list, part["hist_item_id"]),
            strict=True,
        )
        assert list(got) == in_order
