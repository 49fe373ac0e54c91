"""Activation functions of the hidden layers: Dice of the DIN paper, and the others by name.

Tensors carry their shape as a suffix: N rows that statistics are taken over (samples of a batch, or
all history positions of a batch), H channels.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

ActivationName = Literal["dice", "prelu", "relu", "sigmoid"]


class Dice(nn.Module):
    """Data-adaptive activation (arXiv 1706.06978, section 5.2, equation 3), one per channel.

    ``f(s) = p(s) * s + (1 - p(s)) * alpha * s`` with
    ``p(s) = sigmoid((s - E[s]) / sqrt(Var[s] + eps))``.

    In training E and Var are the mean and the biased variance of each channel over the N rows
    of the batch, and the gradient flows through both. In evaluation they are the running ones,
    so that a prediction does not depend on its neighbours.

    Running statistics are a plain average over the first batches and then an exponential one:
    ``running += max(momentum, 1 / n_updates) * (batch - running)``. With a fixed momentum the
    initial variance of 1 would outweigh, for the first epochs, the 1e-8 that freshly initialised
    embeddings produce. A batch of one row has no variance to tell of and leaves them as they are;
    for it ``p`` is one half. No rows at all give no rows, no NaN and zero gradients.

    ``eps`` is the paper's 1e-8. Statistics and ``p`` are in float32 at least, also for bfloat16
    input, where the squared rounding error of ``s`` exceeds ``eps``: the normalised value
    is then rounded noise, yet never larger than ``sqrt(N)``, so nothing overflows.
    (float16 has no 1e-8 and is not used in this project.)

    Args:
        width: H, channels.
        eps: Added to the variance.
        momentum: Least weight of a new batch in the running statistics.

    Attributes:
        alpha: The learned slope below the rectified point, ``[H]``, 0 at first: there Dice is a
            smooth ReLU whose corner is the mean of the data.
        synchronize: Take the statistics over the batches of all processes of the default process
            group; see :func:`synchronize_statistics`.
    """

    running_mean: Tensor
    running_var: Tensor
    n_updates: Tensor

    def __init__(self, width: int, eps: float = 1e-8, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.synchronize = False
        self.alpha = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.register_buffer("n_updates", torch.zeros((), dtype=torch.int64))

    def forward(self, s: Tensor) -> Tensor:
        """Activate.

        Args:
            s: Pre-activations ``[N, H]``.

        Returns:
            Activations of the same shape and type.
        """
        p = torch.sigmoid(self._normalized(s))
        # p * s + (1 - p) * alpha * s, in two passes over the activations instead of five.
        return (s * torch.addcmul(self.alpha, 1 - self.alpha, p)).to(s.dtype)

    @torch.no_grad()
    def track(self, mean: Tensor, var: Tensor, n_rows: int) -> None:
        """Let a batch into the running statistics (also called by fused kernels).

        Args:
            mean: Batch mean ``[H]``.
            var: Biased batch variance ``[H]``.
            n_rows: Rows they were taken over; below 2 nothing is learned from them.
        """
        if n_rows < 2:
            return
        self.n_updates += 1
        weight = (1.0 / self.n_updates).clamp(min=self.momentum).to(self.running_mean.dtype)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), weight)
        self.running_var.lerp_(var.to(self.running_var.dtype), weight)

    def extra_repr(self) -> str:
        """Width and constants, for printing a model."""
        return f"{self.alpha.shape[0]}, eps={self.eps}, momentum={self.momentum}"

    def _normalized(self, s_NH: Tensor) -> Tensor:
        if not self.training:
            return (s_NH - self.running_mean) * torch.rsqrt(self.running_var + self.eps)
        if self.synchronize and dist.is_initialized() and dist.get_world_size() > 1:
            return self._normalized_over_processes(s_NH)
        if s_NH.shape[0] == 0:
            return s_NH
        # Batch normalisation without affine part is just this and has a hand-written backward:
        # three times faster here than mean, variance and quotient as separate operations.
        normalized_NH, mean_H, inverse_std_H = torch.native_batch_norm(
            s_NH, None, None, None, None, True, self.momentum, self.eps
        )
        with torch.no_grad():
            self.track(mean_H, inverse_std_H.square().reciprocal() - self.eps, s_NH.shape[0])
        return normalized_NH

    def _normalized_over_processes(self, s_NH: Tensor) -> Tensor:
        wide_NH = s_NH.to(torch.promote_types(s_NH.dtype, torch.float32))
        n_rows_1 = wide_NH.new_full((1,), wide_NH.shape[0])
        dist.all_reduce(n_rows_1)
        total_H = _sum_over_processes(wide_NH.sum(0))
        mean_H = total_H / n_rows_1.clamp(min=1)
        var_H = _sum_over_processes((wide_NH - mean_H).square().sum(0)) / n_rows_1.clamp(min=1)
        self.track(mean_H, var_H, int(n_rows_1))
        return (wide_NH - mean_H) * torch.rsqrt(var_H + self.eps)


class _SumOverProcesses(torch.autograd.Function):
    """All-reduce whose backward is an all-reduce: each process's loss depends on every input."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Tensor:
        del ctx  # the gradient of a sum needs nothing from the forward pass
        total = cast("Tensor", grad_outputs[0]).clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(x: Tensor) -> Tensor:
    return cast("Tensor", _SumOverProcesses.apply(x))


def synchronize_statistics(model: nn.Module, synchronize: bool = True) -> None:
    """Make every Dice of a model take its statistics over the batches of all processes.

    The sums of rows and of squared deviations are all-reduced, forward and backward, so that
    k processes on batches of B equal one process on the batch of k * B. Every process must then
    make the same number of training steps.
    """
    for module in model.modules():
        if isinstance(module, Dice):
            module.synchronize = synchronize


def activation_layer(name: ActivationName, width: int) -> nn.Module:
    """Build an activation by its name in the configuration.

    Args:
        name: ``dice``, ``prelu`` (one slope per channel, as the paper's equation 2), ``relu`` or
            ``sigmoid``.
        width: H, channels.

    Raises:
        ValueError: Any other name.
    """
    if name == "dice":
        return Dice(width)
    if name == "prelu":
        return nn.PReLU(width)
    if name == "relu":
        return nn.ReLU()
    if name == "sigmoid":
        return nn.Sigmoid()
    raise ValueError(f"activation {name!r} is none of 'dice', 'prelu', 'relu', 'sigmoid'")
