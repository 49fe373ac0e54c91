"""What leaves the pipeline: the architecture graph, the ONNX model, the database for analysts."""

import shlex
import shutil
from collections.abc import Iterable

import dagster as dg

from din_assets.making import versions
from din_assets.making.artifact_assets import Made, Making, artifact_asset, picture
from din_assets.making.materialization import OWNERS, as_dagster_failures, record
from din_assets.making.run_config import mirror
from din_assets.runs import choices
from din_assets.runs.failures import IO_RETRIES
from din_assets.runs.resources import StoreResource
from din_core import store as database
from din_core.config import WarehouseConfig
from din_core.escaping import markdown_code
from din_core.serving import vocabularies
from din_core.serving.bundle import manifest
from din_core.store import artifacts, ledger
from din_core.tables import analytics, column_lineage, recorded_choices
from din_core.tables.lineage import lineage


@artifact_asset(
    group="delivery",
    deps=["din_model"],
    kinds={"pytorch", "graphviz"},
    description="The network as PNG (300 dpi) and SVG: its modules with their shapes "
    "(din_overview), and its computation graph, drawn by torchviz (din).",
    one_model=True,
)
def architecture_graph(making: Making) -> Made:
    """Draw the modules and the graph of the latest model."""
    from din_core.serving import images, pictures, saved_models
    from din_core.serving.architecture import overview

    model = saved_models.load_model(making.artifact("din_model")).model
    graph, of_modules = images.draw_all(
        {
            making.folder / "din": (pictures.graph_source(model), images.SMALL),
            making.folder / "din_overview": (overview.overview_source(model), images.DETAILED),
        },
        dpi=300,
    )
    return Made(
        version=artifacts.digest(
            pictures.canonical_graph(graph.svg.read_bytes())
            + pictures.canonical_graph(of_modules.svg.read_bytes())
        ),
        metadata={
            "overview": picture(of_modules.preview, "modules of the network"),
            "graph": picture(graph.preview, "computation graph of the network"),
        },
    )


@artifact_asset(
    group="delivery",
    deps=["din_model"],
    kinds={"onnx", "pytorch"},
    description="The model for serving, beside the vocabularies of its indices: free batch and "
    "sequence length, index 0 is padding or unknown, and so is what no table holds; equal to "
    "PyTorch within 1e-5 at batch 1, 7, 512 and lengths 0, 1, 50, or it fails.",
    one_model=True,
)
def onnx_model(making: Making) -> Made:
    """Export the latest model and check that it answers as PyTorch does."""
    from din_core.serving import saved_models
    from din_core.serving.graphs import index_graph, parity

    source, file = making.artifact("din_model"), making.folder / "din.onnx"
    saved = saved_models.load_model(source)
    index_graph.export_onnx(saved.model, file)
    difference = parity.require_parity(saved.model, file)
    shutil.copytree(source / vocabularies.FOLDER, making.folder / vocabularies.FOLDER)
    return Made(
        version=artifacts.digest(file.read_bytes() + saved.metadata["vocabulary"].encode()),
        metadata={
            "largest_difference_to_torch": difference,
            "size_kb": file.stat().st_size / 1000,
        },
    )


@artifact_asset(
    group="delivery",
    deps={*lineage().inputs_of("bundle"), *manifest.MADE_FROM},
    kinds={"onnx", "pytorch", "duckdb"},
    description="All that a server needs, in one folder, and nothing else: graphs that take raw "
    "ids, vocabularies, default histories, a manifest, a model card, an example. It answers as the "
    "table `predictions` does, or it fails. Whether it is published decides model_versions.",
    one_model=True,
)
def bundle(making: Making) -> Made:
    """Write the bundle of the latest model."""
    from din_core.serving import agreement, saved_models
    from din_core.serving.bundle import building

    source = making.artifact("din_model")
    saved = saved_models.load_model(source)
    with making.store.connection() as con:
        built = building.build(con, source, saved, making.folder)
        difference, n_compared = agreement.require_agreement(con, making.folder)
    return Made(
        version=built.version,
        about=built.about,
        metadata={
            "largest_difference_to_predictions": difference,
            "compared_samples": n_compared,
            "model_card": dg.MetadataValue.md(built.model_card),
            "how_to_rank": dg.MetadataValue.md(markdown_code("din rank --user U --top 10")),
        },
    )


@artifact_asset(
    group="delivery",
    deps={*lineage().inputs_of("report"), "din_model"},
    kinds={"duckdb", "html"},
    description="One page for a reader without these tools: what the model is worth, from which "
    "data, beside what, where it is weak, what changed, and what a score is. It loads nothing and "
    "runs nothing. `din report` opens it; `current` beside the versions leads to the latest.",
    one_model=True,
    pointed_to=True,
)
def report(making: Making) -> Made:
    """Write the report of the latest model."""
    from din_core.evaluation import report as of_model
    from din_core.training import history

    epochs = history.read(making.artifact("din_model"))
    with making.store.connection(read_only=True) as con:
        context = recorded_choices.recorded_context(con)
        shown = sorted({*lineage().inputs_of("report"), "din_model"})
        page = of_model.render(of_model.read(con, context, epochs, shown))
    content = page.encode("utf-8")
    (making.folder / of_model.FILE).write_bytes(content)
    return Made(
        version=artifacts.digest(content),
        metadata={
            "size_kb": len(content) / 1000,
            "how_to_open": dg.MetadataValue.md(markdown_code("din report")),
        },
    )


class WarehousePublicationConfig(mirror("_Warehouse", WarehouseConfig, doc="What is published.")):
    """How much of the tables the analysts' file holds."""


#: What can be chosen about each asset of this module, beside those of artifacts.
CONFIG_CLASSES: dict[str, type[dg.Config]] = {"warehouse": WarehousePublicationConfig}


def _published_warehouse(
    context: dg.AssetExecutionContext, store: StoreResource, config: WarehousePublicationConfig
) -> dg.MaterializeResult:
    """Publish a snapshot of the pipeline's database."""
    chosen = choices.chosen(context, store.settled, config).model_dump()
    with as_dagster_failures(io_retries_left=IO_RETRIES - context.retry_number):
        with store.transaction() as con:
            context_of_tables = recorded_choices.recorded_context(con)
            views = analytics.create_views(con, context_of_tables)
            column_lineage.write(con, context_of_tables, recorded_choices.source_config(con))
            database.describe_all(con)
            published = sorted(
                (entry.asset, entry.data_version)
                for entry in ledger.entries(con).values()
                if entry.asset != "warehouse"
            )
            every_nth_user = database.every_nth_user_of(con, chosen["max_rows"])
            of_sample = [] if every_nth_user == 1 else [("users: 1 in", str(every_nth_user))]
            version = artifacts.digest(repr([*published, *of_sample]).encode())
            record(context, con, "warehouse", version, options=chosen)
        contents = store.publish(every_nth_user)
    if sentence := contents.sentence():
        context.log.warning(f"{store.published_path.name}: {sentence}")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "path": dg.MetadataValue.path(str(store.published_path)),
            "views": ", ".join(views),
            "users": contents.sentence() or "all",
            "size_mb": store.published_path.stat().st_size / 1e6,
            "options": chosen,
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
        "table, swapped in at once. Above max_rows it holds a sample of the users, and says so.",
    )(_published_warehouse)
