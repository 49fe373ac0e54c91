"""An artifact is whole and what was committed, or it is noticed and replaced."""

import json
import os
import shutil
from pathlib import Path

import pytest

from din_core.store import artifacts
from din_core.store.artifacts import (
    MANIFEST,
    DamagedArtifactError,
    commit,
    damage_of,
    require_whole,
)


def make(root, weights=b"0123456789"):
    """Stage and commit one artifact of two files, and give its folder."""
    with artifacts.staging(root, "din_model") as folder:
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "tensorboard").mkdir()
        (folder / "tensorboard" / "events").write_bytes(b"abc")
        return commit(folder, "v1")


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)


def test_manifest_lists_every_file_with_size_and_hash(folder):
    assert json.loads((folder / MANIFEST).read_text()) == {
        "format": 1,
        "version": "v1",
        "files": {
            "model.safetensors": {
                "bytes": 10,
                "sha256": "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882",
            },
            "tensorboard/events": {
                "bytes": 3,
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            },
        },
    }
    assert damage_of(folder) is None
    assert require_whole(folder) == folder


def truncate(folder):
    os.truncate(folder / "model.safetensors", 4)


def flip_content(folder):
    flip(folder / "tensorboard" / "events", 1)


def remove_file(folder):
    (folder / "model.safetensors").unlink()


def add_file(folder):
    (folder / "tensorboard" / "more").touch()


def remove_manifest(folder):
    (folder / MANIFEST).unlink()


def empty_manifest(folder):
    (folder / MANIFEST).write_text("")


def manifest_of_something_else(folder):
    (folder / MANIFEST).write_text('{"files": ["model.safetensors"]}')


def link_instead_of_file(folder):
    shutil.copy(folder / "model.safetensors", folder.parent / "elsewhere")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere")


def file_instead_of_folder(folder):
    shutil.rmtree(folder)
    folder.write_text("")


def nothing_at_all(folder):
    shutil.rmtree(folder)


DAMAGES = {
    truncate: "din_model/v1: model.safetensors has 4 bytes instead of 10",
    flip_content: "din_model/v1: tensorboard/events has other content than was committed",
    remove_file: "din_model/v1: model.safetensors is missing",
    add_file: "din_model/v1: tensorboard/more does not belong there",
    remove_manifest: "din_model/v1 has no manifest.json, so nobody can tell whether it is whole",
    manifest_of_something_else: "din_model/v1: manifest.json is damaged",
    empty_manifest: "din_model/v1: manifest.json is damaged",
    link_instead_of_file: "din_model/v1: model.safetensors is a link and no file",
    file_instead_of_folder: "din_model/v1 is gone",
    nothing_at_all: "din_model/v1 is gone",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_damage_is_told_refused_and_replaced(tmp_path, folder, damage):
    damage(folder)
    assert damage_of(folder) == DAMAGES[damage]
    with pytest.raises(DamagedArtifactError, match="materialize din_model again"):
        require_whole(folder)
    assert make(tmp_path) == folder
    assert damage_of(folder) is None
    assert (folder / "model.safetensors").read_bytes() == b"0123456789"
    assert artifacts.sweep(tmp_path) == []


def test_every_bit_of_an_artifact_counts(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        whole = path.read_bytes()
        for position in range(len(whole)):
            flip(path, position)
            assert damage_of(folder) is not None, (path.name, position)
            path.write_bytes(whole)
    assert damage_of(folder) is None


def test_a_whole_version_is_kept_and_the_staged_copy_dropped(tmp_path, folder):
    before = (folder / "model.safetensors").stat().st_ino
    make(tmp_path)
    assert (folder / "model.safetensors").stat().st_ino == before
    assert [path.name for path in folder.parent.iterdir()] == ["v1"]


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(artifacts, "sync_tree", lambda path: order.append(("flush", path.name)))
    monkeypatch.setattr(artifacts, "sync", lambda path: order.append(("flush", path.name)))
    rename = os.rename

    def renamed(old, new):
        order.append(("rename", Path(new).name))
        rename(old, new)

    monkeypatch.setattr(os, "rename", renamed)
    make(tmp_path)
    (staged, name), *rest = order
    assert staged == "flush"
    assert name.startswith(".staging-")
    assert rest == [("rename", "v1"), ("flush", "din_model")]


def test_prune_keeps_the_named_version_and_unnamed_assets(tmp_path, folder):
    for other in ("din_model/v0", "onnx_model/v0"):
        (tmp_path / other).mkdir(parents=True)
    removed = artifacts.prune(tmp_path, {"din_model": "v1"})
    assert removed == [tmp_path / "din_model" / "v0"]
    assert (tmp_path / "onnx_model" / "v0").is_dir()
    assert damage_of(folder) is None
