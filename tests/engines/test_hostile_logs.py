"""Logs in which engines, left to themselves, read something else than DuckDB or nothing at all."""

import pytest

from tests.engines.source_files import BARE
from tests.engines.test_ingest import both, refused, written

LABELLED = "user_id,item_id,time,label\n"


@pytest.mark.parametrize(
    ("labels", "positive", "read"),
    [
        # 1_000 is a number for DuckDB's cast alone.
        (["1000", "1_000", "0"], ("1_000",), [0, 1, 0]),
        # Others are beyond what a decimal number of Spark holds, in a column that is a
        # floating-point number.
        (
            [
                "1000",
                "1_000",
                "2",
                "0.5",
                "1e30",
                "1e200",
                "12345678901234567890",
                "1e400",
                "1e-400",
            ],
            ("1000", "1e30", "1E+200", "12345678901234567890", "1e400", "1e-400"),
            [1, 0, 0, 0, 1, 1, 1, 1, 1],
        ),
    ],
)
def test_positive_labels_are_the_same_numbers_on_each_engine(
    engine, ours, theirs, tmp_path, labels, positive, read
):
    rows = "".join(f"1,{item},{item},{label}\n" for item, label in enumerate(labels))
    written(tmp_path, {"log/a.csv": LABELLED + rows})
    both(engine, ours, theirs, tmp_path / "log/a.csv", positive_labels=positive, **BARE)
    found = theirs.execute("select label from interactions order by line").fetchall()
    assert [label for (label,) in found] == read


def test_labels_that_only_one_engine_takes_for_numbers_are_refused(engine, ours, theirs, tmp_path):
    rows = "".join(
        f"1,{item},{item},{label}\n" for item, label in enumerate(("1", "0", "0_1", "0_0"))
    )
    written(tmp_path, {"log/a.csv": LABELLED + rows})
    said = refused(engine, ours, theirs, tmp_path / "log/a.csv", **BARE)
    assert "holds other values than labels" in said
    assert "'0_1' (1 rows)" in said


@pytest.mark.parametrize("option", ["item_attribute_cols", "context_dense_cols"])
def test_a_column_named_as_the_folders_of_users_is_refused_on_each_engine(
    engine, ours, theirs, tmp_path, option
):
    written(tmp_path, {"log/a.csv": "user_id,item_id,time,User_Bucket\n1,2,3,4\n"})
    options = {**BARE, option: ("User_Bucket",)}
    said = refused(engine, ours, theirs, tmp_path / "log/a.csv", **options)
    assert "the column 'User_Bucket' cannot be" in said
