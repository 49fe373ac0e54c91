"""What becomes of a candidate, rule by rule, and what makes a comparison doubtful."""

import dataclasses
import datetime
from types import SimpleNamespace

import pytest

from din_core import manifests
from din_core.evaluation.intervals import Interval
from din_core.serving.bundle.contents import Bundle
from din_core.serving.publication import comparison, decision, judgement
from din_core.serving.publication.comparison import Paired
from din_core.serving.publication.decision import Case
from din_core.serving.publication.history import Publication
from din_core.store import ledger

NOON = datetime.datetime(2026, 1, 1, 12)  # noqa: DTZ001  (UTC without a zone, as the table has it)


def decided(model, bundle, action):
    return Publication(
        decided_at=NOON, model_version=model, bundle_version=bundle, action=action, reason="a test"
    )


@pytest.fixture
def decide(tmp_path, monkeypatch):
    """Decide on model m2 in bundle b2, while bundle b1 of model m1 is published and whole."""
    published = SimpleNamespace(version="b1", about={"data_versions": {"din_model": "m1"}})
    monkeypatch.setattr(manifests, "damage_of", lambda folder: None)
    monkeypatch.setattr(Bundle, "open", lambda folder: published)

    def decide(*interval, doubt=None, **values):
        paired = Paired(Interval(*interval or (0.1, 0.05, 0.15)), 80)
        monkeypatch.setattr(comparison, "with_latest", lambda con, folder: paired)
        monkeypatch.setattr(comparison, "doubt", lambda con, bundle: doubt)
        case = Case(
            root=tmp_path,
            bundle=SimpleNamespace(version="b2", about={}),
            model_version="m2",
            publish="auto",
            decided=(decided("m1", "b1", "published"),),
            standing="b1",
        )
        return decision.decide(None, dataclasses.replace(case, **values))

    return decide


@pytest.mark.parametrize(
    ("difference", "publishes", "said"),
    [
        ((0.0, 0.0, 0.0), True, "not significantly worse"),
        ((-0.02, -0.05, 0.01), True, "not significantly worse"),
        ((-0.02, -0.04, 0.0), True, "not significantly worse"),
        ((-0.02, -0.04, -1e-6), False, "significantly worse"),
        ((-0.3, None, None), True, "too little to tell them apart"),
        ((None, None, None), True, "too little to tell them apart"),
    ],
)
def test_candidate_is_refused_where_all_of_the_interval_is_below_zero(
    decide, difference, publishes, said
):
    found = decide(*difference)
    assert (found.publish, found.compared_with) == (publishes, "b1")
    assert found.reason.split(": ")[1].startswith(said)
    assert found.paired.difference == Interval(*difference)


def test_doubt_is_told_where_a_candidate_is_refused_and_nowhere_else(decide):
    assert "mind that" in decide(-0.2, -0.3, -0.1, doubt="the log was longer").reason
    assert decide(-0.2, -0.3, -0.1, doubt="the log was longer").reason.count("was longer") == 1
    assert "was longer" not in decide(0.2, 0.1, 0.3, doubt="the log was longer").reason


@pytest.mark.parametrize(("publish", "publishes"), [("always", True), ("never", False)])
def test_option_overrules_the_figures_and_keeps_them(decide, publish, publishes):
    for difference in [(-0.2, -0.3, -0.1), (0.2, 0.1, 0.3)]:
        found = decide(*difference, publish=publish)
        assert found.publish == publishes
        assert found.reason.startswith(f"`publish: {publish}` (difference of AUC {difference[0]:+}")
        assert found.paired.difference == Interval(*difference)


def test_model_that_somebody_went_back_to_is_published_when_it_is_bundled_anew(decide):
    back_to_first = (
        decided("m1", "b1", "published"),
        decided("m2", "b2", "published"),
        decided("m1", "b1", "rolled back"),
    )
    anew = decide(
        decided=back_to_first,
        model_version="m1",
        bundle=SimpleNamespace(version="b3", about={}),
    )
    assert (anew.publish, anew.compared_with) == (True, None)
    assert anew.reason == "it is the model of the published bundle b1, bundled anew"
    left = decide(decided=back_to_first, bundle=SimpleNamespace(version="b4", about={}))
    assert not left.publish
    assert "somebody went back to b1" in left.reason
    # A third one was never left by anybody.
    assert decide(decided=back_to_first, model_version="m3").publish


# Whether the published model may have seen what is held out now


ABOUT = {
    "options": {
        "known_ids": {"min_interactions": 3},
        "samples": {"split": "leave_one_out", "max_history": 50},
    },
    "data_versions": {"interactions": "v1"},
    "log": {"events": 3, "last_time": 30.0},
}


def doubt(con, times, *, version="v2", **options):
    """What is said of a model of three events up to the time 30, now that the log is another."""
    con.execute("create or replace table users as select 1 as user_idx, true as in_log")
    con.execute("create or replace table items as select 1 as item_idx")
    con.execute("create or replace table events as select unnest($1::bigint[]) as time", [times])
    made = {asset: {**of, **options.get(asset, {})} for asset, of in ABOUT["options"].items()}
    for asset, of in {"interactions": {}, **made}.items():
        ledger.record(
            con,
            ledger.Entry(
                asset=asset,
                data_version=version if asset == "interactions" else "",
                code_version="",
                options=of,
                inputs={},
            ),
        )
    return comparison.doubt(con, SimpleNamespace(about=ABOUT))


def test_log_that_only_grew_or_is_the_same_leaves_no_doubt(con):
    assert doubt(con, [10, 20, 30], version="v1") is None
    assert doubt(con, [10, 20, 30, 30]) is None
    # How much of a history a model is shown decides no split.
    assert doubt(con, [10, 20, 30, 40], samples={"max_history": 5}) is None


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([10, 20], "the log was longer when it was trained (3 events, now 2)"),
        ([10, 20, 30, 5], None),
        # Later events are gone, earlier ones have come.
        ([1, 2, 10, 20], "the log went on longer when it was trained (to the time 30, now to 20)"),
        ([], "the log was longer when it was trained (3 events, now 0)"),
        ([10, 20, 31], "the log was corrected since it was trained"),
    ],
)
def test_log_that_lost_events_is_said(con, times, said):
    assert doubt(con, times) == said


def test_options_that_decide_who_is_held_out_are_said(con):
    said = doubt(con, [10, 20, 30, 40], samples={"split": "temporal"})
    assert said == "samples.split was leave_one_out when it was trained, now temporal"
    # A temporal split counts the events of the users that are left.
    said = doubt(con, [10, 20, 30, 40], version="v1", known_ids={"min_interactions": 5})
    assert said == "known_ids.min_interactions was 3 when it was trained, now 5"


def test_figures_of_a_model_are_those_of_the_whole_test_split(con, tmp_path):
    con.execute("create table interactions as select 'log.csv' as file")
    con.execute("create table evaluated_model as select 9 as n_samples, 3 as n_users")
    ledger.record(
        con,
        ledger.Entry(asset="interactions", data_version="", code_version="", options={}, inputs={}),
    )
    figures = [("test", "all", 0.7), ("test", "new items", 0.4), ("val", "all", 0.9)]
    listed = [
        {"metric": "auc", "split": split, "slice": part, "value": value, "low": None, "high": None}
        for split, part, value in figures
    ]
    case = Case(
        root=tmp_path,
        bundle=SimpleNamespace(version="b2", about={"metrics": listed}),
        model_version="m2",
        publish="auto",
        decided=(),
        standing=None,
    )
    row = judgement._row(con, case, decision.Decision(True, "a test"))
    assert row.metrics == {"auc": Interval(0.7)}
    assert (row.source, row.n_test_samples, row.n_test_users) == ("log.csv", 9, 3)
