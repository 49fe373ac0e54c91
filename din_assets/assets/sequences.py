"""The assets between the raw log and the model: ids, vocabularies, events, sequences, samples.

Each is one SQL file in ``sql/sequences``, made by the same few lines. What it depends on is read
off the file; what differs is what can be chosen. An option belongs to one asset, so that changing
it affects that asset and what lies below it, and nothing above.
"""

from collections.abc import Iterator

import dagster as dg
import duckdb

from din_assets.making import versions
from din_assets.making.checks import check_specs
from din_assets.making.materialization import OWNERS, Built, materialize_tables
from din_assets.making.run_config import mirror
from din_assets.runs import choices
from din_assets.runs.resources import StoreResource
from din_core.config import SequenceConfig
from din_core.store import sql_files
from din_core.tables import recorded_choices, unused_options
from din_core.tables.lineage import lineage
from din_core.tables.sequences import build_table, figures, restarts

#: What can be chosen about each table of this module.
CONFIG_CLASSES: dict[str, type[dg.Config]] = {}

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def sequence_table(name: str, *, options: tuple[str, ...] = ()) -> dg.AssetsDefinition:
    """Make the asset of one table of ``sql/sequences``.

    Args:
        name: The table, its file and the asset.
        options: Fields of ``SequenceConfig`` that belong to this asset.
    """
    config_class = CONFIG_CLASSES[name] = mirror(
        f"{name.title().replace('_', '')}Config",
        SequenceConfig,
        only=options,
        doc=f"What can be chosen about `{name}`.",
    )

    def materialize(
        context: dg.AssetExecutionContext, store: StoreResource, config: dg.Config
    ) -> Results:
        chosen = choices.chosen(context, store.settled, config).model_dump()

        engine = store.engine

        def build(con: duckdb.DuckDBPyConnection) -> Built:
            source = recorded_choices.source_config(con)
            sequence = recorded_choices.sequence_config(con, chosen)
            for sentence in restarts(con, name, source, sequence):
                context.log.warning(sentence)
            rendered_with = build_table(con, name, source, sequence, engine)
            for sentence in unused_options.sentences(name, rendered_with, sequence):
                context.log.warning(sentence)
            return Built(
                metadata={name: figures(con, name, rendered_with, engine)},
                check_context=rendered_with,
            )

        yield from materialize_tables(
            context, store, (name,), options=chosen, build=build, engine=engine
        )

    materialize.__annotations__["config"] = config_class
    return dg.asset(
        name=name,
        group_name="sequences",
        deps=lineage().inputs_of(name),
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        code_version=versions.of_asset(name, materialize),
        check_specs=check_specs(name),
        description=sql_files.schema(name).description,
    )(materialize)


known_ids = sequence_table("known_ids", options=("min_interactions",))
users = sequence_table("users")
items = sequence_table("items")
cates = sequence_table("cates")
attributes = sequence_table("attributes")
events = sequence_table("events")
user_sequences = sequence_table("user_sequences")
negatives = sequence_table(
    "negatives", options=("negatives_per_positive", "negative_sampling", "sampling_seed")
)
samples = sequence_table("samples", options=("max_history", "split", "val_from", "test_from"))
