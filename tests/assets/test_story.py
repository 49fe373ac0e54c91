"""What a stranger sees on the pages of the assets: what it is, where it is from, how it went."""

import html
import warnings
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from din_assets.assets import ingest
from din_assets.definitions import build_defs
from din_assets.making.code_references import with_references
from din_core.store import sql_files

GROUPS = {"ingest", "sequences", "training", "evaluation", "delivery"}


@pytest.fixture(scope="module")
def graph():
    return build_defs().resolve_asset_graph()


@pytest.fixture(scope="module")
def shown(finished):
    """The metadata of each asset's materialization."""
    return {
        event.asset_key.path[-1]: event.materialization.metadata
        for event in finished.result.get_asset_materialization_events()
    }


@pytest.fixture(scope="module")
def published(finished):
    with duckdb.connect(str(finished.home / "warehouse.duckdb"), read_only=True) as con:
        yield con


def columns_of(con):
    return set(
        con.execute(
            "select table_name, column_name from duckdb_columns() where not internal"
        ).fetchall()
    )


def test_graph_has_five_groups_from_the_log_to_what_is_delivered(graph):
    assert {graph.get(key).group_name for key in graph.materializable_asset_keys} == GROUPS


def test_asset_of_a_table_says_what_one_row_is(graph):
    for key in graph.materializable_asset_keys:
        described = sql_files.schema(key.path[-1]).description
        if described and key.path[-1] != "ablation":
            assert graph.get(key).description == described
            assert "one row per" in described.lower(), key


def test_every_asset_links_to_its_files_and_its_function(graph):
    for key in graph.materializable_asset_keys:
        name = key.path[-1]
        links = graph.get(key).metadata["dagster/code_references"].code_references
        assert all(Path(link.file_path).is_file() for link in links), name
        *_, function = links
        text = Path(function.file_path).read_text(encoding="utf-8").splitlines()
        following = text[function.line_number - 1 : function.line_number + 20]
        assert any("def " in line for line in following), name
        own = [str(path) for path in sql_files.SQL_ROOT.glob(f"*/{name}.sql")]
        assert own == [link.file_path for link in links if link.file_path in own], name
        # The label is the same in a checkout and in a wheel, and names no machine.
        assert all(not Path(link.label).is_absolute() for link in links), name


def test_links_warn_nobody_that_their_interface_may_change():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        linked = with_references(ingest.interactions)
    assert "dagster/code_references" in next(iter(linked.specs)).metadata
    assert [each for each in caught if issubclass(each.category, dg.BetaWarning)] == []


def test_every_column_that_is_published_says_what_it_is_and_where_it_is_from(published):
    columns = columns_of(published)
    told = set(published.execute("select table_name, column_name from column_lineage").fetchall())
    assert told == columns
    uncommented = published.execute(
        "select table_name, column_name from duckdb_columns() "
        "where not internal and coalesce(comment, '') = ''"
    ).fetchall()
    assert uncommented == []
    tables = published.execute(
        "select table_name from duckdb_tables() where not internal and coalesce(comment, '') = ''"
    ).fetchall()
    assert tables == []


def test_every_source_of_a_column_is_there(published, graph):
    columns = columns_of(published)
    relations = {table for table, _ in columns}
    assets = {key.path[-1] for key in graph.get_all_asset_keys()}
    sources = published.execute(
        "select distinct source_table, source_column from column_lineage "
        "where source_table is not null"
    ).fetchall()
    for table, column in sources:
        assert table in relations | assets
        assert column is None or table == "interactions_csv" or (table, column) in columns


def test_table_says_of_each_column_where_it_is_from(shown):
    described = {
        each.name: each for each in shown["events"]["dagster/column_schema"].schema.columns
    }
    assert described["item_idx"].description == "Index of the item. From items.item_idx."
    assert (
        shown["negatives"]["dagster/column_schema"]
        .schema.columns[2]
        .description.endswith("Constant or generated.")
    )
    deps = shown["samples"]["dagster/column_lineage"].column_lineage.deps_by_column
    assert deps["target_item_id"] == [
        dg.TableColumnDep(asset_key=dg.AssetKey("items"), column_name="item_id")
    ]
    deps = shown["test_predictions"]["dagster/column_lineage"].column_lineage.deps_by_column
    assert deps["label"] == [
        dg.TableColumnDep(asset_key=dg.AssetKey("samples"), column_name="sample_bounds.label")
    ]
    deps = shown["interactions"]["dagster/column_lineage"].column_lineage.deps_by_column
    assert deps["time"] == [
        dg.TableColumnDep(asset_key=dg.AssetKey("interactions_csv"), column_name="time")
    ]


def test_every_table_shows_rows_and_every_artifact_its_place_and_size(shown, finished):
    made = dict(finished.query("select asset, artifact from ledger where asset <> 'warehouse'"))
    relations = set(finished.query("select table_name from duckdb_tables() where not internal"))
    for name, artifact in made.items():
        if artifact is not None:
            assert Path(shown[name]["path"].path).is_dir(), name
            assert shown[name]["size_mb"].value > 0, name
        elif (name,) in relations:
            assert isinstance(shown[name]["dagster/row_count"].value, int), name
    assert Path(shown["warehouse"]["path"].path).is_file()


def test_page_of_the_figures_begins_with_the_main_ones_and_keeps_all_in_a_table(shown):
    page = shown["test_auc"]
    numbers = [name for name, value in page.items() if isinstance(value.value, int | float)]
    assert numbers[:3] == ["auc", "gauc", "logloss"] == list(page)[:3]
    assert len(numbers) <= 20
    assert {"popularity_auc", "mrr_all", "hr_at_10_all", "n_samples"} <= set(numbers)
    lines = page["all_figures"].md_str.splitlines()
    assert lines[0] == "| figure | value | low | high |"
    figures = [html.unescape(line.split(" | ")[0].removeprefix("| ")) for line in lines[2:]]
    assert set(numbers) | {"hr_at_1_sampled", "gauc_users_left_out"} <= set(figures)


def test_figures_name_the_log_that_they_are_of(finished):
    [(source, current)] = finished.query("select distinct source, is_current from metrics")
    assert (source, current) == ("the synthetic log", True)
