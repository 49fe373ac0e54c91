"""What feeds what in a network, read off the model object while it answers a tiny batch.

Nothing is known of any model here: embeddings follow from its features, and what happens to them
from watching :meth:`ClickModel.interact`. A module that it calls is one step, a pooling of
positions is one, and so is each other operation on the way. Shapes are symbols where they depend
on the batch: B samples, L history positions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from din_core.network.features import DenseFeature, SequenceFeature
from din_core.network.layers.attention import ActivationUnit, plain_formula
from din_core.network.layers.positions import PaddedPositions
from din_core.network.models.click_model import Embedded

if TYPE_CHECKING:
    from din_core.network.features import Feature
    from din_core.network.layers.positions import Positions
    from din_core.network.models import ClickModel

Kind = Literal[
    "input", "further", "table", "numbers", "join", "pool", "attend", "product", "layers", "other"
]  # fmt: skip

# So many positions as no network has fields.
_B, _L = 2, 89
# They change how a tensor lies in memory, and not what it says.
_SAME = frozenset(
    ("view", "reshape", "unsqueeze", "squeeze", "flatten", "float", "to", "contiguous", "clone")
)
_KINDS: dict[str, Kind] = {"cat": "join", "mul": "product", "sum": "pool"}


@dataclass(frozen=True, eq=False)
class Step:
    """One box of the picture.

    Attributes:
        kind: What it is.
        name: Of an input or a table the feature's name; of a module its class, of a layer of torch
            also its sizes; else the operation.
        inputs: What feeds it, with the shape of each as it arrives, such as ``("B", "L", "16")``.
        shape: What comes out, likewise; of a table the width of a row.
        layers: What a module or an activation unit computes, in the order in which it does.
        rows: Rows of an embedding table.
    """

    kind: Kind
    name: str
    inputs: tuple[tuple[Step, tuple[str, ...]], ...] = ()
    shape: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    rows: int = 0


@dataclass(frozen=True)
class Flow:
    """All steps of a network, each after those that feed it.

    Attributes:
        title: The model's name for people.
        steps: The boxes; the last one gives the log-odds.
    """

    title: str
    steps: Sequence[Step]


def flow_of(model: ClickModel) -> Flow:
    """Watch a model answer, and say what fed what.

    Args:
        model: The network; it is left as it is.
    """
    device = next(model.parameters()).device
    was_training = model.training
    recorder = _Recorder(device)
    try:
        with torch.no_grad(), plain_formula(model), recorder.watching(model.eval()):
            histories, targets, context = recorder.look_up(model)
            positions = cast("Positions", _WatchedPositions(recorder))
            logits = model.interact(Embedded(histories, targets, context, positions))
            fed = (*histories, *targets, *context)
        last = recorder.step_of(logits) or Step(
            "other", type(model).__name__, tuple(recorder.feeding(fed)), ("B",)
        )
        return Flow(model.title, _in_order(last))
    finally:
        model.train(was_training)


def _in_order(last: Step) -> list[Step]:
    """A step and all that feeds it, inputs first: what does not reach the answer is left out."""
    found: dict[Step, None] = {}

    def visit(step: Step) -> None:
        if step not in found:
            for feeding, _ in step.inputs:
                visit(feeding)
            found[step] = None

    visit(last)
    return list(found)


def _symbols(tensor: Tensor) -> tuple[str, ...]:
    """The shape of a tensor of the tiny batch, in symbols: ``[B, L, D]`` or ``[B, D]``."""
    return ("B", *("L" if size == _L else str(size) for size in tensor.shape[1:]))


@dataclass
class _Recorder:
    """Keeps which step every tensor came from."""

    device: torch.device
    _known: dict[int, tuple[Tensor, Step]] = field(default_factory=dict[int, tuple[Tensor, Step]])
    _inside: list[nn.Module] = field(default_factory=list[nn.Module])
    _layers: list[str] = field(default_factory=list[str])

    def step_of(self, tensor: Tensor) -> Step | None:
        """The step that a tensor came from; None where what made it cannot be watched."""
        found = self._known.get(id(tensor))
        return None if found is None else found[1]

    def record(self, tensor: Tensor, step: Step) -> Tensor:
        """Remember where a tensor comes from; it is kept, so that no other one gets its id."""
        self._known[id(tensor)] = (tensor, step)
        return tensor

    def feeding(self, values: object) -> Iterator[tuple[Step, tuple[str, ...]]]:
        """Steps that arguments come from, with their shapes, whatever lists they stand in."""
        if isinstance(values, Tensor) and id(values) in self._known:
            yield self._known[id(values)][1], _symbols(values)
        elif isinstance(values, (list, tuple)):
            for each in cast("Sequence[object]", values):
                yield from self.feeding(each)

    def look_up(self, model: ClickModel) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What :meth:`ClickModel.embed` gives: histories, targets and context."""
        tables: dict[nn.Module, Step] = {}
        # A table is fed by all features that share it, so the features come before the tables.
        inputs = {
            each.name: Step("input", each.name, shape=_of_input(each))
            for each in model.input_features
        }
        for name, table in model.embedding.tables():
            sharing = [each for each in model.embedding.features if _table(model, each) is table]
            tables[table] = Step(
                "table",
                name,
                tuple((inputs[each.name], _of_input(each)) for each in sharing),
                (str(table.embedding_dim),),
                rows=table.num_embeddings,
            )

        def vectors(feature: Feature | DenseFeature) -> Tensor:
            sizes = (_B, _L) if isinstance(feature, SequenceFeature) else (_B,)
            zeros = torch.zeros(*sizes, feature.dim, device=self.device)
            if not isinstance(feature, DenseFeature):
                return self.record(zeros, tables[_table(model, feature)])
            if feature.normalization is None:
                return self.record(zeros, inputs[feature.name])
            fed = ((inputs[feature.name], _of_input(feature)),)
            return self.record(zeros, Step("numbers", feature.name, fed, ("B", str(feature.dim))))

        def joined(features: Sequence[Feature | DenseFeature]) -> Tensor:
            rows = [vectors(feature) for feature in features]
            return rows[0] if len(rows) == 1 else torch.cat(rows, dim=-1)

        histories = [joined(histories) for histories, _ in model.groups]
        targets = [joined(targets) for _, targets in model.groups]
        return histories, targets, [vectors(feature) for feature in model.context_features]

    @contextmanager
    def watching(self, model: nn.Module) -> Generator[None]:
        """Record what modules and operations do, for a while."""
        hooks = [
            hook
            for module in model.modules()
            for hook in (
                module.register_forward_pre_hook(self._enter),
                module.register_forward_hook(self._leave, with_kwargs=True),
            )
        ]
        try:
            with _Operations(self):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def inside(self, module: nn.Module) -> Generator[list[str]]:
        """Record layers instead of steps, for a while."""
        self._inside.append(module)
        before, self._layers = self._layers, []
        try:
            yield self._layers
        finally:
            self._inside.pop()
            self._layers = before

    def _enter(self, module: nn.Module, _: Any) -> None:
        if not self._inside:
            self._layers = []
        elif not list(module.children()) and (said := _layer(module)):
            self._layers.append(said)
        self._inside.append(module)

    def _leave(self, module: nn.Module, inputs: Any, by_name: Any, output: Any) -> None:
        self._inside.pop()
        if self._inside or not isinstance(output, Tensor):
            return
        fed = tuple(self.feeding([inputs, list(by_name.values())]))
        step = Step("layers", _layer(module), fed, _symbols(output), tuple(self._layers))
        self.record(output, step)

    def operation(self, name: str, inputs: object, output: object) -> None:
        """Record what an operation gave, where it stands in no module and got something known."""
        fed = tuple(self.feeding(inputs))
        if self._inside or not fed or not isinstance(output, Tensor):
            return
        if name in _SAME:
            self.record(output, fed[0][0])
        else:
            self.record(output, Step(_KINDS.get(name, "other"), name, fed, _symbols(output)))


class _Operations(TorchFunctionMode):
    """Tells a recorder of every operation."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        by_name = kwargs or {}
        output = func(*args, **by_name)
        name = getattr(func, "__name__", "?")
        self._recorder.operation(name, [args, list(by_name.values())], output)
        return output


class _WatchedPositions:
    """Stands in for :class:`Positions`: each of its methods is one step."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder
        is_position = torch.ones(_B, _L, dtype=torch.bool, device=recorder.device)
        self._positions = PaddedPositions(is_position)

    def __getattr__(self, name: str) -> Callable[..., Tensor]:
        def watched(*arguments: Any) -> Tensor:
            recorder, unit = self._recorder, arguments[0]
            fed = tuple(recorder.feeding(arguments))
            with recorder.inside(nn.Identity()) as layers:
                output = cast("Tensor", getattr(self._positions, name)(*arguments))
            if not isinstance(unit, ActivationUnit):
                return recorder.record(output, Step("pool", name, fed, _symbols(output)))
            # The unit computes its first layer in parts; the layers are those of the paper.
            with recorder.inside(unit) as layers:
                target, history = arguments[1], arguments[2][:, 0]
                unit.scores_by_concatenation(
                    target, history, torch.arange(_B, device=target.device)
                )
            layers += ["+ bias of the position"] if unit.position_bias is not None else []
            layers += ["softmax over L"] if unit.use_softmax else []
            step = Step("attend", "activation unit", fed, _symbols(output), tuple(layers))
            return recorder.record(output, step)

        return watched


def _table(model: ClickModel, feature: Feature) -> nn.Embedding:
    return model.embedding.table(feature)


def _of_input(feature: Feature | DenseFeature) -> tuple[str, ...]:
    if isinstance(feature, SequenceFeature):
        return ("B", "L")
    wide = isinstance(feature, DenseFeature) and feature.embed_dim > 1
    return ("B", str(feature.embed_dim)) if wide else ("B",)


def _layer(module: nn.Module) -> str:
    """A layer in a few words; nothing for one that does nothing."""
    if isinstance(module, nn.Linear):
        return f"Linear {module.in_features} → {module.out_features}"
    if isinstance(module, nn.Dropout):
        return f"Dropout {module.p:g}" if module.p else ""
    return type(module).__name__
