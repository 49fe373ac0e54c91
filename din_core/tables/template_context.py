"""What the templates of ``sql/sequences``, ``sql/checks`` and ``sql/analytics`` are rendered with.

:func:`din_core.tables.sequences.template_context` makes one of a configuration and a log.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from din_core.config import NegativeSampling, Split
from din_core.tables.attributes import Attribute, DenseColumn


@dataclass(frozen=True, kw_only=True)
class TemplateContext:
    """What the templates are rendered with.

    What takes a pass over the rows is None where it is not looked up; a template that asks for it
    is then refused by name (:class:`~din_core.store.sql_files.SqlFileError`).

    Attributes:
        item_attributes: Columns that describe the item.
        user_attributes: Columns that describe the user.
        item_dense: Numbers that describe the item.
        user_dense: Numbers that describe the user.
        context_dense: Numbers that belong to the interaction.
        user_ids: The column of the users' ids, which becomes no attribute.
        item_ids: That of the items' ids, likewise.
        labelled: Whether the log is labelled.
        max_history: Most recent events kept in a history.
        min_interactions: Users with fewer interactions are left out.
        negatives_per_positive: Negatives drawn for each positive.
        negative_sampling: How they are drawn.
        split: How events are split.
        sampling_seed: Seed of that draw.
        negatives_allow: What the head of the negatives' file lets its checks pass.
        several_files: Whether the interactions come from more than one file.
        val_from: First moment of validation of a temporal split, in seconds, ready to stand in SQL.
        test_from: First moment of test, likewise.
    """

    item_attributes: tuple[Attribute, ...]
    user_attributes: tuple[Attribute, ...]
    item_dense: tuple[DenseColumn, ...]
    user_dense: tuple[DenseColumn, ...]
    context_dense: tuple[DenseColumn, ...]
    labelled: bool
    max_history: int
    min_interactions: int
    negatives_per_positive: int
    negative_sampling: NegativeSampling
    split: Split
    sampling_seed: int
    user_ids: Attribute = field(default_factory=lambda: Attribute("user_id"))
    item_ids: Attribute = field(default_factory=lambda: Attribute("item_id"))
    negatives_allow: tuple[str, ...] | None = None
    several_files: bool | None = None
    val_from: int | str | None = None
    test_from: int | str | None = None

    def variables(self) -> dict[str, Any]:
        """Return the variables of the templates by name, without what was not looked up."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}
