"""A training run on disk, whole at any moment, so that a killed one goes on where it was.

A finished run stays as well, until whoever asked for the model has it safe and clears the state: if
it is killed before, nothing is trained again. One safetensors file: all tensors of the run, and its
position and history in the header. It is written under a temporary name and renamed. It belongs to
one run: :func:`fingerprint` covers whatever decides the result, and a file with another one is left
alone and not used. A checksum covers all of it: a damaged state would give another model and nobody
would know, so it is set aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from din_core.atomic_files import replacing
from din_core.config import ModelConfig, TrainingConfig
from din_core.network.tensor_hash import tensors_hash

STATE_FILE = "training_state.safetensors"
DAMAGED_FILE = "training_state.damaged.safetensors"
FORMAT = 3

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingState:
    """A moment of a training run.

    Attributes:
        tensors: Everything that is a tensor, by name.
        values: Everything else; JSON types.
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


def fingerprint(
    model_config: ModelConfig,
    training_config: TrainingConfig,
    data_fingerprint: str,
    circumstances: Mapping[str, Any],
) -> str:
    """Hash what decides the weights that come out, bit for bit.

    Args:
        model_config: The network.
        training_config: The loop; how often a checkpoint is written does not matter.
        data_fingerprint: Of the log.
        circumstances: Device, precision, threads, version of the program and the like.
    """
    training = {k: v for k, v in asdict(training_config).items() if k != "checkpoint_seconds"}
    decisive = [asdict(model_config), training, data_fingerprint, dict(circumstances)]
    text = json.dumps([*decisive, torch.__version__, FORMAT], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save_state(directory: Path, state: TrainingState, fingerprint: str) -> None:
    """Put a state in the place of the one before.

    Args:
        directory: Made where it does not exist.
        state: The moment.
        fingerprint: Of the run.

    Raises:
        OSError: The directory cannot be written to.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # Separate copies: safetensors refuses tensors that share memory.
    tensors = {name: each.detach().cpu().clone() for name, each in state.tensors.items()}
    header = {
        "fingerprint": fingerprint,
        "values": state.values,
        "checksum": _checksum(tensors, state.values),
    }
    with replacing(directory / STATE_FILE) as temporary:
        save_file(tensors, temporary, metadata={"din": json.dumps(header)})


def load_state(
    directory: Path, fingerprint: str, on_warning: Callable[[str], object] = _LOG.warning
) -> TrainingState | None:
    """Read the state of this run, if there is one that can be used.

    Args:
        directory: Where :func:`save_state` put it.
        fingerprint: Of the run.
        on_warning: Told, in a sentence, why a state that is there is not used.

    Returns:
        The state, or ``None``. A damaged file is renamed to :data:`DAMAGED_FILE`.
    """
    path = directory / STATE_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["din"])
            if header["fingerprint"] != fingerprint:
                on_warning(
                    f"{path}: this training state belongs to other data, options, code or "
                    "circumstances; it is ignored, and training starts afresh"
                )
                return None
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        values: dict[str, Any] = header["values"]
        damage = None if _checksum(tensors, values) == header["checksum"] else "wrong checksum"
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        tensors, values, damage = {}, {}, f"{type(error).__name__}: {error}"
    if damage is None:
        return TrainingState(tensors, values)
    with contextlib.suppress(FileNotFoundError):  # another process of the same run was faster
        path.replace(path.with_name(DAMAGED_FILE))
    on_warning(
        f"{path}: this training state is damaged ({damage}); it was set aside as {DAMAGED_FILE}, "
        "and training starts afresh"
    )
    return None


def _checksum(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> str:
    text = json.dumps([tensors_hash(tensors), dict(values)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def sweep(directory: Path) -> None:
    """Remove what writers that were killed have left; call it while nobody writes here."""
    for pattern in (f".{STATE_FILE}.*", ".tmp*"):  # ours, and those of safetensors itself
        for leftover in directory.glob(pattern):
            leftover.unlink(missing_ok=True)


def clear_state(directory: Path) -> None:
    """Remove the state of a run that is over and whose model is safe elsewhere."""
    for name in (STATE_FILE, DAMAGED_FILE):
        (directory / name).unlink(missing_ok=True)
