"""SQL files are found, rendered safely, fingerprinted and described."""

import shutil
import tempfile

import jinja2
import pytest

from din_core.store import sql_files
from din_core.tables.attributes import Attribute

EVERYTHING = {
    "item_attributes": (Attribute("cate_id"),),
    "user_attributes": (),
    "item_dense": (),
    "user_dense": (),
    "context_dense": (),
    "user_ids": Attribute("user_id"),
    "item_ids": Attribute("item_id"),
    "load": 1,
    "several_files": True,
    "labelled": False,
    "max_history": 50,
    "min_interactions": 0,
    "negatives_per_positive": 1,
    "negative_sampling": "uniform",
    "negatives_allow": (),
    "split": "leave_one_out",
    "val_from": 0,
    "test_from": 0,
    "sampling_seed": 1,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An own ``sql/`` with one table ``toys`` and a macro."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "colour.jinja").write_text("{% macro red() %}1{% endmacro %}")
    (tmp_path / "shop" / "toys.sql").write_text(
        '{% from "macros/colour.jinja" import red %}\nselect {{ red() }} as {{ column }}'
    )
    monkeypatch.setattr(sql_files, "SQL_ROOT", tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sql_files._environment.cache_clear()
    yield tmp_path
    sql_files._environment.cache_clear()


def test_a_quoted_name_cannot_end_its_quotes():
    assert sql_files.quote('a" from users; --') == '"a"" from users; --"'


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(ValueError, match="cannot name a column"):
        sql_files.quote(name)


def test_a_literal_cannot_end_its_quotes():
    assert sql_files.literal("'; drop table users; --") == "'''; drop table users; --'"


def test_a_template_may_print_quoted_names_and_what_macros_return(folder):
    select = sql_files.render("toys", column=sql_files.quote("x"))
    assert select.strip() == 'select 1 as "x"'


@pytest.mark.parametrize("value", ["x", 1.5, True, None])
def test_a_template_may_not_print_anything_unquoted(folder, value):
    with pytest.raises(sql_files.SqlFileError, match="through quote"):
        sql_files.render("toys", column=value)


def test_a_missing_option_is_named(folder):
    with pytest.raises(sql_files.SqlFileError, match=r"toys\.sql: 'column' is undefined"):
        sql_files.render("toys")


def test_a_missing_file_names_the_variants_there_are():
    with pytest.raises(sql_files.SqlFileError, match=r"negatives\.popularity\.sql"):
        sql_files.render("negatives", variant="popular")


def test_one_name_in_two_folders_is_refused(folder):
    (folder / "other").mkdir()
    (folder / "other" / "toys.sql").write_text("select 1")
    with pytest.raises(sql_files.SqlFileError, match="other and shop"):
        sql_files.render("toys", column=1)


@pytest.mark.parametrize("path", sorted(sql_files.SQL_ROOT.glob("sequences/*.sql")), ids=str)
def test_every_sequence_file_says_its_grain_and_is_one_statement(path):
    name, _, variant = path.name.removesuffix(".sql").partition(".")
    select = sql_files.render(name, variant=variant or None, millionths=1, **EVERYTHING)
    assert select.startswith("-- ")
    assert "-- Grain: one row" in select
    assert ";" not in "\n".join(
        line for line in select.splitlines() if not line.lstrip().startswith("--")
    )


def test_a_column_is_described_by_its_name_before_a_pattern():
    samples = sql_files.schema("encoded_samples")
    assert samples.column("target_item_idx").startswith("Index of the candidate item")
    assert samples.column("target_brand_idx").startswith("Index of the candidate's attribute")
    assert sql_files.schema("no_such_table").description == ""


def test_templates_render_where_no_disk_keeps_them_compiled(folder, monkeypatch):
    (folder / "shop" / "one.sql").write_text("select {{ n }}")
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "missing"))
    sql_files._environment.cache_clear()
    assert sql_files.render("one", n=1) == "select 1"


def test_a_template_that_has_changed_or_is_damaged_is_compiled_again(folder):
    for text in ("select 1", "select 2"):
        (folder / "shop" / "one.sql").write_text(text)
        sql_files._environment.cache_clear()
        assert sql_files.render("one") == text
    kept = list(folder.glob("_jinja2-cache-*/*.cache"))
    assert len(kept) == 2
    whole = kept[0].read_bytes()
    for damaged in (b"", whole[:20], whole[:-5], b"noise"):
        for each in kept:
            each.write_bytes(damaged)
        sql_files._environment.cache_clear()
        assert sql_files.render("one") == "select 2"


def test_a_copy_of_a_template_elsewhere_is_not_compiled_again(folder, monkeypatch):
    (folder / "shop" / "one.sql").write_text("select {{ n }}")
    sql_files._environment.cache_clear()
    assert sql_files.render("one", n=1) == "select 1"
    shutil.copytree(folder / "shop", folder / "copy" / "shop")
    monkeypatch.setattr(sql_files, "SQL_ROOT", folder / "copy")
    sql_files._environment.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", lambda *_, **__: pytest.fail("compiled again"))
        assert sql_files.render("one", n=2) == "select 2"


def test_templates_cannot_leave_their_folder():
    with pytest.raises(jinja2.TemplateNotFound):
        sql_files._environment().get_template("../pyproject.toml")
