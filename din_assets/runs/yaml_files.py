"""YAML as it was meant: what YAML would take otherwise without a word is refused.

A key that stands twice counts once in YAML, the last time, and ``010`` is 8, ``1:30`` is 90.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

# Integers of YAML 1.1 that YAML 1.2 dropped: octal by a leading zero, and to the base of 60.
_OTHER_THAN_IT_LOOKS = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+)")


class AmbiguousYAMLError(yaml.YAMLError):
    """A file says something twice, or a number that is not read as it looks."""


def read(path: Path) -> Any:
    """Read a file.

    Args:
        path: The file, in UTF-8.

    Raises:
        AmbiguousYAMLError: A key stands twice in one section, or a number is octal or sexagesimal.
        yaml.YAMLError: It is no YAML.
        OSError: It cannot be read.
        UnicodeDecodeError: It is not UTF-8.
    """
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (as safe_load)


class _Loader(yaml.SafeLoader):
    """The loader of ``yaml.safe_load``, but for what it passes over."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    lines: dict[Any, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and key.value in lines:
            raise AmbiguousYAMLError(
                f"line {line}: '{key.value}' stands there a second time (first in line "
                f"{lines[key.value]}), and YAML takes the last alone; put them together"
            )
        lines[str(key.value)] = line
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    number = loader.construct_yaml_int(node)
    if _OTHER_THAN_IT_LOOKS.fullmatch(node.value):
        raise AmbiguousYAMLError(
            f"line {node.start_mark.line + 1}: YAML reads {node.value} as {number}; write "
            f"{number} for that number, or '{node.value}' for a text"
        )
    return number


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
