"""Pipelines whose bundles are asked, and where their results are."""

from __future__ import annotations

import contextlib
import random

import duckdb
import pytest

from din_core.evaluation import pictures as pictures_of_figures
from din_core.serving import pictures
from tests.assets.small_pipeline import Pipeline, failure_of, run_history, write_rows

#: Names that mean something to Markdown, HTML, Graphviz or SQL; for test_hostile_names.py.
HOSTILE_COLUMN = 'a"b|<i>'
HOSTILE_USERS = (
    '<a href="javascript:alert(1)">x</a>', "[x](javascript:1)", "a|b", "it's", "`;--", "é",
)  # fmt: skip
HOSTILE_FILE = "log|`x` <b>.csv"

HEADER = 'user_id,item_id,time,label,cate_id,"a""b|<i>",country,price,age,hour'


def labelled_rows(n_users=30):
    """Lists of three items shown at a time, one of them taken; ids are text, some with a comma.

    Each item has a price but every fifth; the first row has one that nobody can read.
    """
    chance = random.Random(5)
    for user in range(n_users):
        hostile = f"{HOSTILE_USERS[user % len(HOSTILE_USERS)]}{user}".replace('"', '""')
        user_id = "u,3" if user == 3 else hostile
        for moment in range(6):
            for place, item in enumerate(chance.sample(range(25), 3)):
                item_id = f"ä{item}" if item < 8 else f"i|{item}<{item % 7}>"
                price = "" if item % 5 == 0 else f"{item}.5"
                price = "cheap" if (user, moment, place) == (0, 0, 0) else price
                yield (
                    f'"{user_id}",{item_id},{moment},{int(place == 0)},c&{item % 4},b|{item % 3}<>,'
                    f"l{user % 2},{price},{20 + user},{chance.randrange(24)}"
                )


@contextlib.contextmanager
def run_on_labels(folder):
    """A run on labelled rows with text ids, attributes and numbers, and a network with the user."""
    log = write_rows(folder / HOSTILE_FILE, *labelled_rows(), header=HEADER)
    with pytest.MonkeyPatch.context() as patch, run_history() as instance:
        # These curves have names of ours only.
        patch.setattr(pictures_of_figures, "figure_png", lambda _: b"")
        patch.setattr(pictures, "training_curve", lambda _: b"")
        pipeline = Pipeline(folder / "data", instance)
        pipeline.config["ops"]["interactions"] = {
            "config": {
                "path": str(log),
                "item_attribute_cols": ["cate_id", HOSTILE_COLUMN],
                "user_attribute_cols": ["country"],
                "item_dense_cols": ["price"],
                "user_dense_cols": ["age"],
                "context_dense_cols": ["hour"],
            }
        }
        pipeline.config["ops"]["samples"] = {"config": {"max_history": 3}}
        pipeline.config["ops"]["din_model"]["config"]["use_user"] = True
        result = pipeline.run()
        assert result.success, failure_of(result)
        patch.undo()
        yield pipeline


def current(pipeline):
    return pipeline.home / "artifacts" / "bundle" / "current"


def rows_of(pipeline, query):
    with duckdb.connect(str(pipeline.home / "warehouse.duckdb"), read_only=True) as con:
        return con.sql(query).to_arrow_table()
