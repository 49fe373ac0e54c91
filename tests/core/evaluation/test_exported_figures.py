"""Figures in a file, and two files side by side: what counts as worse is known by hand."""

import dataclasses

import pytest

from din_core.evaluation.exported_figures import (
    Figures,
    FiguresError,
    changes,
    markdown,
    worse,
)
from din_core.evaluation.intervals import Interval


def figures(**ends):
    return Figures("m1", "s1", {name: Interval(*each) for name, each in ends.items()})


def verdict(name, before, now):
    return {each.metric: each.verdict for each in changes(before, now)}[name]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        # Half widths of 0.03 and 0.04: a difference counts from 0.05 on.
        ((0.74, 0.70, 0.78), "worse"),
        ((0.76, 0.72, 0.80), "no significant change"),
        ((0.80, 0.76, 0.84), "no significant change"),
        ((0.86, 0.82, 0.90), "better"),
        ((None, None, None), "worse"),
        ((0.5, None, None), "no interval: too few users to tell"),
    ],
)
def test_difference_counts_where_it_exceeds_both_errors(now, expected):
    before = figures(auc=(0.80, 0.77, 0.83))
    assert verdict("auc", before, figures(auc=now)) == expected
    assert worse(changes(before, figures(auc=now)), ["auc"]) == ["auc"] * (expected == "worse")


def test_more_logloss_is_worse_and_less_is_better():
    before = figures(logloss=(0.60, 0.57, 0.63))
    assert verdict("logloss", before, figures(logloss=(0.66, 0.62, 0.70))) == "worse"
    assert verdict("logloss", before, figures(logloss=(0.54, 0.50, 0.58))) == "better"


def test_figure_that_is_gone_is_worse_and_one_that_is_new_is_not():
    assert verdict("gauc", figures(gauc=(0.8, 0.7, 0.9)), figures()) == "worse"
    assert verdict("gauc", figures(), figures(gauc=(0.1, 0.0, 0.2))) == "new"


def test_only_what_is_judged_by_counts():
    before = figures(auc=(0.8, 0.79, 0.81), logloss=(0.6, 0.59, 0.61))
    now = figures(auc=(0.8, 0.79, 0.81), logloss=(0.9, 0.89, 0.91))
    assert worse(changes(before, now), ["auc"]) == []
    assert worse(changes(before, now), ["auc", "logloss"]) == ["logloss"]


@pytest.mark.parametrize("name", ["acu", "predicted_over_observed", "pr_auc"])
def test_metric_that_nobody_can_judge_by_is_refused(name):
    both = figures(auc=(0.8, 0.79, 0.81))
    with pytest.raises(FiguresError, match=f"'{name}'"):
        worse(changes(both, both), [name])


def test_figures_come_back_from_their_file():
    one = figures(auc=(0.8, 0.79, 0.81), gauc=(None, None, None))
    assert Figures.from_json(one.to_json(), "main.json") == one


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', '{"format": 1, "figures": {"auc": {"value": "0.8"}}}'],
)
def test_file_that_holds_no_figures_is_refused_by_its_name(text):
    with pytest.raises(FiguresError, match=r"main\.json: these are no figures"):
        Figures.from_json(text, "main.json")


def test_table_says_before_now_and_whether_the_samples_are_the_same():
    before = figures(auc=(0.80, 0.77, 0.83))
    now = dataclasses.replace(figures(auc=(0.74, 0.70, 0.78)), model_version="m2")
    assert markdown(before, now).splitlines()[2:] == [
        "| auc | 0.8000 | 0.7700 to 0.8300 | 0.7400 | 0.7000 to 0.7800 | -0.0600 | worse |",
        "",
        "Model `m2` beside `m1`.",
        "Both were tested on the same samples.",
    ]
    assert "samples differ" in markdown(before, dataclasses.replace(now, samples_version="s2"))


def test_table_of_one_model_has_its_intervals():
    assert markdown(None, figures(auc=(0.8, None, None), gauc=(0.7, 0.6, 0.8))).splitlines() == [
        "| metric | value | 95% interval |",
        "|---|---|---|",
        "| auc | 0.8000 |  |",
        "| gauc | 0.7000 | 0.6000 to 0.8000 |",
        "",
        "Model `m1`.",
    ]
