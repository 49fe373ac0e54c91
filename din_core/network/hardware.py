"""Which device trains, in which precision, and how large tables lie in memory.

Decided by the configuration and by what the hardware says of itself, never by a clock, so that the
same machine always decides alike.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch

from din_core.errors import RefusedOptionsError
from din_core.machine import limits

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from din_core.config import Device, Precision

#: What ``auto`` has become.
ChosenPrecision: TypeAlias = Literal["float32", "bfloat16"]

#: Training samples over all epochs from which `precision="auto"` takes bfloat16 on a processor. A
#: shorter training is over in seconds anyway, and keeps the reproducible float32 of every machine.
WORTH_BFLOAT16 = 2_000_000

_HUGE_PAGE = 1 << 21
_MADV_HUGEPAGE = 14


class HardwareError(RefusedOptionsError, RuntimeError):
    """Hardware was asked for that is not there."""


def choose_device(device: Device) -> torch.device:
    """Turn the option into a device.

    Raises:
        HardwareError: ``cuda`` where torch finds no CUDA device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise HardwareError(
            "device 'cuda': torch finds no CUDA device (this build of torch: "
            f"{torch.__version__}); set device to 'auto' or 'cpu'"
        )
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has matrix products in bfloat16, and does not emulate them."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def choose_precision(precision: Precision, device: torch.device, n_samples: int) -> ChosenPrecision:
    """Turn the option into a precision.

    Args:
        precision: The option.
        device: Where training runs.
        n_samples: Training samples over all epochs.
    """
    if precision != "auto":
        return precision
    worth_it = device.type == "cuda" or n_samples >= WORTH_BFLOAT16
    return "bfloat16" if worth_it and multiplies_bfloat16(device) else "float32"


def autocast(precision: ChosenPrecision, device: torch.device) -> AbstractContextManager[object]:
    """Context in which products run in the precision; weights stay float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def empty_table(
    *shape: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Make room for a table that is read and written at random rows.

    On Linux large ones ask for huge pages: of gigabytes in pages of 4 KiB nearly every row costs a
    walk through the page table besides, a fifth of the time of reading and writing rows.

    Args:
        *shape: Its shape.
        device: Where.
        dtype: Of its elements.

    Returns:
        The table, not initialised.
    """
    table = torch.empty(*shape, device=device, dtype=dtype)
    start = -(-table.data_ptr() // _HUGE_PAGE) * _HUGE_PAGE
    whole = (table.data_ptr() + table.nbytes - start) // _HUGE_PAGE * _HUGE_PAGE
    if table.device.type == "cpu" and sys.platform == "linux" and whole > 0:
        # An answer other than 0 means that there are none: slower, and nothing else.
        libc = ctypes.CDLL(None)
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(whole), _MADV_HUGEPAGE)
    return table


def default_threads() -> int:
    """Return torch's choice of threads, or the cores that are there where they are fewer."""
    return min(torch.get_num_threads(), limits.cores())


@contextmanager
def seeded(seed: int, num_threads: int = 0) -> Generator[None]:
    """Seed torch and set its threads for a while; the caller's own state comes back afterwards.

    Args:
        seed: Seed of every generator of torch.
        num_threads: Threads of an operation; 0 takes :func:`default_threads`.
    """
    with torch.random.fork_rng(), threads_for_a_while(num_threads):
        torch.manual_seed(seed)
        yield


@contextmanager
def threads_for_a_while(num_threads: int = 0) -> Generator[None]:
    """Set torch's threads for a while; as many as the caller had come back afterwards.

    Args:
        num_threads: Threads of an operation; 0 takes :func:`default_threads`.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads or default_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)
