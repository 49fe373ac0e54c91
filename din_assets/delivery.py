"""What leaves the pipeline: the architecture graph, the ONNX model, the database for analysts."""

import shlex
import shutil
from collections.abc import Iterable

import dagster as dg

from din_assets import versions
from din_assets.materialization import (
    OWNERS,
    as_dagster_failures,
    current_artifact,
    materialize_artifact,
    picture,
    record,
)
from din_assets.resources import StoreResource
from din_core import store as database
from din_core.escaping import markdown_code
from din_core.serving import vocabularies
from din_core.store import artifacts, ledger
from din_core.tables import analytics, recorded_options


def _architecture_graph(
    context: dg.AssetExecutionContext, store: StoreResource
) -> dg.MaterializeResult:
    """Draw the graph of the current model."""
    from din_core.serving import pictures, saved_models

    with as_dagster_failures():
        with store.connection() as con:
            model = saved_models.load_model(current_artifact(con, store, "din_model")).model
        with artifacts.staging(store.artifacts_root, "architecture_graph") as folder:
            png, svg = pictures.architecture_graph(model, folder / "din", dpi=300)
            version = artifacts.digest(pictures.canonical_graph(svg.read_bytes()))
            thumbnail = pictures.thumbnail(png)
            return materialize_artifact(
                context,
                store,
                folder,
                version,
                metadata={"graph": picture(thumbnail, "computation graph of DIN")},
            )


architecture_graph = dg.asset(
    name="architecture_graph",
    group_name="delivery",
    deps=["din_model"],
    kinds={"pytorch", "graphviz"},
    owners=OWNERS,
    code_version=versions.of_asset("architecture_graph", _architecture_graph),
    description="The network's computation graph as PNG (300 dpi) and SVG, drawn by torchviz.",
)(_architecture_graph)


def _onnx_model(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Export the current model and check that it answers as PyTorch does."""
    from din_core.serving import export, saved_models

    with as_dagster_failures():
        with store.connection() as con:
            source = current_artifact(con, store, "din_model")
        saved = saved_models.load_model(source)
        with artifacts.staging(store.artifacts_root, "onnx_model") as folder:
            file = folder / "din.onnx"
            export.export_onnx(saved.model, file)
            difference = export.require_parity(saved.model, file)
            shutil.copytree(source / vocabularies.FOLDER, folder / vocabularies.FOLDER)
            return materialize_artifact(
                context,
                store,
                folder,
                artifacts.digest(file.read_bytes() + saved.metadata["vocabulary"].encode()),
                metadata={
                    "largest_difference_to_torch": difference,
                    "size_kb": file.stat().st_size / 1000,
                },
            )


onnx_model = dg.asset(
    name="onnx_model",
    group_name="delivery",
    deps=["din_model"],
    kinds={"onnx", "pytorch"},
    owners=OWNERS,
    code_version=versions.of_asset("onnx_model", _onnx_model),
    description="The model for serving, beside the vocabularies of its indices: free batch and "
    "sequence length, index 0 is padding or unknown, and so is what no table holds; equal to "
    "PyTorch within 1e-5 at batch 1, 7, 512 and lengths 0, 1, 50, or it fails.",
)(_onnx_model)


def _published_warehouse(
    context: dg.AssetExecutionContext, store: StoreResource
) -> dg.MaterializeResult:
    """Publish a snapshot of the pipeline's database."""
    with as_dagster_failures():
        with store.transaction() as con:
            options = recorded_options.template_options(con)
            views = analytics.create_views(con, options)
            database.describe_all(con)
            published = sorted(
                (entry.asset, entry.data_version)
                for entry in ledger.entries(con).values()
                if entry.asset != "warehouse"
            )
            version = artifacts.digest(repr(published).encode())
            record(context, con, "warehouse", version)
        database.publish(
            store.pipeline_path,
            store.published_path,
            memory_limit=store.memory_limit,
            threads=store.threads,
        )
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "path": dg.MetadataValue.path(str(store.published_path)),
            "views": ", ".join(views),
            "size_mb": store.published_path.stat().st_size / 1e6,
            "how_to_read": dg.MetadataValue.md(
                markdown_code(
                    f"duckdb -readonly {shlex.quote(str(store.published_path))} "
                    '"from samples limit 5"'
                )
            ),
        },
    )


def published_warehouse(made: Iterable[str]) -> dg.AssetsDefinition:
    """Return the asset of the published copy.

    Args:
        made: All other assets that are made.
    """
    return dg.asset(
        name="warehouse",
        group_name="delivery",
        # All that is made: the copy holds every table, and in the ledger a row of every asset.
        deps=sorted(made),
        kinds={"duckdb"},
        owners=OWNERS,
        code_version=versions.of_asset("warehouse", _published_warehouse, described=True),
        description="The database that analysts open (read-only): a closed snapshot of every "
        "table, swapped in at once.",
    )(_published_warehouse)
