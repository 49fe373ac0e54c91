"""The asset ``ablation``: what each piece of advice is worth on this log."""

from din_assets.making.artifact_assets import Made, Making, artifact_asset, picture
from din_assets.making.run_config import mirror
from din_core.config import AblationConfig, config_from_mapping
from din_core.inputs import times, training_data
from din_core.store import artifacts
from din_core.tables import recorded_choices
from din_core.tables.lineage import lineage

AblationOptions = mirror("AblationOptions", AblationConfig, doc="How much an ablation tries.")


@artifact_asset(
    group="evaluation",
    deps=lineage().owners_of(training_data.READS),
    kinds={"pytorch", "duckdb"},
    description="The preset trained again with one thing changed, over several seeds: the table "
    "`ablation`, and a picture of what each change is worth. Finished trials are kept, so that a "
    "run that was stopped goes on. Not part of `full_run`: `dagster asset materialize --select "
    "ablation -m din_assets.evidence`.",
    config_class=AblationOptions,
)
def ablation(making: Making) -> Made:
    """Train the variants, then make the table and the picture of what they came to."""
    from din_core.evaluation import ablation as study

    wish = config_from_mapping(AblationConfig, making.options)
    with making.store.connection() as con:
        data = times.with_times(con, training_data.load(con))
        samples = recorded_choices.sampling_config(con)
    plan = study.planned(wish, data, samples)
    trials = study.run(
        plan.variants,
        plan.seeds,
        plan.model,
        plan.training,
        data,
        making.store.checkpoints_root / "ablation",
        program_version=making.code_version,
        tell=making.context.log.info,
    )
    rows = study.leaderboard_table(trials, data)
    with making.store.transaction() as con:
        study.write_leaderboard(con, rows)
    large = making.folder / "leaderboard.png"
    large.write_bytes(study.leaderboard_picture(rows, dpi=300))
    return Made(
        version=artifacts.digest(study.content_of(rows)),
        metadata={
            "trials": len(trials),
            "leaderboard": picture(study.leaderboard_picture(rows), "what each change is worth"),
        },
    )
