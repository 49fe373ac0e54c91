"""What belongs to the code version of an asset, and what does not."""

from pathlib import Path

import pytest

import din_core
from din_assets import versions


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the same name, in which ``top`` reaches the others."""
    for name, text in {
        "top": "from din_core import plain\n\ndef f():\n    from din_core.deep.inner import g\n",
        "plain": "import torch\nfrom din_core.config import Options\n",
        "config": "",
        "unused": "",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "inner.py").write_text("import din_core.last\n")
    (tmp_path / "deep" / "kernel.cpp").write_text("int f();\n")
    (tmp_path / "last.py").write_text("")
    monkeypatch.setattr(versions, "_ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "file", ["top.py", "plain.py", "deep/inner.py", "deep/kernel.cpp", "last.py"]
)
def test_edit_of_whatever_a_module_reaches_changes_the_version(package, file):
    before = versions.of_modules("top")
    with (package / file).open("a") as opened:
        opened.write("\n")
    assert versions.of_modules("top") != before


@pytest.mark.parametrize("file", ["config.py", "unused.py"])
def test_edit_of_anything_else_does_not(package, file):
    before = versions.of_modules("top")
    (package / file).write_text("x = 1\n")
    assert versions.of_modules("top") == before


def test_what_is_left_out_exists():
    root = Path(din_core.__file__).parent
    names = versions._PLUMBING
    assert names == {
        each for each in names if (root / each).is_dir() or (root / f"{each}.py").exists()
    }


def test_training_reaches_the_learner_and_its_kernels(monkeypatch):
    read = []
    monkeypatch.setattr(versions, "_digest", lambda *parts: read.extend(parts) or "")
    versions.of_modules("training")
    root = Path(din_core.__file__).parent
    for file in ("learner.py", "averaging.py", "sampling.py", "kernels/backward.hpp"):
        assert (root / file).read_bytes() in read
