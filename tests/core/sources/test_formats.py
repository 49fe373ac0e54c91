"""What a file is by its first bytes: read where that is safe, else named with the way out."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import socket
import sqlite3
import tarfile
import zipfile
import zlib

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pytest

from din_core.sources import fingerprint
from tests.core.ingested_logs import ingested, refused, rejected, rows, write

LOG = "user_id,item_id,time,cate_id\n1,2,3,4\n5,6,7,8\n"


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(LOG.encode()),
        bz2.compress(LOG.encode()),
        bz2.compress(LOG[:40].encode()) + bz2.compress(LOG[40:].encode()),
        lzma.compress(LOG.encode()),
        lzma.compress(LOG[:40].encode()) + lzma.compress(LOG[40:].encode()),
        lzma.compress(LOG.encode()) + bytes(8),
        pa.compress(LOG.encode(), "zstd", asbytes=True),
        b"\x50\x2a\x4d\x18\x04\0\0\0size" + pa.compress(LOG.encode(), "zstd", asbytes=True),
        pa.compress(LOG.encode(), "lz4", asbytes=True),
    ],
    ids=[
        "gzip",
        "bz2",
        "bz2_streams",
        "xz",
        "xz_streams",
        "xz_padded",
        "zstd",
        "zstd_skipped",
        "lz4",
    ],
)
def test_compressed_text_is_read_whatever_its_name(con, tmp_path, content):
    path = write(tmp_path / "log.csv", content)
    ingested(con, path)
    assert rows(con) == [(1, 2, 3, 4), (5, 6, 7, 8)]
    assert fingerprint(path) == fingerprint(write(tmp_path / "plain.csv", LOG))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_cut_off_compressed_text_is_refused(con, tmp_path, compress):
    noise = np.random.default_rng(1).integers(0, 1 << 40, 5_000)
    packed = compress((LOG + "".join(f"1,2,{n},4\n" for n in noise)).encode())
    message = refused(con, write(tmp_path / "log.csv", packed[: len(packed) * 2 // 3]))
    assert "the file is damaged or cut off" in message


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("damage", ["cut", "rubbish"])
def test_rows_behind_a_damaged_second_stream_are_not_passed_over(con, tmp_path, compress, damage):
    first, second = compress(LOG[:40].encode()), compress(LOG[40:].encode())
    second = second[:-4] if damage == "cut" else b"rubbish" + second
    message = refused(con, write(tmp_path / "log.csv", first + second))
    assert "the file is damaged or cut off" in message


def of_arrow(write_table):
    sink = io.BytesIO()
    write_table(pa.table({"user_id": [1], "item_id": [2]}), sink)
    return sink.getvalue()


def of_archive(open_archive):
    sink = io.BytesIO()
    open_archive(sink)
    return sink.getvalue()


def zipped(sink):
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("log.csv", LOG)


def tarred(sink):
    with tarfile.open(fileobj=sink, mode="w") as archive:
        member = tarfile.TarInfo("log.csv")
        member.size = len(LOG)
        archive.addfile(member, io.BytesIO(LOG.encode()))


def database(connect, folder):
    path = folder / "made"
    with connect(str(path)) as made:
        made.execute("create table t (user_id integer)")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "what", "way_out"),
    [
        (of_archive(zipped), "a zip archive or a spreadsheet", "save it as CSV"),
        (of_archive(tarred), "a tar archive", "unpack it"),
        (gzip.compress(of_archive(tarred)), "a tar archive", "unpack it"),
        (gzip.compress(gzip.compress(LOG.encode())), "inside the gzip file is a gzip", "unpack it"),
        (gzip.compress(of_archive(zipped)), "a zip archive", "unpack it"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7z archive", "unpack it"),
        (b"Rar!\x1a\x07\x01\0", "a rar archive", "unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "an old Excel spreadsheet", "save it as CSV"),
        (lambda folder: database(sqlite3.connect, folder), "an SQLite database", "as CSV"),
        (lambda folder: database(duckdb.connect, folder), "a DuckDB database", "copy t to"),
        (of_arrow(pyarrow.orc.write_table), "an ORC file", "write it as Parquet"),
        (of_arrow(pyarrow.feather.write_feather), "an Arrow or Feather file", "as Parquet"),
        (b"Obj\x01\x04\x14avro.codec", "an Avro file", "write it as Parquet"),
        (pickle.dumps([1, 2, 3]), "a Python pickle", "write it as Parquet"),
        (lzma.compress(LOG.encode(), format=lzma.FORMAT_ALONE), "an .lzma archive", "unpack it"),
        (zlib.compress(LOG.encode()), "zlib-compressed", "unpack it"),
        (b"{'user_id': 1, 'time': 3}\n", "Python's dictionaries", "write it as Parquet"),
        (b"INSERT INTO log VALUES (1, 2);\n", "an SQL script", "as CSV"),
        (b"@relation log\n@attribute user_id numeric\n", "an ARFF file", "as CSV"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "write it as Parquet"),
        (b"%PDF-1.7\n", "a PDF document", "as CSV"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "a Git LFS pointer",
            "`git lfs pull`",
        ),
        (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "a web page", "fetch the log again"),
        (gzip.compress(b"<HTML>\n<head>"), "a web page", "fetch the log again"),
        (b'<?xml version="1.0"?>\n<rows/>', "XML", "as CSV"),
        (b'{"user_id": 1, "time": 3}\n{"user_id": 2, "time": 4}\n', "this is JSON", "read_json("),
        (b'[\n  {"user_id": 1, "time": 3}\n]\n', "this is JSON", "read_json("),
        (gzip.compress(b'\xef\xbb\xbf{"user_id": 1}\n'), "this is JSON", "read_json("),
        (LOG.encode("utf-16"), "UTF-16LE", "iconv -f UTF-16LE -t UTF-8 log.csv >"),
        (LOG.encode("utf-16-le"), "UTF-16LE", "iconv -f UTF-16LE -t UTF-8 log.csv >"),
        (LOG.encode("utf-16-be"), "UTF-16BE", "iconv -f UTF-16BE -t UTF-8 log.csv >"),
        (LOG.encode("utf-32"), "UTF-32LE", "iconv -f UTF-32LE -t UTF-8 log.csv >"),
        (LOG.encode("utf-32-be"), "UTF-32BE", "iconv -f UTF-32BE -t UTF-8 log.csv >"),
        (b"user_id,it\0em_id,time\n", "not text, it has a NUL byte (at 10)", "as CSV in UTF-8"),
        (b"\nuser_id\n\0a\0b\0\0d\0e", "not text, it has a NUL byte (at 9)", "as CSV in UTF-8"),
    ],
    ids=lambda part: part if isinstance(part, str) else "file",
)  # fmt: skip
def test_other_format_is_named_with_the_way_out(con, tmp_path, content, what, way_out):
    content = content(tmp_path) if callable(content) else content
    message = refused(con, write(tmp_path / "log.csv", content))
    assert message.startswith(f"{tmp_path}/log.csv: ")
    assert what in message
    assert way_out in message
    assert "_col=" not in message


def test_a_nul_byte_below_the_header_costs_its_row(con, tmp_path):
    path = write(
        tmp_path / "log.csv", "user_id,item_id,time,cate_id\n1,2,3,4\n1,\0002,3,4\n1,3,4,4\n"
    )
    ingested(con, path)
    assert rows(con) == [(1, 2, 3, 4), (1, 3, 4, 4)]
    assert rejected(con) == [(3, "a NUL byte", r"1,\x002,3,4")]


def test_advice_for_json_holds(tmp_path):
    path = write(tmp_path / "log.jsonl", '{"user_id": 1, "time": 3}\n{"user_id": 2, "time": 4}\n')
    with duckdb.connect() as con:
        con.execute(f"copy (from read_json('{path}')) to '{tmp_path}/log.parquet'")
        assert con.execute(f"from '{tmp_path}/log.parquet'").fetchall() == [(1, 3), (2, 4)]


@pytest.mark.parametrize("first", ["ORCID", "Objects", "BZhour", "FEA1", "PK", "ARROW1", "7z"])
def test_header_that_begins_like_another_format_is_text(con, tmp_path, first):
    path = write(tmp_path / "log.csv", f"{first},item_id,time,cate_id\n1,2,3,4\n")
    ingested(con, path, user_col=first)
    assert rows(con) == [(1, 2, 3, 4)]


def made_fifo(path):
    os.mkfifo(path)


def made_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(("make", "what"), [(made_fifo, "a pipe"), (made_socket, "a socket")])
@pytest.mark.parametrize("pattern", ["log.csv", "*.csv"])
def test_pipe_and_socket_are_refused_and_not_waited_for(
    con, tmp_path, monkeypatch, make, what, pattern
):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    make("log.csv")
    message = refused(con, pattern)
    assert message.startswith(f"log.csv: this is {what}")
    assert "write it to a file" in message


def test_device_is_refused(con):
    assert refused(con, "/dev/zero").startswith("/dev/zero: this is a device")


def test_folder_with_the_name_of_a_file_is_refused(con, tmp_path):
    (tmp_path / "x.csv").mkdir()
    assert "this is a folder" in refused(con, f"{tmp_path}/x.csv")
    assert "no file matches" in refused(con, f"{tmp_path}/*.csv")


def test_link_to_nothing_and_impossible_names_are_sentences(con, tmp_path):
    (tmp_path / "log.csv").symlink_to(tmp_path / "gone.csv")
    assert "this link leads to no file" in refused(con, f"{tmp_path}/*.csv")
    assert "this link leads to no file" in refused(con, f"{tmp_path}/log.csv")
    assert "File name too long" in refused(con, "x" * 5000)
    assert "a path has no NUL in it" in refused(con, "log\0.csv")
    (tmp_path / "log.csv").unlink()
    (tmp_path / os.fsdecode(b"l\xf6g.csv")).write_text(LOG)
    message = refused(con, f"{tmp_path}/*.csv")
    assert message == rf"{tmp_path}/l\xf6g.csv: the name of the file is not UTF-8; rename it"
