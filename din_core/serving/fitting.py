"""From the pipeline's tables to a model's folder: what the asset ``din_model`` is made by.

The same in one process and in several that train together. Each of them reads the log, or its share
of the users where the tables lie as Parquet; the first one writes. A :class:`Task` says what to
fit, and travels as JSON to processes that are started for it.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from din_core import store
from din_core.config import (
    MODEL_CONFIGS,
    DINConfig,
    ModelConfig,
    TrainingConfig,
    config_from_mapping,
)
from din_core.engines import parquet_views
from din_core.engines.parquet_tables import ParquetRoot
from din_core.evaluation.score_meaning import score_is
from din_core.inputs import times, training_data
from din_core.serving import predecessors, saved_models, vocabularies
from din_core.store import artifacts
from din_core.tables import recorded_choices
from din_core.training import distributed, history, loop, sharded
from din_core.training.reports import EpochReport, TrainedModel

if TYPE_CHECKING:
    import duckdb

    from din_core.network.vocabulary import Vocabulary

#: Opens the database with the tables.
Connect = Callable[[], AbstractContextManager["duckdb.DuckDBPyConnection"]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A model to be fitted.

    Attributes:
        model: The network.
        training: The loop.
        folder: The model's, empty.
        artifacts_root: Where earlier models are.
        checkpoints: Where an interrupted training finds itself again.
        tables: Root of the Parquet tables, of which each process reads its share of the users;
            ``None`` lets each read the whole log from the database.
        code_version: Of the code that trains.
    """

    model: ModelConfig
    training: TrainingConfig
    folder: Path
    artifacts_root: Path
    checkpoints: Path
    tables: str | None
    code_version: str

    def to_json(self) -> dict[str, Any]:
        """Return it in types that JSON has."""
        paths = {name: str(getattr(self, name)) for name in _PATHS}
        return {**asdict(self), **paths}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_json` gave."""
        model = MODEL_CONFIGS[values["model"]["model"]]
        return cls(
            model=config_from_mapping(model, values["model"]),
            training=config_from_mapping(TrainingConfig, values["training"]),
            tables=values["tables"],
            code_version=values["code_version"],
            **{name: Path(values[name]) for name in _PATHS},
        )


_PATHS = ("folder", "artifacts_root", "checkpoints")


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model in its folder, and what is told of it.

    Attributes:
        version: Hash of the weights, the vocabularies and their sizes.
        metrics: What is worth seeing beside the model.
        score_is: What its scores are.
        warm_started_from: Version of the model that it started from; ``None`` where that was random
            weights.
        epochs: All epochs.
    """

    version: str
    metrics: Mapping[str, Any]
    score_is: str
    warm_started_from: str | None
    epochs: list[EpochReport]

    def to_json(self) -> dict[str, Any]:
        """Return it in types that JSON has."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_json` gave."""
        epochs = [EpochReport(**each) for each in values["epochs"]]
        rest = {name: each for name, each in values.items() if name != "epochs"}
        return cls(**rest, epochs=epochs)


def fit(
    task: Task,
    connect: Connect,
    *,
    on_epoch: Callable[[EpochReport], object],
    on_warning: Callable[[str], object],
    on_note: Callable[[str], object],
) -> Fitted | None:
    """Train a model and write it, its vocabularies and its history to its folder.

    Args:
        task: The model. What lies in its folder already is removed: an attempt that was killed.
        connect: Opens the database with what :data:`training_data.READS` and
            :data:`vocabularies.READS` name; it is only read.
        on_epoch: Called after each epoch, in the first process.
        on_warning: Told at once what the user should know, in the first process.
        on_note: Told what a training started from, in the first process.

    Returns:
        What was fitted; ``None`` in the processes that only help the first one.

    Raises:
        DinError: As of :func:`din_core.training.loop.train`, or a table is missing.
    """
    is_first = distributed.rank() == 0
    if not is_first:
        on_epoch = on_warning = _say_nothing
    if is_first:
        _empty(task.folder)
    with connect() as con:
        sizes, train = _log_of(task, con)
        labelled = training_data.recorded_negatives(con)["labelled"]
        if sentence := _untrained_biases(task.model, recorded_choices.most_history(con)):
            on_warning(sentence)
        vocabulary = ""
        if is_first:
            with_users = task.model.use_user or sizes.describes_users
            vocabulary = vocabularies.write(con, task.folder, with_users=with_users)
        distributed.wait_for_all()  # all read the vocabularies
        which = task.training.warm_start
        found = predecessors.chosen(con, task.artifacts_root, task.folder, sizes, which, on_warning)
    trained = train(
        on_epoch=on_epoch,
        on_warning=on_warning,
        checkpoint_dir=task.checkpoints,
        tensorboard_dir=task.folder / "tensorboard",
        program_version=task.code_version,
        predecessor=found and found.model,
    )
    if not is_first:
        return None
    taken_over = trained.taken_over
    if taken_over is not None:
        on_note(taken_over.summary())
    with connect() as con:
        about = predecessors.account(con, task.folder, taken_over, found, on_warning)
    for warning in trained.warnings:
        on_warning(warning)
    about |= {"vocabulary": vocabulary, "epochs": trained.epochs_so_far}
    saved_models.save_model(task.folder, trained.model, task.model, trained.vocabulary, about)
    history.write(task.folder, trained.history)
    return Fitted(
        # Of the weights, the vocabularies and their sizes: others can give the same weights.
        version=artifacts.digest((task.folder / saved_models.DESCRIPTION_FILE).read_bytes()),
        metrics=trained.metrics(),
        score_is=score_is(labelled=labelled),
        warm_started_from=None if taken_over is None else taken_over.version,
        epochs=trained.history,
    )


def _untrained_biases(model: ModelConfig, most_history: int) -> str | None:
    """Say which biases of positions no event of a history has, so that they stay 0."""
    n_biases = model.position_bias if isinstance(model, DINConfig) else 0
    if n_biases <= most_history:
        return None
    return (
        f"position_bias is {n_biases}, and no history has more than {most_history} events "
        f"(max_history of samples): the biases beyond are never trained; lower position_bias or "
        "raise max_history"
    )


def _log_of(
    task: Task, con: duckdb.DuckDBPyConnection
) -> tuple[Vocabulary, Callable[..., TrainedModel]]:
    """Return how many ids the log has, and what trains on it."""
    if task.tables is None:
        data = times.load_for(con, task.model.log_numbers)
        return data.vocabulary, functools.partial(loop.train, task.model, task.training, data)
    root = ParquetRoot(task.tables)
    # Sequences in ids are made with the samples, whose bounds are a view.
    parquet_views.require_held(con, root, (*training_data.READS, "behaviour_sequences"))
    train = functools.partial(
        sharded.train,
        task.model,
        task.training,
        root,
        n_streams=distributed.world_size(),
        sequences=recorded_choices.sampling_config(con),
        **store.limits_of(con),
    )
    return training_data.load_sizes(con), train


def _say_nothing(_: object) -> None:
    """The first process says it."""


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
