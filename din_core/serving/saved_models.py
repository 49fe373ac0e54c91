"""Saved models: weights as safetensors, what they belong to beside them, and a hash of content.

One file, ``model.safetensors``, is the whole model: its header carries the configuration and the
vocabulary, so that no kill can leave weights and configuration of two different runs together.
``model.json`` repeats the header for people and is never read back. Nothing here is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from din_core.atomic_files import replacing
from din_core.config import MODEL_CONFIGS, ModelConfig
from din_core.errors import DinError
from din_core.network.models import ClickModel, build_model
from din_core.network.tensor_files import save_tensors
from din_core.network.tensor_hash import tensors_hash
from din_core.network.vocabulary import Vocabulary

WEIGHTS_FILE = "model.safetensors"
DESCRIPTION_FILE = "model.json"
FORMAT = 3


class SavedModelError(DinError, ValueError):
    """A saved model is missing, damaged or of another format; the message says which and where."""


@dataclass(frozen=True)
class SavedModel:
    """A model read back.

    Attributes:
        model: In evaluation mode, on the CPU.
        config: The options it was built from.
        vocabulary: The log it belongs to.
        tensors_hash: Hash of its weights, as :func:`tensors_hash`.
        metadata: What was saved along.
    """

    model: ClickModel
    config: ModelConfig
    vocabulary: Vocabulary
    tensors_hash: str
    metadata: dict[str, Any]

    @property
    def context(self) -> list[str]:
        """Numbers of the moment that the model takes: columns of the log, then ``log_numbers``."""
        return [*self.vocabulary.context_dense, *self.config.log_numbers]


def save_model(
    directory: Path | str,
    model: ClickModel,
    config: ModelConfig,
    vocabulary: Vocabulary,
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """Save a model, atomically: the old one or the new one is there at any moment, whole.

    Args:
        directory: Made where it does not exist.
        model: As :func:`build_model` makes it from the two following.
        config: Options of the network.
        vocabulary: Sizes of the tables.
        metadata: Further values to keep with it; JSON types.

    Returns:
        The hash of the weights.

    Raises:
        OSError: The directory cannot be written to.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    saved_hash = tensors_hash(tensors)
    description = {
        "format": FORMAT,
        "config": asdict(config),
        "vocabulary": vocabulary.to_dict(),
        "tensors_hash": saved_hash,
        "metadata": dict(metadata or {}),
    }
    # Keys stay in their order: that of the columns is the one in which the network puts them side
    # by side, so a model read back in another order is another function of the same weights.
    with replacing(directory / WEIGHTS_FILE) as temporary:
        # One key: the header's keys are written in no fixed order.
        save_tensors(tensors, temporary, metadata={"din": json.dumps(description)})
    with replacing(directory / DESCRIPTION_FILE) as temporary:
        temporary.write_text(json.dumps(description, indent=2) + "\n")
    return saved_hash


def load_model(directory: Path | str) -> SavedModel:
    """Read a model back and check that its weights are those that were saved.

    Args:
        directory: Where :func:`save_model` put it.

    Returns:
        The model with everything that belongs to it.

    Raises:
        SavedModelError: No model there, a damaged file, one of another format, or a model that
            this program does not have.
    """
    path = Path(directory) / WEIGHTS_FILE
    if not path.is_file():
        raise SavedModelError(f"{path}: no such file; train a model or correct the directory")
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
        tensors = load_file(path)
    except SafetensorError as error:
        raise SavedModelError(f"{path}: not a whole model file ({error}); train again") from error
    description: dict[str, Any] = json.loads(header.get("din", "{}"))
    if description.get("format") != FORMAT:
        raise SavedModelError(
            f"{path}: format {description.get('format')} instead of {FORMAT}; it was saved by "
            "another version or another program, train again"
        )
    if tensors_hash(tensors) != description["tensors_hash"]:
        raise SavedModelError(f"{path}: the weights are not those that were saved; train again")
    # JSON knows no tuples, and the configuration is compared by value.
    options: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in description["config"].items()
    }
    if options["model"] not in MODEL_CONFIGS:
        raise SavedModelError(
            f"{path}: a model {options['model']!r}, and this program has "
            f"{', '.join(MODEL_CONFIGS)}; import what defines it, or train again"
        )
    config = MODEL_CONFIGS[options["model"]](**options)
    vocabulary = Vocabulary.from_dict(description["vocabulary"])
    # Built without using the caller's random numbers: every weight is replaced anyway.
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, vocabulary)
    model.load_state_dict(tensors)
    return SavedModel(
        model.eval(), config, vocabulary, description["tensors_hash"], description["metadata"]
    )
