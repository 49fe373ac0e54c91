"""The answers of other models on the same test samples: the model before, and the BaseModel.

They are kept as rows of a table beside ``test_predictions``, by user, position and k. Such a row
means the same sample only while log, split and negatives are the same, so they are kept as long as
every input but the model is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from din_core import store
from din_core.arrow_without_pandas import no_rows, texts
from din_core.config import (
    BaseModelConfig,
    LaunchConfig,
    OptionsError,
    TrainingConfig,
    config_from_mapping,
)
from din_core.store import ledger

if TYPE_CHECKING:
    from din_core.training.reports import EpochReport

_SCORES = pa.schema(
    {
        "model_version": pa.string(),
        "user_idx": pa.int32(),
        "position": pa.int32(),
        "k": pa.int32(),
        "score": pa.float64(),
    }
)
_MODEL = "din_model"


def keep_previous(con: duckdb.DuckDBPyConnection) -> None:
    """Keep the answers in ``test_predictions`` if another model is about to give its own.

    Call it before ``test_predictions`` is made, in the same transaction. Of the same model, what
    was kept stays; of other samples nothing does.

    Args:
        con: Connection to the pipeline's database.
    """
    made = ledger.entries(con)
    before, relations = made.get("test_predictions"), store.relations(con)
    kept = no_rows(_SCORES)
    same_samples = ledger.changed_inputs(made, "test_predictions") in ([], [_MODEL])
    if before is not None and "test_predictions" in relations and same_samples:
        version = before.inputs.get(_MODEL)
        if version == made[_MODEL].data_version:
            if "previous_predictions" in relations:
                kept = con.table("previous_predictions").to_arrow_table()
        elif version is not None:
            rows = con.table("test_predictions").to_arrow_table()
            kept = _scores(version, rows)
    _create(con, "previous_predictions", kept_scores=kept)


@dataclass(frozen=True)
class BaseModelTraining:
    """A BaseModel that was trained beside the latest model.

    Attributes:
        options: What it was trained with.
        val_auc: Best AUC on the validation split.
        n_rows: Test samples that it was asked about.
    """

    options: Mapping[str, Any]
    val_auc: float | None
    n_rows: int

    def metrics(self) -> dict[str, Any]:
        """Return what a reader of the run sees of it."""
        auc = {} if self.val_auc is None else {"val_auc": self.val_auc}
        return {**auc, "n_samples": self.n_rows}


def write_base_model(
    con: duckdb.DuckDBPyConnection,
    *,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_warning: Callable[[str], object] = lambda _: None,
    checkpoint_dir: Path | None = None,
    program_version: str = "",
) -> BaseModelTraining:
    """Train the paper's BaseModel with the options of ``din_model`` and keep its test scores.

    What ``din_model`` can choose and the BaseModel does not have, such as attention, is left out.
    One process makes the steps of all that trained ``din_model``.

    Args:
        con: Connection to the pipeline's database, in a transaction.
        on_epoch: Told of each epoch.
        on_warning: Told of what the training warns of.
        checkpoint_dir: Where the training keeps its state.
        program_version: Of the code that trains.

    Raises:
        OptionsError: The latest model is a BaseModel itself.
    """
    from din_core.inputs import times
    from din_core.network.tensor_hash import tensors_hash
    from din_core.training import loop, prediction

    options = dict(ledger.entry(con, _MODEL).options)
    if options.get("model") == "base_model":
        raise OptionsError(
            "din_model is a BaseModel (model: base_model), so there is none to compare it with: "
            "leave train out (ops: base_model_predictions: config), or train another model"
        )
    network = config_from_mapping(BaseModelConfig, {**options, "model": "base_model"})
    training = config_from_mapping(TrainingConfig, options)
    processes = config_from_mapping(LaunchConfig, options).processes
    data = times.load_for(con, network.log_numbers)
    trained = loop.train(
        network,
        dataclasses.replace(training, batch_size=training.batch_size * processes),
        data,
        on_epoch=on_epoch,
        on_warning=on_warning,
        checkpoint_dir=checkpoint_dir,
        program_version=program_version,
    )
    scores = prediction.predict(trained.model, data, "test")
    state = {name: value.detach().cpu() for name, value in trained.model.state_dict().items()}
    rows = _scores(tensors_hash(state), scores)
    _create(con, "base_model_predictions", base_model_scores=rows)
    aucs = [each.val_auc for each in trained.history if each.val_auc is not None]
    return BaseModelTraining(vars(network), max(aucs, default=None), rows.num_rows)


def write_no_base_model(con: duckdb.DuckDBPyConnection) -> None:
    """Make ``base_model_predictions`` without a row: nothing was trained."""
    _create(con, "base_model_predictions", base_model_scores=no_rows(_SCORES))


def _scores(version: str, rows: Any) -> Any:
    n_rows = rows.num_rows
    columns = [texts([version] * n_rows)]
    columns += [rows[name].cast(_SCORES.field(name).type) for name in _SCORES.names[1:]]
    return pa.table(columns, schema=_SCORES)


def _create(con: duckdb.DuckDBPyConnection, name: str, **given: Any) -> None:
    for relation, rows in given.items():
        con.register(relation, rows)
    try:
        store.create_table(con, name)
    finally:
        for relation in given:
            store.unregister(con, relation)
