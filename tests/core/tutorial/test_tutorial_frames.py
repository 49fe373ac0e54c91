"""What people keep in a data frame becomes the samples that it says, or a sentence."""

from __future__ import annotations

import datetime as dt
import logging
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from din_core.sources import SourceError
from din_core.tables.sequences import OptionsError
from din_core.tutorial import (
    df_to_dict,
    generate_seq_feature,
    get_auto_embedding_dim,
    pad_sequences,
    vocabulary_sizes,
)
from tests.core.tutorial.tutorial_logs import (
    COLUMNS,
    EXPECTED,
    LOG,
    SECONDS,
    generate,
    of_the_log,
    positives,
)


def test_positives_by_hand():
    train, val, test = of_the_log(shuffle=False, max_len=4)
    # Indices: users 10, 20, 30 → 1, 2, 3; items a … f → 1 … 6; categories x, y → 1, 2.
    # User 10: a b d c ("d" and "c" tie in time: the row decides). User 30: e f a.
    positives = {
        name: [
            (row.target_item_id, row.user, [*row.hist_item_id], [*row.hist_cate], row.target_cate)
            for row in frame[frame.label == 1].itertuples()
        ]
        for name, frame in (("train", train), ("val", val), ("test", test))
    }
    assert positives == {
        "train": [(2, 1, [1, 0, 0, 0], [1, 0, 0, 0], 2)],
        "val": [(4, 1, [1, 2, 0, 0], [1, 2, 0, 0], 2), (6, 3, [5, 0, 0, 0], [1, 0, 0, 0], 2)],
        "test": [(3, 1, [1, 2, 4, 0], [1, 2, 2, 0], 1), (1, 3, [5, 6, 0, 0], [1, 2, 0, 0], 1)],
    }


def test_every_positive_has_a_negative_that_its_user_never_interacted_with():
    interacted = {1: {1, 2, 3, 4}, 3: {5, 6, 1}}
    cate_of = {1: 1, 2: 2, 3: 1, 4: 2, 5: 1, 6: 2}
    for frame in of_the_log(shuffle=False):
        assert frame.label.tolist() == [1, 0] * (len(frame) // 2)
        for row in frame[frame.label == 0].itertuples():
            assert row.target_item_id not in interacted[row.user]
            assert row.target_cate == cate_of[row.target_item_id]


def test_columns_are_those_of_torch_rechub_in_their_order():
    for frame in of_the_log():
        assert list(frame.columns) == [
            "label",
            "target_item_id",
            "user",
            "hist_item_id",
            "hist_cate",
            "target_cate",
        ]
    without = generate_seq_feature(LOG, "user", "item", "when", None)
    assert list(without[0].columns) == ["label", "target_item_id", "user", "hist_item_id"]


def test_heavy_user_keeps_every_split_and_the_most_recent_items():
    n_events = 70
    heavy = pd.DataFrame({"user": 1, "item": range(n_events), "when": range(n_events), "cate": 0})
    other = pd.DataFrame({"user": 2, "item": [998, 999], "when": [0, 1], "cate": 0})
    train, val, test = generate(pd.concat([heavy, other]), shuffle=False, max_len=5)
    of_heavy = [frame[(frame.user == 1) & (frame.label == 1)] for frame in (train, val, test)]
    assert [len(frame) for frame in of_heavy] == [67, 1, 1]
    # The last event is item number 70; before it came 65 … 69.
    last = of_heavy[2].iloc[0]
    assert (last.target_item_id, [*last.hist_item_id]) == (70, [65, 66, 67, 68, 69])


def test_users_below_min_item_are_left_out():
    frames = generate(min_item=4)
    # Only user 10 has four interactions; users 20 and 30 get no index.
    assert {user for frame in frames for user in frame.user} == {1}


def test_shuffle_and_negatives_follow_the_seed():
    first, same, other = of_the_log(), generate(), generate(seed=7)
    for left, right in zip(first, same, strict=True):
        assert left.drop(columns=["hist_item_id", "hist_cate"]).equals(
            right.drop(columns=["hist_item_id", "hist_cate"])
        )
    targets = [
        frames[0].target_item_id.tolist() + frames[2].target_item_id.tolist()
        for frames in (first, other)
    ]
    assert targets[0] != targets[1]
    in_order = of_the_log(shuffle=False)
    for shuffled, ordered in zip(first, in_order, strict=True):
        assert sorted(shuffled.target_item_id) == sorted(ordered.target_item_id)


def test_a_column_called_label_is_no_impression():
    with_label = LOG.assign(label=0)
    for frame, expected in zip(generate(with_label), of_the_log(), strict=True):
        assert frame.label.tolist() == expected.label.tolist()


def test_unusable_rows_are_left_out_with_a_warning(caplog):
    bad = pd.concat([LOG.astype({"when": str}), LOG.head(1).assign(when="yesterday")])
    with caplog.at_level(logging.WARNING):
        frames = generate(bad, shuffle=False)
    assert "1 of 9 rows were left out" in caplog.text
    for frame, expected in zip(frames, of_the_log(shuffle=False), strict=True):
        assert frame.target_item_id.tolist() == expected.target_item_id.tolist()


def test_what_is_said_of_values_names_the_column_and_the_row_of_the_frame(caplog):
    log = LOG.assign(price=["1.5", "$2", *["3"] * 6], user=["a", "NULL", *["b"] * 6])
    with caplog.at_level(logging.WARNING):
        generate(log, item_dense_cols="price", shuffle=False)
    assert "data: 'price' is no finite number in 1 of 8 rows (first row 2: '$2')" in caplog.text
    assert "data: 'user' is the word 'NULL' in 1 rows (first row 2)" in caplog.text
    assert "parquet" not in caplog.text
    with pytest.raises(
        SourceError, match=r"data: item_dense_cols: 'price' holds no .*\(row 1: 'x'"
    ):
        generate(log.assign(price="x"), item_dense_cols="price")
    caplog.clear()
    swapped = log.rename(columns={"user": "item_id", "item": "user_id"})
    with caplog.at_level(logging.WARNING):
        generate_seq_feature(swapped, "item_id", "user_id", "when")
    assert "data: 'item_id' is the word 'NULL' in 1 rows (first row 2)" in caplog.text


def test_a_missing_column_is_named():
    with pytest.raises(SourceError, match="item_col: the data frame has no column 'item_id', only"):
        generate_seq_feature(LOG, "user", "item_id", "when")


def test_vocabulary_sizes_cover_target_and_history_together():
    frame = pd.DataFrame(
        {
            "label": [1, 0],
            "target_item_id": [3, 9],
            "user_id": [1, 2],
            "hist_item_id": [np.array([12, 0]), np.array([4, 5])],
            "target_cate": [2, 2],
        }
    )
    empty = frame.head(0)
    assert vocabulary_sizes(empty, frame) == {
        "target_item_id": 13,
        "hist_item_id": 13,
        "user_id": 3,
        "target_cate": 3,
    }


def test_frames_become_arrays():
    arrays = df_to_dict(of_the_log(shuffle=False, max_len=4)[2])
    assert arrays["hist_item_id"].shape == (4, 4)
    assert arrays["label"].tolist() == [1, 0, 1, 0]
    as_lists = df_to_dict(pd.DataFrame({"a": [[1, 2], [3, 4]]}))
    assert as_lists["a"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[0, 1, 2], [3, 4, 5], [0, 0, 0]]),
        ({"padding": "post", "value": 9}, [[1, 2, 9], [3, 4, 5], [9, 9, 9]]),
        ({"maxlen": 2}, [[1, 2], [4, 5], [0, 0]]),
        ({"maxlen": 2, "truncating": "post"}, [[1, 2], [3, 4], [0, 0]]),
        ({"maxlen": 0}, [[], [], []]),
    ],
)
def test_padding_and_truncating(options, expected):
    padded = pad_sequences([[1, 2], [3, 4, 5], []], **options)
    assert padded.tolist() == expected
    assert padded.dtype == np.int32


def test_wrong_side_is_refused():
    with pytest.raises(ValueError, match="padding 'left' is neither 'pre' nor 'post'"):
        pad_sequences([[1]], padding="left")


def test_expected_is_what_the_plain_frame_gives():
    assert positives(of_the_log(shuffle=False)) == EXPECTED


# NaT and NaN are nothing to pandas as NA is.
NO_TIMES = (None, float("inf"), pd.NA, Decimal("NaN"))


@pytest.mark.parametrize(
    "missing",
    [
        NO_TIMES,
        *(
            pytest.param((each,), marks=pytest.mark.thorough)
            for each in (*NO_TIMES, pd.NaT, float("nan"))
        ),
    ],
    ids=repr,
)
def test_rows_without_a_time_or_a_user_are_left_out_with_a_warning(missing, caplog):
    late = LOG.head(1).assign(item="f")
    log = pd.concat(
        [
            LOG.astype({"when": object}),
            *(late.assign(when=pd.Series([each], dtype=object)) for each in missing),
            LOG.head(2).assign(user=None),
        ]
    )
    with caplog.at_level(logging.WARNING):
        frames = generate(log, shuffle=False)
    assert positives(frames) == EXPECTED
    n_bad = len(missing) + 2
    assert f"{n_bad} of {8 + n_bad} rows were left out: " in caplog.text
    assert f"empty time ({len(missing)})" in caplog.text
    assert "empty user_id (2)" in caplog.text
    assert "time_col='when'" in caplog.text


def test_columns_without_names_are_named_by_number():
    frames = generate_seq_feature(LOG.set_axis([0, 1, 2, 3], axis=1), 0, 1, 2, (3,), shuffle=False)
    assert positives(frames) == EXPECTED
    assert list(frames[0]) == ["label", "target_item_id", 0, "hist_item_id", "hist_3", "target_3"]
    assert set(vocabulary_sizes(*frames)) == set(df_to_dict(frames[0])) - {"label"}


# A name and an array of one, which is neither true nor false; `generate` names a list.
@pytest.mark.parametrize(
    "attribute",
    [
        "cate",
        np.array(["cate"]),
        *(pytest.param(each, marks=pytest.mark.thorough) for each in (np.str_("cate"), ("cate",))),
    ],
)
def test_one_attribute_may_be_named_as_it_is(attribute):
    frames = generate_seq_feature(LOG, *COLUMNS.values(), attribute, shuffle=False)
    assert list(frames[0])[-2:] == ["hist_cate", "target_cate"]


# `position` and `split`, columns of the tables, and `item_id`, one of the log, show the kinds.
@pytest.mark.parametrize(
    ("user", "attribute"),
    [
        ("position", "split"),
        ("item_id", "cate"),
        *(
            pytest.param(*each, marks=pytest.mark.thorough)
            for each in (("split", "position"), ("time", "user_idx"), ("user_idx", "time"),
                         ("file", "k"), ("k", "file"))
        ),
    ],
)  # fmt: skip
def test_names_of_the_tables_own_columns_are_free(user, attribute):
    log = LOG.rename(columns={"user": user, "cate": attribute})
    frames = generate_seq_feature(log, user, "item", "when", [attribute], shuffle=False)
    assert positives(frames) == EXPECTED
    assert list(frames[0])[2] == user
    assert list(frames[0])[-2:] == [f"hist_{attribute}", f"target_{attribute}"]


def test_the_index_does_not_matter():
    # An index that repeats, and one of two levels.
    for index in (list("hgfehgfe"), pd.MultiIndex.from_product([[1, 2], range(4)])):
        assert positives(generate(LOG.set_axis(index), shuffle=False)) == EXPECTED


@pytest.mark.parametrize(
    "spelling",
    [
        # It shows that values are not turned in place, beside the times, which are int64.
        object,
        # Columns that pandas keeps otherwise.
        *(
            pytest.param(each, marks=pytest.mark.thorough)
            for each in ("int64", "category", "float64", "Int64")
        ),
    ],
)
def test_the_frame_is_left_as_it_was(spelling):
    log = LOG.astype({"user": spelling}).set_axis(list("hgfedcba"))
    before = log.copy(deep=True)
    generate(log)
    pd.testing.assert_frame_equal(log, before)


def renamed(**names):
    return LOG.rename(columns={old: new for new, old in names.items()})


class SameText:
    """Two of them differ, and their text does not tell."""

    def __str__(self):
        return "same"


REFUSALS = {
    "a name of the result": (
        renamed(label="user"),
        {"user_col": "label"},
        r"user_col: column 'label' would become the second column 'label' of the samples; rename",
    ),
    "another name of the result": (
        renamed(hist_cate="user"),
        {"user_col": "hist_cate"},
        "user_col: column 'hist_cate' would become the second column",
    ),
    "an attribute called item_id": (
        renamed(item_id="cate"),
        {"item_attribute_cols": ["item_id"]},
        "item_attribute_cols: column 'item_id' would become the second column 'hist_item_id'",
    ),
    "one column twice": (
        LOG,
        {"user_col": "item"},
        "user_col and item_col: column 'item' is named",
    ),
    "an attribute twice": (
        LOG,
        {"item_attribute_cols": ["cate", "cate"]},
        "item_attribute_cols: column 'cate' is named twice",
    ),
    "two columns of the name": (
        LOG.assign(other=1).set_axis(["user", "item", "when", "cate", "when"], axis=1),
        {},
        "time_col: the data frame has 2 columns 'when'; rename or drop all but one",
    ),
    "a name taken apart": (
        LOG,
        {"item_attribute_cols": list("cate")},
        r"item_attribute_cols: the data frame has no column 'c'.*is \['cate'\] meant\?",
    ),
    "a list of one name": (LOG, {"user_col": ["user"]}, r"user_col: .* no column \['user'\]"),
    "columns of two levels": (
        pd.concat({"log": LOG}, axis=1),
        {},
        r"columns of 2 levels, such as \('log', 'user'\)",
    ),
    "no row": (LOG.head(0), {}, "data has 0 rows and 4 columns"),
    "one event each": (
        LOG.groupby("user").head(1),
        {},
        "it has 3 users, and the one with most interactions has 1, fewer than the 2 that",
    ),
    "min_item": (LOG, {"min_item": 5}, "it has 3 users, .* has 4, fewer than min_item=5"),
    "numbers beside moments": (
        LOG.assign(when=[dt.date(2020, 1, 1), *range(7)]),
        {},
        r"time_col: column 'when' holds moments as datetime.date\(2020, 1, 1\) beside numbers as 0",
    ),
    "tuples as times": (
        LOG.assign(when=[(n,) for n in SECONDS]),
        {},
        r"time_col: column 'when' holds \(2,\), a tuple, which is not a time",
    ),
    "not one time": (
        LOG.assign(when="soon"),
        {},
        "^data: not one of 8 rows can be used: time is neither",
    ),
    "different objects of one text": (
        LOG.assign(user=[SameText() for _ in range(8)]),
        {},
        "user_col: column 'user': two different objects of type SameText are 'same' as text",
    ),
}


@pytest.mark.parametrize(("log", "options", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_work_is_refused_in_a_sentence(log, options, sentence):
    with pytest.raises(SourceError, match=sentence):
        generate_seq_feature(log, **{**COLUMNS, "item_attribute_cols": ["cate"], **options})


@pytest.mark.parametrize(
    ("option", "value"), [("max_len", 0), ("max_len", 5.0), ("min_item", True), ("seed", -1)]
)
def test_numbers_out_of_range_are_named_as_the_caller_named_them(option, value):
    with pytest.raises(OptionsError, match=f"^{option} is {value}, must be an integer from"):
        generate(**{option: value})


def test_numbers_of_numpy_are_taken():
    assert len(generate(max_len=np.int64(3))[2].hist_item_id.iloc[0]) == 3


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (pa.table({"user": [1]}), r"data is a Table of pyarrow.*pass data.to_pandas\(\)"),
        ({"user": [1]}, r"data is a dict of builtins.*pass pandas.DataFrame\(data\)"),
    ],
)
def test_other_frames_are_refused(data, sentence):
    with pytest.raises(TypeError, match=sentence):
        generate(data)


def test_empty_splits_are_said(caplog):
    generate(LOG[LOG.user == 30].tail(2).assign(item=["a", "b"]))
    assert [record.message[:14] for record in caplog.records[:2]] == [
        "train is empty",
        "val is empty: ",
    ]


def test_positives_without_a_negative_are_said(caplog):
    generate(LOG.assign(item="a"))
    assert "5 positives have no negative: their users interacted with every item" in caplog.text


def test_lists_of_several_lengths_are_refused():
    with pytest.raises(ValueError, match="column 'h' holds lists of different lengths"):
        df_to_dict(pd.DataFrame({"h": [[1], [1, 2]]}))


def test_the_automatic_width_is_the_rule_of_dcn():
    assert get_auto_embedding_dim(16) == 12  # 6 * 16 ** 0.25


def test_a_missing_attribute_costs_no_row():
    # Item a has three rows, two of which say "x"; item e has one, which says nothing.
    cates = ["y", None, None, "y", "x", "x", "y", "x"]
    frames = generate(LOG.assign(cate=cates), shuffle=False, max_len=2)
    assert positives(frames)[:3] == EXPECTED[:3]
    of_attributes = [
        (row.target_cate, [*row.hist_cate])
        for frame in frames
        for row in frame[frame.label == 1].itertuples()
    ]
    assert of_attributes == [(2, [1, 0]), (2, [1, 2]), (2, [0, 0]), (1, [2, 2]), (1, [0, 2])]


def test_numbers_follow_the_ids_by_their_role():
    data = pd.DataFrame(
        {
            "user": ["a", "a", "a", "b", "b", "b"],
            "item": [1, 2, 3, 1, 2, 4],
            "when": [1, 2, 3, 1, 2, 3],
            "price": [5.0, None, 7.0, 5.0, None, 9.5],
            "age": ["30", "30", "x", None, None, None],
            "target_hour": [1, 2, 3, 4, 5, 6],
        }
    )
    train, val, test = generate_seq_feature(
        data,
        "user",
        "item",
        "when",
        item_dense_cols="price",
        user_dense_cols=["age"],
        context_dense_cols=["target_hour"],
        shuffle=False,
    )
    assert train.empty
    assert list(test.columns[-3:]) == ["target_price", "age", "target_hour"]
    # Items 1 ... 4 cost 5, unknown, 7 and 9.5; of user 'a' test is item 3, of 'b' item 4.
    positives = test[test["label"] == 1]
    assert positives["target_price"].tolist() == [7.0, 9.5]
    assert positives["age"].tolist() == pytest.approx([30.0, float("nan")], nan_ok=True)
    assert val.loc[val["label"] == 1, "target_price"].isna().all()
    # A negative has the context of its positive.
    assert test["target_hour"].tolist() == [3.0, 3.0, 6.0, 6.0]
    assert set(vocabulary_sizes(train, val, test)) == {"target_item_id", "user", "hist_item_id"}


def test_a_number_and_an_attribute_of_one_result_name_are_refused():
    data = pd.DataFrame({"user": [1], "item": [1], "when": [1], "x": [1], "target_x": [1.0]})
    with pytest.raises(SourceError, match="column 'x' would become the second column 'target_x'"):
        generate_seq_feature(data, "user", "item", "when", ["x"], context_dense_cols=["target_x"])
