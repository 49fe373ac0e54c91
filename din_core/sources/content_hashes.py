"""The hash of a source's content: of the decompressed text, or of a Parquet file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from din_core.sources.csv_blocks import BLOCK_BYTES
from din_core.sources.files import HashedStream, SourceFile, open_text, refuse_changed


def content_hash(files: Sequence[SourceFile]) -> str:
    """Hash the content of files as the reading of its rows does, without looking at the rows.

    Args:
        files: The files.

    Returns:
        SHA-256 in hexadecimal.

    Raises:
        SourceError: A file is damaged, or changed while it was read.
    """
    digests: list[str] = []
    for file in files:
        if file.kind == "parquet":
            digests.append(file_hash(file))
        else:
            with open_text(file) as stream:
                digests.append(rest_of_hash(stream))
        refuse_changed(file)
    return hash_together(digests)


def file_hash(file: SourceFile) -> str:
    """Hash the bytes of a file as they are; SHA-256 in hexadecimal."""
    with file.path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def hash_together(digests: Sequence[str]) -> str:
    """Make one hash of those of the files of a source; that of a single file is its own."""
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def rest_of_hash(stream: HashedStream) -> str:
    """Read a stream to its end and return the hash of all of it, SHA-256 in hexadecimal."""
    while stream.read(BLOCK_BYTES):
        pass
    return stream.sha256.hexdigest()
