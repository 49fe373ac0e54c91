"""Which rows of its tables a step looks up, each once, and where among them each look-up goes.

A step reads the rows that it needs once, and looks up in what it has read. What is done with the
rows is :mod:`din_core.training.row_adam`'s business. Shapes: V rows of a table, N look-ups in it
by a step, U rows that they need.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from din_core.training import distributed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from din_core.network.batch import Batch
    from din_core.network.kernels import RowKernel


class Distinct(NamedTuple):
    """Ids without their repetitions: ``rows[place]`` are the ids.

    Attributes:
        rows: int64 ``[U]``.
        place: Of each id among the rows, int64 ``[N]``.
    """

    rows: Tensor
    place: Tensor


class LookUps:
    """Turns batches of ids into rows to have at hand, and batches of places among them.

    Args:
        n_rows: V by table.
        table_of: Name of the table that each input looks up in.
        static_size: Let the number of rows depend on the size of the batch alone, so that the host
            need not wait until a device has counted them; see :func:`distinct_at_static_size`.
        kernel: Does the same as :func:`distinct_by_marks`, on the CPU.
    """

    def __init__(
        self,
        n_rows: Mapping[str, int],
        table_of: Mapping[str, str],
        *,
        static_size: bool,
        kernel: RowKernel | None = None,
    ) -> None:
        self._kernel = kernel
        self._inputs_of: dict[str, list[str]] = {}
        for name, table in table_of.items():
            self._inputs_of.setdefault(table, []).append(name)
        self._n_rows = dict(n_rows)
        self._static_size = static_size
        self._marks = {
            table: torch.empty(0 if static_size else n, dtype=torch.int32)
            for table, n in self._n_rows.items()
        }

    def of(self, batch: Batch) -> tuple[dict[str, Tensor], Batch]:
        """Find the rows of a step.

        Args:
            batch: This process's share of the step.

        Returns:
            By table, the rows that all processes look up in this step, in an order that is the same
            for all of them, int64 ``[U]``. And the batch, with each id replaced by its place among
            those rows.
        """
        rows: dict[str, Tensor] = {}
        places: dict[str, Tensor] = {}
        inputs_by_name = {**batch.sparse, **batch.sequences}
        for table, names in self._inputs_of.items():
            inputs = [inputs_by_name[name] for name in names]
            ids, own = distributed.gather_ids(torch.cat(inputs))
            rows[table], place = self._distinct(table, ids)
            parts = place[own].split([len(each) for each in inputs])
            places |= zip(names, parts, strict=True)
        return rows, dataclasses.replace(
            batch,
            sparse={name: places.get(name, each) for name, each in batch.sparse.items()},
            sequences={name: places.get(name, each) for name, each in batch.sequences.items()},
        )

    def _distinct(self, table: str, ids: Tensor) -> Distinct:
        if self._static_size:
            return distinct_at_static_size(ids, min(len(ids), self._n_rows[table]))
        if self._kernel is not None:
            return Distinct(*self._kernel.distinct(ids, self._marks[table]))
        return distinct_by_marks(ids, self._marks[table])


def distinct_by_marks(ids: Tensor, marks: Tensor) -> Distinct:
    """Find the distinct ids without sorting any, four times as fast as ``torch.unique``.

    Every look-up leaves its number on its row, over those of earlier ones. One look-up of each row
    then finds its own number still there; it stands for the row.

    Args:
        ids: On the CPU, int64 ``[N]``.
        marks: Room for a number on each row, int32 ``[V]``; what it holds does not matter.

    Returns:
        The rows in the order of their last look-up.
    """
    number = torch.arange(len(ids), dtype=marks.dtype)
    marks.scatter_(0, ids, number)
    rows = ids[marks.gather(0, ids) == number]
    marks.scatter_(0, rows, torch.arange(len(rows), dtype=marks.dtype))
    return Distinct(rows, marks.gather(0, ids).long())


def distinct_at_static_size(ids: Tensor, size: int) -> Distinct:
    """Find the distinct ids without letting the host know how many they are.

    Args:
        ids: On any device, int64 ``[N]``.
        size: U, at least the number of distinct ids.

    Returns:
        The rows in ascending order, and row 0 (padding) in all places that are left over.
    """
    ordered, look_up = ids.sort()
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    place = is_first.cumsum(0) - 1
    return Distinct(
        rows=ids.new_zeros(size).scatter_(0, place, ordered),
        place=torch.empty_like(place).scatter_(0, look_up, place),
    )
