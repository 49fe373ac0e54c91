"""Pipelines whose bundles are asked, and where their results are."""

from __future__ import annotations

import contextlib
import random

import duckdb
import pytest

from tests.assets.conftest import (
    Pipeline,
    failure_of,
    run_history,
    stand_in_for_pictures,
    write_rows,
)

HEADER = "user_id,item_id,time,label,cate_id,brand,country,price,age,hour"


def labelled_rows(n_users=30):
    """Lists of three items shown at a time, one of them taken; ids are text, some with a comma.

    Each item has a price but every fifth; the first row has one that nobody can read.
    """
    chance = random.Random(5)
    for user in range(n_users):
        for moment in range(6):
            for place, item in enumerate(chance.sample(range(25), 3)):
                price = "" if item % 5 == 0 else f"{item}.5"
                price = "cheap" if (user, moment, place) == (0, 0, 0) else price
                yield (
                    f'"u,{user}",ä{item},{moment},{int(place == 0)},c{item % 4},b{item % 3},'
                    f"l{user % 2},{price},{20 + user},{chance.randrange(24)}"
                )


@contextlib.contextmanager
def run_on_labels(folder):
    """A run on labelled rows with text ids, attributes and numbers, and a network with the user."""
    log = write_rows(folder / "log.csv", *labelled_rows(), header=HEADER)
    with pytest.MonkeyPatch.context() as patch, run_history() as instance:
        stand_in_for_pictures(patch)
        pipeline = Pipeline(folder / "data", instance)
        pipeline.config["ops"]["interactions"] = {
            "config": {
                "path": str(log),
                "item_attribute_cols": ["cate_id", "brand"],
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
