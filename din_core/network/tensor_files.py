"""Tensors written to a file, with the system's own error where it cannot be written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

_OF_THE_SYSTEM = re.compile(r"\(os error (\d+)\)")


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors.

    Args:
        tensors: By name, of any shapes; contiguous, and no two of them share memory.
        path: The file.
        metadata: What its header says beside them.

    Raises:
        OSError: The file cannot be written, as on a full disk. safetensors says so in an error of
            its own, which nobody would take for one of the disk.
    """
    try:
        save_file(dict(tensors), path, metadata=None if metadata is None else dict(metadata))
    except SafetensorError as error:
        if (found := _OF_THE_SYSTEM.search(str(error))) is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error
