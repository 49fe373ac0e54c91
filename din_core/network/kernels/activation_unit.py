"""The activation unit as one fused operation: what stands between the passes of the C++ kernel.

The kernel (``positions.hpp`` has the formulas) goes over the history positions; here is the
algebra on whole batches, small enough for float64. Two identities save passes. With
``z1 = W1 x + b1`` and x of width 3 D only, the statistics of Dice follow from those of x::

    mean(z1) = W1 mean(x) + b1         var(z1) = diag(W1 cov(x) W1^T)

and so does their share of the backward. With e = df/da, q as in ``positions.hpp`` and
k = mean(e q), l = mean(e q zn), the gradient that reaches z1 is::

    dz1 = e f'(z1) - (k + zn l) / sd,      zn = W1 (x - mean(x)) / sd

whose second term is linear in x: its contribution to dW1 is ``-P l / sd^2 * (W1 cov(x))``, and to
dx it is ``-W1^T (k / sd) - W1^T diag(l / sd^2) W1 (x - mean(x))``. Hence ``[P, H1]`` numbers are
neither kept nor gone over a second time.

Shapes: B samples, P positions, D embedding width, H1 and H2 widths of the hidden layers.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from din_core.network.kernels.scratch import Lease, Scratch

_WIDTH_STEP = 16  # as in vectors.hpp


class _Layer(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("start", "offset", "mean", "inverse", "alpha")]


class _Unit(ctypes.Structure):
    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in (
                "samples",
                "positions",
                "dim",
                "hidden1",
                "hidden2",
                "threads",
                "dice",
                "bfloat16",
            )
        ),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "target",
                "history",
                "segment_ids",
                "input_mean",
                "w1",
                "w2",
                "w3",
                "b3",
                "biases",
            )
        ),
        ("layer1", _Layer),
        ("layer2", _Layer),
    ]


class _Gradients(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_void_p)
        for name in (
            "d_scores",
            "d_pooled",
            "scores",
            "d_sums",
            "mean_eq",
            "mean_eq_zn",
            "d_target",
            "d_history",
            "d_w1",
            "d_w2",
            "sums1",
        )
    ]


@dataclass(frozen=True)
class Settings:
    """How to run the kernel.

    Attributes:
        library: The compiled kernels.
        dice: Dice, or otherwise PReLU (ReLU is the one whose slope is 0).
        statistics: Running mean and variance of both layers where they are constants
            (evaluation); ``None`` takes them from the batch. Only for Dice.
        eps: Added to the variances.
        bfloat16: Multiply in bfloat16, adding up in float32.
        threads: Threads; the result is the same for any number.
        scratch: Where the kept numbers of a step lie.
        with_sum: Add the histories up as well.
    """

    library: ctypes.CDLL
    dice: bool
    statistics: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]] | None
    eps: float
    bfloat16: bool
    threads: int
    scratch: Scratch
    with_sum: bool


@dataclass
class _Constants:
    """A layer as the kernel wants it: float32 and contiguous, kept alive while it runs."""

    start: Tensor
    offset: Tensor
    mean: Tensor
    inverse: Tensor
    alpha: Tensor

    def struct(self) -> _Layer:
        fields = (self.start, self.offset, self.mean, self.inverse, self.alpha)
        return _Layer(*(tensor.data_ptr() for tensor in fields))


class FusedActivationUnit(torch.autograd.Function):
    """Interests, history sums, Dice's statistics: ``apply(target, history, …, settings)``.

    All tensors are float32 and contiguous on the CPU. ``w1`` is ``[H1, 3 D]``, its columns in the
    order t, h, t * h. The sums are empty unless the settings ask for them. The statistics are those
    of the batch, for the running ones; without Dice or in evaluation they are empty.
    """

    @staticmethod
    def forward(
        ctx: Any,
        target: Tensor,
        history: Tensor,
        segment_ids: Tensor,
        w1: Tensor,
        b1: Tensor,
        alpha1: Tensor,
        w2: Tensor,
        b2: Tensor,
        alpha2: Tensor,
        w3: Tensor,
        b3: Tensor,
        settings: Settings,
    ) -> tuple[Tensor, ...]:
        """Pool histories by their scores."""
        library = settings.library
        of_batch = settings.dice and settings.statistics is None
        n_positions, dim = history.shape
        unit = _Unit(
            target.shape[0],
            n_positions,
            dim,
            *w2.shape[::-1],
            settings.threads,
            settings.dice,
            settings.bfloat16,
        )
        tensors = {"target": target, "history": history, "segment_ids": segment_ids}
        _point(unit, tensors | {"w1": w1, "w2": w2, "w3": w3, "b3": b3})

        # The first layer, whose statistics are known before it is computed.
        covariance = mean1 = var1 = mean2 = var2 = torch.zeros(0)
        input_mean = torch.zeros(3 * dim)
        if of_batch:
            mean_x, covariance = _moments(unit, library, target, history, segment_ids)
            input_mean.copy_(mean_x)
            wide = w1.double()
            mean1 = wide @ mean_x + b1
            # Sums within a chunk are float32: what is next to nothing may come out below it.
            var1 = ((wide @ covariance) * wide).sum(1).clamp(min=0)
            start1 = torch.zeros_like(b1)
        elif settings.statistics is not None:
            (mean1, var1), (mean2, var2) = settings.statistics
            start1 = b1 - mean1
        else:
            start1 = b1
        layer1 = _constants(start1, mean1, var1, alpha1, settings)
        _point(unit, {"input_mean": input_mean})
        unit.layer1 = layer1.struct()

        # z2 is kept as z2 - centre, with the centre near (or at) the mean.
        width2 = _padded(w2.shape[0])
        number = torch.bfloat16 if settings.bfloat16 else torch.float32
        kept = settings.scratch.lease((n_positions, width2), number)
        z2 = kept.tensor
        sums2 = torch.zeros(2, width2, dtype=torch.float64)
        centre = mean2.float().contiguous() if len(mean2) else torch.zeros_like(b2)
        layer2 = _constants(b2 - centre, mean2, var2, alpha2, settings)
        unit.layer2 = layer2.struct()
        library.din_hidden(ctypes.byref(unit), _at(centre), of_batch, _at(z2), _at(sums2))
        if of_batch:
            offset, squares = sums2[:, : len(b2)] / n_positions
            mean2, var2 = centre + offset, (squares - offset.square()).clamp(min=0)
            layer2 = _constants(b2, mean2, var2, alpha2, settings, offset.float())
            unit.layer2 = layer2.struct()

        scores = torch.empty(n_positions)
        pooled = torch.zeros_like(target)
        sums = torch.zeros_like(target) if settings.with_sum else target.new_empty(0)
        library.din_pool(
            ctypes.byref(unit),
            _at(z2),
            _at(scores),
            _at(pooled),
            _at(sums) if settings.with_sum else None,
        )

        ctx.save_for_backward(target, history, segment_ids, w1, w2, w3, b3, scores)
        # The structure holds addresses: what it points to must live as long.
        ctx.unit, ctx.kept, ctx.alive = unit, kept, (input_mean, layer1, layer2)
        ctx.covariance, ctx.settings, ctx.of_batch = covariance, settings, of_batch
        statistics = (mean1, var1, mean2, var2)
        ctx.mark_non_differentiable(*statistics)
        return pooled, sums, *statistics

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] (what the decorator returns)
        ctx: Any, *grad_outputs: Any
    ) -> tuple[Tensor | None, ...]:
        """Gradients of everything that ``forward`` was given."""
        target, history, _, w1, w2, w3, _, scores = cast("tuple[Tensor, ...]", ctx.saved_tensors)
        unit, library = ctypes.byref(ctx.unit), ctx.settings.library
        z2 = cast("Lease", ctx.kept).tensor
        input_mean, layer1, layer2 = cast("tuple[Tensor, _Constants, _Constants]", ctx.alive)
        of_batch = bool(ctx.of_batch)
        d_pooled = cast("Tensor", grad_outputs[0]).float().contiguous()
        d_sums = cast("Tensor", grad_outputs[1]).float().contiguous()
        n_positions, (hidden2, hidden1) = len(history), w2.shape

        d_scores = torch.empty(n_positions)
        sums2 = torch.zeros(5, _padded(hidden2), dtype=torch.float64)
        library.din_output_gradients(unit, _at(z2), _at(d_pooled), _at(d_scores), _at(sums2))
        # The kernel summed with df/ds; e is w3 times that.
        of_a = sums2[1, :hidden2].clone()
        e_slope, _, d_alpha2, eq, eq_zn = sums2[:, :hidden2] * w3.flatten()
        d_b2 = e_slope if of_batch else e_slope + eq * layer2.inverse

        d_target, d_history = torch.zeros_like(target), torch.empty_like(history)
        d_w1, d_w2 = torch.zeros_like(w1), torch.zeros_like(w2)
        sums1 = torch.zeros(5, _padded(hidden1), dtype=torch.float64)
        share = 1 / n_positions if of_batch else 0.0
        out = {
            "d_scores": d_scores,
            "d_pooled": d_pooled,
            "scores": scores,
            "mean_eq": (eq * share).float(),
            "mean_eq_zn": (eq_zn * share).float(),
            "d_target": d_target,
            "d_history": d_history,
            "d_w1": d_w1,
            "d_w2": d_w2,
            "sums1": sums1,
        }
        gradients = _Gradients()
        _point(gradients, out | ({"d_sums": d_sums} if ctx.settings.with_sum else {}))
        library.din_hidden_gradients(unit, _at(z2), ctypes.byref(gradients))
        e_slope, _, d_alpha1, eq, eq_zn = sums1[:, :hidden1]
        d_b1 = e_slope if of_batch else e_slope + eq * layer1.inverse

        if of_batch:
            wide, inverse = w1.double(), layer1.inverse.double()
            first, second = eq / n_positions * inverse, eq_zn / n_positions * inverse.square()
            constant = (-wide.T @ first).float()
            matrix = (-(wide.T * second) @ wide).float().contiguous()
            library.din_statistics_gradients(
                unit, _at(matrix), _at(constant), _at(d_target), _at(d_history)
            )
            # The kernel summed dz1 (x - mean(x))^T.
            d_w1 = d_w1 - n_positions * second.unsqueeze(1) * (wide @ ctx.covariance)
            d_w1 = d_w1 + torch.outer(d_b1, input_mean.double())
        return (
            d_target,
            d_history,
            None,
            d_w1.float(),
            d_b1.float(),
            d_alpha1.float(),
            d_w2,
            d_b2.float(),
            d_alpha2.float(),
            of_a.float().view_as(w3),
            d_scores.sum(dtype=torch.float64).float().view(1),
            None,
        )


def _moments(
    unit: _Unit, library: ctypes.CDLL, target: Tensor, history: Tensor, segment_ids: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean ``[3 D]`` and covariance ``[3 D, 3 D]`` of x over all positions, in float64."""
    # Sums about a value near the mean lose no digits; the first positions give one.
    t, h = target[segment_ids[:128]], history[:128]
    near = torch.cat([t, h, t * h], dim=1).mean(0)
    n_inputs, width = len(near), _padded(len(near))
    sum_x = torch.zeros(width, dtype=torch.float64)
    sum_xx = torch.zeros(width, width, dtype=torch.float64)
    _point(unit, {"input_mean": near})
    library.din_moments(ctypes.byref(unit), _at(sum_x), _at(sum_xx))
    offset = sum_x[:n_inputs] / len(history)
    covariance = sum_xx[:n_inputs, :n_inputs] / len(history) - torch.outer(offset, offset)
    return near + offset, covariance


def _constants(
    start: Tensor,
    mean: Tensor,
    var: Tensor,
    alpha: Tensor,
    settings: Settings,
    offset: Tensor | None = None,
) -> _Constants:
    zero = torch.zeros_like(alpha)
    known = settings.dice and len(mean) > 0
    return _Constants(
        start.float().contiguous(),
        zero if offset is None else offset,
        mean.float().contiguous() if known else zero,
        (var.double() + settings.eps).rsqrt().float() if known else zero,
        alpha.detach().contiguous(),
    )


def _point(struct: ctypes.Structure, tensors: dict[str, Tensor]) -> None:
    """Enter the addresses of tensors, which the caller keeps alive."""
    for name, tensor in tensors.items():
        setattr(struct, name, tensor.data_ptr())


def _padded(width: int) -> int:
    return -(-width // _WIDTH_STEP) * _WIDTH_STEP


def _at(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())
