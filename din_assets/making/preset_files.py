"""The presets: run configurations by name, in ``din_assets/presets``."""

from pathlib import Path
from typing import Any

import yaml

_FOLDER = Path(__file__).parent.parent / "presets"

#: Tag of a run that was started with one: steps that the preset does not name keep their options,
#: where a configuration that somebody wrote counts whole.
TAG = "din/preset"


def names() -> list[str]:
    """Return the names of the presets."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def path_of(name: str) -> Path:
    """Return the file of a preset."""
    return _FOLDER / f"{name}.yaml"


def read(name: str) -> dict[str, Any]:
    """Return a preset as a run configuration."""
    return yaml.safe_load(path_of(name).read_text(encoding="utf-8"))


def says(name: str) -> str:
    """Return the first sentence of a preset's file."""
    comment: list[str] = []
    for line in path_of(name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    text = " ".join(comment)
    end = min((at for at in (text.find(". "), text.find(": ")) if at > 0), default=len(text))
    sentence = text[:end].rstrip(".:")
    return f"{sentence}."
