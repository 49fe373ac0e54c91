"""Writes ``docs/options.md``, the reference of all options, from the code (``make docs``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

from din_assets.assets.catalogue import STEPS
from din_assets.starting.refresh_config import config_classes
from din_core.escaping import markdown_text

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).with_suffix(".md")
_HEAD = """# Options

Every option of every step, as the launchpad shows it. How a file of options looks, and which count:
[Runs](running.md#options). This page is written from the code by `make docs`.
"""


def page() -> str:
    """Return the page: a table of options for each step, in the order of the data."""
    classes = config_classes()
    steps = [name for name in STEPS if name in classes]
    return "\n".join([_HEAD, *(line for name in steps for line in _table(name, classes[name]))])


def _table(step: str, config: type[pydantic.BaseModel]) -> Iterator[str]:
    yield f"## `{step}`\n"
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    for name, default, meaning in _options(config):
        yield f"| `{name}` | {default} | {markdown_text(meaning)} |"
    yield ""


def _options(config: type[pydantic.BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, field in config.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            yield from _options(kind, f"{prefix}{name}: ")
        else:
            yield f"{prefix}{name}", _default(field), field.description or ""


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return "" if value is None else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
