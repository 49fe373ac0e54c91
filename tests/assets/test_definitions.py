"""The code location: what an outsider may rely on; that it loads no torch says test_spinning."""

import dagster as dg
import pytest

from din_assets.definitions import build_defs
from din_core.store.sql_files import SQL_ROOT

PUBLISHED_NAMES = {
    "interactions", "rejected_rows", "source_files", "known_ids",
    "users", "items", "cates", "attributes", "events",
    "user_sequences", "negatives", "samples", "din_model", "test_predictions", "test_auc",
    "test_rankings", "base_model_predictions", "attention_weights", "attention_pictures",
    "architecture_graph", "onnx_model", "bundle", "model_versions",
    "warehouse", "drift", "report",
}  # fmt: skip


@pytest.fixture(scope="module")
def graph():
    return build_defs().resolve_asset_graph()


def test_assets_have_the_names_outsiders_rely_on(graph):
    made = {k.to_user_string() for k in graph.materializable_asset_keys}
    assert made >= PUBLISHED_NAMES


def test_table_asset_is_named_and_grouped_as_its_file(graph):
    for node in graph.asset_nodes:
        found = list(SQL_ROOT.glob(f"*/{node.key.to_user_string()}.sql"))
        if found:
            assert [path.parent.name for path in found] == [node.group_name]


def test_every_asset_says_what_it_is_who_owns_it_and_how_it_is_made(graph):
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.code_version, key


def test_dependencies_follow_the_flow(graph):
    def parents(name):
        return {k.to_user_string() for k in graph.get(dg.AssetKey(name)).parent_keys}

    assert parents("interactions") == {"interactions_csv"}
    assert "events" in parents("user_sequences")
    assert {"negatives", "user_sequences"} <= parents("samples")
    assert "samples" in parents("din_model")
    assert "test_auc" in parents("warehouse")
    assert {"din_model", "samples", "test_auc", "test_predictions"} <= parents("bundle")


def test_resource_override_takes_the_place_of_the_default():
    defs = build_defs(resource_overrides={"store": dg.ResourceDefinition.none_resource()})
    assert defs.resources["store"].__class__ is dg.ResourceDefinition
