"""What a step does with embedding rows, each as one operation instead of a dozen.

What belongs here: the bridge from tensors to ``rows.hpp`` and ``row_adam.hpp``. The plain formulas,
which the kernel is tested against, are
:meth:`din_core.network.layers.embedding.EmbeddingTables.side_by_side`,
:class:`din_core.training.row_adam.RowAdam` and :class:`din_core.training.averaging.WeightEMA`.

Shapes: N positions, V rows of a table, U of them at hand, D embedding width.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from din_core.network.kernels import build


@dataclass(frozen=True, kw_only=True)
class AdamConstants:
    """Constants of Adam on rows; see :mod:`din_core.training.row_adam`.

    Attributes:
        beta_1: Decay of the first moment.
        beta_2: Decay of the second moment.
        eps: Added to the root of the second moment.
        longest_gap: Steps over which the shrinking of the second moment is followed.
    """

    beta_1: float
    beta_2: float
    eps: float
    longest_gap: int


class RowKernel:
    """Operations on rows compiled for this processor.

    It is a :class:`din_core.network.layers.embedding.LookUpKernel` for float32 rows and int64
    places on the CPU. The other methods change float32 tensors on the CPU in place, contiguous
    ones, whose ``index`` is int64 ``[U]`` and inside its table.

    Args:
        cache_dir: Folder of compiled kernels; ``~/.cache/din_core`` by default.

    Raises:
        KernelUnavailableError: As :func:`din_core.network.kernels.build.load`.
    """

    def __init__(self, cache_dir: Path | None = None) -> None:
        self._library = build.load(cache_dir)
        self._library.din_distinct.restype = ctypes.c_int64

    def __call__(self, rows: Sequence[Tensor], places: Sequence[Tensor]) -> Tensor | None:
        """Look up features side by side, ``[N, sum of D]``; ``None`` where it does not apply.

        Args:
            rows: Of each feature's table, ``[U, D]``.
            places: Of each feature, ``[N]``.

        Raises:
            IndexError: A place that is no row of its table.
        """
        if not all(map(_is_taken, rows, places)) or len({len(each) for each in places}) > 1:
            return None
        apply = cast("Callable[..., Tensor]", _SideBySide.apply)  # pyright: ignore[reportUnknownMemberType]
        look_up = _LookUp(self._library, [each.contiguous() for each in places], rows)
        return apply(look_up, *rows)

    def distinct(self, ids: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
        """As :func:`din_core.training.lookups.distinct_by_marks`: rows, and places among them.

        Args:
            ids: int64 ``[N]``.
            marks: Room for a number on each row, int32 ``[V]``.

        Raises:
            IndexError: An id that is no row of the table.
        """
        ids = ids.contiguous()
        rows, places = torch.empty_like(ids), torch.empty_like(ids)
        n_rows = self._library.din_distinct(
            ctypes.c_int64(len(ids)),
            _at(ids),
            ctypes.c_int64(len(marks)),
            *map(_at, (marks, rows, places)),
        )
        if n_rows < 0:
            raise IndexError(
                f"index {int(ids.max())} or {int(ids.min())} is outside 0…{len(marks) - 1}"
            )
        return rows[:n_rows], places

    def advance(
        self,
        index: Tensor,
        weight: Tensor,
        moments: Tensor,
        last_step: Tensor,
        progress: Progress,
        constants: AdamConstants,
    ) -> None:
        """Make up for the steps that rows missed.

        Args:
            index: Of the rows at hand, ``[U]``.
            weight: ``[U, D]``, changed.
            moments: ``[U, 2, D]``, changed.
            last_step: Of the whole table, int32 ``[V]``.
            progress: Where training is.
            constants: Adam's.
        """
        rows = _adam_rows(index, weight, moments, progress, constants)
        self._library.din_advance(ctypes.byref(rows), _at(last_step))

    def update(
        self,
        index: Tensor,
        weight: Tensor,
        moments: Tensor,
        gradients: Sequence[Tensor],
        table: tuple[Tensor, Tensor, Tensor],
        progress: Progress,
        constants: AdamConstants,
    ) -> None:
        """Make Adam's step with rows at hand, and write them to their table.

        Args:
            index: Of the rows at hand, ``[U]``.
            weight: ``[U, D]``.
            moments: ``[U, 2, D]``.
            gradients: What adds up to theirs, in this order, ``[U, D]`` each.
            table: Weights ``[V, D]``, moments ``[V, 2, D]`` and last steps int32 ``[V]``, changed.
            progress: Where training is, this step included.
            constants: Adam's.
        """
        rows = _adam_rows(index, weight, moments, progress, constants)
        parts = [each.contiguous() for each in gradients]
        self._library.din_update(
            ctypes.byref(rows), _addresses(parts), ctypes.c_int64(len(parts)), *map(_at, table)
        )

    def catch_up(
        self, index: Tensor, weight: Tensor, average: Tensor, log: Tensor, log_product: float
    ) -> None:
        """Let rows pull their average for the steps since their last update.

        Args:
            index: Of the rows at hand, ``[U]``.
            weight: Since their last update, ``[U, D]``.
            average: Of the whole table, ``[V, D]``, changed.
            log: Of the product of all decays until the last update, float64 ``[V]``, changed.
            log_product: The same until now.
        """
        self._library.din_catch_up(
            *map(ctypes.c_int64, weight.shape),
            *map(_at, (index, weight, average, log)),
            ctypes.c_double(log_product),
        )


@dataclass(frozen=True)
class Progress:
    """Where a training is.

    Attributes:
        n_steps: Steps made.
        learning_rate: Step size.
        l2: Coupled L2 of every row, in every step.
    """

    n_steps: int
    learning_rate: float
    l2: float


def _is_taken(rows: Tensor, places: Tensor) -> bool:
    return (
        rows.dtype == torch.float32
        and places.dtype == torch.int64
        and places.dim() == 1
        and rows.device.type == "cpu"
        and rows.is_contiguous()
    )


class _Struct(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("positions", "tables", "threads")),
        *((name, ctypes.c_void_p) for name in ("places", "n_rows", "widths")),
    ]


class _AdamRows(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "width")),
        *((name, ctypes.c_void_p) for name in ("index", "weight", "moments")),
        *((name, ctypes.c_int64) for name in ("n_steps", "longest_gap")),
        *((name, ctypes.c_double) for name in ("learning_rate", "l2", "beta_1", "beta_2", "eps")),
    ]


def _adam_rows(
    index: Tensor, weight: Tensor, moments: Tensor, progress: Progress, constants: AdamConstants
) -> _AdamRows:
    return _AdamRows(
        *weight.shape,
        *(each.data_ptr() for each in (index, weight, moments)),
        progress.n_steps,
        constants.longest_gap,
        progress.learning_rate,
        progress.l2,
        constants.beta_1,
        constants.beta_2,
        constants.eps,
    )


class _LookUp:
    """What both ways of an operation need, kept alive between them."""

    def __init__(
        self, library: ctypes.CDLL, places: Sequence[Tensor], rows: Sequence[Tensor]
    ) -> None:
        self.library, self.places = library, places
        self.shapes = [tuple(each.shape) for each in rows]
        self._n_rows = (ctypes.c_int64 * len(rows))(*(n for n, _ in self.shapes))
        self._widths = (ctypes.c_int64 * len(rows))(*(width for _, width in self.shapes))
        self._places = _addresses(places)
        self.struct = _Struct(
            len(places[0]),
            len(rows),
            torch.get_num_threads(),
            *map(ctypes.addressof, (self._places, self._n_rows, self._widths)),
        )


class _SideBySide(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, look_up: _LookUp, *rows: Tensor) -> Tensor:
        found = rows[0].new_empty(len(look_up.places[0]), sum(each.shape[1] for each in rows))
        library, struct = look_up.library, ctypes.byref(look_up.struct)
        if not library.din_look_up(struct, _addresses(rows), _at(found)):
            raise IndexError(
                f"a place is outside the rows at hand, {[len(each) for each in rows]} of them"
            )
        ctx.look_up = look_up
        return found

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] (what the decorator returns)
        ctx: Any, *grad_outputs: Any
    ) -> tuple[Tensor | None, ...]:
        look_up = cast("_LookUp", ctx.look_up)
        d_found = cast("Tensor", grad_outputs[0]).float().contiguous()
        d_rows = [d_found.new_zeros(shape) for shape in look_up.shapes]
        look_up.library.din_look_up_gradients(
            ctypes.byref(look_up.struct), _at(d_found), _addresses(d_rows)
        )
        return None, *d_rows


def _addresses(tensors: Sequence[Tensor]) -> Any:
    """An array of where tensors begin, for C; the caller keeps them alive."""
    return (ctypes.c_void_p * len(tensors))(*(each.data_ptr() for each in tensors))


def _at(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())
