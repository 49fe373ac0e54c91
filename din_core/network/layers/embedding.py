"""Embedding tables of a model, one for each group of features that share it.

Shapes: D embedding width; an index tensor of any shape gives the same shape with D appended.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from din_core.network.hardware import empty_table

if TYPE_CHECKING:
    from din_core.network.features import Feature


class LookUpKernel(Protocol):
    """Another way to look up features side by side in rows that are at hand."""

    def __call__(self, rows: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor | None:
        """Return ``[N, sum of D]``, or ``None`` where it does not apply.

        Args:
            rows: Of each feature's table, ``[U, D]``.
            places: Of each feature, ``[N]``.
        """
        ...


class EmbeddingTables(nn.Module):
    """The tables of a list of features, and the look-up by feature.

    Row 0 of every table (padding, or an id that the log does not have) is zero and stays zero. An
    id of the log that no training sample has keeps its initial row, which ``embedding_l2`` pulls
    towards zero.
    The table of feature ``x`` is the submodule ``x_table``, so that no column name can clash with
    an attribute of ``nn.Module``.

    Args:
        features: Features to look up. A feature may occur twice if it is the same both times.
        init_std: Standard deviation of the normal initial rows.
        sparse: Give the weights sparse gradients, holding only the rows of a batch. Dense
            optimizers such as ``torch.optim.Adam`` need ``False``.

    Attributes:
        features: What can be looked up, each once.

    Raises:
        ValueError: Two different features of one name, a table shared by features that disagree
            about its size or that no feature owns, or an initializer that makes another size.
    """

    def __init__(
        self, features: Sequence[Feature], init_std: float = 1e-4, sparse: bool = False
    ) -> None:
        super().__init__()
        by_name: dict[str, Feature] = {}
        for feature in features:
            if by_name.setdefault(feature.name, feature) != feature:
                raise ValueError(
                    f"two different features are called '{feature.name}': "
                    f"{by_name[feature.name]} and {feature}; give one of them another name"
                )
        self.features = list(by_name.values())
        self._table_of = {name: _owner(feature, by_name) for name, feature in by_name.items()}
        for name in dict.fromkeys(self._table_of.values()):
            owner = by_name[name]
            table = nn.Embedding(owner.vocab_size, owner.dim, padding_idx=0, sparse=sparse)
            with torch.no_grad():
                table.weight = _initial_weight(owner, init_std)
                table.weight[0] = 0.0
            self.add_module(module_name(name, "table"), table)
        self._gathered: Mapping[str, Tensor] = {}
        self._kernel: LookUpKernel | None = None

    def forward(self, feature: Feature, index: Tensor) -> Tensor:
        """Look up a feature.

        Args:
            feature: One of the features given at construction.
            index: Integer tensor of any shape, values from 0 to ``vocab_size - 1``; within
                :meth:`gathered_rows` places among those rows.

        Returns:
            ``[*index.shape, D]``.

        Raises:
            TypeError: Not an integer tensor.
            IndexError: An index outside the table (on a CPU; CUDA reports it later).
        """
        if index.is_floating_point() or index.dtype == torch.bool:
            raise TypeError(
                f"feature '{feature.name}': indices are {index.dtype}, which does not hold every "
                "id; pass int64 or int32"
            )
        rows = self._gathered.get(self._table_of[feature.name])
        if rows is not None:
            # Not nn.functional.embedding: its backward is three times as slow on a CPU.
            return rows.index_select(0, index.flatten()).view(*index.shape, rows.shape[1])
        table = self.table(feature)
        try:
            return table(index)
        except IndexError as error:
            raise IndexError(
                f"feature '{feature.name}': index {int(index.max())} or {int(index.min())} is "
                f"outside 0…{table.num_embeddings - 1}; raise vocab_size, or map ids that the "
                "vocabulary lacks to 0"
            ) from error

    def side_by_side(self, features: Sequence[Feature], indices: Sequence[Tensor]) -> Tensor:
        """Look up features whose indices have one shape, and concatenate their embeddings.

        Args:
            features: As :meth:`forward`, one or more.
            indices: Of each feature, likewise.

        Returns:
            ``[*shape, sum of D]``.
        """
        if self._kernel is not None:
            rows = [self._gathered.get(self._table_of[feature.name]) for feature in features]
            known = [each for each in rows if each is not None]
            found = self._kernel(known, indices) if len(known) == len(features) else None
            if found is not None:
                return found
        each = [self(feature, index) for feature, index in zip(features, indices, strict=True)]
        return each[0] if len(each) == 1 else torch.cat(each, dim=-1)

    @contextmanager
    def gathered_rows(
        self, rows: Mapping[str, Tensor], kernel: LookUpKernel | None = None
    ) -> Generator[None]:
        """Look up in rows that were read before, for a while, and by their place among them.

        Gradients then go to those rows and not to the tables.

        Args:
            rows: Some of a table's rows ``[U, D]``, by name as in :meth:`tables`. A table that is
                not among them is looked up as always.
            kernel: Looks up in them instead of the plain formula, where it applies.
        """
        self._gathered, self._kernel = rows, kernel
        try:
            yield
        finally:
            self._gathered, self._kernel = {}, None

    def table(self, feature: Feature) -> nn.Embedding:
        """The table behind a feature."""
        table = self.get_submodule(module_name(self._table_of[feature.name], "table"))
        assert isinstance(table, nn.Embedding)
        return table

    def tables(self) -> Iterator[tuple[str, nn.Embedding]]:
        """Name of the owning feature and table, each table once."""
        for name in dict.fromkeys(self._table_of.values()):
            table = self.get_submodule(module_name(name, "table"))
            assert isinstance(table, nn.Embedding)
            yield name, table


def module_name(feature_name: str, kind: str) -> str:
    """Name the submodule that belongs to a feature: its name, ``_`` and the kind, as ``x_table``.

    A dot would be read as a path into a submodule, and exporters write the name into a program,
    between quotes: such characters are coded.
    """
    coded = (
        each if each.isprintable() and each not in '%."\\' else f"%{ord(each):02X}"
        for each in feature_name
    )
    return f"{''.join(coded)}_{kind}"


def _initial_weight(owner: Feature, init_std: float) -> nn.Parameter:
    """The initial rows of a feature's table, from its own initializer where it has one."""
    shape = (owner.vocab_size, owner.dim)
    weight = nn.Parameter(empty_table(*shape))
    if owner.initializer is None:
        weight.normal_(0.0, init_std)
        return weight
    made = owner.initializer(*shape).weight
    if made.shape != shape:
        raise ValueError(
            f"feature '{owner.name}': its initializer made a table of {list(made.shape)}, not of "
            f"{list(shape)}; it is called with vocab_size and embed_dim"
        )
    weight.copy_(made)
    weight.requires_grad = made.requires_grad
    return weight


def _owner(feature: Feature, by_name: dict[str, Feature]) -> str:
    """Follow ``shared_with`` to the feature that owns the table, checking sizes on the way."""
    seen = [feature.name]
    owner = feature
    while owner.table_of is not None:
        following = by_name.get(owner.table_of)
        if following is None:
            raise ValueError(
                f"feature '{owner.name}' is shared with '{owner.shared_with}', which is not a "
                f"feature of this model ({', '.join(sorted(by_name))})"
            )
        if following.name in seen:
            raise ValueError(f"features share their table in a circle: {' → '.join(seen)}")
        seen.append(following.name)
        owner = following
    if (owner.vocab_size, owner.dim) != (feature.vocab_size, feature.dim):
        raise ValueError(
            f"features '{feature.name}' and '{owner.name}' share one table but ask for "
            f"{feature.vocab_size} x {feature.dim} and {owner.vocab_size} x {owner.dim}; give both "
            "the same vocab_size and embed_dim"
        )
    return owner.name
