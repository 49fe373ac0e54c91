"""When a fused kernel stands in for an activation unit, and with which of its parameters.

What belongs here: the bridge from :class:`din_core.network.layers.attention.ActivationUnit` to the
kernel's bare tensors, and the sentence that says why a unit keeps to the plain formula.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from din_core.network.kernels import build
from din_core.network.kernels.activation_unit import FusedActivationUnit, Settings
from din_core.network.kernels.scratch import Scratch
from din_core.network.layers.attention import ActivationUnit
from din_core.network.layers.dice import Dice
from din_core.network.layers.segments import segment_sum

logger = logging.getLogger(__name__)

KernelPrecision = Literal["float32", "bfloat16"]

#: Samples from which statistics of the batch are computed by the kernel. Of fewer the inputs may
#: vary in a few directions only, and the variance of a channel that is all but constant then drowns
#: in the rounding of the covariance that it is computed from.
FEWEST_SAMPLES = 16


class FusedKernel:
    """An :class:`din_core.network.layers.attention.ActivationKernel` compiled for this processor.

    Where it does not apply to a call (softmax, another number of hidden layers, float64, a GPU,
    statistics over several processes or of a handful of samples, fewer than two positions), the
    plain formula runs.

    Args:
        precision: ``bfloat16`` multiplies in bfloat16 and adds up in float32, where the processor
            can (AVX-512 BF16); elsewhere it means float32, and a log line says so.
        cache_dir: Folder of compiled kernels; ``~/.cache/din_core`` by default.

    Raises:
        KernelUnavailableError: As :func:`din_core.network.kernels.build.load`.
    """

    def __init__(
        self, precision: KernelPrecision = "float32", cache_dir: Path | None = None
    ) -> None:
        # Not the library itself: a model is copied and pickled together with its kernel.
        self.cache_dir = cache_dir
        self.scratch = Scratch()
        self.bfloat16 = precision == "bfloat16"
        if not build.load(cache_dir).din_number_bytes(self.bfloat16):
            logger.info("this processor has no bfloat16 products: the kernel runs in float32")
            self.bfloat16 = False

    def __call__(
        self,
        unit: ActivationUnit,
        target: Tensor,
        history: Tensor,
        segment_ids: Tensor,
        offsets: Tensor,  # noqa: ARG002 (`segment_ids` says the same; the protocol hands over both)
    ) -> Tensor:
        """Pooled interest ``[B, D]``; arguments as :meth:`ActivationUnit.forward`."""
        if why_plain(unit) or not _takes(unit, target, history):
            return unit.by_formula(target, history, segment_ids)
        return self._pool(unit, target, history, segment_ids, with_sum=False)[0]

    def with_sum(
        self,
        unit: ActivationUnit,
        target: Tensor,
        history: Tensor,
        segment_ids: Tensor,
        offsets: Tensor,  # noqa: ARG002 (as above)
    ) -> tuple[Tensor, Tensor]:
        """The same, and the sum of each history, ``[B, D]``."""
        if why_plain(unit) or not _takes(unit, target, history):
            pooled = unit.by_formula(target, history, segment_ids)
            return pooled, segment_sum(history, segment_ids, len(target))
        return self._pool(unit, target, history, segment_ids, with_sum=True)

    def _pool(
        self,
        unit: ActivationUnit,
        target: Tensor,
        history: Tensor,
        segment_ids: Tensor,
        *,
        with_sum: bool,
    ) -> tuple[Tensor, Tensor]:
        first, second = (cast("nn.Linear", layer) for layer in unit.mlp.layers)
        activations = list(unit.mlp.activations)
        w_t, w_h, w_d, w_p = first.weight.chunk(4, dim=1)
        dice = isinstance(activations[0], Dice)
        settings = Settings(
            library=build.load(self.cache_dir),
            dice=dice,
            statistics=_running_statistics(activations) if dice and not unit.training else None,
            eps=activations[0].eps if isinstance(activations[0], Dice) else 0.0,
            bfloat16=self.bfloat16,
            threads=torch.get_num_threads(),
            scratch=self.scratch,
            with_sum=with_sum,
        )
        apply = cast("Callable[..., tuple[Tensor, ...]]", FusedActivationUnit.apply)  # pyright: ignore[reportUnknownMemberType]
        pooled, sums, *statistics = apply(
            target.float().contiguous(),
            history.float().contiguous(),
            segment_ids.long().contiguous(),
            torch.cat([w_t + w_d, w_h - w_d, w_p], dim=1),
            first.bias,
            _alpha(activations[0], first),
            second.weight,
            second.bias,
            _alpha(activations[1], second),
            unit.mlp.output.weight,
            unit.mlp.output.bias,
            settings,
        )
        if dice and unit.training:
            for layer, mean, var in zip(
                activations, statistics[::2], statistics[1::2], strict=True
            ):
                cast("Dice", layer).track(mean, var, len(history))
        # Without softmax a bias adds to a weight, and so a sum of its own to what is pooled.
        if (biases := unit.biases(segment_ids, len(target))) is not None:
            pooled = pooled + segment_sum(
                biases.unsqueeze(1) * history.float(), segment_ids, len(target)
            )
        return pooled, sums


def why_plain(unit: ActivationUnit) -> str | None:
    """Why the kernel does not apply to a unit, or ``None`` where it does."""
    if unit.use_softmax:
        return "its weights go through a softmax"
    if len(unit.mlp.layers) != 2:
        return f"it has {len(unit.mlp.layers)} hidden layers, not 2"
    if not all(isinstance(layer, Dice | nn.PReLU | nn.ReLU) for layer in unit.mlp.activations):
        return "its activation is none of dice, prelu, relu"
    if unit.mlp.dropout.p:
        return "it has dropout"
    first = unit.mlp.activations[0]
    if isinstance(first, Dice) and first.synchronize and dist.is_initialized():
        return "its Dice statistics are taken over several processes"
    if next(unit.parameters()).dtype != torch.float32:
        return "its parameters are not float32"
    return None


def _takes(unit: ActivationUnit, target: Tensor, history: Tensor) -> bool:
    """Whether the kernel computes these inputs, and as well as the plain formula does."""
    if unit.training and isinstance(unit.mlp.activations[0], Dice) and len(target) < FEWEST_SAMPLES:
        return False
    narrow = (torch.float32, torch.bfloat16)
    on_cpu = target.device.type == "cpu" and history.device.type == "cpu"
    return on_cpu and target.dtype in narrow and history.dtype in narrow and len(history) > 1


def _alpha(activation: nn.Module, layer: nn.Linear) -> Tensor:
    """Slope per channel below the corner: ReLU is PReLU with slope 0."""
    if isinstance(activation, Dice):
        return activation.alpha
    if isinstance(activation, nn.PReLU):
        return activation.weight.expand(layer.out_features)
    return layer.weight.new_zeros(layer.out_features)


def _running_statistics(
    activations: list[nn.Module],
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    first, second = (cast("Dice", layer) for layer in activations)
    return (first.running_mean, first.running_var), (second.running_mean, second.running_var)
