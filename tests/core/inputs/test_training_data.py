"""From tables to flat columns, through the pipeline's own SQL."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from din_core.config import SequenceConfig, SourceConfig
from din_core.inputs import training_data
from din_core.inputs.training_data import TrainingDataError
from din_core.store import ledger
from din_core.tables import sequences

# user, item, time, cate, brand, age; item 30 has no brand.
ROWS = [
    ("b", 10, 1, 5, "x", "old"),
    ("b", 20, 2, 6, "y", "old"),
    ("b", 30, 3, 5, None, "old"),
    ("b", 10, 4, 5, "x", "old"),
    ("a", 40, 1, 6, "y", "new"),
    ("a", 10, 2, 5, "x", "new"),
]


def build(con, rows=ROWS, *, label=None, source=None, **options):
    con.execute(
        "create table interactions (user_id varchar, item_id bigint, time bigint, cate_id bigint, "
        "brand varchar, age varchar, file varchar, line bigint)"
    )
    for line, row in enumerate(rows, start=2):
        con.execute("insert into interactions values (?, ?, ?, ?, ?, ?, 'f', ?)", [*row, line])
    if label is not None:
        con.execute("alter table interactions add column label bigint")
        for line, value in enumerate(label, start=2):
            con.execute("update interactions set label = ? where line = ?", [value, line])
    sequences.build(con, source or SourceConfig(path=""), SequenceConfig(**options))
    return training_data.load(con)


def test_events_are_flat_and_every_user_knows_its_own(con):
    data = build(con)
    # Users a, b and items 10, 20, 30, 40 are 1, 2 and 1 … 4.
    assert data.event_items.tolist() == [4, 1, 1, 2, 3, 1]
    assert data.user_offsets.tolist() == [0, 2, 6]
    assert data.event_items.dtype == np.int32
    assert (data.vocabulary.n_users, data.vocabulary.n_items) == (2, 4)
    assert data.vocabulary.item_attributes == {"cate_idx": 2}
    assert data.item_attributes["cate_idx"].tolist() == [0, 1, 2, 1, 2]


def test_samples_are_bounds_into_the_events(con):
    data = build(con)
    train = data.samples["train"].take(slice(0, 1))
    # b's second event: user 2, item 20, history [10].
    assert (train.user[0], train.position[0], train.k[0], train.label[0], train.item[0]) == (
        2, 2, 0, 1, 2,
    )  # fmt: skip
    assert data.event_items[train.start[0] : train.end[0]].tolist() == [1]
    assert len(data.samples["val"]) == 2
    positives = data.samples["test"].take(data.samples["test"].label == 1)
    histories = [
        data.event_items[start:end].tolist()
        for start, end in zip(positives.start, positives.end, strict=True)
    ]
    assert histories == [[4], [1, 2, 3]]


def test_histories_keep_the_most_recent_events(con):
    data = build(con, max_history=2)
    test = data.samples["test"].take(data.samples["test"].label == 1)
    assert data.event_items[test.start[1] : test.end[1]].tolist() == [2, 3]


def test_samples_equal_the_view_of_encoded_samples(con):
    data = build(con, max_history=2)
    for split, samples in data.samples.items():
        view = con.execute(
            "select user_idx, label, target_item_idx, hist_item_idx from encoded_samples "
            "where split = ?",
            [split],
        ).fetchall()
        ours = [
            (user, label, item, data.event_items[start:end].tolist())
            for user, label, item, start, end in zip(
                samples.user, samples.label, samples.item, samples.start, samples.end, strict=True
            )
        ]
        assert sorted(ours) == sorted(view)


def test_attributes_come_by_item_and_by_user(con):
    source = SourceConfig(
        path="", item_attribute_cols=("cate_id", "brand"), user_attribute_cols=("age",)
    )
    data = build(con, source=source)
    assert data.vocabulary.item_attributes == {"cate_idx": 2, "brand_idx": 2}
    assert data.vocabulary.user_attributes == {"age_idx": 2}
    assert data.item_attributes["brand_idx"].tolist() == [0, 1, 2, 0, 2]
    assert data.user_attributes["age_idx"].tolist() == [0, 1, 2]


def test_a_log_without_attributes_has_none(con):
    data = build(con, source=SourceConfig(path="", item_attribute_cols=()))
    assert data.item_attributes == {}
    assert data.vocabulary.item_attributes == {}


def test_labelled_logs_are_known_as_such(con):
    data = build(con, label=[1, 1, 0, 1, 1, 0])
    assert data.labelled
    everything = [samples.label.tolist() for samples in data.samples.values()]
    assert sum(map(len, everything)) == 4  # two positives from position 2 on, two impressions


def test_how_negatives_were_made_is_told_or_taken_from_the_record(con):
    build(con)
    config = SequenceConfig(negative_sampling="popularity", negatives_per_positive=3)
    told = training_data.load(con, config)
    assert (told.negative_sampling, told.negatives_per_positive) == ("popularity", 3)
    options = {"negative_sampling": "same_category", "negatives_per_positive": 2}
    made = {"asset": "negatives", "data_version": "", "code_version": "", "inputs": {}}
    ledger.record(con, ledger.Entry(**made, options=options))
    recorded = training_data.load(con)
    assert (recorded.negative_sampling, recorded.negatives_per_positive) == ("same_category", 2)
    assert training_data.recorded_negatives(con) == {"labelled": False, **options}
    assert told.fingerprint() != recorded.fingerprint()


def test_a_missing_table_is_named_with_what_to_do(con):
    con.execute("create table users as select 1 as user_idx")
    with pytest.raises(TrainingDataError, match=r"items.*materialize the assets up to samples"):
        training_data.load(con)


@pytest.mark.parametrize(
    "change",
    [
        "insert into events select 2, 5, 1, 1, 9",
        "delete from events where user_idx = 1 and position = 1",
        "update events set position = 3 where user_idx = 1 and position = 1",
    ],
)
def test_events_and_sequences_of_different_ages_are_told(con, change):
    build(con)
    con.execute(change)
    with pytest.raises(TrainingDataError, match="do not hold the same events"):
        training_data.load(con)


def test_equal_logs_have_equal_fingerprints_and_others_others(con):
    data = build(con)
    assert data.fingerprint() == training_data.load(con).fingerprint()
    test = data.samples["test"]
    moved = dataclasses.replace(test, item=test.item[::-1].copy())
    other = dataclasses.replace(data, samples={**data.samples, "test": moved})
    assert data.fingerprint() != other.fingerprint()


def test_a_csv_becomes_arrays_without_pandas_and_torch(tmp_path):
    # Importing them takes longer than the work on a small log, and more memory.
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id,time,cate_id\n1,10,1,5\n1,20,2,6\n2,10,1,5\n2,30,2,5\n")
    code = """
import sys
from din_core import sources, store
from din_core.config import SequenceConfig, SourceConfig
from din_core.inputs import training_data
from din_core.tables import loads, sequences
source = SourceConfig(path=sys.argv[1])
with store.connect(":memory:") as con:
    report = sources.ingest(con, source)
    loads.take(
        con,
        report.source.read_files,
        content=report.source.sha256,
        content_before=None,
        same_source=True,
        vocabularies="auto",
    )
    sequences.build(con, source, SequenceConfig())
    training_data.load(con)
print([name for name in ("pandas", "torch") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(log)], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
