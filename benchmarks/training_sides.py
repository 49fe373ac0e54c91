"""The sides of the training cases: the same network on the same log, the steps timed one by one.

Each function runs in a process of its own (:mod:`benchmarks.side`) and imports what it needs. Both
begin with what the sequence builders left behind, so that only training is compared.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.arithmetic import needed_flops

if TYPE_CHECKING:
    import torch

    from benchmarks.clock import Clock

_MATRIX = 2_048
#: Turns that threads spin where nobody says anything.
LIBGOMPS_OWN = "300000"


def ours_training(
    clock: Clock,
    database: str,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    epochs: int,
    spinning: bool = False,
) -> dict[str, Any]:
    """Train for some epochs; the first is not counted as steady.

    Args:
        clock: Of this process.
        database: The database that the sequence case built.
        model: Fields of :class:`din_core.config.DINConfig`.
        training: Fields of :class:`din_core.config.TrainingConfig`; ``precision`` among them.
        epochs: Epochs, at least 2.
        spinning: Let threads spin as long as libgomp pleases, as those of the other side do.
    """
    if spinning:
        os.environ["GOMP_SPINCOUNT"] = LIBGOMPS_OWN  # read with torch, which is not imported yet
    import statistics

    from din_core import store
    from din_core.config import DINConfig, TrainingConfig, config_from_mapping
    from din_core.inputs import training_data
    from din_core.training.learner import Learner
    from din_core.training.loop import train

    model_config = config_from_mapping(DINConfig, model)
    config = config_from_mapping(
        TrainingConfig,
        {**training, "n_epoch": epochs, "earlystop_patience": epochs, "checkpoint_seconds": 0},
    )
    with store.connect(database, read_only=True) as con:
        data = training_data.load(con)
    rates = [matrix_flops(config.precision)]
    step_ends: list[float] = []
    plain_step = Learner.step

    def timed_step(*args: Any, **kwargs: Any) -> torch.Tensor:
        loss = plain_step(*args, **kwargs)
        step_ends.append(time.perf_counter())
        return loss

    Learner.step = timed_step  # the loop tells of epochs only, and the first step is of interest
    clock.start()
    begin = time.perf_counter()
    trained = train(model_config, config, data)
    clock.stop()
    rates.append(matrix_flops(trained.precision))

    train_samples = data.samples["train"]
    history = float((train_samples.end - train_samples.start).mean())
    vocabulary = data.vocabulary
    flops = needed_flops(
        model_config,
        mean_history=history,
        item_features=1 + len(vocabulary.item_attributes),
        other_features=int(model_config.use_user) + len(vocabulary.user_attributes),
    )
    rate = statistics.median(each.samples_per_second for each in trained.history[1:])
    return {
        "samples_per_s": rate,
        "time_to_first_step_s": step_ends[0] - begin,
        "steps": len(step_ends),
        "precision": trained.precision,
        "mean_history": history,
        "flops_per_sample": flops,
        "matmul_flops": max(rates),
        "matmul_share": flops * rate / max(rates),
        "activation_unit": trained.activation_unit,
    }


def theirs_training(
    clock: Clock,
    arrays: str,
    vocabulary: Mapping[str, int],
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    steps: int,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train torch-rechub's DIN for some steps; the first is not counted as steady.

    Args:
        clock: Of this process.
        arrays: What :func:`benchmarks.sequence_sides.theirs_sequences` saved.
        vocabulary: Largest index by column.
        model: Fields of ``DINConfig``; those it has no counterpart of are left out.
        training: Fields of ``TrainingConfig``; likewise.
        steps: Steps, at least 2.
        device: Where.
    """
    import numpy as np
    import torch
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.ranking import DIN
    from torch_rechub.trainers import CTRTrainer
    from torch_rechub.utils.data import DataGenerator

    from din_core.config import DINConfig, TrainingConfig, config_from_mapping

    model_config = config_from_mapping(DINConfig, model)
    config = config_from_mapping(TrainingConfig, training)
    with np.load(arrays) as saved:
        x = {name: saved[name] for name in saved.files}
    y = x.pop("label")
    rates = [matrix_flops("float32")]
    width = model_config.embed_dim
    torch.manual_seed(config.seed)
    clock.start()
    begin = time.perf_counter()
    targets = [
        SparseFeature(f"target_{column}", vocab_size=vocabulary[column] + 1, embed_dim=width)
        for column in ("item_id", "cate_id")
    ]
    user = SparseFeature("user_id", vocab_size=vocabulary["user_id"] + 1, embed_dim=width)
    histories = [
        SequenceFeature(
            f"hist_{column}",
            vocab_size=vocabulary[column] + 1,
            embed_dim=width,
            pooling="concat",
            shared_with=f"target_{column}",
        )
        for column in ("item_id", "cate_id")
    ]
    network = DIN(
        features=[user],  # theirs fails without any
        history_features=histories,
        target_features=targets,
        mlp_params={"dims": list(model_config.mlp_dims), "dropout": model_config.dropout},
        attention_mlp_params={
            "dims": list(model_config.attention_dims),
            "activation": model_config.activation,
            "use_softmax": model_config.use_softmax,
        },
    )
    few = {name: column[:2] for name, column in x.items()}
    loader, _, _ = DataGenerator(x, y).generate_dataloader(
        x_val=few, y_val=y[:2], x_test=few, y_test=y[:2], batch_size=config.batch_size
    )
    trainer = CTRTrainer(
        network,
        optimizer_params={"lr": config.learning_rate, "weight_decay": config.weight_decay},
        n_epoch=1,
        device=device,
    )
    timed = TimedBatches(loader, steps)
    trainer.train_one_epoch(timed)
    clock.stop()
    rates.append(matrix_flops("float32"))

    history = float((x["hist_item_id"] > 0).sum(1).mean())
    # The network that it has: one activation unit a feature, no product inputs, always the user.
    network_config = dataclasses.replace(
        model_config, attention="per_feature", product_inputs=False
    )
    flops = needed_flops(network_config, mean_history=history, item_features=2, other_features=1)
    rate = timed.samples_per_s(config.batch_size)
    return {
        "samples_per_s": rate,
        "time_to_first_step_s": timed.step_ends[0] - begin,
        "steps": steps,
        "precision": "float32",
        "mean_history": history,
        "matmul_flops": max(rates),
        "matmul_share": flops * rate / max(rates),
    }


class TimedBatches:
    """The first batches of a loader, and when the work on each was done.

    Args:
        loader: Yields ``(x, y)``; all batches asked for are full ones.
        steps: How many to take.
    """

    def __init__(self, loader: Any, steps: int) -> None:
        self._loader = loader
        self._steps = steps
        self.step_ends: list[float] = []

    def __len__(self) -> int:
        """Batches that come."""
        return self._steps

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches."""
        for batch in itertools.islice(self._loader, self._steps):
            yield batch
            self.step_ends.append(time.perf_counter())  # asked for the next: this one is done

    def samples_per_s(self, batch_size: int) -> float:
        """Rate of all steps but the first."""
        return batch_size * (len(self.step_ends) - 1) / (self.step_ends[-1] - self.step_ends[0])


def matrix_flops(precision: str, seconds: float = 0.5) -> float:
    """Measure the best rate of ``torch.matmul`` on square matrices, in FLOP/s."""
    import torch

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.randn(_MATRIX, _MATRIX).to(dtype)
    b = torch.randn(_MATRIX, _MATRIX).to(dtype)
    best = float("inf")
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or best == float("inf"):
        begin = time.perf_counter()
        torch.matmul(a, b)
        best = min(best, time.perf_counter() - begin)
    return 2 * _MATRIX**3 / best
