"""One instance of DuckDB for the many frames of these tests."""

import pytest

from din_core import store
from tests.conftest import empty_database


@pytest.fixture(autouse=True)
def _one_instance(duckdb_instance, monkeypatch):
    """Let a database in memory be an empty one of the session's instance.

    To start one takes a tenth of what such a small frame takes.
    """
    connect = store.connect

    def connected(path, **options):
        if path == ":memory:" and not options:
            return empty_database(duckdb_instance, "of_a_frame")
        return connect(path, **options)

    monkeypatch.setattr(store, "connect", connected)
