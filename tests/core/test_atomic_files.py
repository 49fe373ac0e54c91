"""A file is the old one or the new one, whole; what is renamed has reached the disk before."""

import os

import pytest

from din_core.atomic_files import replacing, sync_tree


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def on_disk(monkeypatch):
    """What was flushed and renamed, in order."""
    events = []
    fsync, replace = os.fsync, os.replace

    def flush(descriptor):
        events.append(("flush", os.path.realpath(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def rename(old, new, **kwargs):
        events.append(("rename", str(new)))
        replace(old, new, **kwargs)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", rename)
    return events


def test_content_is_flushed_before_the_name_and_the_name_after(tmp_path, on_disk):
    path = tmp_path / "din.onnx"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert on_disk == [
        ("flush", str(temporary)),
        ("rename", str(path)),
        ("flush", str(tmp_path)),
    ]


def test_a_tree_is_flushed_files_first(tmp_path, on_disk):
    inner = tmp_path / "tensorboard"
    inner.mkdir()
    (inner / "events").write_text("1")
    (tmp_path / "weights").write_text("2")
    sync_tree(tmp_path)
    flushed = [path for _, path in on_disk]
    assert sorted(flushed) == sorted(
        str(each) for each in (tmp_path, inner, inner / "events", tmp_path / "weights")
    )
    assert flushed.index(str(inner / "events")) < flushed.index(str(inner))
    assert flushed[-1] == str(tmp_path)
