"""From the name of a log to the file that is read."""

from __future__ import annotations

import pytest

from din_core import sources
from din_core.config import SyntheticConfig
from din_core.datasets import named_logs
from din_core.datasets.named_logs import NamedLog, NotFetchedError

SMALL = SyntheticConfig(n_users=5, n_items=40, n_cates=3)


def test_file_is_read_where_it_lies(tmp_path):
    assert named_logs.provide(NamedLog(path="/logs/*.csv"), tmp_path) == "/logs/*.csv"
    assert list(tmp_path.iterdir()) == []


def test_synthetic_log_is_written_anew_in_its_present_shape(tmp_path):
    few = named_logs.provide(NamedLog(path="synthetic", synthetic=SMALL), tmp_path)
    assert few == str(tmp_path / "synthetic" / "interactions.csv")
    header, *rows = (tmp_path / "synthetic" / "interactions.csv").read_text().splitlines()
    assert set(header.split(",")) >= {"user_id", "item_id", "time", "cate_id"}
    users = header.split(",").index("user_id")
    assert len({row.split(",")[users] for row in rows}) == 5
    more = SyntheticConfig(n_users=6, n_items=40, n_cates=3)
    named_logs.provide(NamedLog(path="synthetic", synthetic=more), tmp_path)
    _, *rows = (tmp_path / "synthetic" / "interactions.csv").read_text().splitlines()
    assert len({row.split(",")[users] for row in rows}) == 6


def test_category_goes_before_a_path_and_is_fetched_from_where_it_is_said(tmp_path, monkeypatch):
    asked = []

    def prepare(category, folder, *, base_url, on_progress):
        asked.append((category, folder, base_url))
        return folder / "amazon_Books.csv"

    monkeypatch.setattr("din_core.datasets.amazon.reviews.prepare", prepare)
    log = NamedLog(path="a.csv", amazon_category="Books", amazon_base_url="http://mirror.example")
    fetched = tmp_path / "downloads" / "amazon_Books.csv"
    assert named_logs.provide(log, tmp_path) == str(fetched)
    assert asked == [("Books", tmp_path / "downloads", "http://mirror.example")]


def test_fingerprint_is_that_of_the_content(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id,time,cate_id\n1,2,3,4\n")
    expected = sources.fingerprint(str(log))
    assert named_logs.fingerprint(NamedLog(path=str(log)), tmp_path) == expected
    fetched = tmp_path / "downloads" / "amazon_Books.csv"
    books = NamedLog(amazon_category="Books")
    with pytest.raises(NotFetchedError, match="Books"):
        named_logs.fingerprint(books, tmp_path)
    fetched.parent.mkdir()
    fetched.write_bytes(log.read_bytes())
    assert named_logs.fingerprint(books, tmp_path) == expected


def test_synthetic_log_has_no_fingerprint_since_its_shape_says_all(tmp_path):
    assert named_logs.fingerprint(NamedLog(path="synthetic", synthetic=SMALL), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
