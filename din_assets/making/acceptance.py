"""When a log is accepted: the options of all steps are held against it, and then remembered.

What an option can do depends on the log, and the steps come to their options long after the log
has taken the last one's place. So they are looked at here, before it is committed; where it is not
read, before the first step. What the run's configuration gives and this log cannot take is
refused. What is only remembered of another log, and has no effect on this one, is forgotten.
"""

from collections.abc import Callable, Iterator
from typing import Any

import duckdb

from din_assets.runs.last_run import Options, Settled
from din_core import presets, store
from din_core.config import (
    OptionsError,
    SequenceConfig,
    TrainingConfig,
    config_from_mapping,
    described_options,
)
from din_core.inputs import redrawing
from din_core.store import ledger
from din_core.tables import recorded_choices, sequences, unused_options

_SAMPLING, _SPLIT, _TRAINING = "negatives", "samples", "din_model"


def accept(con: duckdb.DuckDBPyConnection, settled: Settled, warn: Callable[[str], object]) -> None:
    """Hold the options against the log, and let the next run go by them.

    Args:
        con: As of :func:`hold_against_log`.
        settled: As of :func:`hold_against_log`.
        warn: As of :func:`hold_against_log`.

    Raises:
        OptionsError: As :func:`hold_against_log`.
    """
    hold_against_log(con, settled, warn)
    settled.remember()


def hold_against_log(
    con: duckdb.DuckDBPyConnection, settled: Settled, warn: Callable[[str], object]
) -> None:
    """Refuse what the run is given and the log cannot take; forget what is only remembered.

    Args:
        con: Connection to the pipeline's database; where no log was read there is nothing to do.
        settled: What the run goes by.
        warn: Told what is forgotten.

    Raises:
        OptionsError: An option has no effect on this log, or does not go with it.
    """
    if "interactions" not in ledger.entries(con):
        return
    try:
        columns = store.column_types(con, "interactions")
    except duckdb.CatalogException:
        return  # gone: the step that reads it says so
    if "label" in columns:
        for step, name, sentence in list(_of_labelled_log(settled)):
            if step in settled.given:
                raise OptionsError(f"ops: {step}: {sentence}")
            settled.forget(step, [name])
            warn(f"forgotten of the last run: ops: {step}: {sentence.partition('.')[0]}")
    sequences.refuse_unfit(
        con,
        recorded_choices.source_config(con),
        config_from_mapping(
            SequenceConfig, {**_chosen(settled, _SAMPLING), **_chosen(settled, _SPLIT)}
        ),
        config_from_mapping(TrainingConfig, _chosen(settled, _TRAINING)).redrawn_sampling,
    )


def _chosen(settled: Settled, step: str) -> Options:
    """The options of a step; none where the run does not have it."""
    return settled.options[step] if step in settled.runs else {}


def _of_labelled_log(settled: Settled) -> Iterator[tuple[str, str, str]]:
    """Options that a labelled log leaves without effect: step, name, sentence."""
    given = settled.options.get(_SAMPLING, {})
    for name in unused_options.OF_SAMPLING:
        if name in given and _is_chosen(SequenceConfig, name, given[name]):
            yield _SAMPLING, name, unused_options.of_labelled_log(f"{name}={given[name]}")
    given = settled.options.get(_TRAINING, {})
    for name in redrawing.OF_REDRAWING:
        if name not in given:
            continue
        alone = {**vars(presets.DEFAULT.training), name: given[name]}
        if wish := redrawing.wish_of(config_from_mapping(TrainingConfig, alone)):
            yield _TRAINING, name, redrawing.of_labelled_log(wish)


def _is_chosen(cls: type[Any], name: str, value: object) -> bool:
    return value != described_options(cls)[name].default
