"""Logs written, ingested and read again: for the tests of sources."""

import pytest

from din_core.config import SourceConfig
from din_core.sources import IngestReport, SourceError, ingest


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def ingested(con, path, **config) -> IngestReport:
    return ingest(con, SourceConfig(path=path, **config))


def refused(con, path, **config) -> str:
    with pytest.raises(SourceError) as caught:
        ingested(con, path, **config)
    return str(caught.value)


def rows(con, columns="user_id, item_id, time, cate_id"):
    return con.execute(f"select {columns} from interactions order by file, line").fetchall()


def rejected(con):
    return con.execute("select line, reason, raw from rejected_rows order by file, line").fetchall()
