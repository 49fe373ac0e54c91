"""A training that starts from another model: which of its weights go where.

Dense weights go by name and, where the inputs differ, column by column; embedding rows by the id
that they stand for. What only the new model has keeps its random start. Where the other model comes
from is :mod:`din_core.serving.predecessors`'s business. Shapes: V rows of the new model's table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from din_core.errors import DinError
from din_core.network.layers.dense import Normalizer
from din_core.network.layers.embedding import module_name

if TYPE_CHECKING:
    from din_core.config import ModelConfig
    from din_core.inputs.flat_log import Int64
    from din_core.network.models import ClickModel
    from din_core.network.models.input_columns import Block

#: Options of a network that another model may have had: of inputs, of the start and of training.
_MAY_DIFFER = (
    "use_user",
    "log_numbers",
    "history_embeddings",
    "embedding_init_std",
    "dropout",
)
_TABLES, _NUMBERS = "embedding.", "dense."


class UnfitPredecessorError(DinError, ValueError):
    """No training can start from this model; the message says what differs, and the way out."""


@dataclass(frozen=True, kw_only=True)
class Predecessor:
    """A model that a training starts from, held against the log that is trained on.

    Attributes:
        version: Its data version.
        model: On the CPU.
        config: The options it was built from.
        tensors_hash: Of its weights.
        rows: By feature of the new model, the row of ``model``'s table that each row of the new
            table stands for, int64 ``[V]``; 0 where it has none. Features without are new.
        epochs: Epochs that it has trained for, those of its own predecessors included.
    """

    version: str
    model: ClickModel
    config: ModelConfig
    tensors_hash: str
    rows: Mapping[str, Int64]
    epochs: int = 0

    def fingerprint(self) -> str:
        """Hash all that decides what a training takes over."""
        digest = hashlib.sha256(f"{self.tensors_hash} {self.epochs}".encode())
        for name, rows in sorted(self.rows.items()):
            digest.update(f"{name} {len(rows)}".encode())
            digest.update(rows.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class TakenOver:
    """What a training has taken over.

    Attributes:
        version: Data version of the model that it started from.
        rows: By feature that owns a table, its rows that were taken over, and all of them; that
            of padding is not counted.
        new_rows: By the same features, the rows that were not, int64.
        new_inputs: Features that the other model did not have.
        gone_inputs: Features that only the other model had.
        first_epoch: Number of the first epoch, from 0: the other model's went before, so that
            neither order nor redrawn negatives are theirs again.
    """

    version: str
    rows: Mapping[str, tuple[int, int]]
    new_rows: Mapping[str, Tensor]
    new_inputs: Sequence[str]
    gone_inputs: Sequence[str]
    first_epoch: int

    def shares(self) -> dict[str, float]:
        """Share of the rows that were taken over, by feature that owns a table."""
        return {
            name: taken / n_rows if n_rows else 1.0 for name, (taken, n_rows) in self.rows.items()
        }

    def metrics(self) -> dict[str, Any]:
        """What is worth seeing beside the model."""
        return {
            "warm_started_from": self.version,
            **{f"taken_over_{name}": share for name, share in self.shares().items()},
        }

    def told(self) -> dict[str, Any]:
        """All of it, as it is kept with the model; JSON types."""
        return {
            "from": self.version,
            "rows": {name: list(counts) for name, counts in self.rows.items()},
            "new_inputs": list(self.new_inputs),
            "gone_inputs": list(self.gone_inputs),
        }

    def summary(self) -> str:
        """What was taken over, in one line."""
        rows = ", ".join(
            f"{taken:,} of {n_rows:,} rows of {name}" for name, (taken, n_rows) in self.rows.items()
        )
        new = f"; new inputs: {', '.join(self.new_inputs)}" if self.new_inputs else ""
        gone = f"; inputs that are gone: {', '.join(self.gone_inputs)}" if self.gone_inputs else ""
        return f"training started from model {self.version}: {rows}{new}{gone}"


def start_from(
    model: ClickModel,
    config: ModelConfig,
    predecessor: Predecessor | None,
    on_warning: Callable[[str], object],
) -> TakenOver | None:
    """Let a freshly built model start from another one, if there is one; say where it cannot.

    Arguments as of :func:`take_over`; ``on_warning`` is told in a sentence.
    """
    try:
        return None if predecessor is None else take_over(model, config, predecessor)
    except UnfitPredecessorError as unfit:
        on_warning(
            f"training starts from random weights, with all epochs of n_epoch: {unfit}. To go on "
            "from that model instead, stop this run and put back what differs"
        )
        return None


@torch.no_grad()
def take_over(model: ClickModel, config: ModelConfig, predecessor: Predecessor) -> TakenOver:
    """Give a freshly built model the weights of another one, wherever it has them.

    - A row of an embedding table is that of the same id; the row of a new id keeps its random
      start, and row 0 (padding, unknown) stays zero.
    - A layer that takes inputs side by side gets the columns of those that both models have.
    - Numbers are normalised by the new log's mean and deviation. The weights behind are scaled, so
      that the network says of a number what it said before.
    - Dice's running statistics are taken over and go on from there.

    Args:
        model: On the CPU; its weights are overwritten. Where it is refused they are as they were.
        config: The options it was built from.
        predecessor: What to start from.

    Raises:
        UnfitPredecessorError: It is another network, or has other inputs and does not say which of
            its weights belong to which.
    """
    _refuse_another_network(config, predecessor)
    for new, old in list(_dense_pairs(model, predecessor.model)):
        new.copy_(old)
    _scale_weights_of_numbers(model, predecessor.model)
    names = [feature.name for feature in model.input_features]
    before = [feature.name for feature in predecessor.model.input_features]
    new_rows = _take_rows(model, predecessor)
    n_rows = {name: table.num_embeddings - 1 for name, table in model.embedding.tables()}
    return TakenOver(
        version=predecessor.version,
        rows={name: (n_rows[name] - len(rows), n_rows[name]) for name, rows in new_rows.items()},
        new_rows=new_rows,
        new_inputs=[name for name in names if name not in before],
        gone_inputs=[name for name in before if name not in names],
        first_epoch=predecessor.epochs,
    )


def _refuse_another_network(config: ModelConfig, predecessor: Predecessor) -> None:
    if config.model != predecessor.config.model:
        raise UnfitPredecessorError(
            f"model {predecessor.version} is a {predecessor.config.model}, and model is "
            f"{config.model!r}"
        )
    for each in fields(config):
        was, now = getattr(predecessor.config, each.name), getattr(config, each.name)
        if each.name not in _MAY_DIFFER and was != now:
            raise UnfitPredecessorError(
                f"model {predecessor.version} has {each.name} {_shown(was)}, and {each.name} is "
                f"{_shown(now)}"
            )


def _shown(value: object) -> str:
    return str(list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value)


def _take_rows(model: ClickModel, predecessor: Predecessor) -> dict[str, Tensor]:
    """Fill the tables; return the rows that stayed as they were, by feature that owns a table."""
    before = {feature.name: feature for feature in predecessor.model.embedding.features}
    new_rows: dict[str, Tensor] = {}
    for name, table in model.embedding.tables():
        rows = torch.zeros(table.num_embeddings, dtype=torch.int64)
        if name in before and name in predecessor.rows:
            rows = torch.from_numpy(predecessor.rows[name])
            known = rows.nonzero().squeeze(1)
            theirs = predecessor.model.embedding.table(before[name]).weight
            table.weight[known] = theirs[rows[known]]
        new_rows[name] = (rows[1:] == 0).nonzero().squeeze(1) + 1
    return new_rows


class _Dense:
    """The dense half of a model: its weights and statistics by what they belong to.

    Attributes:
        tensors: Each by a name that does not depend on the order of the inputs.
        blocks: By the same name, what stands in the columns of a weight that takes inputs.
    """

    def __init__(self, model: ClickModel, *, by_input: bool) -> None:
        columns = model.input_columns() if by_input else None
        parts = {} if columns is None else columns.parts

        def called(name: str) -> str:
            part = next((each for each in parts if name.startswith(each)), "")
            return parts.get(part, "") + name.removeprefix(part)

        state: dict[str, Tensor] = model.state_dict()
        self.tensors = {
            called(name): each
            for name, each in state.items()
            if not name.startswith((_TABLES, _NUMBERS))
        }
        found = {} if columns is None else columns.blocks
        self.blocks = {called(name): list(_placed(blocks)) for name, blocks in found.items()}


def _placed(blocks: Sequence[Block]) -> Iterator[tuple[Block, slice]]:
    """Yield each block with the columns that it has."""
    begin = 0
    for block in blocks:
        yield block, slice(begin, begin + block.width)
        begin += block.width


def _dense_pairs(model: ClickModel, other: ClickModel) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield where each dense weight or statistic goes, and what goes there."""
    by_input = model.input_columns() is not None
    if not by_input:
        _refuse_other_inputs(model, other)
    new, old = _Dense(model, by_input=by_input), _Dense(other, by_input=by_input)
    for name, weight in new.tensors.items():
        if name not in old.tensors:
            continue  # of an input that is new
        if name in new.blocks:
            theirs = {block.name: columns for block, columns in old.blocks[name]}
            for block, columns in new.blocks[name]:
                if block.name in theirs:
                    yield weight[:, columns], old.tensors[name][:, theirs[block.name]]
        else:
            yield weight, old.tensors[name]


def _refuse_other_inputs(model: ClickModel, other: ClickModel) -> None:
    inputs, before = (
        [(feature.name, feature.dim) for feature in each.input_features] for each in (model, other)
    )
    if inputs != before:
        raise UnfitPredecessorError(
            f"its inputs were {', '.join(name for name, _ in before)}, and are "
            f"{', '.join(name for name, _ in inputs)}; {type(model).__name__} does not say which "
            "weights belong to which input (`input_columns`)"
        )


def _scale_weights_of_numbers(model: ClickModel, other: ClickModel) -> None:
    """Let the network say of each number what it said before, now that it is measured by others.

    With ``w (x - m) / s + b``, measured by m' and s' instead: ``w' = w s' / s`` and
    ``b' = b + w (m' - m) / s``. Where the number is missing, what moved b is taken back.
    """
    dense = _Dense(model, by_input=True)
    for weight_name, blocks in dense.blocks.items():
        weight = dense.tensors[weight_name]
        bias = dense.tensors[weight_name.removesuffix("weight") + "bias"]
        for block, columns in blocks:
            now, before = (_normalizer(each, block.number) for each in (model, other))
            if now is None or before is None:
                continue
            number, missing = weight[:, columns].unbind(1)
            moved = number * ((now.mean - before.mean) / before.std)
            bias += moved
            missing -= moved
            number *= now.std / before.std


def _normalizer(model: ClickModel, number: str | None) -> Normalizer | None:
    name = "" if number is None else module_name(number, "number")
    found = dict(model.dense.named_children()).get(name)
    return found if isinstance(found, Normalizer) else None
