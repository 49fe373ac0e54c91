"""Declared dependencies hold all that is read: read off the SQL, and tried out."""

import itertools
import shutil
import tomllib
from typing import Any

import dagster as dg
import duckdb
import pytest
from markupsafe import Markup

from din_assets import paths
from din_assets.definitions import build_defs
from din_core import checks, sql_files
from din_core.attributes import Attribute
from tests.assets.conftest import Pipeline

# Files that are not named as the asset that they belong to.
OWNERS = {
    "sample_bounds": "samples",
    "split_moment": "samples",
    "users_left_out": "users",
    "users_without_samples": "samples",
    "source_codings": "interactions",
    "source_summary": "interactions",
    "scored_test_samples": "test_auc",
    "metrics": "test_auc",
}
# What is handed to a file under a name: rows of the source, answers of the model, its figures.
HANDED_IN = {"source_rows", "staged_rows", "model_scores", "new_metrics"}


def _safe(value: Any) -> Any:
    """Let a template print the text: it is what the linter's templates print."""
    if isinstance(value, dict):
        return {name: _safe(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_safe(inner) for inner in value]
    return Markup(value) if isinstance(value, str) else value


# One plausible source; the linter renders the same.
with (paths.project_root() / "pyproject.toml").open("rb") as opened:
    _SQLFLUFF = tomllib.load(opened)["tool"]["sqlfluff"]
OPTIONS = _safe(_SQLFLUFF["templater"]["jinja"]["context"])
for _role in ("item_attributes", "user_attributes", "further_attributes"):
    OPTIONS[_role] = tuple(Attribute(str(each["name"])) for each in OPTIONS[_role])
FILES = sorted(sql_files.SQL_ROOT.glob("*/*.sql"))


@pytest.fixture(scope="module")
def graph():
    return build_defs().resolve_asset_graph()


def declared(graph, asset):
    return {key.to_user_string() for key in graph.get(dg.AssetKey(asset)).parent_keys}


def owner_of(path):
    name = path.name.split(".")[0]
    if path.parent.name == "checks":
        return checks.spec(name).asset
    return "warehouse" if path.parent.name == "analytics" else OWNERS.get(name, name)


def relations_read(path):
    name, *variant = path.stem.split(".")
    variant = variant[0] if variant else None
    found = set()
    with duckdb.connect() as con:
        for labelled, split in itertools.product((False, True), ("leave_one_out", "temporal")):
            chosen = OPTIONS | {"labelled": labelled, "split": split}
            sql = sql_files.render(name, variant=variant, **chosen)
            # get_table_names() takes no asof join; which tables it joins is all that counts here.
            found |= con.get_table_names(sql.replace("asof ", ""))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_relation_that_a_file_reads_is_declared(graph, path):
    owner = owner_of(path)
    read = {
        "warehouse" if relation in {p.stem for p in FILES if p.parent.name == "analytics"}
        else OWNERS.get(relation, relation)
        for relation in relations_read(path) - HANDED_IN
    }  # fmt: skip
    assert read - {owner} <= declared(graph, owner)


def test_published_copy_depends_on_all_that_is_made(graph):
    made = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert declared(graph, "warehouse") == made - {"warehouse"}


@pytest.fixture
def emptied(finished, pipeline, graph):
    """The results of a run, in which every table is empty that an asset does not declare."""

    def copy_for(asset) -> Pipeline:
        shutil.copytree(finished.home, pipeline.home)
        views_over = {"samples": {"events", "negatives", "user_sequences", "users"}}
        needed = declared(graph, asset)
        needed |= {table for dep in needed for table in views_over.get(dep, ())}
        with duckdb.connect(str(pipeline.home / "pipeline.duckdb")) as con:
            tables = {
                row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()
            }
            for table in tables - needed - {"ledger", "metrics"}:
                con.execute(f"delete from {sql_files.quote(table)}")
        return pipeline

    return copy_for


@pytest.mark.parametrize(
    "asset",
    [
        "users", "items", "cates", "attributes", "events", "user_sequences", "negatives", "samples",
        "din_model", "test_predictions", "test_auc",
    ],
)  # fmt: skip
def test_asset_comes_out_the_same_without_what_it_does_not_declare(emptied, finished, asset):
    pipeline = emptied(asset)
    assert pipeline.run(asset).success
    assert pipeline.versions()[asset] == finished.versions()[asset]
