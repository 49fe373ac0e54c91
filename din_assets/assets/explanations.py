"""The assets ``attention_weights`` and ``attention_pictures``: why the model answers as it does."""

from collections.abc import Iterator

import dagster as dg
import duckdb

from din_assets.making import versions
from din_assets.making.artifact_assets import (
    Made,
    Making,
    artifact_asset,
    latest_artifact,
    picture,
)
from din_assets.making.checks import check_specs
from din_assets.making.materialization import OWNERS, Built, materialize_tables
from din_assets.making.run_config import mirror
from din_assets.runs import choices
from din_assets.runs.resources import StoreResource
from din_core.config import ExplanationConfig, config_from_mapping
from din_core.inputs import training_data
from din_core.store import artifacts, sql_files
from din_core.tables.lineage import lineage

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


class AttentionWeightsConfig(mirror("_AttentionWeights", ExplanationConfig, doc="What is asked.")):
    """Which answers of the model are explained."""


#: What can be chosen about the tables of this module.
CONFIG_CLASSES: dict[str, type[dg.Config]] = {"attention_weights": AttentionWeightsConfig}


def _attention_weights(
    context: dg.AssetExecutionContext, store: StoreResource, config: AttentionWeightsConfig
) -> Results:
    """Explain test samples by the latest model."""
    options = choices.chosen(context, store.settled, config).model_dump()

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        from din_core.evaluation import attention_table
        from din_core.serving import own_ids, saved_models

        folder = latest_artifact(con, store, "din_model")
        saved = saved_models.load_model(folder)
        own_ids.require_own_ids(con, folder, saved.vocabulary)
        chosen = config_from_mapping(ExplanationConfig, options)
        written = attention_table.write(con, saved.model, chosen)
        return Built(
            metadata={
                "attention_weights": {
                    "explained_samples": written.n_samples,
                    "explained_users": written.n_users,
                    "meaning_of_weights": written.meaning,
                }
            },
            check_context=written.context,
        )

    yield from materialize_tables(
        context, store, ("attention_weights",), options=options, build=build
    )


attention_weights = dg.asset(
    name="attention_weights",
    group_name="evaluation",
    deps=sorted(
        {
            "din_model",
            *lineage().owners_of(training_data.READS),
            *lineage().inputs_of("attention_weights"),
        }
    ),
    kinds={"pytorch", "duckdb"},
    owners=OWNERS,
    code_version=versions.of_asset("attention_weights", _attention_weights, one_model=True),
    check_specs=check_specs("attention_weights"),
    description=sql_files.schema("attention_weights").description,
)(_attention_weights)


@artifact_asset(
    group="evaluation",
    deps=["attention_weights"],
    kinds={"matplotlib"},
    description="Pictures of `attention_weights` as PNG and SVG: over the histories of some users "
    "what each event makes of the answer, and its weight, candidate by candidate; across users "
    "which history category drives which target category.",
)
def attention_pictures(making: Making) -> Made:
    """Draw the explanations of the latest model."""
    from din_core.evaluation import attention_pictures
    from din_core.serving.images import thumbnail

    with making.store.connection(read_only=True) as con:
        drawn = attention_pictures.draw(con, making.folder)
    content = [png.with_suffix(".svg").read_bytes() for png in drawn.values()]
    return Made(
        version=artifacts.digest(b"".join(content)),
        metadata={
            name: picture(thumbnail(png, 1000, 1500, colours=128), name)
            for name, png in drawn.items()
        },
    )
