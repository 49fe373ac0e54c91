"""Columns and ids that mean something to Markdown, HTML, Graphviz or SQL are names like others."""

from din_assets.making.checks import markdown_table
from tests.assets.served_logs import HOSTILE_COLUMN, HOSTILE_USERS


def test_column_and_ids_of_any_spelling_go_all_the_way(labelled):
    found = {user for (user,) in labelled.query("select user_id from users")}
    assert found >= {f"{user}{number}" for number, user in enumerate(HOSTILE_USERS) if number != 3}
    [svg] = (labelled.home / "artifacts" / "architecture_graph").glob("*/din.svg")
    assert "target_a%22b|&lt;i&gt;_idx_table" in svg.read_text()


def test_examples_of_a_check_are_text():
    table = markdown_table([{HOSTILE_COLUMN: "<a href='javascript:1'>|", "n": 1}])
    head, rule, row = table.split("\n")
    assert head == "| a&#34;b&#124;&#60;i&#62; | n |"
    assert rule == "|---|---|"
    assert row == "| &#60;a href=&#39;javascript:1&#39;&#62;&#124; | 1 |"
