"""What a check says: which it is, of what, and what is to be done; and which rows it looks at."""

import pytest

from din_core.store import sql_files
from din_core.tables import checks, sequences
from tests import contexts
from tests.broken_tables import CONFIG, SOURCE, break_tables, build


def test_expensive_checks_look_at_a_sample_of_users(con, monkeypatch):
    context = build(con)
    con.execute("update negatives set item_idx = 1000")
    everything = checks.run_check(con, "negatives_complete", context).failing_rows
    spec = checks.spec("negatives_complete")
    assert spec.max_users == 20000
    part = checks.run_check(con, "negatives_complete", context, one_user_in=4).failing_rows
    assert 0 < part < everything


@pytest.mark.parametrize(("position", "passes"), [(203, False), (204, True)])
def test_of_a_heavy_user_the_first_positions_are_judged(con, position, passes):
    # Every history is cut from the user's whole list. Whole histories, of 3, begin at position 4.
    con.execute(
        "create table interactions as select 1 as user_id, range % 7 as item_id, 0 as cate_id, "
        "'brand' as brand, range as time, 'log.csv' as file, range as line from range(300)"
    )
    sequences.build(con, SOURCE, CONFIG)
    context = sequences.template_context(con, SOURCE, CONFIG)
    reverse = f"case when position = {position} then list_reverse(hist_item_idx)"
    break_tables(con, ("encoded_samples", f"{reverse} else hist_item_idx end as hist_item_idx"))
    for name in ("samples_history_earlier", "samples_equal_framed_window"):
        assert checks.run_check(con, name, context).passed is passes


def test_a_check_without_its_head_is_refused(tmp_path, monkeypatch):
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "bare.sql").write_text("-- asset: users\nselect 1")
    monkeypatch.setattr(sql_files, "SQL_ROOT", tmp_path)
    with pytest.raises(sql_files.SqlFileError, match=r"bare\.sql: the head needs"):
        checks.all_checks()


def test_a_check_without_advice_is_refused(tmp_path, monkeypatch):
    (tmp_path / "checks").mkdir()
    file = tmp_path / "checks" / "bare.sql"
    file.write_text("-- asset: users\n-- severity: warn\n-- It is so.\nselect 1")
    monkeypatch.setattr(sql_files, "SQL_ROOT", tmp_path)
    with pytest.raises(sql_files.SqlFileError, match=r"bare\.sql: .*what to do"):
        checks.all_checks()
    file.write_text(
        "-- asset: users\n-- severity: warn\n-- It is so.\n-- what_to_do: Look\n-- twice.\nselect 1"
    )
    [found] = checks.all_checks()
    assert (found.description, found.what_to_do) == ("It is so.", "Look twice.")


@pytest.mark.parametrize("name", [check.name for check in checks.all_checks()])
def test_advice_is_a_sentence_of_its_own(name):
    advice = checks.spec(name).what_to_do
    assert advice[0].isupper()
    assert advice[-1] == "."
    assert len(advice) > 30


def test_finding_says_what_where_how_many_and_what_to_do_whatever_an_id_holds(con):
    con.execute(
        """
        create table known_ids as
        select *, 'user' as vocabulary, true as in_log
        from (values (1, 'a'), (1, E'\x1b[2J\n'), (3, repeat('x', 99))) as listed (idx, value);
        create table interactions as select value as user_id from known_ids where idx = 3
        """
    )
    result = checks.run_check(
        con, "known_ids_enough_interactions", contexts.context(min_interactions=1)
    )
    said = result.finding()
    assert said.startswith("known_ids_enough_interactions: 2 findings, for example user_id=")
    assert said.isprintable()
    assert said.endswith(f"What to do: {result.what_to_do}")
    long = checks.CheckResult(
        **{**vars(result), "failing_rows": 1, "examples": [{"a\n": "x" * 99}]}
    ).finding()
    assert "1 finding, for example a\\n='" + "x" * 56 + "...." in long


def test_a_check_that_passed_says_nothing(con):
    con.execute(
        "create table known_ids as "
        "select 'user' as vocabulary, 1 as idx, '5' as value, true as in_log"
    )
    con.execute("create table interactions as select 5 as user_id")
    passed = checks.run_check(
        con, "known_ids_enough_interactions", contexts.context(min_interactions=1)
    )
    assert passed.finding() == ""


def test_checks_are_found_by_asset():
    assert {check.name for check in checks.checks_of("events")} == {
        "events_complete",
        "events_in_order",
        "events_ties_in_time",
        "events_times_plausible",
    }
    assert checks.checks_of("no_such_asset") == []
