"""Logs made by hand, of corners where engines could part, and the options each is read with."""

from decimal import Decimal

import pyarrow as pa

from din_core.config import SourceConfig

LARGEST = 2**30 - 1
ODD_NAME = 'it\'s the "best"\\n `brand`'


def ties():
    """Three users whose events tie in time, across two files, and whose lines go back and forth."""
    return {
        "user_id": [1, 1, 1, 1, 2, 2, 2, 3, 3, 1, 2, 3],
        "item_id": [5, 4, 3, 2, 5, 1, 9, 7, 7, 5, 8, 6],
        "time": [7, 7, 7, 7, 7, 7, 3, 0, 0, 7, 7, 7],
        "file": ["b.csv"] * 6 + ["a.csv"] * 6,
        "line": [5, 4, 3, 2, 6, 7, 9, 8, 7, 5, 4, 3],
    }


def heavy():
    """One user with 60 events over 23 items, one with a single event, a few in between."""
    users = [1] * 60 + [2] + [3] * 2 + [4] * 4
    return {
        "user_id": users,
        "item_id": [(7 * place) % 23 for place in range(60)] + [99, 1, 50, 0, 99, 50, 0],
        "time": [place // 3 for place in range(len(users))],
        "cate_id": [(7 * place) % 23 % 4 for place in range(60)] + [9, 1, 2, 0, 9, 2, 0],
    }


def tiny():
    """Three items: user 1 has all, user 2 all but one, user 3 one; 1 and 2 share a cate."""
    return {
        "user_id": [1, 1, 1, 1, 2, 2, 2, 3, 3, 3],
        "item_id": [1, 2, 3, 1, 1, 2, 1, 3, 3, 3],
        "time": [1, 2, 3, 4, 1, 2, 3, 1, 2, 3],
        "cate_id": [1, 1, 2, 1, 1, 1, 1, 2, 2, 2],
    }


def alone():
    """One user, one item, one event."""
    return {"user_id": [1], "item_id": [1], "time": [0]}


def repeated():
    """One user who interacts with the one item three times: nothing can be drawn."""
    return {"user_id": [1, 1, 1], "item_id": [1, 1, 1], "time": [5, 5, 5]}


def disagreeing():
    """Attributes on which interactions disagree, tie, or say nothing, text and numbers."""
    return {
        "user_id": [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4],
        "item_id": [1, 2, 3, 1, 2, 4, 1, 3, 4, 5, 6],
        "time": list(range(11)),
        "cate_id": [7, 5, None, 7, 10, None, 5, None, 9, 9, 10],
        ODD_NAME: ["b", "a", None, "a", "a", "Z", None, None, "ä", "z", "b"],
        "age": ["old", "young", None, None, None, None, "young", "old", "", "", "old"],
        "zip": [10, 9, 10, 9, None, 9, None, None, None, None, -1],
    }


def texts():
    """Ids that other collations put in another order: case, accents, blanks, UTF-16 surrogates."""
    users = ["a", "A", "a ", "10", "9", "ä", "é", "\ufffd", "\U0001f600", ""]
    return {
        "user_id": [user for user in users for _ in range(3)],
        "item_id": [users[(7 * place) % 10] for place in range(30)],
        "time": [(5 * place) % 11 for place in range(30)],
    }


def extreme():
    """The largest ids and times there are."""
    return {
        "user_id": [2**63 - 1, 2**63 - 2, 2**63 - 1, -(2**63) + 1, 2**63 - 1, 2**63 - 2],
        "item_id": [2**63 - 1, 2**63 - 1, 2**53 + 1, 2**53, 0, 2**53],
        "time": [2**62, 2**62, 2**62 + 1, 0, 2**63 - 1, 2**63 - 1],
    }


def fractions():
    """Times within a second, out of order, tied, and one of them the last that 64 bits hold."""
    times = ["5.5", "5.25", "5.75", "5.5", "6", "5.000001", "999999999999.999999", "4"]
    return {
        "user_id": [1, 1, 1, 1, 1, 2, 2, 2],
        "item_id": [1, 2, 3, 4, 5, 1, 2, 6],
        "time": [Decimal(time) for time in times],
        "cate_id": [1, 1, 2, 2, 3, 1, 1, 3],
    }


def impressions():
    """A labelled log: negatives before, between, tied with and after the positives."""
    return {
        "user_id": [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3],
        "item_id": [1, 2, 3, 4, 5, 6, 3, 1, 2, 6, 4, 4],
        "time": [1, 2, 3, 3, 4, 9, 9, 5, 5, 5, 1, 2],
        "cate_id": [1, 1, 2, 2, 3, None, 2, 1, 1, 3, 2, 2],
        "label": [0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0],
    }


def lists():
    """A labelled log of lists shown at once: several positives a moment, none, one user's only."""
    return {
        "user_id": [1] * 9 + [2] * 3 + [3] * 5 + [4] * 3,
        "item_id": [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 3, 5, 2, 4, 6, 8, 1, 7, 7, 2],
        "time": [9, 9, 7, 7, 7, 3, 3, 8, 5, 4, 4, 4, 1, 1, 2, 3, 3, 6, 7, 7],
        "cate_id": [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 3, 2, 2, 1, 3, 2, 1, 1, 1, 2],
        "label": [1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0],
    }


def numbers():
    """Numbers on which interactions disagree, tie, or say nothing; -0 has become 0 at ingest."""
    return {
        "user_id": [1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4],
        "item_id": [1, 2, 3, 1, 2, 4, 1, 3, 4, 5, 6, 1],
        "time": list(range(12)),
        "cate_id": [7, 5, None, 7, 10, None, 7, 5, None, 9, 9, 7],
        "price": [0.1, 5.5, None, 0.1, 7.25, None, 1e-300, -2.0, None, 3.4e38, 0.0, 1e-300],
        "height": [1.8, 1.8, None, 1.7, None, None, None, 1.6, 1.5, 1.5, 1.6, 0.0],
        "hour": [0.0, 1.5, None, 3.0, 4.25, None, 6.0, -7.0, 8.0, 9.0, 1e-7, 11.0],
    }


def labelled_numbers():
    """The same with labels: every impression has a context of its own."""
    return {**numbers(), "label": [1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1]}


def fractional_texts():
    """Ids of :func:`texts` at times of :func:`fractions`: tied, out of order, within a second."""
    times = fractions()["time"]
    return {**texts(), "time": [times[(5 * place) % len(times)] for place in range(30)]}


def together(*logs):
    """One log of several, each with users, items and files of its own, and what it says of them."""
    return _joined(
        *(
            {
                **log,
                **{n: [each + 1000 * number for each in log[n]] for n in ("user_id", "item_id")},
            }
            for number, log in enumerate(logs)
        )
    )


def _joined(*logs):
    columns = dict.fromkeys(name for log in logs for name in log)
    merged = {name: [] for name in ("file", "line", *columns)}
    for number, log in enumerate(logs):
        n_rows = len(log["user_id"])
        said = {"file": [""] * n_rows, "line": range(2, n_rows + 2), **log}
        for name, values in merged.items():
            values.extend(said.get(name, [None] * n_rows))
        merged["file"][-n_rows:] = [f"{number}{file}" for file in said["file"]]
    return merged


def crowds():
    """Large ids and times, ties across two files, long histories and single events."""
    return together(extreme(), ties(), heavy())


def described():
    """Attributes and numbers on which interactions disagree, tie, or say nothing."""
    return together(disagreeing(), numbers())


def described_texts():
    """Ids of text at tied times within a second, beside attributes and numbers of all kinds."""
    log = described()
    n_rows = len(log["user_id"])
    times = fractions()["time"]
    ids = {name: [f"{each} {name}" for each in log[name]] for name in ("user_id", "item_id")}
    return _joined(
        {**log, **ids, "time": [times[(3 * place) % 8] for place in range(n_rows)]},
        fractional_texts(),
    )


def lists_with_numbers():
    """Impressions shown at once and one by one, some of them with numbers of their own."""
    return together(lists(), impressions(), labelled_numbers())


CASES = {
    # The first six show between them each kind of log, sampler, split and option that there is.
    "alone": (alone, {}),
    "tiny, same category": (
        tiny,
        {"negatives_per_positive": 3, "negative_sampling": "same_category", "max_history": 3},
    ),
    "crowds, popularity": (
        crowds,
        {
            "negative_sampling": "popularity",
            "negatives_per_positive": 3,
            "max_history": 50,
            "sampling_seed": 0,
        },
    ),
    "described texts, temporal at given times, last event only": (
        described_texts,
        {
            "negatives_per_positive": 2,
            "max_history": 1,
            "split": "temporal",
            "val_from": 5.25,
            "test_from": 5.5,
            "min_interactions": 2,
            "sampling_seed": LARGEST,
        },
    ),
    "lists with numbers": (lists_with_numbers, {"max_history": 2}),
    "lists with numbers, temporal": (
        lists_with_numbers,
        {"max_history": 3, "split": "temporal", "min_interactions": 1},
    ),
    # One kind at a time.
    "described, temporal at quantiles": (
        described,
        {
            "negatives_per_positive": 2,
            "max_history": 3,
            "split": "temporal",
            "min_interactions": 2,
            "sampling_seed": LARGEST,
        },
    ),
    "fractional texts, temporal at given times, last event only": (
        fractional_texts,
        {"split": "temporal", "val_from": 5.25, "test_from": 5.5, "max_history": 1},
    ),
    "ties": (ties, {"negatives_per_positive": 3}),
    "heavy, uniform": (heavy, {"negatives_per_positive": 3, "max_history": 50}),
    "heavy, popularity, last event only": (
        heavy,
        {"negative_sampling": "popularity", "negatives_per_positive": 3, "max_history": 1},
    ),
    "heavy, same category, temporal": (
        heavy,
        {
            "negative_sampling": "same_category",
            "max_history": 3,
            "split": "temporal",
            "min_interactions": 2,
        },
    ),
    "tiny, uniform": (tiny, {"negatives_per_positive": 3}),
    "tiny, popularity": (tiny, {"negatives_per_positive": 3, "negative_sampling": "popularity"}),
    "repeated, popularity": (repeated, {"negative_sampling": "popularity"}),
    "disagreeing": (disagreeing, {"negatives_per_positive": 0, "max_history": 1}),
    "disagreeing, same category": (
        disagreeing,
        {"negative_sampling": "same_category", "min_interactions": 2, "sampling_seed": LARGEST},
    ),
    "texts, temporal at given times": (
        texts,
        {"split": "temporal", "val_from": 5, "test_from": 8, "max_history": 3},
    ),
    "fractions": (fractions, {}),
    "fractions, popularity, temporal": (
        fractions,
        {
            "negative_sampling": "popularity",
            "split": "temporal",
            "val_from": 5.25,
            "test_from": 5.5,
        },
    ),
    "fractions, same category, temporal at quantiles": (
        fractions,
        {"negative_sampling": "same_category", "split": "temporal"},
    ),
    "extreme": (extreme, {"sampling_seed": 0}),
    "numbers": (numbers, {"negatives_per_positive": 2}),
    "numbers of impressions": (labelled_numbers, {"max_history": 2}),
    "impressions": (impressions, {"max_history": 1}),
    "lists": (lists, {}),
    "lists, temporal": (lists, {"split": "temporal", "max_history": 2, "min_interactions": 1}),
    "impressions, temporal": (
        impressions,
        {"max_history": 3, "split": "temporal", "min_interactions": 1},
    ),
}
USER_ATTRIBUTES = ("age", "zip")
DENSE = {
    "item_dense_cols": ("price",),
    "user_dense_cols": ("height",),
    "context_dense_cols": ("hour",),
}


def create_interactions(con, columns):
    """Write a log's columns as the table interactions; without file and line, lines count up."""
    n_rows = len(columns["user_id"])
    columns = {"file": ["a.csv"] * n_rows, "line": list(range(2, n_rows + 2)), **columns}
    known = {str: pa.string(), Decimal: pa.decimal128(18, 6), float: pa.float64()}
    rows = pa.table(  # noqa: F841 (found by its name)
        {
            name: pa.array(
                values,
                next((known[type(value)] for value in values if type(value) in known), pa.int64()),
            )
            for name, values in columns.items()
        }
    )
    con.execute("create table interactions as from rows")


def source_of(columns):
    known = {"user_id", "item_id", "time", "label", "file", "line", *sum(DENSE.values(), ())}
    attributes = [name for name in columns if name not in known]
    return SourceConfig(
        path="",
        item_attribute_cols=tuple(n for n in attributes if n not in USER_ATTRIBUTES),
        user_attribute_cols=tuple(n for n in attributes if n in USER_ATTRIBUTES),
        **{option: names for option, names in DENSE.items() if names[0] in columns},
    )
