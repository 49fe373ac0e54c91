"""The tutorial's trainer: any optimizer, padded batches, early stopping on the validation AUC."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import graphviz
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from din_core.atomic_files import replacing
from din_core.machine.spinning import say_if_too_late
from din_core.metrics import auc
from din_core.network.hardware import threads_for_a_while
from din_core.network.models import ClickModel
from din_core.network.tensor_files import save_tensors
from din_core.serving.graphs.tracing import OPSET
from din_core.tutorial.delivery import ONNXExporter, visualize_model

_log = logging.getLogger(__name__)

_TABLES = (nn.Embedding, nn.EmbeddingBag)
_NORMALISATIONS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)

Loader = Iterable[tuple[Mapping[str, Tensor], Tensor]]
MODEL_FILE = "model.safetensors"


class MetricLogger(Protocol):
    """What ``model_logger`` must be able to do."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Told once, before the first epoch."""
        ...

    def log_metrics(self, metrics: dict[str, Any], step: int) -> None:
        """Told after each epoch, from 0."""
        ...

    def finish(self) -> None:
        """Told at the end."""
        ...


class CTRTrainer:
    """Trains a click model.

    Different from torch-rechub: the weights of the best epoch are restored *always*, not only when
    patience runs out, and saved as safetensors; nothing is printed, progress goes to the log. It
    takes no more threads than the process has cores, by its affinity mask and its container's
    quota.

    Args:
        model: ``model(inputs)`` gives probabilities ``[B]``.
        optimizer_fn: Class of the optimizer.
        optimizer_params: Its arguments; ``{"lr": 1e-3, "weight_decay": 1e-5}`` where left out.
        regularization_params: ``embedding_l1, embedding_l2, dense_l1, dense_l2``: factors of the
            sums of absolute and of squared weights in the loss, 0 where left out. They see whole
            tables and no normalisation layers, as the original's.
        scheduler_fn: Class of a learning rate scheduler, stepped once an epoch without a metric.
        scheduler_params: Its arguments.
        n_epoch: Most epochs.
        earlystop_patience: Epochs without a better validation AUC before training stops.
        device: Such as ``cpu`` or ``cuda:0``.
        gpus: At most one device number, which replaces ``device``.
        loss_mode: ``False`` for a model that returns probabilities and a further loss.
        model_path: Directory for ``model.safetensors``.
        model_logger: One or several :class:`MetricLogger`.

    Raises:
        ValueError: More than one GPU, an unknown regularization, a scheduler that cannot be
            stepped so, or ``loss_mode=False`` for a DIN.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer_fn: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_params: Mapping[str, Any] | None = None,
        regularization_params: Mapping[str, float] | None = None,
        scheduler_fn: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None,
        scheduler_params: Mapping[str, Any] | None = None,
        n_epoch: int = 10,
        earlystop_patience: int = 10,
        device: str = "cpu",
        gpus: Sequence[int] | None = None,
        loss_mode: bool = True,
        model_path: Path | str = "./",
        model_logger: MetricLogger | Sequence[MetricLogger] | None = None,
    ) -> None:
        if gpus and len(gpus) > 1:
            raise ValueError(f"gpus {list(gpus)}: one process takes one GPU; start it by torchrun")
        if not loss_mode and isinstance(model, ClickModel):
            raise ValueError("loss_mode=False: a DIN returns no further loss; leave it out")
        if scheduler_params and scheduler_fn is None:
            raise ValueError(
                f"scheduler_params {dict(scheduler_params)} without scheduler_fn: name the "
                "scheduler's class, or leave them out"
            )
        self.device = torch.device(f"cuda:{gpus[0]}" if gpus else device)
        self.model = model.to(self.device)
        if optimizer_params is None:
            optimizer_params = {"lr": 1e-3, "weight_decay": 1e-5}
        self.optimizer = optimizer_fn(model.parameters(), **optimizer_params)
        self.scheduler = (
            scheduler_fn(self.optimizer, **(scheduler_params or {})) if scheduler_fn else None
        )
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise ValueError(  # noqa: TRY004 (its type is right, what it needs is not at hand)
                "scheduler_fn=ReduceLROnPlateau steps on a metric, and schedulers are stepped "
                "without one here; take one that counts epochs, such as StepLR"
            )
        self.regularization = _regularization(regularization_params or {})
        self.n_epoch = n_epoch
        self.earlystop_patience = earlystop_patience
        self.loss_mode = loss_mode
        self.model_path = Path(model_path)
        loggers = model_logger if isinstance(model_logger, Sequence) else [model_logger]
        self.loggers = [logger for logger in loggers if logger is not None]
        say_if_too_late()

    @threads_for_a_while()
    def fit(self, train_dataloader: Loader, val_dataloader: Loader | None = None) -> None:
        """Train, stop early, restore the best weights and save them.

        Args:
            train_dataloader: Batches of inputs and labels.
            val_dataloader: The same for validation; without it the last weights are kept.
        """
        for logger in self.loggers:
            logger.log_hyperparams(
                {
                    "n_epoch": self.n_epoch,
                    "learning_rate": self.optimizer.param_groups[0]["lr"],
                    "loss_mode": self.loss_mode,
                }
            )
        best_auc, best_weights, n_worse, stop = -1.0, None, 0, False
        for epoch in range(self.n_epoch):
            rate = self.optimizer.param_groups[0]["lr"]
            metrics = {"train/loss": self.train_one_epoch(train_dataloader), "learning_rate": rate}
            if self.scheduler is not None:
                self.scheduler.step()
            if val_dataloader is not None:
                measured = self.evaluate(self.model, val_dataloader)
                if measured is not None:
                    metrics["val/auc"] = measured
                if measured is not None and measured > best_auc:
                    best_auc, n_worse = measured, 0
                    best_weights = {k: v.clone() for k, v in self.model.state_dict().items()}
                else:
                    n_worse += 1
                    stop = n_worse >= self.earlystop_patience
            _log.info("epoch %d: %s", epoch, metrics)
            for logger in self.loggers:
                logger.log_metrics(metrics, step=epoch)
            if stop:
                break
        if best_weights is not None:
            self.model.load_state_dict(best_weights)
        self.model_path.mkdir(parents=True, exist_ok=True)
        with replacing(self.model_path / MODEL_FILE) as temporary:
            weights = self.model.state_dict()
            save_tensors(
                {name: each.cpu().contiguous() for name, each in weights.items()}, temporary
            )
        for logger in self.loggers:
            logger.finish()

    @threads_for_a_while()
    def train_one_epoch(self, data_loader: Loader, log_interval: int = 10) -> float:
        """Pass over the training samples once.

        Args:
            data_loader: Batches of inputs and labels.
            log_interval: Batches between two lines in the log at level DEBUG, which tell their
                mean loss.

        Returns:
            Mean loss of the batches; 0 without any.
        """
        self.model.train()
        losses: list[Tensor] = []
        for inputs, labels in data_loader:
            loss = self._loss(self._moved(inputs), labels.to(self.device).float())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
            if len(losses) % log_interval == 0 and _log.isEnabledFor(logging.DEBUG):
                recent = float(torch.stack(losses[-log_interval:]).mean())
                _log.debug("batch %d: loss %.4f", len(losses), recent)
        return float(torch.stack(losses).mean()) if losses else 0.0

    @threads_for_a_while()
    def evaluate(self, model: nn.Module, data_loader: Loader) -> float | None:
        """AUC on labelled samples, ``None`` where they are not of both classes."""
        labels: list[float] = []
        scores: list[float] = []
        for of_batch, probabilities in self._scored(model, data_loader):
            labels += of_batch.tolist()
            scores += probabilities.tolist()
        return auc(labels, scores)

    @threads_for_a_while()
    def predict(self, model: nn.Module, data_loader: Loader) -> list[float]:
        """Click probabilities of labelled samples, in the loader's order."""
        scored = self._scored(model, data_loader)
        return [each for _, probabilities in scored for each in probabilities.tolist()]

    def export_onnx(
        self,
        output_path: Path | str,
        dummy_input: Mapping[str, Tensor] | None = None,
        batch_size: int = 2,
        seq_length: int = 10,
        opset_version: int = OPSET,
        dynamic_batch: bool = True,
        device: str | None = None,
        verbose: bool = False,
        onnx_export_kwargs: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write the model as ONNX; see :meth:`ONNXExporter.export`."""
        return ONNXExporter(self._click_model()).export(
            output_path,
            dummy_input=dummy_input,
            batch_size=batch_size,
            seq_length=seq_length,
            opset_version=opset_version,
            dynamic_batch=dynamic_batch,
            device=device,
            verbose=verbose,
            onnx_export_kwargs=onnx_export_kwargs,
        )

    def visualization(
        self,
        input_data: Mapping[str, Tensor] | None = None,
        batch_size: int = 2,
        seq_length: int = 10,
        depth: int = 3,
        show_shapes: bool = True,
        expand_nested: bool = True,
        save_path: Path | str | None = None,
        graph_name: str = "model",
        device: str | None = None,
        dpi: int = 300,
        **kwargs: Any,
    ) -> graphviz.Source:
        """Draw the model; see :func:`visualize_model`."""
        return visualize_model(
            self._click_model(),
            input_data=input_data,
            batch_size=batch_size,
            seq_length=seq_length,
            depth=depth,
            show_shapes=show_shapes,
            expand_nested=expand_nested,
            save_path=save_path,
            graph_name=graph_name,
            device=device or "cpu",
            dpi=dpi,
            **kwargs,
        )

    def _click_model(self) -> ClickModel:
        if not isinstance(self.model, ClickModel):
            raise TypeError(
                "only a ClickModel, such as DIN, can be exported or drawn, not "
                f"{type(self.model).__name__}"
            )
        return self.model

    def _scored(self, model: nn.Module, data_loader: Loader) -> Iterator[tuple[Tensor, Tensor]]:
        """Labels and probabilities, batch by batch."""
        model.eval()
        with torch.no_grad():
            for inputs, labels in data_loader:
                output = model(self._moved(inputs))
                yield labels, (output if self.loss_mode else output[0]).flatten()

    def _moved(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: each.to(self.device) for name, each in inputs.items()}

    def _loss(self, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        if isinstance(self.model, ClickModel):
            # Of logits, which keep the gradient where a probability rounds to 0 or 1.
            batch = dataclasses.replace(self.model.as_batch(inputs), label=labels)
            loss = self.model.loss(batch) / batch.n_samples
        elif self.loss_mode:
            loss = F.binary_cross_entropy(self.model(inputs), labels)
        else:
            probabilities, further = self.model(inputs)
            loss = F.binary_cross_entropy(probabilities, labels) + further
        return loss + self._penalty()

    def _penalty(self) -> Tensor | float:
        """L1 and L2 of embedding tables and of all other weights."""
        if not any(self.regularization.values()):
            return 0.0
        modules = list(self.model.modules())
        tables = {id(each.weight) for each in modules if isinstance(each, _TABLES)}
        exempt = {
            id(parameter)
            for each in modules
            if isinstance(each, _NORMALISATIONS)
            for parameter in each.parameters()
        }
        penalty = torch.zeros((), device=self.device)
        for parameter in self.model.parameters():
            if id(parameter) in exempt or not parameter.requires_grad:
                continue
            kind = "embedding" if id(parameter) in tables else "dense"
            penalty = penalty + self.regularization[f"{kind}_l1"] * parameter.abs().sum()
            penalty = penalty + self.regularization[f"{kind}_l2"] * parameter.square().sum()
        return penalty


def _regularization(given: Mapping[str, float]) -> dict[str, float]:
    factors = {"embedding_l1": 0.0, "embedding_l2": 0.0, "dense_l1": 0.0, "dense_l2": 0.0}
    if unknown := set(given) - set(factors):
        raise ValueError(f"regularization_params {sorted(unknown)} are none of {list(factors)}")
    return {**factors, **given}
