"""A model asked about a log in other indices than those it was trained in: by id, or not at all.

The vocabularies beside a saved model are those of its training. A log that has grown since has
more, and one that was numbered anew has others. :func:`predict_by_id` looks all up by the id,
as a server does: an id that the model does not know is unknown to it (index 0), and is left out of
histories. :func:`require_own_ids` refuses where an answer has to be in the model's indices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from din_core import arrow_without_pandas, store
from din_core.errors import DinError
from din_core.inputs import times
from din_core.inputs.batches import BatchGatherer
from din_core.inputs.flat_log import SPLITS, Samples, TrainingData
from din_core.serving import vocabularies
from din_core.tables.attributes import Attribute
from din_core.training import prediction

if TYPE_CHECKING:
    import duckdb

    from din_core.inputs.flat_log import SplitName
    from din_core.network.vocabulary import Vocabulary
    from din_core.serving.saved_models import SavedModel

Indices = npt.NDArray[np.int64]


class OtherIdsError(DinError, LookupError):
    """A model does not know the ids that it is asked about; the message says the way out."""


@dataclass(frozen=True)
class _OwnIds:
    """The model's index of each index of the tables; 0 where it knows no such id, and of 0.

    Attributes:
        items: ``[I + 1]``.
        users: ``[U + 1]``; all 0 for a model that takes nothing of the user.
        attributes: By index column, ``[V + 1]``.
    """

    items: Indices
    users: Indices
    attributes: Mapping[str, Indices]

    def difference(self, vocabulary: Vocabulary, *, with_users: bool) -> str | None:
        """Say where the tables' indices are not the model's own; None where all are."""
        sizes = {**vocabulary.item_attributes, **vocabulary.user_attributes}
        kinds = {"item": (self.items, vocabulary.n_items)}
        if with_users:
            kinds["user"] = self.users, vocabulary.n_users
        kinds |= {name: (self.attributes[name], size) for name, size in sizes.items()}
        for name, (own, size) in kinds.items():
            if len(own) - 1 != size:
                return f"it knows {size:,} indices of {name}, and the tables have {len(own) - 1:,}"
            if moved := np.flatnonzero(own != np.arange(len(own))).tolist():
                return f"index {moved[0]} of {name} stands for another id there"
        return None


def predict_by_id(
    con: duckdb.DuckDBPyConnection, saved: SavedModel, folder: Path, split: SplitName = "test"
) -> Any:
    """Score every sample of a split with a saved model, whatever indices the tables have.

    Args:
        con: Connection to the pipeline's database.
        saved: The model.
        folder: Where it lies, its vocabularies beside it.
        split: ``train``, ``val`` or ``test``.

    Returns:
        As :func:`din_core.training.prediction.predict`, in the tables' indices.

    Raises:
        OtherIdsError: The log has no column that the model takes.
    """
    data = times.load_for(con, saved.model.log_numbers)
    own = _read(con, folder, saved.vocabulary)
    with_users = _has_users(folder)
    if own.difference(saved.vocabulary, with_users=with_users) is None:
        return prediction.predict(saved.model, data, split)
    translated = _translated(data, own, saved.vocabulary)
    asked = translated.samples[split]
    device = next(saved.model.parameters()).device
    scores = prediction.score(
        saved.model,
        BatchGatherer.of(saved.model, translated),
        dataclasses.replace(asked, user=own.users[asked.user].astype(np.int32)),
        device,
    )
    return prediction.as_rows(data.samples[split], scores)


def require_own_ids(con: duckdb.DuckDBPyConnection, folder: Path, vocabulary: Vocabulary) -> None:
    """Make sure that the indices of the tables are those that a saved model was trained in.

    Args:
        con: Connection to the pipeline's database.
        folder: Where the model lies, its vocabularies beside it.
        vocabulary: The model's.

    Raises:
        OtherIdsError: They are not.
    """
    own = _read(con, folder, vocabulary)
    if (found := own.difference(vocabulary, with_users=_has_users(folder))) is not None:
        raise OtherIdsError(
            f"din_model was trained on another load of the log ({found}); train it again "
            "(`din run` does, and then makes what hangs on it)"
        )


def _has_users(folder: Path) -> bool:
    return (folder / vocabularies.FOLDER / "users.parquet").is_file()


def _read(con: duckdb.DuckDBPyConnection, folder: Path, vocabulary: Vocabulary) -> _OwnIds:
    users = np.zeros(store.row_count(con, "users") + 1, dtype=np.int64)
    if _has_users(folder):
        users = _joined(con, folder, "users", "user_idx", "user_id")
    names = {*vocabulary.item_attributes, *vocabulary.user_attributes}
    columns = [name for (name,) in con.execute("select name from column_roles").fetchall()]
    index_names = {Attribute(name).index_name: name for name in columns}
    if missing := sorted(names - index_names.keys()):
        raise OtherIdsError(
            f"din_model takes {missing[0]}, and no column of the log gives it now: name its column "
            "again (item_attribute_cols, user_attribute_cols), or train the model again"
        )
    return _OwnIds(
        items=_joined(con, folder, "items", "item_idx", "item_id"),
        users=users,
        attributes={
            name: _joined(con, folder, "attributes", "value_idx", "value", index_names[name])
            for name in names
        },
    )


def _joined(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    table: str,
    index: str,
    value: str,
    attribute: str | None = None,
) -> Indices:
    """Look the values of a table up in the file of the same name beside the model."""
    file = folder / vocabularies.FOLDER / f"{table}.parquet"
    con.register("own", arrow_without_pandas.read_parquet(file))
    of_attribute = "" if attribute is None else "and own.attribute = now.attribute"
    asked = "true" if attribute is None else "now.attribute = $1"
    try:
        rows = con.execute(
            f"select now.{index}, coalesce(own.{index}, 0) from {table} as now left join own on "
            f"cast(own.{value} as varchar) = cast(now.{value} as varchar) {of_attribute} "
            f"where {asked}",
            [] if attribute is None else [attribute],
        ).fetchnumpy()
    finally:
        store.unregister(con, "own")
    now, own = (np.asarray(column, dtype=np.int64) for column in rows.values())
    found = np.zeros(len(now) + 1, dtype=np.int64)
    found[now] = own
    return found


def _translated(data: TrainingData, own: _OwnIds, vocabulary: Vocabulary) -> TrainingData:
    """Return the log in the model's indices, without the events of items that it does not know.

    Users keep their rows; only what is looked up for them is the model's.
    """
    events = own.items[data.event_items]
    is_known = events > 0
    before = np.concatenate([[0], np.cumsum(is_known)])  # known events before each row

    def cut(samples: Samples) -> Samples:
        first = data.user_offsets[samples.user - 1]
        # A logged negative may stand one behind the user's last event.
        last = np.minimum(first + samples.position, data.user_offsets[samples.user])
        return dataclasses.replace(
            samples,
            position=(before[last] - before[first]).astype(samples.position.dtype),
            item=own.items[samples.item].astype(samples.item.dtype),
            start=before[samples.start].astype(samples.start.dtype),
            end=before[samples.end].astype(samples.end.dtype),
        )

    def moved(of: Mapping[str, npt.NDArray[Any]], to: Indices, size: int, unknown: float) -> Any:
        found: dict[str, npt.NDArray[Any]] = {}
        for name, values in of.items():
            found[name] = np.full(size + 1, unknown, dtype=values.dtype)
            found[name][to[1:]] = values[1:]
            found[name][0] = unknown
        return found

    def values_of(of: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        return {
            name: own.attributes[name][values].astype(values.dtype)
            for name, values in of.items()
            if name in own.attributes
        }

    n_items, n_users = vocabulary.n_items, vocabulary.n_users
    return dataclasses.replace(
        data,
        vocabulary=dataclasses.replace(data.vocabulary, n_items=n_items),
        event_items=events[is_known].astype(np.int32),
        user_offsets=before[data.user_offsets],
        item_attributes=moved(values_of(data.item_attributes), own.items, n_items, 0),
        user_attributes=moved(values_of(data.user_attributes), own.users, n_users, 0),
        item_dense=moved(data.item_dense, own.items, n_items, np.nan),
        user_dense=moved(data.user_dense, own.users, n_users, np.nan),
        samples={split: cut(data.samples[split]) for split in SPLITS},
        event_times=None if data.event_times is None else data.event_times[is_known],
    )
