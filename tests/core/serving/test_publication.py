"""What is kept of models and of decisions: rows are added, and what is served follows from them."""

import dataclasses
import datetime

import pytest

from din_core import store
from din_core.errors import WrongRequestError
from din_core.evaluation.intervals import Interval
from din_core.serving.publication import history, retention, rollback
from din_core.serving.publication.history import ModelVersion, Publication
from din_core.store import artifacts

NOON = datetime.datetime(2026, 1, 1, 12)  # noqa: DTZ001  (UTC without a zone, as the table has it)


def model(version, **values):
    row = ModelVersion(
        model_version=f"m{version}",
        bundle_version=f"b{version}",
        judged_at=NOON,
        decision="published",
        reason="it is the first model",
        source="log.csv",
        n_test_samples=10,
        n_test_users=5,
        metrics={"auc": Interval(0.75, 0.7, 0.8), "hr_at_10_all": Interval(0.1)},
        compared_with=None,
        auc_difference=Interval(None),
        n_compared_samples=None,
        data_versions={"interactions": "i1", "samples": "s1"},
        code_versions={"samples": "c1"},
        options={"din_model": {"dims": [8, 4], "seed": 1}},
        libraries={"duckdb": "2"},
        artifacts={"bundle": f"bundle/b{version}"},
    )
    return dataclasses.replace(row, **values)


def decided(version, action, at=NOON):
    return Publication(
        decided_at=at,
        model_version=f"m{version}",
        bundle_version=f"b{version}",
        action=action,
        reason="a test",
    )


def test_a_row_comes_back_as_it_was_added_and_a_second_judgement_adds_none(con):
    first, second = model(1), model(2, auc_difference=Interval(-0.1, -0.2, -0.05))
    history.add(con, judged=[first])
    history.add(con, judged=[second])
    history.add(con, judged=[model(1, reason="another one")])
    assert history.model_versions(con) == (first, second)
    assert con.execute(
        "select auc, auc_low, auc_high, gauc, samples_version from model_versions limit 1"
    ).fetchall() == [(0.75, 0.7, 0.8, None, "s1")]


def test_order_of_decisions_survives_a_clock_that_was_set_back(con):
    history.add(con, decided=[decided(1, "published")])
    earlier = NOON - datetime.timedelta(days=1)
    history.add(con, decided=[decided(2, "published", earlier), decided(2, "refused", earlier)])
    kept = history.publications(con)
    assert [each.decided_at - NOON for each in kept] == [
        datetime.timedelta(microseconds=ticks) for ticks in (0, 1, 2)
    ]
    assert history.served(kept).bundle_version == "b2"


def test_what_is_served_is_the_last_that_was_published_or_gone_back_to():
    rows = [
        decided(1, "published"), decided(2, "refused"), decided(3, "published"),
        decided(1, "rolled back"), decided(3, "pinned"), decided(4, "refused"),
    ]  # fmt: skip
    served = [history.served(rows[:n]) for n in range(len(rows) + 1)]
    assert [each and each.bundle_version for each in served] == [
        None, "b1", "b1", "b3", "b1", "b1", "b1",
    ]  # fmt: skip


def test_pinned_are_those_that_were_not_unpinned_since():
    rows = [
        decided(1, "pinned"), decided(2, "pinned"), decided(1, "unpinned"), decided(3, "pinned"),
        decided(3, "unpinned"), decided(3, "pinned"),
    ]  # fmt: skip
    assert history.pinned(rows) == {"b2", "b3"}


def test_why_a_model_is_not_served_is_its_refusal_or_that_somebody_went_back():
    refused = [decided(1, "published"), decided(2, "refused", NOON + datetime.timedelta(1))]
    assert history.not_served(refused, "b1") is None
    assert history.not_served(refused, "b2") == "model m2 is not published, bundle b1 stays: a test"
    assert history.not_served(refused, "b3") is None
    went_back = [decided(1, "published"), decided(2, "published"), decided(1, "rolled back")]
    said = "model m2 is not published, bundle b1 stays: somebody went back to it, a test"
    assert history.not_served(went_back, "b2") == said
    assert history.not_served([decided(1, "refused")], "b1") == (
        "model m1 is not published, nothing is served: a test"
    )


def test_history_of_a_lost_database_is_taken_from_the_published_copy(con, tmp_path):
    copy = tmp_path / "warehouse.duckdb"
    with store.connect(copy) as published:
        history.add(published, judged=[model(1)], decided=[decided(1, "published")])
    history.take_over(con, tmp_path / "nothing.duckdb")
    assert history.publications(con) == ()
    history.take_over(con, copy)
    assert history.model_versions(con) == (model(1),)
    assert history.publications(con) == (decided(1, "published"),)
    history.add(con, decided=[decided(1, "pinned")])
    history.take_over(con, copy)
    assert len(history.publications(con)) == 2


def test_what_is_pinned_already_is_not_pinned_again(con):
    history.add(con, judged=[model(1)])
    changed = [rollback.pin(con, model(1), pinned=pinned) for pinned in (True, True, False, False)]
    assert changed == [True, False, True, False]
    assert [each.action for each in history.publications(con)] == ["pinned", "unpinned"]


def test_what_is_kept_is_published_pinned_pointed_to_or_among_the_latest_models(con, tmp_path):
    rows = [model(number) for number in (1, 2, 3, 4)]
    # The last model is in two bundles: it counts as one of the latest, and both stay.
    rows.append(model(4, bundle_version="b5", artifacts={"bundle": "bundle/b5"}))
    history.add(con, judged=rows, decided=[decided(1, "published"), decided(3, "refused")])

    def kept(latest=0):
        return retention.kept(con, tmp_path, latest=latest).get("bundle", set())

    assert [kept(latest) for latest in range(4)] == [
        {"b1"}, {"b1", "b4", "b5"}, {"b1", "b3", "b4", "b5"}, {"b1", "b2", "b3", "b4", "b5"},
    ]  # fmt: skip
    history.add(con, decided=[decided(2, "pinned")])
    assert kept() == {"b1", "b2"}
    history.add(con, decided=[decided(3, "rolled back"), decided(2, "unpinned")])
    assert kept() == {"b3"}
    # Where a kill left the link behind the table, a server may read from where it leads.
    (tmp_path / "bundle" / "b9").mkdir(parents=True)
    artifacts.point_to(tmp_path / "bundle" / "b9")
    assert kept() == {"b3", "b9"}


@pytest.mark.parametrize("damaged", ["", "."])
def test_damaged_current_adds_nothing_to_what_is_kept(con, tmp_path, damaged):
    """Nor an asset without a name, whose versions would be the folders of all assets."""
    history.add(con, judged=[model(1)], decided=[decided(1, "published")])
    before = retention.kept(con, tmp_path)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "current").write_text(damaged)
    assert retention.kept(con, tmp_path) == before
    assert before["bundle"] == {"b1"}


def test_column_that_an_earlier_version_did_not_have_is_null(con):
    history.add(con, judged=[model(1)])
    con.execute("alter table model_versions drop column libraries")
    con.execute("alter table model_versions drop column n_compared_samples")
    history.add(con, judged=[model(2)])
    assert [each.libraries for each in history.model_versions(con)] == [{}, {"duckdb": "2"}]


@pytest.mark.parametrize(
    ("prefix", "found"), [("mab", "bab"), ("bab", "bab"), ("maa", "bax"), ("bax", "bax")]
)
def test_model_is_found_by_the_beginning_of_either_version(prefix, found):
    versions = [model("ab"), model("aa"), model("aa", bundle_version="bax")]
    assert rollback.find(versions, prefix).bundle_version == found


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("ma", "beginning of 2 model versions \\(mab, maa\\)"),
        ("", "no model"),
        ("x", "lists the 2"),
    ],
)
def test_beginning_of_none_or_several_is_refused(prefix, said):
    with pytest.raises(WrongRequestError, match=said):
        rollback.find([model("ab"), model("aa")], prefix)
