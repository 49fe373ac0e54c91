"""Run configurations as files: the one that ``-c`` names, and the presets."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from din_assets.making import preset_files
from din_assets.runs import yaml_files
from din_assets.runs.folders import current_names
from din_core.config import MODEL_CONFIGS, options_of_others
from din_core.errors import WrongRequestError


class ConfigFileError(WrongRequestError):
    """The file of a run configuration cannot be used, or there is no such preset."""


@dataclass(frozen=True)
class Asked:
    """A run configuration as the command line puts it together.

    Attributes:
        run_config: As Dagster takes it.
        keeps_others: Whether the steps that it does not name keep the options of the last run.
    """

    run_config: Mapping[str, Any] = field(default_factory=dict)
    keeps_others: bool = False


def asked_for(file: Path | None, preset: str | None, *, defaults: bool = False) -> Asked:
    """Put a run configuration together.

    A preset alone changes the steps that it names. A file counts whole: what it does not say is
    default. Together the file is read as if it began with the preset: its options come on top.

    Args:
        file: A run configuration; steps by name, or as the launchpad of the UI calls them.
        preset: Name of a preset.
        defaults: Whether the options of the last run are left for the defaults.

    Raises:
        ConfigFileError: A file cannot be read or holds no mapping, or there is no such preset.
    """
    parts: list[Mapping[str, Any]] = []
    if defaults:
        # The step that reads the source is named, so that its columns have their defaults, too.
        parts.append({"ops": {"interactions": {"config": {}}}})
    own = {} if file is None else current_names().in_names(_read(file))
    if preset is not None:
        parts.append(_for_the_model_of(own, _read(_path_of(preset))))
    parts.append(own)
    whole: Any = {}
    for part in parts:
        whole = _merged(whole, part)
    return Asked(whole, keeps_others=preset is not None and file is None and not defaults)


def _path_of(preset: str) -> Path:
    known = preset_files.names()
    if preset not in known:
        close = difflib.get_close_matches(preset, known, n=1)
        hint = f"is '{close[0]}' meant?" if close else f"there are {', '.join(known)}"
        hint += " (-c takes a file)"
        raise ConfigFileError(f"there is no preset '{preset}'; {hint}")
    return preset_files.path_of(preset)


def _read(path: Path) -> dict[str, Any]:
    try:
        config = yaml_files.read(path)
    except yaml_files.AmbiguousYAMLError as error:
        raise ConfigFileError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigFileError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigFileError(f"{path} is not valid YAML: {reason}") from error
    if not isinstance(config, dict | None):
        raise ConfigFileError(
            f"{path} holds {json.dumps(config, default=str)[:80]}; a run configuration has keys, "
            "such as 'ops:'"
        )
    return config or {}


def _for_the_model_of(own: Mapping[str, Any], preset: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out of a preset what only its own model has, where a file names another one."""
    model: Any = own
    for name in ("ops", "din_model", "config", "model"):
        model = model.get(name) if isinstance(model, Mapping) else None
    if model not in MODEL_CONFIGS:
        return preset
    foreign = options_of_others(str(model))
    given = preset["ops"]["din_model"]["config"]
    kept = {name: value for name, value in given.items() if name not in foreign}
    return {**preset, "ops": {**preset["ops"], "din_model": {"config": kept}}}


def _merged(below: Any, above: Any) -> Any:
    """Lay one configuration over another, option by option; an empty section covers nothing."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return below if above is None else above
    return {
        name: _merged(below.get(name), above[name]) if name in above else below[name]
        for name in {**below, **above}
    }
