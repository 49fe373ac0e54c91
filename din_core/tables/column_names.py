"""Which columns of a log can stand side by side: the options alone decide, before any is read."""

from __future__ import annotations

from din_core.config import OptionsError, SourceConfig
from din_core.sources.reserved_names import is_reserved
from din_core.tables.attributes import Attribute, DenseColumn

# What the tables have beside the columns of a log.
_OWN_COLUMNS = {
    "index": ("user_idx", "item_idx"),
    "list": ("items", "n_events"),
    "sample": ("target_item_id", "hist_item_id"),
    "encoded sample": ("target_item_idx", "hist_item_idx"),
}


def refuse_clashing_names(source: SourceConfig) -> None:
    """Refuse columns whose names in the tables would be one: the options alone decide it.

    Raises:
        OptionsError: Two columns would get one name, or one that the tables have themselves.
    """
    items = [Attribute(name) for name in source.item_attribute_cols]
    users = [Attribute(name) for name in source.user_attribute_cols]
    of_samples = [*source.user_dense_cols, *source.context_dense_cols]
    numbers = [*source.item_dense_cols, *of_samples]
    every = [*(attribute.name for attribute in (*items, *users)), *numbers]
    if clashes := [name for name in every if is_reserved(name, number=name in numbers)]:
        raise OptionsError(
            f"column {clashes[0]!r} has the name of one of the tables' own columns; rename it in "
            "the source, or take it out of the options of attributes and dense columns"
        )
    as_they_are = [(name, name) for name in numbers]
    in_samples = [(name, str(DenseColumn(name).target)) for name in source.item_dense_cols]
    in_samples += [(name, name) for name in of_samples]
    tables: dict[str, list[tuple[str, str]]] = {
        "index": [(each.name, each.index) for each in (*items, *users)] + as_they_are,
        "list": [(each.name, f"{each.stem}s") for each in items] + as_they_are,
        "sample": [(each.name, each.name) for each in users]
        + [(each.name, name) for each in items for name in (each.target, each.history)]
        + in_samples,
        "encoded sample": [(each.name, each.index) for each in users]
        + [(each.name, name) for each in items for name in (each.target_index, each.history_index)]
        + in_samples,
    }
    for kind, columns in tables.items():
        taken = dict.fromkeys(_OWN_COLUMNS[kind], "the tables themselves")
        for column, becomes in columns:
            name = str(becomes).strip('"').lower()
            if before := taken.get(name):
                raise OptionsError(
                    f"the {kind} column {name!r} would be that of {before} and of {column!r}: "
                    "rename one in the source, or leave it out"
                )
            taken[name] = repr(column)
