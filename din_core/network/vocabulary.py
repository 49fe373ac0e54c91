"""What a log says of its columns before any network is built: how many ids, by what numbers go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from din_core.network.features import Normalization


def _no_sizes() -> dict[str, int]:
    return {}


def _no_numbers() -> dict[str, Normalization]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What a model must know of its log: how many ids there are, and by what numbers are measured.

    Indices run 1…n and 0 is padding or unknown.

    Attributes:
        n_users: Known users.
        n_items: Known items.
        item_attributes: Known values by index column of an item attribute: ``{"cate_idx": 50}``.
        user_attributes: Known values by index column of a user attribute.
        item_dense: Normalization by column of numbers that describe the item.
        user_dense: Likewise, the user.
        context_dense: Likewise, the interaction.
    """

    n_users: int
    n_items: int
    item_attributes: Mapping[str, int] = field(default_factory=_no_sizes)
    user_attributes: Mapping[str, int] = field(default_factory=_no_sizes)
    item_dense: Mapping[str, Normalization] = field(default_factory=_no_numbers)
    user_dense: Mapping[str, Normalization] = field(default_factory=_no_numbers)
    context_dense: Mapping[str, Normalization] = field(default_factory=_no_numbers)

    @property
    def describes_users(self) -> bool:
        """Whether attributes or numbers of the users are known."""
        return bool(self.user_attributes or self.user_dense)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they go into JSON; kinds of numbers that the log lacks are left out."""
        values = asdict(self)
        return {name: of for name, of in values.items() if of or name not in _DENSE_FIELDS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Vocabulary:
        """The inverse of :meth:`to_dict`."""
        numbers: dict[str, Any] = {
            kind: {name: Normalization(**by) for name, by in values[kind].items()}
            for kind in _DENSE_FIELDS
            if kind in values
        }
        return cls(**{**values, **numbers})


_DENSE_FIELDS = ("item_dense", "user_dense", "context_dense")
