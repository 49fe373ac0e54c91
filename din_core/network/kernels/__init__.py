"""Fused kernels: a layer computed in one go instead of operation by operation.

What belongs here: other ways to compute what ``din_core.network.layers`` already defines, and the
decision whether one can run. The plain formula stays the reference, and is what runs where a kernel
cannot. Kernels are compiled for this processor at first use, which takes some seconds once.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast

from torch import nn

from din_core.network.kernels.build import KernelUnavailableError, load
from din_core.network.kernels.fused import FusedKernel, KernelPrecision, why_plain
from din_core.network.kernels.rows import RowKernel
from din_core.network.kernels.whole_network import NetworkKernel, why_by_operation
from din_core.network.layers.attention import ActivationUnit

if TYPE_CHECKING:
    from din_core.network.models.din import DIN

__all__ = [
    "FusedKernel",
    "KernelPrecision",
    "KernelUnavailableError",
    "NetworkKernel",
    "RowKernel",
    "available",
    "faster_precision",
    "multiplies_in_bfloat16",
    "network_kernel",
    "use_fused_units",
    "why_by_operation",
    "why_not",
]

logger = logging.getLogger(__name__)


def why_not(cache_dir: Path | None = None) -> str | None:
    """Why the kernels cannot run on this machine, as a sentence; ``None`` where they can.

    Compiles them if that has not been done yet.

    Args:
        cache_dir: Folder of compiled kernels; ``~/.cache/din_core`` by default.
    """
    try:
        load(cache_dir)
    except KernelUnavailableError as error:
        return str(error)
    return None


def available(cache_dir: Path | None = None) -> bool:
    """Whether the kernels can run on this machine; see :func:`why_not`."""
    return why_not(cache_dir) is None


def multiplies_in_bfloat16(cache_dir: Path | None = None) -> bool:
    """Whether the kernels can run, and multiply in bfloat16 on this processor."""
    return available(cache_dir) and bool(load(cache_dir).din_number_bytes(1))


def faster_precision(precision: KernelPrecision, cache_dir: Path | None = None) -> KernelPrecision:
    """What fused units multiply in where torch's products are in a precision.

    Args:
        precision: Of torch's products.
        cache_dir: Folder of compiled kernels; ``~/.cache/din_core`` by default.

    Returns:
        ``float32`` where that is as fast as ``bfloat16``, as on processors with AMX: there torch's
        products gain by bfloat16, and those of the kernels lose.

    Raises:
        KernelUnavailableError: The kernels cannot run here; see :func:`why_not`.
    """
    if precision == "bfloat16" and not load(cache_dir).din_bfloat16_is_faster():
        return "float32"
    return precision


def use_fused_units(
    model: nn.Module, precision: KernelPrecision = "float32", cache_dir: Path | None = None
) -> int:
    """Let a model's activation units run as fused kernels, and log why where they do not.

    Args:
        model: Any module; its :class:`ActivationUnit` submodules are changed in place.
        precision: See :class:`FusedKernel`.
        cache_dir: Folder of compiled kernels; ``~/.cache/din_core`` by default.

    Returns:
        Number of units that will run fused.
    """
    units = [module for module in model.modules() if isinstance(module, ActivationUnit)]
    reason = why_not(cache_dir) if units else None
    if reason is not None:
        logger.warning("activation units run by the plain formula: %s", reason)
        return 0
    fused = 0
    for unit in units:
        reason = why_plain(unit)
        if reason is None:
            unit.kernel = FusedKernel(precision, cache_dir)
            fused += 1
        else:
            logger.info("an activation unit runs by the plain formula: %s", reason)
    return fused


def network_kernel(
    model: nn.Module, precision: KernelPrecision = "float32", cache_dir: Path | None = None
) -> NetworkKernel | None:
    """Make the kernel that computes a whole network, or log why it is computed by operations.

    Args:
        model: One whose units run fused.
        precision: What the final MLP multiplies in.
        cache_dir: Folder of compiled kernels; ``~/.cache/din_core`` by default.

    Returns:
        The kernel; ``None`` where it does not apply.

    Raises:
        KernelUnavailableError: The kernels cannot run here; see :func:`why_not`.
    """
    reason = why_by_operation(model)
    if reason is not None:
        logger.info("the network is computed operation by operation: %s", reason)
        return None
    return NetworkKernel(cast("DIN", model), precision, cache_dir)
