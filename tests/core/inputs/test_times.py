"""Times of events and samples, as training takes them."""

import pyarrow as pa

from din_core.config import SequenceConfig, SourceConfig
from din_core.inputs import times, training_data
from din_core.tables import sequences

SOURCE = SourceConfig(path="", item_attribute_cols=())


def read(con, rows, columns="user_id, item_id, time", **options):
    """From rows of a log to training data with times."""
    values = dict(zip(columns.split(", "), zip(*rows, strict=True), strict=True))
    log = pa.table({**values, "line": range(2, len(rows) + 2)})  # noqa: F841 (found by its name)
    con.execute("create or replace table interactions as select *, 'log.csv' as file from log")
    sequences.build(con, SOURCE, SequenceConfig(**options))
    return times.with_times(con, training_data.load(con))


def test_a_sampled_negative_is_when_its_positive_is(con):
    # User 2 makes items that user 1 can be offered.
    rows = [(1, 10 + n, 100 * n) for n in range(1, 6)] + [(2, 20 + n, n) for n in range(1, 4)]
    data = read(con, rows, negatives_per_positive=2)
    assert data.event_times.tolist() == [100, 200, 300, 400, 500, 1, 2, 3]
    assert data.samples["train"].time.tolist() == [200] * 3 + [300] * 3
    assert data.samples["val"].time.tolist() == [400] * 3 + [2] * 3
    assert data.samples["test"].time.tolist() == [500] * 3 + [3] * 3


def test_a_logged_negative_has_a_time_of_its_own(con):
    rows = [
        (1, 11, 100, 1), (1, 12, 150, 0), (1, 13, 160, 0), (1, 14, 200, 1),
        (1, 15, 300, 0), (1, 16, 400, 1), (1, 17, 500, 0),
    ]  # fmt: skip
    data = read(con, rows, "user_id, item_id, time, label")
    found = {
        (int(item), float(time))
        for of in data.samples.values()
        for item, time in zip(of.item, of.time, strict=True)
    }
    ids = dict(con.execute("select item_idx, item_id from items").fetchall())
    expected = {(each[1], float(each[2])) for each in rows[1:]}
    assert {(ids[item], time) for item, time in found} == expected


def test_fractions_of_a_second_are_kept(con):
    con.execute(
        "create table interactions as select 1 as user_id, n as item_id, 'log.csv' as file, "
        "cast(0.25 * n as decimal(18, 6)) as time, n as line from range(1, 4) r(n)"
    )
    sequences.build(con, SOURCE, SequenceConfig())
    data = times.with_times(con, training_data.load(con))
    assert data.event_times.tolist() == [0.25, 0.5, 0.75]
    assert data.samples["test"].time.tolist() == [0.75]


def test_other_times_are_another_log(con):
    rows = [(1, 10 + n, 100 * n) for n in range(1, 6)]
    first = read(con, rows)
    assert first.fingerprint() == read(con, rows).fingerprint()
    later = [(user, item, 2 * time) for user, item, time in rows]
    assert read(con, later).fingerprint() != first.fingerprint()
