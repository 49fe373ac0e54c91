"""A training run on disk, whole at any moment, so that a killed one goes on where it was.

A finished run stays as well, until whoever asked for the model has it safe and clears the
checkpoint: if it is killed before, nothing is trained again. One safetensors file: all tensors of
the run, and its position and history in the header. It is written under a temporary name and
renamed. It belongs to one run: :func:`fingerprint` covers whatever decides the result, and a file
with another one is left alone and not used. A checksum covers all of it: a damaged checkpoint would
give another model and nobody would know, so it is set aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from din_core.atomic_files import replacing
from din_core.config import ModelConfig, TrainingConfig, described_options
from din_core.errors import DinError
from din_core.network.tensor_files import save_tensors
from din_core.network.tensor_hash import tensors_hash
from din_core.training import distributed

CHECKPOINT_FILE = "checkpoint.safetensors"
DAMAGED_FILE = "checkpoint.damaged.safetensors"
FORMAT = 3

_LOG = logging.getLogger(__name__)


class CheckpointError(DinError, RuntimeError):
    """Processes that train together do not see one folder of checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
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
        training_config: The loop; options that decide nothing, such as how often a checkpoint is
            written, do not count.
        data_fingerprint: Of the log.
        circumstances: Device, precision, threads, version of the program and the like.
    """
    options = described_options(type(training_config))
    training = {k: v for k, v in asdict(training_config).items() if options[k].decides}
    decisive = [asdict(model_config), training, data_fingerprint, dict(circumstances)]
    text = json.dumps([*decisive, torch.__version__, FORMAT], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Checkpoints:
    """The checkpoint of one run: read at its begin, written every so often and at its end.

    Of several processes the first writes, all read.

    Args:
        directory: Where it lies.
        run: The run's :func:`fingerprint`.
        every_seconds: Least time between two; 0 writes none, but one that is there is read.
        on_warning: Told, in a sentence, why a checkpoint that is there is not used.
    """

    def __init__(
        self,
        directory: Path,
        run: str,
        every_seconds: float,
        on_warning: Callable[[str], object] = _LOG.warning,
    ) -> None:
        self._directory = directory
        self._run = run
        self._every_seconds = every_seconds
        self._on_warning = on_warning
        self._saved_at = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last one is old enough for another."""
        return 0 < self._every_seconds <= time.monotonic() - self._saved_at

    def save(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint in the place of the one before; torch's random numbers go with it."""
        if distributed.rank() == 0 and self._every_seconds:
            tensors = {**checkpoint.tensors, "rng": torch.get_rng_state()}
            if torch.cuda.is_initialized():
                tensors["cuda_rng"] = torch.cuda.get_rng_state()
            save_checkpoint(self._directory, Checkpoint(tensors, checkpoint.values), self._run)
        self._saved_at = time.monotonic()

    def load(self) -> Checkpoint | None:
        """Read the run's checkpoint, and set torch's random numbers back to it.

        Raises:
            CheckpointError: A process does not see the folder that the first one writes.
        """
        if distributed.world_size() > 1:
            self._require_shared()
        if distributed.rank() == 0:
            sweep(self._directory)
        checkpoint = load_checkpoint(self._directory, self._run, self._on_warning)
        if checkpoint is not None:
            torch.set_rng_state(checkpoint.tensors["rng"])
            if "cuda_rng" in checkpoint.tensors:
                torch.cuda.set_rng_state(checkpoint.tensors["cuda_rng"])
        return checkpoint

    def _require_shared(self) -> None:
        """Refuse folders of which each process has its own: some would go on, others begin."""
        sign = self._directory / distributed.from_first(f".{uuid.uuid4().hex}")
        if distributed.rank() == 0:
            self._directory.mkdir(parents=True, exist_ok=True)
            sign.touch()
        distributed.wait_for_all()
        seen = distributed.gather_objects(sign.is_file())
        if distributed.rank() == 0:
            sign.unlink()
        if not all(seen):
            raise CheckpointError(
                f"{self._directory}: process {seen.index(False)} of {len(seen)} does not see the "
                "folder of checkpoints that process 0 writes; let all name one folder that each "
                "machine sees"
            )


def save_checkpoint(directory: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Put a checkpoint in the place of the one before.

    Args:
        directory: Made where it does not exist.
        checkpoint: The moment.
        fingerprint: Of the run.

    Raises:
        OSError: The directory cannot be written to.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # Separate copies: safetensors refuses tensors that share memory.
    tensors = {name: each.detach().cpu().clone() for name, each in checkpoint.tensors.items()}
    header = {
        "fingerprint": fingerprint,
        "values": checkpoint.values,
        "checksum": _checksum(tensors, checkpoint.values),
    }
    with replacing(directory / CHECKPOINT_FILE) as temporary:
        save_tensors(tensors, temporary, metadata={"din": json.dumps(header)})


def load_checkpoint(
    directory: Path, fingerprint: str, on_warning: Callable[[str], object] = _LOG.warning
) -> Checkpoint | None:
    """Read the checkpoint of this run, if there is one that can be used.

    Args:
        directory: Where :func:`save_checkpoint` put it.
        fingerprint: Of the run.
        on_warning: Told, in a sentence, why a checkpoint that is there is not used.

    Returns:
        The checkpoint, or ``None``. A damaged file is renamed to :data:`DAMAGED_FILE`.
    """
    path = directory / CHECKPOINT_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["din"])
            if header["fingerprint"] != fingerprint:
                on_warning(
                    f"{path}: this checkpoint belongs to other data, options, code or "
                    "circumstances; it is ignored, and training starts afresh"
                )
                return None
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        values: dict[str, Any] = header["values"]
        damage = None if _checksum(tensors, values) == header["checksum"] else "wrong checksum"
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        tensors, values, damage = {}, {}, f"{type(error).__name__}: {error}"
    if damage is None:
        return Checkpoint(tensors, values)
    with contextlib.suppress(FileNotFoundError):  # another process of the same run was faster
        path.replace(path.with_name(DAMAGED_FILE))
    on_warning(
        f"{path}: this checkpoint is damaged ({damage}); it was set aside as {DAMAGED_FILE}, "
        "and training starts afresh"
    )
    return None


def _checksum(tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> str:
    text = json.dumps([tensors_hash(tensors), dict(values)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def sweep(directory: Path) -> None:
    """Remove what writers that were killed have left; call it while nobody writes here."""
    for pattern in (f".{CHECKPOINT_FILE}.*", ".tmp*"):  # ours, and those of safetensors itself
        for leftover in directory.glob(pattern):
            leftover.unlink(missing_ok=True)


def clear_checkpoint(directory: Path) -> None:
    """Remove the checkpoint of a run that is over and whose model is safe elsewhere."""
    for name in (CHECKPOINT_FILE, DAMAGED_FILE):
        (directory / name).unlink(missing_ok=True)
