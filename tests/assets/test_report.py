"""The asset `report` and the command `din report`."""

import shutil
import webbrowser
from pathlib import Path

import duckdb
import pytest

from din_assets.command import cli
from din_core.evaluation import report
from din_core.tables import recorded_choices
from tests.core.evaluation.test_report import Page, require_self_contained


def of(pipeline, monkeypatch, *words):
    monkeypatch.setenv("DIN_HOME", str(pipeline.home))
    return cli.main(["report", *words])


def test_command_prints_the_path_of_a_page_with_the_figures_of_the_run(
    finished, monkeypatch, capsys
):
    assert of(finished, monkeypatch, "--path") == 0
    path = capsys.readouterr().out.strip()
    assert path.startswith(str(finished.home / "artifacts" / "report"))
    page = require_self_contained(Path(path).read_bytes().decode("utf-8"))
    [(auc,)] = finished.query("select value from current_metrics where metric = 'auc'")
    assert f"AUC {auc:.4f}" in page.text
    [(events,)] = finished.query("select count(*) from interactions")
    assert f"a log of {events:,} interactions" in page.text
    assert "Validation AUC by epoch: best" in str(page.elements)
    assert "This is the first log" in page.text
    assert "An answer, explained" in page.text
    assert "n_epoch" in page.text


def test_page_is_opened_where_there_is_a_display_and_printed_where_not(
    finished, monkeypatch, capsys
):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert of(finished, monkeypatch) == 0
    assert opened == []
    printed = capsys.readouterr().out.strip()
    monkeypatch.setenv("DISPLAY", ":0")
    assert of(finished, monkeypatch) == 0
    assert opened == [f"file://{printed}"]


def test_without_a_report_the_command_names_the_way_to_one(pipeline, monkeypatch, capsys):
    assert of(pipeline, monkeypatch) == 2
    assert "`din run` makes one" in capsys.readouterr().err


def test_damaged_report_is_refused(pipeline, monkeypatch, capsys):
    folder = pipeline.home / "artifacts" / "report" / "0"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<p>")
    (folder.parent / "current").symlink_to("0")
    assert of(pipeline, monkeypatch, "--path") == 1
    assert "materialize report again" in capsys.readouterr().err


# That a second run of everything has all the same versions, the report's among them, is shown by
# test_pipeline.py. This one: that the report's does not hang on how the network is drawn. With the
# real export: the report names the version of the bundle that was judged.
@pytest.mark.thorough
@pytest.mark.usefixtures("without_drawn_network")
def test_report_of_the_same_log_and_options_has_the_same_version(finished, pipeline):
    assert pipeline.run().success
    mine, theirs = pipeline.versions(), finished.versions()
    assert mine["report"] == theirs["report"]


def test_decision_is_that_about_the_bundle_that_was_made_last(finished, tmp_path):
    shutil.copy(finished.home / "pipeline.duckdb", tmp_path)
    with duckdb.connect(str(tmp_path / "pipeline.duckdb")) as con:
        [(reason,)] = con.sql("select reason from model_versions").fetchall()
        # The same model, which was bundled otherwise in between.
        con.execute(
            """
            insert into model_versions
            select * replace (
                'other' as bundle_version, judged_at + interval 1 hour as judged_at,
                'bundled otherwise' as reason
            )
            from model_versions
            """
        )
        context = recorded_choices.recorded_context(con)
        contents = report.read(con, context, [], ["interactions"])
    text = Page(report.render(contents)).text
    assert f": {reason}\n" in text
    assert "bundled otherwise" not in text
    assert "The models before" not in text
