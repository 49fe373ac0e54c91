"""The documentation is whole: links lead somewhere, the site is built, what is generated is new."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from urllib.parse import unquote

import pytest

from tests.documents import PAGES, ROOT

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    missing = [link for link in links if not (page.parent / unquote(link)).exists()]
    assert missing == []


def test_reference_of_options_is_that_of_the_code():
    spec = importlib.util.spec_from_file_location("options", ROOT / "docs" / "options.py")
    options = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(options)
    assert options.PAGE.read_text(encoding="utf-8") == options.page(), "make docs writes it anew"


def test_every_decision_is_listed():
    listed = (ROOT / "docs" / "adr" / "index.md").read_text(encoding="utf-8")
    decisions = sorted(path.name for path in (ROOT / "docs" / "adr").glob("0*.md"))
    assert [name for name in decisions if f"]({name})" not in listed] == []
    assert len(decisions) == len({name[:4] for name in decisions}), "two decisions share a number"


def test_every_page_is_in_the_navigation_and_on_the_first_page():
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    assert sorted(pages - set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))) == []
    linked = set(_LINK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    assert sorted(pages - linked - {"index.md"}) == []


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert (
            re.findall(r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="https?:', text)
            == []
        )
