"""The model that a training starts from: the published or the latest, held against today's log.

The two logs may number their items, users and attributes differently: what is the same id is seen
in the vocabularies that lie beside each model. What its weights are taken for is
:mod:`din_core.training.warm_start`'s business. Also here: up to where a model was trained on each
user's events, so that it can be said whether what is held out today was learned before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from din_core import manifests, store
from din_core.arrow_without_pandas import as_numpy, no_rows, read_parquet
from din_core.serving import saved_models, vocabularies
from din_core.serving.publication import history
from din_core.serving.publication.history import SHORT
from din_core.store import ledger, sql_files
from din_core.training.warm_start import Predecessor, TakenOver

if TYPE_CHECKING:
    import duckdb

    from din_core.config import WarmStart
    from din_core.inputs.flat_log import Int64
    from din_core.network.vocabulary import Vocabulary

#: Beside the weights: up to where each user's events were trained on.
REACH_FILE = "training_reach.parquet"

_GIVEN = "predecessor_reach"
_REACH = pa.schema(
    {"user_id": pa.string(), "last_time": pa.float64(), "n_at_last_time": pa.int64()}
)


class Found(NamedTuple):
    """A model to start from.

    Attributes:
        model: What a training takes.
        folder: Where it lies.
    """

    model: Predecessor
    folder: Path


def chosen(
    con: duckdb.DuckDBPyConnection,
    root: Path,
    folder: Path,
    vocabulary: Vocabulary,
    which: WarmStart,
    on_warning: Callable[[str], object],
) -> Found | None:
    """Find the model to start the next one from, as the option ``warm_start`` says.

    Args:
        con: Connection to the pipeline's database.
        root: Where the artifacts are.
        folder: Of the next model, with the vocabularies of today.
        vocabulary: Their sizes.
        which: The option.
        on_warning: Told, in a sentence, why there is none, or that it is not the published one.
    """
    if which == "none":
        return None
    decided = history.publications(con)
    served = history.served(decided)
    version = _latest(con) if which == "last" else served and served.model_version
    if version is None:
        what, when = ("was made", "") if which == "last" else ("is published", ", if published")
        on_warning(
            f"training starts from random weights: no model {what} here yet (warm_start: {which} "
            f"starts from this one the next time{when})"
        )
        return None
    before = root / "din_model" / version
    way = "" if which == "last" else ". warm_start: last starts from the latest model instead"
    if damage := manifests.damage_of(before):
        on_warning(f"training starts from random weights: {damage}{way}")
        return None
    try:
        found = Found(read(before, version, folder, vocabulary), before)
    except saved_models.SavedModelError as error:
        on_warning(f"training starts from random weights: {error}{way}")
        return None
    is_judged = any(each.model_version == version for each in decided)
    if served is not None and is_judged and served.model_version != version:
        on_warning(
            f"warm_start: last takes model {version[:SHORT]}, which is not the published one "
            f"({served.model_version[:SHORT]} is); warm_start: published takes that one"
        )
    return found


def _latest(con: duckdb.DuckDBPyConnection) -> str | None:
    entry = ledger.entries(con).get("din_model")
    return entry and entry.data_version


def read(before: Path, version: str, folder: Path, vocabulary: Vocabulary) -> Predecessor:
    """Read a model and hold it against the vocabularies of another one.

    Args:
        before: Folder of the model, vocabularies included.
        version: Its data version.
        folder: Folder of the next model; its vocabularies are read.
        vocabulary: Their sizes.

    Raises:
        SavedModelError: No model there that this program can read.
    """
    saved = saved_models.load_model(before)
    return Predecessor(
        version=version,
        model=saved.model,
        config=saved.config,
        tensors_hash=saved.tensors_hash,
        rows=_rows_by_feature(before, folder, vocabulary),
        epochs=int(saved.metadata.get("epochs", 0)),
    )


def account(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    taken_over: TakenOver | None,
    found: Found | None,
    on_warning: Callable[[str], object],
) -> dict[str, Any]:
    """Write up to where a model's training went, and say what it started from.

    Args:
        con: Connection to the tables that it was trained on.
        folder: The model's.
        taken_over: What it took over.
        found: From which model; looked at only where something was taken over.
        on_warning: Told, in a sentence, where positives are held out now that its predecessors were
            trained on.

    Returns:
        What is kept with the model, JSON types; nothing of one that started from random weights.
    """
    from pyarrow import parquet

    writer: Any = parquet  # pyarrow has no types
    before = None if taken_over is None or found is None else found.folder
    writer.write_table(
        _asked(con, "training_reach", before), folder / REACH_FILE, compression="zstd"
    )
    if taken_over is None or before is None:
        return {}
    counted = _asked(con, "held_out_and_seen", before).to_pylist()
    seen = {row["split"]: row["n_seen"] for row in counted}
    if not (before / REACH_FILE).is_file():
        on_warning(
            f"model {taken_over.version} does not say which events it was trained on, so it is not "
            "known whether it learned what is held out now"
        )
        seen = dict.fromkeys(seen)
    elif any(seen.values()):
        on_warning(_too_good(taken_over.version, counted))
    return {"warm_start": {**taken_over.told(), "held_out_but_seen": seen}}


def _too_good(version: str, counted: Sequence[Mapping[str, Any]]) -> str:
    parts = ", ".join(
        f"{row['n_seen']:,} of {row['n_held_out']:,} of the split '{row['split']}'"
        for row in counted
    )
    return (
        f"model {version}, or one that it started from, was trained on positives that are held out "
        f"now: {parts}. The figures are too good. This happens where the log lost its latest "
        "events or the split was changed; train once with warm_start: none"
    )


def _asked(con: duckdb.DuckDBPyConnection, query: str, before: Path | None) -> Any:
    """Answer a query on the tables and the reach of a model, which may have none."""
    file = None if before is None else before / REACH_FILE
    known = no_rows(_REACH) if file is None or not file.is_file() else read_parquet(file)
    con.register(_GIVEN, known)
    try:
        return con.sql(sql_files.render(query)).to_arrow_table()
    finally:
        store.unregister(con, _GIVEN)


def _rows_by_feature(before: Path, folder: Path, vocabulary: Vocabulary) -> dict[str, Int64]:
    """The row before of each row of today, by feature; see :class:`Predecessor`."""
    known, now = vocabularies.indices(before), vocabularies.indices(folder)
    sizes = {"item_idx": vocabulary.n_items, **vocabulary.item_attributes}
    of_users = {"user_idx": vocabulary.n_users, **vocabulary.user_attributes}
    rows: dict[str, Int64] = {}
    for column, size in {**sizes, **of_users}.items():
        if column not in known or column not in now:
            continue
        matched = _matched(known[column], now[column], size)
        names = (f"target_{column}", f"hist_{column}") if column in sizes else (column,)
        rows.update(dict.fromkeys(names, matched))
    return rows


def _matched(known: Any, now: Any, size: int) -> Int64:
    """The index before of each index 0 … ``size`` of today; 0 for an id that is new."""
    import pyarrow.compute

    compute: Any = pyarrow.compute  # pyarrow has no types
    rows = np.zeros(size + 1, dtype=np.int64)
    place = compute.index_in(now["id"], value_set=known["id"])
    is_known = as_numpy(place.is_valid())
    found = as_numpy(known["idx"].take(place.drop_null()))
    rows[as_numpy(now["idx"])[is_known]] = found
    return rows
