"""`din explain` answers from the bundle, with times and categories, in the terminal and as JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import duckdb
import numpy as np
import pytest

from din_assets.command import cli
from din_core.serving.described_events import described
from din_core.serving.ranker import Ranker

HEAVY = {"dagster", "torch", "pandas"}


@pytest.fixture
def home(finished, monkeypatch):
    monkeypatch.setenv("DIN_HOME", str(finished.home))
    return finished


def some_user(home):
    """A user with the longest history, and an item of a category."""
    return home.query(
        "select user_id, hist_item_id, hist_cate_id, time from samples where split = 'test' "
        "and label = 1 order by history_length desc, user_id limit 1"
    )[0]


def explained(capsys, *words):
    capsys.readouterr()
    assert cli.main(["explain", *words]) == 0
    return capsys.readouterr().out


def test_default_history_is_shown_with_attributes_and_times(home, capsys):
    user, _, _, last = some_user(home)
    said = explained(capsys, "--user", str(user), "--item", "3")
    head, *table = said.split("\n\n")[0].splitlines()
    [(cate,)] = home.query(
        "select value from items inner join attributes on cate_idx = value_idx where item_id = 3"
    )
    assert head.startswith(f"item 3, cate_id {cate}: score 0.")
    assert table[0].split() == ["event", "cate_id", "time", "(UTC)", "weight", "change"]
    # The user's latest event, which is the test sample's positive, stands last.
    assert f"{last:%Y-%m-%d %H:%M:%S}" in table[-1]
    assert "Weights are no shares" in said
    assert "above 0 the event speaks for it" in said


def test_changes_are_those_of_the_table(home, capsys):
    user, history, cates, _ = some_user(home)
    expected = home.query(
        f"select target_item_id, score, score_change, attention_weight_item "
        f"from attention_weights where user_id = {user} and label = 1 order by history_position"
    )
    words = ("--user", str(user), "--history", ",".join(map(str, history)), "--json")
    answer = json.loads(explained(capsys, *words, "--item", str(expected[0][0])))
    events = answer["events"]
    assert [event["item_id"] for event in events] == history
    assert [event["attributes"]["cate_id"] for event in events] == list(map(str, cates))
    assert {event["time"] for event in events} == {None}  # nobody knows of a history brought along
    np.testing.assert_allclose(answer["probability"], expected[0][1], rtol=0, atol=1e-6)
    found = [(each["change"], each["attention_weight"]["attention_weight"]) for each in events]
    np.testing.assert_allclose(found, [row[2:] for row in expected], rtol=0, atol=1e-5)


def test_bundle_from_elsewhere_knows_no_times(home, capsys):
    user, *_ = some_user(home)
    bundle = str(home.home / "artifacts" / "bundle" / "current")
    said = explained(capsys, "--user", str(user), "--item", "3", "--bundle", bundle)
    assert "time (UTC)" not in said


def test_times_are_left_out_where_the_log_has_gone_on(home, tmp_path):
    user, *_ = some_user(home)
    ranker = Ranker(home.home / "artifacts" / "bundle" / "current")
    explanation = ranker.explain(user_id=user, item_id=3)
    published = tmp_path / "warehouse.duckdb"
    shutil.copy(home.home / "warehouse.duckdb", published)
    published.chmod(0o644)
    times = [each.time for each in described(explanation, ranker.bundle, published)]
    assert all(times)
    assert times == sorted(times)
    with duckdb.connect(str(published)) as con:
        con.execute(
            "insert into events select * replace (position + 1 as position, item_idx % 3 + 1 as "
            "item_idx) from events qualify position = max(position) over (partition by user_idx)"
        )
    assert not any(each.time for each in described(explanation, ranker.bundle, published))
    assert not any(each.time for each in described(explanation, ranker.bundle, tmp_path / "none"))


def test_unknown_item_in_a_history_is_said_and_changes_nothing(home, capsys):
    said = explained(capsys, "--item", "3", "--history", "5,999999")
    [row] = [line for line in said.splitlines() if "999999" in line]
    assert row.split() == ["999999", "(unknown)", "unknown", "+0.0000", "+0.0000"]


def test_model_with_attention_is_not_said_to_have_none_for_want_of_events(home, capsys):
    said = explained(capsys, "--item", "3", "--history", "")
    assert "Weights are no shares" in said
    assert "no attention" not in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--item", "x"], "--item is 'x', and ids are integers here"),
        (["--item", "3", "--history", "1,b"], "--history is 'b', and ids are integers here"),
        (["--item", "3", "--bundle", "/nowhere"], "/nowhere: no such folder"),
    ],
)
def test_wrong_request_ends_in_a_sentence(home, capsys, words, sentence):
    assert cli.main(["explain", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_command_starts_without_torch_and_dagster(home):
    code = (
        "import sys\n"
        "from din_assets.command import cli\n"
        "assert cli.main(['explain', '--user', '1', '--item', '3']) == 0\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "score 0." in done.stdout
    assert done.stderr.strip() == ""
