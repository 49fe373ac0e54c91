"""What follows from files alone is computed once, and what is asked for stays."""

import os

import pytest

from din_core.store import sql_files
from din_core.store.computed_once import computed_once


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sql_files, "private_folder", lambda: tmp_path)
    return tmp_path


def ask(basis, computed):
    def compute():
        computed.append(basis)
        return basis

    return computed_once("number", [str(basis).encode()], compute)


def test_what_was_computed_before_is_not_computed_again():
    computed = []
    assert [ask(each, computed) for each in (1, 1, 2, 1)] == [1, 1, 2, 1]
    assert computed == [1, 2]


def test_what_is_asked_for_stays_and_what_nobody_asked_for_goes(folder, monkeypatch):
    monkeypatch.setattr("din_core.store.computed_once._KEPT", 4)
    computed = []
    for number in range(1, 9):
        ask(0, computed)
        ask(number, computed)
        # As if an hour went by each time: clocks may be too coarse to tell two files apart.
        for age, path in enumerate(sorted(folder.iterdir(), key=_written), start=1):
            os.utime(path, (3600 * age, 3600 * age))
    assert computed == list(range(9))
    ask(8, computed)
    ask(1, computed)
    assert computed == [*range(9), 1]


def _written(path):
    return path.stat().st_mtime_ns
