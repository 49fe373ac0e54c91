"""The documentation is whole: links lead somewhere, the site is built, what is generated is new."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from urllib.parse import unquote

import pytest

from tests.documents import PAGES, ROOT

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    missing = [link for link in links if not (page.parent / unquote(link)).exists()]
    assert missing == []


def test_contributing_names_files_that_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    # A recipe's own example, "Say, a factorization machine, `fm`.", is what its reader adds.
    examples = re.findall(r"^Say, [^`\n]*`(\w+)`\.", text, re.MULTILINE)
    assert len(examples) > 2
    named = set(re.findall(r"`([\w.-]+/[\w./-]*)`", text))
    folders = ("din_core", "din_assets", "sql", "tests", "docs", "benchmarks")
    there = [
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in folders
        for path in [ROOT / folder, *(ROOT / folder).rglob("*")]
    ]
    missing = [
        name
        for name in sorted(named)
        if not any(re.search(rf"[/_.]{example}\.", name) for example in examples)
        if not any(path.endswith(f"/{name.rstrip('/')}") for path in there)
    ]
    assert missing == [], "CONTRIBUTING.md names them"


@pytest.mark.parametrize("root", ["din_core", "din_assets"])
def test_every_room_is_in_the_table_of_rooms_in_the_order_of_the_imports(root):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, table = page.partition(f"| `{root}/` |")
    table = re.split(r"^\|(?! ·)", table, maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| · (.*?) \|", table, re.MULTILINE)
    listed = [re.findall(r"`(\w+)(?:/|\.py)`", row) for row in rows]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [
        each["layers"]
        for each in contracts["tool"]["importlinter"]["contracts"]
        if each.get("containers") == [root]
    ]
    floors = {name: n for n, layer in enumerate(layers) for name in layer.split(" | ")}
    assert sorted(floors.keys() - {name for row in listed for name in row}) == []
    heights = [floors[name] for row in listed for name in row if name in floors]
    assert heights == sorted(heights), "from the top floor down"


def test_every_folder_of_sql_is_in_the_table_of_rooms():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [row] = re.findall(r"^\| `sql/` \|(.*)$", page, re.MULTILINE)
    folders = [path.name for path in (ROOT / "sql").iterdir() if path.is_dir()]
    assert sorted(re.findall(r"`(\w+)/`", row)) == sorted(folders)


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
