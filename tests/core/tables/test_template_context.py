"""What the templates are rendered with is one typed thing, wherever it is written down."""

import dataclasses
import tomllib
from pathlib import Path

import pytest
from markupsafe import Markup

import din_core
from din_core.sources.rendering import Coding, IngestContext, SourceColumn
from din_core.store import sql_files
from din_core.tables.attributes import Attribute, DenseColumn
from din_core.tables.lineage.plausible_contexts import HANDED_TO_ONE, plausible_contexts
from din_core.tables.template_context import TemplateContext
from tests import contexts

ALONE = {*HANDED_TO_ONE, "with_times"}
#: The context's columns by their type, such as `tuple[DenseColumn, ...]`.
TYPES = {each.name: each.type for each in dataclasses.fields(TemplateContext)}
ATTRIBUTES = [name for name, of in TYPES.items() if of == "tuple[Attribute, ...]"]
NUMBERS = [name for name, of in TYPES.items() if of == "tuple[DenseColumn, ...]"]


def linted():
    """The context that sqlfluff renders the files with."""
    project = Path(din_core.__file__).parents[1] / "pyproject.toml"
    settings = tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["sqlfluff"]
    return settings["templater"]["jinja"]["context"]


def plain(value):
    """A variable as sqlfluff has it: mappings and lists, names without their quotes."""
    if isinstance(value, (Attribute, DenseColumn)):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        of_class = vars(type(value))
        properties = [name for name in of_class if isinstance(of_class[name], property)]
        texts = {name: getattr(value, name) for name in properties}
        in_sql = {name: text for name, text in texts.items() if isinstance(text, Markup)}
        return {name: plain(text) for name, text in {**fields, **in_sql}.items()}
    if dataclasses.is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, (tuple, list, frozenset)):
        return [plain(each) for each in value]
    return value.strip('"') if isinstance(value, str) else value


def named(attributes):
    return tuple(Attribute(each["name"], each["is_integer"]) for each in attributes)


def test_the_linter_sees_what_the_tables_are_rendered_with():
    given = linted()
    fields = {each.name: given[each.name] for each in dataclasses.fields(TemplateContext)}
    for attributes in ATTRIBUTES:
        fields[attributes] = named(given[attributes])
    for ids in ("user_ids", "item_ids"):
        [fields[ids]] = named([given[ids]])
    for numbers in NUMBERS:
        fields[numbers] = tuple(DenseColumn(each["name"]) for each in given[numbers])
    variables = TemplateContext(**fields).variables()
    assert {name: plain(value) for name, value in variables.items()} == {
        name: given[name] for name in variables
    }
    assert given.keys() - variables.keys() - ALONE == (
        {each.name for each in dataclasses.fields(IngestContext)} - {"labelled"}
    )


def test_the_linter_sees_what_the_source_is_read_with():
    given = linted()
    fields = {each.name: given[each.name] for each in dataclasses.fields(IngestContext)}
    fields["attributes"] = tuple(SourceColumn(**each) for each in given["attributes"])
    fields["dense"] = tuple(SourceColumn(**each) for each in given["dense"])
    fields["coding"] = Coding(**given["coding"])
    assert plain(IngestContext(**fields)) == {name: given[name] for name in fields}
    named_there = [each["name"] for each in given["attributes"]]
    both = [each for attributes in ATTRIBUTES for each in given[attributes]]
    assert named_there == [each["name"] for each in both]
    assert list(given["coding"]["kinds"]) == ["user_id", "item_id", *named_there]
    numbers = [each for columns in NUMBERS for each in given[columns]]
    assert [each["name"] for each in given["dense"]] == [each["name"] for each in numbers]


def test_lineage_renders_with_every_variable_that_the_linter_has():
    for each in plausible_contexts():
        assert each.keys() == linted().keys()


def test_what_was_not_looked_up_is_missed_by_name():
    made = contexts.context()
    assert made.variables().keys().isdisjoint({"several_files", "val_from", "test_from"})
    with pytest.raises(sql_files.SqlFileError, match="'several_files' is undefined"):
        sql_files.render("events", **made.variables())


def test_a_context_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        contexts.context().seed = 3
