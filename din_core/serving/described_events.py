"""The events of an explanation as a person knows them: with their attributes and times.

A bundle holds the attributes of its items, but no times: those are read from the file for analysts,
where it is there and still tells of the same events. No torch and no database is needed otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from din_core.evaluation.meaning_of_weights import meaning_of_weights
from din_core.serving.bundle import contents, parquet_files
from din_core.serving.bundle.ids import VocabularyIds, as_array
from din_core.tables.attributes import Attribute

if TYPE_CHECKING:
    from din_core.serving.answers import Event, Explanation
    from din_core.serving.bundle.contents import Bundle
    from din_core.serving.bundle.ids import Id

_ATTRIBUTES = f"{contents.VOCABULARIES}/attributes.parquet"
_LATEST = """
    select
        items.item_id,
        make_timestamp(cast(least(events.time, 253402300799) * 1000000 as bigint)) as time
    from events
    inner join users on events.user_idx = users.user_idx
    inner join items on events.item_idx = items.item_idx
    where users.user_id = $user_id
    order by events.position desc
    limit $n_events
"""


@dataclass(frozen=True, kw_only=True)
class DescribedEvent:
    """An event of a history, with what is known of it.

    Attributes:
        event: Item, weights and change.
        attributes: The item's attributes by column of the source, None where one is unknown.
        time: When it was, in UTC; None where nothing says so.
    """

    event: Event
    attributes: dict[str, Id | None]
    time: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        time = None if self.time is None else self.time.isoformat()
        return {**vars(self.event), "attributes": self.attributes, "time": time}


def described(
    explanation: Explanation, bundle: Bundle, warehouse: Path | None
) -> list[DescribedEvent]:
    """Describe the events of an explanation.

    Args:
        explanation: By the bundle.
        bundle: The bundle.
        warehouse: The file for analysts, which knows when a user's latest events were; None where
            the history was brought along, so that nobody knows.

    Returns:
        The events in their order.
    """
    items = [event.item_id for event in explanation.events]
    attributes = attributes_of(bundle, items)
    times = _times(warehouse, explanation.user_id, items)
    return [
        DescribedEvent(event=event, attributes=of_item, time=time)
        for event, of_item, time in zip(explanation.events, attributes, times, strict=True)
    ]


def attributes_of(bundle: Bundle, items: list[Id]) -> list[dict[str, Id | None]]:
    """Look up what describes items.

    Args:
        bundle: The bundle.
        items: Their ids.

    Returns:
        For each item its attributes by column of the source, None where one is unknown.
    """
    table = parquet_files.read(bundle.path(contents.ITEMS))
    places = VocabularyIds(table["item_id"], bundle.item_ids).positions(
        as_array(items, bundle.item_ids)
    )
    vocabulary = parquet_files.read(bundle.path(_ATTRIBUTES))
    values = {
        (attribute, index): value
        for attribute, index, value in zip(
            *(vocabulary[name].to_pylist() for name in ("attribute", "value_idx", "value")),
            strict=True,
        )
    }
    columns = {
        name: table[index]
        for name in bundle.about["item_columns"]
        if (index := Attribute(name).index_name) in table.column_names  # else it is a number
    }
    return [
        {
            name: values.get((name, column[place].as_py())) if place >= 0 else None
            for name, column in columns.items()
        }
        for place in places.tolist()
    ]


def weights_meaning(bundle: Bundle) -> str:
    """Say what the weights of a bundle's explanations are, and are not."""
    options = bundle.about["options"].get("din_model", {})
    # By the graph and not by an explanation, which may have no events.
    outputs = bundle.about["graphs"].get(contents.EXPLAIN, {}).get("outputs", ())
    has_attention = any(each["name"].startswith(contents.WEIGHT) for each in outputs)
    return meaning_of_weights(has_attention, bool(options.get("use_softmax")))


def _times(warehouse: Path | None, user: Id | None, items: list[Id]) -> list[datetime | None]:
    """When the user's latest events were, if they are these; else nothing is known of any."""
    unknown: list[datetime | None] = [None] * len(items)
    if warehouse is None or user is None or not items or not warehouse.is_file():
        return unknown
    import duckdb

    from din_core import store

    try:
        with store.connect(warehouse, read_only=True) as con:
            asked = {"user_id": user, "n_events": len(items)}
            latest = con.execute(_LATEST, asked).fetchall()[::-1]
    except (duckdb.Error, store.StoreError):
        return unknown  # it tells of another log, or is just being replaced: a time is not worth it
    return [time for _, time in latest] if [item for item, _ in latest] == items else unknown
