"""Columns and ids that mean something to Markdown, HTML, Graphviz or SQL are names like others."""

from din_assets.making import artifact_assets
from din_assets.making.checks import markdown_table
from din_core.serving import pictures

COLUMN = 'a"b|<i>'


def test_column_and_ids_of_any_spelling_go_all_the_way(pipeline, tmp_path, monkeypatch):
    users = ['<a href="javascript:alert(1)">x</a>', "[x](javascript:1)", "a|b", "it's", "`;--", "é"]
    lines = [f'user_id,item_id,time,"{COLUMN.replace(chr(34), chr(34) * 2)}"']
    for number, user in enumerate(users):
        quoted = user.replace('"', '""')
        lines += [f'"{quoted}","i|{number}<{step}>",{step},c&{step % 2}' for step in range(6)]
    log = tmp_path / "log|`x` <b>.csv"
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setenv("DIN_CSV", str(log))
    pipeline.config["ops"]["interactions"] = {"config": {"item_attribute_cols": [COLUMN]}}
    pipeline.config["ops"]["din_model"]["config"]["use_user"] = True
    # These curves have names of ours only.
    monkeypatch.setattr(artifact_assets, "shown_of_evaluation", lambda _: {})
    monkeypatch.setattr(pictures, "training_curve", lambda _: b"")
    assert pipeline.run().success
    found = pipeline.query("select user_id from users order by user_idx")
    assert sorted(user for (user,) in found) == sorted(users)
    [svg] = (pipeline.home / "artifacts" / "architecture_graph").glob("*/din.svg")
    assert "target_a%22b|&lt;i&gt;_idx_table" in svg.read_text()


def test_examples_of_a_check_are_text():
    table = markdown_table([{COLUMN: "<a href='javascript:1'>|", "n": 1}])
    head, rule, row = table.split("\n")
    assert head == "| a&#34;b&#124;&#60;i&#62; | n |"
    assert rule == "|---|---|"
    assert row == "| &#60;a href=&#39;javascript:1&#39;&#62;&#124; | 1 |"
