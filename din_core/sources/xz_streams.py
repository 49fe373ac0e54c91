"""Text compressed by xz, read to its end: what follows a stream is a stream, or an error.

:class:`lzma.LZMAFile` takes what follows the first stream and is none for rubbish, and passes over
it; so does a file lose its rows whose second half is damaged.
"""

from __future__ import annotations

import lzma
from typing import Any

_CHUNK_BYTES = 1 << 16
_PADDING = b"\0"


class XzStream:
    """The decompressed bytes of a file of one or more streams.

    Args:
        raw: The file; it has ``read(size)``.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)

    def read(self, size: int) -> bytes:
        """Return up to ``size`` of the next bytes, none only at the end.

        Raises:
            lzma.LZMAError: The data is damaged, or something else follows it.
            EOFError: It is cut off.
        """
        while True:
            if self._stream.eof:
                follows = self._stream.unused_data.lstrip(_PADDING)
                while not follows and (chunk := bytes(self._raw.read(_CHUNK_BYTES))):
                    follows = chunk.lstrip(_PADDING)
                if not follows:
                    return b""
                self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
            elif self._stream.needs_input:
                follows = bytes(self._raw.read(_CHUNK_BYTES))
                if not follows:
                    raise EOFError("it ends before its last stream does")
            else:
                follows = b""
            if content := self._stream.decompress(follows, size):
                return content
