"""What a file is, by its first bytes, whatever its name says, and the way out if it is not a log.

Compression is read off the bytes, so a ``.csv`` that is gzipped in truth works all the same.
"""

from __future__ import annotations

import re
from typing import Literal

from din_core.sources.errors import SourceError
from din_core.sources.places import Place

Kind = Literal["text", "parquet"]

#: Bytes that :func:`recognise` wants to see of a file.
START_BYTES = 1024

_COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\0": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}
# Frames that zstd skips; pzstd begins with one.
_ZSTD_SKIPPED = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_BZ2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_UNPACK = "unpack it"
# Letters alone could begin a header.
_BINARY = rb"(?=[\s\S]{0,500}[\x00-\x08])"
_AS_PARQUET = "write it as Parquet, or as CSV"
# Start of a file: what it is, and what to do.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive or a spreadsheet", "unpack it, or save it as CSV"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel spreadsheet", "save it as CSV"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (rb"\x1f[\x9d\xa0]", "a .Z archive (compress)", _UNPACK),
    (rb"\xff\x06\0\0sNaPpY", "snappy-compressed", _UNPACK),
    (rb"\x5d\0\0[\s\S]{2}(\xff{8}|[\s\S]{5}\0{3})", "an .lzma archive", _UNPACK),
    (rb"\x78[\x01\x5e\x9c\xda]" + _BINARY, "zlib-compressed", _UNPACK),
    (rb"(?s).{257}ustar[\0 ]", "a tar archive", _UNPACK),
    (rb"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (rb"[\s\S]{8}DUCK" + _BINARY, "a DuckDB database", "`copy t to 'log.parquet'`"),
    (rb"ORC" + _BINARY, "an ORC file", _AS_PARQUET),
    (rb"Obj\x01", "an Avro file", _AS_PARQUET),
    (rb"(ARROW1|FEA1|\xff\xff\xff\xff)" + _BINARY, "an Arrow or Feather file", _AS_PARQUET),
    (rb"\x89HDF", "an HDF5 file", _AS_PARQUET),
    (rb"\x80[\x02-\x05]", "a Python pickle", _AS_PARQUET),
    (rb"\x93NUMPY", "a NumPy array", _AS_PARQUET),
    (rb"RD[AX][23]\n", "an R data file", _AS_PARQUET),
    (rb"%PDF-", "a PDF document", "get the log as CSV"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the file", "run `git lfs pull`"),
)  # fmt: skip
# The same for text, where blanks may come first.
_OTHER_TEXTS: tuple[tuple[bytes, str, str], ...] = (
    (
        rb"(?i)<(!doctype html|html|head|body)\b",
        "a web page, perhaps an error or a login",
        "fetch the log again",
    ),
    (rb"<(\?xml|!--|[A-Za-z]+[ >])", "XML", "write it as CSV"),
    (rb"\{\s*'", "a row of Python's dictionaries", _AS_PARQUET),
    (rb"(?i)(insert into|create table)\s", "an SQL script", "run it, and export the table as CSV"),
    (rb"(?i)@relation\s", "an ARFF file", "write it as CSV"),
)
_JSON = re.compile(rb'\{\s*["}]|\[\s*[\[{"\]]')
_DECODED_BOMS = {
    b"\xff\xfe\0\0": "UTF-32LE",
    b"\0\0\xfe\xff": "UTF-32BE",
    b"\xff\xfe": "UTF-16LE",
    b"\xfe\xff": "UTF-16BE",
}
_UTF_8_BOM = b"\xef\xbb\xbf"
_MANY = 4  # one byte in so many


def recognise(start: bytes, path: Place) -> tuple[Kind, str | None]:
    """Tell the kind of a file and its compression.

    Args:
        start: Its first bytes, :data:`START_BYTES` of them where there are so many.
        path: The file, for messages.

    Returns:
        ``parquet`` or ``text``, and the compression of text: ``gzip``, ``zstd``, ``bz2``, ``xz``,
        ``lz4`` or None.

    Raises:
        SourceError: The file is in a format that is not read.
    """
    if start.startswith(b"PAR1"):
        return "parquet", None
    for magic, compression in _COMPRESSIONS.items():
        if start.startswith(magic):
            return "text", compression
    if _BZ2.match(start):
        return "text", "bz2"
    if _ZSTD_SKIPPED.match(start):
        return "text", "zstd"
    _refuse(start, str(path), _OTHERS)
    return "text", None


def refuse_other_text(start: bytes, path: Place, *, compression: str | None) -> None:
    """Refuse what is not delimited text in UTF-8.

    Args:
        start: The first bytes, decompressed.
        path: The file, for messages.
        compression: How the file is compressed.

    Raises:
        SourceError: The text is JSON, a web page, UTF-16 or UTF-32; or it is not text at all.
    """
    where = str(path)
    if not start:
        raise SourceError(f"{where}: the file is empty; it needs a header line and rows")
    if compression is not None:
        kind, inner = recognise(start[:START_BYTES], path)
        if inner or kind == "parquet":
            raise SourceError(
                f"{where}: inside the {compression} file is a {inner or 'Parquet'} file; unpack it "
                "once"
            )
    encoding = _encoding(start)
    if encoding:
        raise SourceError(
            f"{where}: this is {encoding}, and UTF-8 is expected; convert it, for example with "
            f"`iconv -f {encoding} -t UTF-8 {path.name} > utf8-{path.name}`"
        )
    if _is_binary(start[:4096]):
        raise SourceError(
            f"{where}: this is not text, it has a NUL byte (at {start.index(0)}); write the log as "
            "CSV in UTF-8, or as Parquet"
        )
    content = start.removeprefix(_UTF_8_BOM).lstrip()
    _refuse(content, where, _OTHER_TEXTS)
    if _JSON.match(content):
        raise SourceError(
            f"{where}: this is JSON ({_shown(content)}), no delimited text; convert it, for "
            f"example with `duckdb -c \"copy (from read_json('{path.name}')) to 'log.parquet'\"`"
        )


def _is_binary(start: bytes) -> bool:
    """Whether NUL bytes stand in the first line, or are many; a few further down cost their row."""
    first_line = start.lstrip().partition(b"\n")[0]
    return b"\0" in first_line or start.count(0) * _MANY > len(start)


def _refuse(start: bytes, where: str, formats: tuple[tuple[bytes, str, str], ...]) -> None:
    for pattern, what, way_out in formats:
        if re.match(pattern, start):
            raise SourceError(f"{where}: this is {what}; {way_out}")


def _encoding(start: bytes) -> str | None:
    """Tell UTF-16 and UTF-32, by their mark or by where the zeros of ASCII text are."""
    for mark, encoding in _DECODED_BOMS.items():
        if start.startswith(mark):
            return encoding
    some = start[: min(len(start), 256) // 4 * 4]
    if not some or b"\0" not in some:
        return None
    zeros = [some[i::4].count(0) / (len(some) // 4) for i in range(4)]
    patterns = {"UTF-32LE": "0111", "UTF-32BE": "1110", "UTF-16LE": "0101", "UTF-16BE": "1010"}
    for encoding, pattern in patterns.items():
        if all(
            share > 0.7 if zero == "1" else share < 0.3
            for share, zero in zip(zeros, pattern, strict=True)
        ):
            return encoding
    return None


def _shown(content: bytes) -> str:
    line = content.split(b"\n", 1)[0].decode(errors="backslashreplace")
    return line if len(line) <= 60 else line[:57] + "..."
