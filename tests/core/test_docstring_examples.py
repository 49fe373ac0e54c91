"""The examples of docstrings are run, and give what stands below them."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator

import pytest

from tests.documents import ROOT


def modules_with_examples() -> Iterator[str]:
    # By their text: to look through all modules takes each worker half a second.
    for path in sorted((ROOT / "din_core").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("name", [*modules_with_examples()])
def test_examples_give_what_they_say(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0, "its output, above, says which"
    assert found.attempted > 0
