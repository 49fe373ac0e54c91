"""The names that follow from a column of the source, each ready to stand in SQL."""

from __future__ import annotations

from dataclasses import dataclass

from din_core.store import sql_files


@dataclass(frozen=True)
class Attribute:
    """Names that follow from an attribute column, each ready to stand in SQL.

    Attributes:
        name: The column of the source, as ``cate_id``.
        is_integer: Whether the column of ``interactions`` holds integers, and not text.
    """

    name: str
    is_integer: bool = False

    @property
    def stem(self) -> str:
        """The name without ``_id``: ``cate``."""
        return self.name.removesuffix("_id")

    @property
    def column(self) -> str:
        """Column of ``interactions`` and of the vocabulary: ``cate_id``."""
        return sql_files.quote(self.name)

    @property
    def index_name(self) -> str:
        """Index column, unquoted: ``cate_idx``."""
        return f"{self.stem}_idx"

    @property
    def index(self) -> str:
        """Index column: ``cate_idx``."""
        return sql_files.quote(self.index_name)

    @property
    def sequence(self) -> str:
        """List column of ``user_sequences``: ``cates``."""
        return sql_files.quote(f"{self.stem}s")

    @property
    def target(self) -> str:
        """Column of ``samples``: ``target_cate_id``."""
        return sql_files.quote(f"target_{self.name}")

    @property
    def history(self) -> str:
        """Column of ``samples``: ``hist_cate_id``."""
        return sql_files.quote(f"hist_{self.name}")

    @property
    def target_index(self) -> str:
        """Column of ``encoded_samples``: ``target_cate_idx``."""
        return sql_files.quote(f"target_{self.index_name}")

    @property
    def history_index(self) -> str:
        """Column of ``encoded_samples``: ``hist_cate_idx``."""
        return sql_files.quote(f"hist_{self.index_name}")

    @property
    def vocabulary(self) -> str:
        """Name of the attribute's vocabulary inside a query."""
        return sql_files.quote(f"{self.stem}_vocabulary")

    @property
    def literal(self) -> str:
        """The name as a string literal."""
        return sql_files.literal(self.name)


@dataclass(frozen=True)
class DenseColumn:
    """Names that follow from a column of numbers, likewise.

    Attributes:
        name: The column of the source, as ``price``.
    """

    name: str

    @property
    def column(self) -> str:
        """Column of ``interactions`` and of ``items``, ``users`` or ``events``: ``price``."""
        return sql_files.quote(self.name)

    @property
    def target(self) -> str:
        """Column of ``samples`` where it describes the item: ``target_price``."""
        return sql_files.quote(f"target_{self.name}")

    @property
    def relation(self) -> str:
        """Name of its values inside a query."""
        return sql_files.quote(f"{self.name}_values")

    @property
    def literal(self) -> str:
        """The name as a string literal."""
        return sql_files.literal(self.name)
