"""A model that takes every number of the log, by one run of everything, and served from its bundle."""

from __future__ import annotations

import random
from typing import get_args

import duckdb
import numpy as np
import pytest

from din_core.config import LogNumber
from din_core.serving import attach
from din_core.serving.ranker import Ranker
from tests.assets.conftest import Pipeline, failure_of, run_history, write_rows

DAY = 86_400
NAMES = list(get_args(LogNumber))


def rows(n_users=40, n_events=9):
    """360 rows over three years, some of a user's at one moment."""
    chance = random.Random(3)
    for user in range(n_users):
        moments = sorted(chance.randrange(0, 1000, 10) for _ in range(n_events - 1))
        for day in [*moments, moments[-1]]:
            item = min(chance.randrange(25), chance.randrange(25))
            yield f"{user},{item},{day * DAY},{item % 4}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The pipeline after a run of everything, a BaseModel beside the model included."""
    folder = tmp_path_factory.mktemp("log_numbers")
    log = write_rows(folder / "log.csv", *rows())
    with run_history() as instance:
        pipeline = Pipeline(folder / "data", instance)
        pipeline.config["ops"]["interactions"] = {"config": {"path": str(log)}}
        pipeline.config["ops"]["samples"] = {"config": {"max_history": 4}}
        pipeline.config["ops"]["din_model"]["config"] |= {"log_numbers": NAMES, "n_epoch": 3}
        pipeline.config["ops"]["base_model_predictions"] = {"config": {"train": True}}
        result = pipeline.run()
        assert result.success, failure_of(result)
        yield pipeline


@pytest.fixture(scope="module")
def ranker(made):
    return Ranker(made.home / "artifacts" / "bundle" / "current")


def test_every_asset_is_made_of_a_model_with_numbers_of_the_log(made, ranker):
    every = {"test_rankings", "attention_weights", "base_model_predictions", "bundle", "warehouse"}
    assert every <= made.versions().keys()
    assert made.query("select count(*) > 0 from base_model_predictions") == [(True,)]
    assert ranker.bundle.context == ranker.bundle.log_numbers == NAMES
