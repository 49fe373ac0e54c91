"""A log of eight rows in a data frame, what it gives by hand, and a small network."""

from __future__ import annotations

import functools

import pandas as pd

from din_core.tutorial import DIN, SequenceFeature, SparseFeature, generate_seq_feature

# Users 10 (four events, one time twice), 20 (one) and 30 (three); items a … f, two categories.
LOG = pd.DataFrame(
    [
        (10, "b", 2, "y"),
        (10, "a", 1, "x"),
        (30, "e", 5, "x"),
        (10, "d", 3, "y"),
        (10, "c", 3, "x"),
        (20, "a", 9, "x"),
        (30, "f", 6, "y"),
        (30, "a", 7, "x"),
    ],
    columns=["user", "item", "when", "cate"],
)
COLUMNS = {"user_col": "user", "item_col": "item", "time_col": "when"}


def generate(data=LOG, **options):
    return generate_seq_feature(data=data, **COLUMNS, item_attribute_cols=["cate"], **options)


@functools.cache
def of_the_log(**options):
    """What `LOG` gives, made once for all who only look at it."""
    return generate(**options)


def positives(frames):
    """Each positive as (split, user, target, history without padding), in order."""
    return [
        (number, row[1], row[2], [each for each in row[3] if each])
        for number, frame in enumerate(frames)
        for row in frame[frame.iloc[:, 0] == 1].iloc[:, [2, 1, 3]].itertuples(name=None)
    ]


# As numbered by hand: user 10 interacted with b a d c in the order a b d c, user 30 e f a.
EXPECTED = [
    (0, 1, 2, [1]),
    (1, 1, 4, [1, 2]),
    (1, 3, 6, [5]),
    (2, 1, 3, [1, 2, 4]),
    (2, 3, 1, [5, 6]),
]

# LOG's times, in the order of its rows.
SECONDS = [2, 1, 5, 3, 3, 9, 6, 7]


def small_din(*further):
    """A network of one history and its target, and further features."""
    item = SparseFeature("target_item_id", 5, 2)
    history = SequenceFeature("hist_item_id", 5, 2, "concat", shared_with="target_item_id")
    return DIN(list(further), [history], [item], {"dims": [3]}, {"dims": [3]})
