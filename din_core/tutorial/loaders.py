"""Loaders over arrays that are in memory anyway: a batch is an index into tensors.

Shapes: N samples, B samples of a batch, L padded length.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_log = logging.getLogger(__name__)

Arrays = Mapping[str, npt.NDArray[Any]]


class TensorBatches:
    """Batches of samples, in order or newly shuffled in every pass.

    Args:
        inputs: Feature name to ``[N]`` or ``[N, L]``.
        labels: ``[N]``.
        batch_size: B; the last batch may have fewer.
        generator: Source of the shuffles; ``None`` keeps the order.
    """

    def __init__(
        self,
        inputs: Mapping[str, Tensor],
        labels: Tensor,
        batch_size: int,
        generator: torch.Generator | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} must be 1 or more")
        self.inputs = inputs
        self.labels = labels
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        """Batches of a pass."""
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Yield inputs by feature name, and labels."""
        n_samples = len(self.labels)
        if self.generator is None:
            order = torch.arange(n_samples)
        else:
            order = torch.randperm(n_samples, generator=self.generator)
        for rows in order.split(self.batch_size):
            yield {name: each[rows] for name, each in self.inputs.items()}, self.labels[rows]


class DataGenerator:
    """Makes the three loaders of a training run.

    Args:
        x: Inputs of the training samples: feature name to ``[N]`` or ``[N, L]``.
        y: Their labels ``[N]``, 0 or 1.
        seed: Seed of the shuffles and of a random split.

    Raises:
        ValueError: An input has not as many rows as there are labels, or holds what is no finite
            number; a label outside 0 … 1.
    """

    def __init__(self, x: Arrays, y: npt.ArrayLike, *, seed: int = 2022) -> None:
        self.inputs, self.labels = _tensors(x, y)
        self.seed = seed

    def generate_dataloader(
        self,
        x_val: Arrays | None = None,
        y_val: npt.ArrayLike | None = None,
        x_test: Arrays | None = None,
        y_test: npt.ArrayLike | None = None,
        split_ratio: Sequence[float] | None = None,
        batch_size: int = 16,
        num_workers: int = 0,
    ) -> tuple[TensorBatches, TensorBatches, TensorBatches]:
        """Make loaders for training (shuffled in every pass), validation and test (in order).

        Args:
            x_val: Inputs of the validation samples.
            y_val: Their labels.
            x_test: Inputs of the test samples.
            y_test: Their labels.
            split_ratio: Instead of the four above, not beside them: shares of training and
                validation, such as ``[0.7, 0.1]``, drawn at random from the samples at hand; the
                rest is test.
            batch_size: B.
            num_workers: Accepted for the sake of ported scripts. Nothing is left for workers to do.

        Raises:
            ValueError: Neither a split nor samples for validation and test, or both, or samples
                that the constructor would refuse.
        """
        if num_workers:
            _log.debug("num_workers=%d: a batch is an index into tensors, no worker", num_workers)
        shuffles = torch.Generator().manual_seed(self.seed)
        given = {"x_val": x_val, "y_val": y_val, "x_test": x_test, "y_test": y_test}
        if split_ratio is not None:
            if beside := [name for name, each in given.items() if each is not None]:
                raise ValueError(
                    f"split_ratio and {beside[0]}: split_ratio draws validation and test from the "
                    "samples at hand; leave out one of the two"
                )
            return self._random_split(split_ratio, batch_size, shuffles)
        if x_val is None or y_val is None or x_test is None or y_test is None:
            raise ValueError(
                "validation or test samples are missing; pass x_val, y_val, x_test and y_test, or "
                "split_ratio"
            )
        return (
            TensorBatches(self.inputs, self.labels, batch_size, shuffles),
            TensorBatches(*_tensors(x_val, y_val), batch_size),
            TensorBatches(*_tensors(x_test, y_test), batch_size),
        )

    def _random_split(
        self, ratio: Sequence[float], batch_size: int, shuffles: torch.Generator
    ) -> tuple[TensorBatches, TensorBatches, TensorBatches]:
        if len(ratio) < 2 or min(ratio) < 0 or sum(ratio[:2]) > 1:
            raise ValueError(
                f"split_ratio {list(ratio)} must be the shares of training and validation, "
                "together at most 1"
            )
        n_samples = len(self.labels)
        n_train, n_val = (int(n_samples * share) for share in ratio[:2])
        order = torch.randperm(n_samples, generator=shuffles)
        parts = order.split([n_train, n_val, n_samples - n_train - n_val])
        train, val, test = (
            TensorBatches(
                {name: each[rows] for name, each in self.inputs.items()},
                self.labels[rows],
                batch_size,
            )
            for rows in parts
        )
        train.generator = shuffles
        return train, val, test


def _tensors(x: Arrays, y: npt.ArrayLike) -> tuple[dict[str, Tensor], Tensor]:
    labels = np.array(_numbers("y", y), dtype=np.float32)
    if len(wrong := np.flatnonzero(~((labels >= 0) & (labels <= 1)))):
        raise ValueError(
            f"y: label {labels[wrong[0]]:g} in row {wrong[0]} is not within 0 … 1, a click's "
            "probability; are these ratings?"
        )
    inputs = {name: torch.from_numpy(_numbers(name, each)) for name, each in x.items()}
    for name, each in inputs.items():
        if len(each) != len(labels):
            raise ValueError(
                f"input '{name}' has {len(each)} rows and there are {len(labels)} labels; both "
                "must come from the same samples"
            )
    return inputs, torch.from_numpy(labels)


def _numbers(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """A copy that tensors can be made of, lists of one length as a rectangle."""
    try:
        array = np.array(values)
        array = np.array(array.tolist()) if array.dtype == object else array
    except ValueError as error:
        raise ValueError(
            f"{name} holds lists of different lengths; pad_sequences evens them out"
        ) from error
    if array.dtype.kind == "u":
        array = array.astype(np.int64)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} is of type {array.dtype}, not of numbers; number its values, as "
            "generate_seq_feature does"
        )
    if array.dtype.kind == "f" and len(wrong := np.argwhere(~np.isfinite(array))):
        raise ValueError(
            f"{name} is {array[tuple(wrong[0])]} in row {wrong[0][0]}; fill it or leave the row out"
        )
    return array
