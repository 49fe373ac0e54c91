"""What the documentation shows: commands, options, SQL and Python, by the page they stand on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """Something that a page shows.

    Attributes:
        page: Name of the page.
        line: Where it begins.
        text: What it is.
    """

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text.splitlines()[0]}"


def blocks(language: str) -> list[Shown]:
    """Return the blocks of code in one language, of all pages."""
    return [
        Shown(page.relative_to(ROOT).as_posix(), text[: found.start()].count("\n") + 2, found[2])
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for found in _BLOCK.finditer(text)
        if found[1] == language
    ]


def commands() -> list[Shown]:
    """Return what is typed after `$ `, without the comment behind it."""
    found = []
    for block in blocks("console"):
        joined = re.sub(r"\\\n\s*", lambda cut: " " + "\0" * cut[0].count("\n"), block.text)
        for number, line in enumerate(joined.split("\n")):
            if line.startswith("$ "):
                text = re.sub(r"\s{2,}#.*", "", line[2:]).replace("\0", "").strip()
                found.append(Shown(block.page, block.line + number, text))
    return found
