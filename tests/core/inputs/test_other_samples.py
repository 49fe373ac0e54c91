"""Samples with other options equal those that the SQL makes with these options."""

import functools

import numpy as np
import pytest

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.inputs import times, training_data
from din_core.inputs.other_samples import OtherSamplesError, moment, split_by_time, with_max_history
from din_core.tables import sequences
from tests.core.training_logs import log

SOURCE = SourceConfig(path="", item_attribute_cols=(), context_dense_cols=("hour",))


@pytest.fixture(scope="module")
def read():
    """The samples of a log, by options; each is made once."""
    with store.connect(":memory:", threads=1) as con:
        con.execute(
            "create table interactions as select n % 7 as user_id, (n * 13) % 31 as item_id, "
            "(n * 17) % 50 as time, cast(n % 24 as double) as hour, 'log.csv' as file, "
            "cast(n + 2 as integer) as line from range(120) r(n)"
        )

        @functools.cache
        def made(**options):
            sequences.build(con, SOURCE, SequenceConfig(**options))
            return times.with_times(con, training_data.load(con))

        yield made


@pytest.mark.parametrize("max_history", [1, 3, 8, 100])
@pytest.mark.parametrize("made_with", [2, 50])
def test_histories_are_cut_as_the_sql_cuts_them(read, made_with, max_history):
    found = with_max_history(read(max_history=made_with), max_history)
    assert found.fingerprint() == read(max_history=max_history).fingerprint()


@pytest.mark.parametrize(("val_from", "test_from"), [(0.8, 0.9), (0.5, 0.5), (0.1, 0.98)])
def test_a_split_by_time_is_that_of_the_sql(read, val_from, test_from):
    found = split_by_time(read(), val_from, test_from)
    expected = read(split="temporal", val_from=val_from, test_from=test_from)
    assert len(found.samples["test"]) > 0
    assert found.vocabulary == expected.vocabulary
    assert found.fingerprint() == expected.fingerprint()


def test_moment_by_hand():
    times = np.array([1.0, 1.0, 2.0, 5.0])
    # Of four events two are at 1: more than a half has passed only at 2.
    assert [moment(times, share) for share in (0.25, 0.5, 0.74, 0.75)] == [1.0, 2.0, 2.0, 5.0]


def test_a_log_without_times_cannot_be_split_by_them():
    data = log([[1, 2, 3]], cates=[1] * 3, n_items=3)
    with pytest.raises(OtherSamplesError, match="with_times"):
        split_by_time(data, 0.8, 0.9)
