"""Which negatives training takes: what follows from the log, and what is refused."""

import dataclasses

import pytest

from din_core.config import TrainingConfig
from din_core.errors import RefusedOptionsError
from din_core.inputs.redrawing import Redrawing, redrawing
from tests.core.training_logs import planted_log

PLANTED = planted_log(n_users=4)


def decided(*, labelled=False, sampling="uniform", per_positive=1, **options):
    data = dataclasses.replace(
        PLANTED,
        labelled=labelled,
        negative_sampling=sampling,
        negatives_per_positive=per_positive,
    )
    return redrawing(data, TrainingConfig(**options))


@pytest.mark.parametrize("negatives", ["auto", "redrawn"])
def test_negatives_are_redrawn_as_the_table_s_were_drawn(negatives):
    found = decided(negatives=negatives, sampling="popularity", per_positive=4)
    assert found == Redrawing("popularity", 4)


@pytest.mark.parametrize("negatives", ["auto", "redrawn"])
def test_training_may_redraw_in_a_way_and_number_of_its_own(negatives):
    options = {"redrawn_sampling": "same_category", "redrawn_per_positive": 2}
    assert decided(negatives=negatives, per_positive=4, **options) == Redrawing("same_category", 2)


def test_fixed_negatives_are_never_redrawn():
    assert decided(negatives="fixed") is None
    assert decided(negatives="fixed", labelled=True) is None


def test_auto_takes_logged_negatives_as_they_are():
    assert decided(negatives="auto", labelled=True) is None


def test_auto_takes_the_table_s_negatives_where_training_knows_no_such_sampler():
    assert decided(negatives="auto", sampling="in_sql_only") is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"negatives": "fixed", "redrawn_per_positive": 1},
            "redrawn_per_positive is 1, but negatives is 'fixed'.*leave redrawn_per_positive out",
        ),
        (
            {"negatives": "fixed", "redrawn_sampling": "uniform"},
            "redrawn_sampling is 'uniform', but negatives is 'fixed'",
        ),
        (
            {"negatives": "redrawn", "labelled": True},
            r"negatives is 'redrawn', but the log is labelled.*\(label_col: ''\)",
        ),
        (
            {"negatives": "auto", "labelled": True, "redrawn_per_positive": 2},
            "redrawn_per_positive is 2, but the log is labelled",
        ),
        (
            {"negatives": "redrawn", "sampling": "in_sql_only"},
            "cannot redraw by 'in_sql_only': set redrawn_sampling to one of uniform, pop",
        ),
        (
            {"negatives": "auto", "redrawn_sampling": "unifrom"},
            "redrawn_sampling is 'unifrom', and training cannot redraw by 'unifrom'",
        ),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(options, message):
    with pytest.raises(RefusedOptionsError, match=message):
        decided(**options)
