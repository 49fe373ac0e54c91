"""An artifact is whole and what was committed, or it is noticed and replaced."""

import errno
import fcntl
import gc
import json
import os
import shutil
from pathlib import Path

import pytest

from din_core.folders_in_use import hold_while_alive
from din_core.manifests import MANIFEST, damage_of, read
from din_core.store import artifacts
from din_core.store.artifacts import DamagedArtifactError, commit, require_whole


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
    manifest_of_something_else: "din_model/v1 has a damaged manifest.json",
    empty_manifest: "din_model/v1 has a damaged manifest.json",
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
    pruned = artifacts.prune(tmp_path, {"din_model": {"v1"}})
    assert pruned.removed == [tmp_path / "din_model" / "v0"]
    assert (tmp_path / "onnx_model" / "v0").is_dir()
    assert damage_of(folder) is None


ABOUT = {"max_history": 50, "ids": {"item_id": "string"}, "note": "zwei Öre"}


def test_what_is_said_of_the_content_stands_in_the_manifest_and_is_held_to_its_hash(tmp_path):
    with artifacts.staging(tmp_path, "bundle") as folder:
        (folder / "a").write_bytes(b"a")
        made = commit(folder, "v1", ABOUT)
    assert damage_of(made) is None
    assert read(made).about == ABOUT
    manifest = made / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"max_history": 50', b'"max_history": 51'))
    assert damage_of(made) == "bundle/v1 has a damaged manifest.json"


def make_version(root, version):
    with artifacts.staging(root, "bundle") as folder:
        (folder / "a").write_text(version)
        return commit(folder, version)


def test_current_leads_to_the_version_that_was_made_last(tmp_path):
    for version in ("v1", "v2", "v1"):
        artifacts.point_to(make_version(tmp_path, version))
        assert (tmp_path / "bundle" / "current" / "a").read_text() == version
        assert artifacts.pointed_to(tmp_path, "bundle") == version
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["current", "v1", "v2"]


def test_current_is_a_file_with_the_versions_name_where_links_are_not_to_be_had(
    tmp_path, monkeypatch
):
    def refused(*_, **__):
        raise OSError("links need a privilege here")

    monkeypatch.setattr(Path, "symlink_to", refused)
    for version in ("v1", "v2"):
        artifacts.point_to(make_version(tmp_path, version))
        assert (tmp_path / "bundle" / "current").read_text() == f"{version}\n"
        assert artifacts.pointed_to(tmp_path, "bundle") == version


def test_current_is_no_version_to_prune_and_still_leads_to_the_one_that_is_kept(tmp_path):
    for version in ("v1", "v2"):
        artifacts.point_to(make_version(tmp_path, version))
    pruned = artifacts.prune(tmp_path, {"bundle": {"v2"}})
    assert [path.name for path in pruned.removed] == ["v1"]
    assert (tmp_path / "bundle" / "current" / "a").read_text() == "v2"


def test_copy_of_a_folder_that_followed_the_link_is_put_right(tmp_path):
    artifacts.point_to(make_version(tmp_path / "original", "v1"))
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    assert artifacts.pointed_to(tmp_path / "copy", "bundle") is None
    assert artifacts.prune(tmp_path / "copy", {"bundle": {"v1"}}).removed == []
    artifacts.point_to(make_version(tmp_path / "copy", "v2"))
    assert artifacts.pointed_to(tmp_path / "copy", "bundle") == "v2"
    assert {path.name for path in (tmp_path / "copy" / "bundle").iterdir()} == {
        "current",
        "v1",
        "v2",
    }


def test_nothing_is_pointed_to_before_the_first_version(tmp_path):
    assert artifacts.pointed_to(tmp_path, "bundle") is None


@pytest.mark.parametrize("damaged", ["", "\n", ".", "..", "../din_model", "/elsewhere/bundle/v1"])
@pytest.mark.parametrize("as_link", [True, False])
def test_what_is_no_name_beside_it_is_not_pointed_to(tmp_path, damaged, as_link):
    pointer = make_version(tmp_path, "v1").parent / "current"
    if not as_link:
        pointer.write_text(damaged)
    elif damaged.strip():  # a link always leads somewhere
        pointer.symlink_to(damaged)
    assert artifacts.pointed_to(tmp_path, "bundle") is None


class Reader:
    """Somebody who reads from a folder."""


def test_prune_leaves_what_somebody_reads_from_until_they_are_done(tmp_path):
    for version in ("v1", "v2", "v3"):
        make_version(tmp_path, version)
    readers = [Reader(), Reader()]
    hold_while_alive(readers[0], tmp_path / "bundle" / "v1")
    hold_while_alive(readers[1], tmp_path / "bundle" / "v1")
    pruned = artifacts.prune(tmp_path, {"bundle": {"v3"}})
    assert [path.name for path in pruned.in_use] == ["v1"]
    assert [path.name for path in pruned.removed] == ["v2"]
    readers.pop()
    assert artifacts.prune(tmp_path, {"bundle": {"v3"}}).removed == []
    readers.pop()
    gc.collect()
    assert [path.name for path in artifacts.prune(tmp_path, {"bundle": {"v3"}}).removed] == ["v1"]


def test_file_system_without_locks_protects_no_reader_and_hinders_nobody(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    for version in ("v1", "v2"):
        make_version(tmp_path, version)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    reader = Reader()
    hold_while_alive(reader, tmp_path / "bundle" / "v1")
    pruned = artifacts.prune(tmp_path, {"bundle": {"v2"}})
    assert ([path.name for path in pruned.removed], pruned.in_use) == (["v1"], [])
    assert reader is not None


def test_dry_run_of_prune_names_what_prune_removes(tmp_path):
    for version in ("v1", "v2", "v3"):
        make_version(tmp_path, version)
    keep = {"bundle": {"v2", "v3"}}
    would = artifacts.prune(tmp_path, keep, dry_run=True).removed
    assert [path.name for path in would] == ["v1"]
    assert would[0].is_dir()
    assert artifacts.prune(tmp_path, keep).removed == would
    assert not would[0].exists()
