"""TensorBoard's event files: figures of a training, an epoch after the other.

torch's ``SummaryWriter`` writes the same records. It is not used, since it imports what reads and
writes tensors, images and object stores: a tenth of a second of each training, however short.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# TensorBoard refuses files of another version.
_VERSION = "brain.Event:2"
# Of CRC-32C (Castagnoli), lowest bit first, and what TFRecord adds to hide one in its own data.
_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8

_files = itertools.count()


class EventFile:
    """A file of scalars, in the way of TensorBoard. What was written is on the disk at once."""

    def __init__(self, directory: Path | str) -> None:
        """Begin a file, whose name is nobody else's.

        Args:
            directory: Where it goes; made where it is missing.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        made = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_files)}"
        self._file = (folder / f"events.out.tfevents.{made}").open("wb")
        self._write(file_version=_VERSION)

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        """Write figures of one step.

        Args:
            scalars: The figures, by tag.
            step: The step that they belong to, such as an epoch.
        """
        for tag, value in scalars.items():
            summary = {"value": [{"tag": tag, "simple_value": value}]}
            self._write(step=step, summary=summary)

    def _write(self, **fields: Any) -> None:
        # Not at the top: the reader of a saved model need not have TensorBoard.
        from tensorboard.compat.proto import event_pb2

        event: Any = event_pb2  # protobuf makes its classes when it is imported
        self._file.write(_record(event.Event(wall_time=time.time(), **fields).SerializeToString()))
        self._file.flush()

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()


def _record(content: bytes) -> bytes:
    """Frame an event as TFRecord does: its length, its bytes, and the checksum of each."""
    length = struct.pack("<Q", len(content))
    return b"".join(
        (length, struct.pack("<I", _masked(length)), content, struct.pack("<I", _masked(content)))
    )


def _masked(content: bytes) -> int:
    crc, table = 0xFFFFFFFF, _table()
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


@functools.cache
def _table() -> list[int]:
    """The checksum of each byte."""
    table: list[int] = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ _POLYNOMIAL * (crc & 1)
        table.append(crc)
    return table
