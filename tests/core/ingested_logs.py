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


def log(path, *, times=None, labels=None, cates=None):
    """A log of users 1, items 1, 2, 3 ...; what is not given is constant."""
    n_rows = len(times or labels or cates)
    columns = {
        "user_id": [1] * n_rows,
        "item_id": range(1, n_rows + 1),
        "time": times or [7] * n_rows,
        "cate_id": cates or ["c"] * n_rows,
        **({"label": labels} if labels else {}),
    }
    lines = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    return write(path, "\n".join(lines) + "\n")
