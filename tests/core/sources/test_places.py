"""Files at URLs: what they are called, and when one counts as changed."""

import itertools

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from din_core.sources import SourceError
from din_core.sources.files import find_files, refuse_changed
from din_core.sources.places import find_remote

ROWS = b"user_id,item_id,time\n1,2,3\n"
NAMES = ("a b.csv", "a#1.csv", "50%.csv", "a[1].csv", "é.csv", "a=1&b.csv")


def test_to_read_a_file_does_not_change_it(objects, monkeypatch):
    looks, info = itertools.count(), MemoryFileSystem.info

    def with_last_look(filesystem, path, **options):
        # As SFTP and SMB tell it.
        return {**info(filesystem, path, **options), "time": next(looks)}

    monkeypatch.setattr(MemoryFileSystem, "info", with_last_look)
    objects.pipe_file("/a.csv", ROWS)
    (file,) = find_files("memory://a.csv")
    refuse_changed(file)
    objects.pipe_file("/a.csv", ROWS + ROWS)
    with pytest.raises(SourceError, match="the file changed while it was read"):
        refuse_changed(file)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_as_they_are(objects, name):
    objects.pipe_file(f"/log/{name}", ROWS)
    for pattern in (f"memory://log/{name}", "memory://log/*"):
        (found,) = find_remote(pattern)
        assert found.name == name
        with found.open() as content:
            assert content.read() == ROWS
