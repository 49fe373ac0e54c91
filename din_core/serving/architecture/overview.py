"""The picture of a network that a person can read: :class:`Flow` in Graphviz's language.

Inputs are at the top and the probability at the bottom. An embedding table is one box, whoever
shares it; the first activation unit is unfolded, further ones say what they are. Orange edges carry
histories. torchviz's picture of every operation is :mod:`din_core.serving.pictures`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from din_core.escaping import dot_heading, dot_label
from din_core.serving.architecture.flow import flow_of
from din_core.serving.architecture.folding import folded

if TYPE_CHECKING:
    from din_core.network.models import ClickModel
    from din_core.serving.architecture.flow import Flow, Kind, Step

_COLOURS: dict[Kind, str] = {
    "input": "white",
    "further": "white",
    "table": "#cfe2f3",
    "numbers": "#d9ead3",
    "join": "grey92",
    "pool": "grey92",
    "product": "grey92",
    "other": "grey92",
    "attend": "#fce5cd",
    "layers": "#d9d2e9",
}
_NAMES = {"cat": "concatenate", "sum": "sum over L", "mul": "elementwise product"}
# Whose shape stands at the edge: all others say in their box what comes out.
_LABELLED = ("input", "table")
_HISTORY, _OTHER = "#b45f06", "grey30"


def overview_source(model: ClickModel) -> str:
    """The network's modules, and what flows between them, in Graphviz's language.

    Args:
        model: The network; it is left as it is.

    Returns:
        A ``digraph``, equal for equal networks.
    """
    flow = folded(flow_of(model))
    n_parameters = sum(each.numel() for each in model.parameters())
    about = f"{n_parameters:,} parameters. B samples, L history positions."
    return "\n".join(
        [
            "digraph overview {",
            "  graph [ranksep=0.35 nodesep=0.25 fontname=Helvetica fontsize=14 labelloc=t",
            f"         label={dot_heading(flow.title, about)}]",
            '  node [shape=box style="filled,rounded" fontname=Helvetica fontsize=12 height=0.3',
            "        color=grey40]",
            "  edge [fontname=Helvetica fontsize=11 arrowsize=0.7]",
            *_body(flow),
            "}",
            "",
        ]
    )


def _body(flow: Flow) -> Iterator[str]:
    number = {step: f"n{i}" for i, step in enumerate(flow.steps)}
    unfolded = next((step for step in flow.steps if step.kind == "attend"), None)
    for step, node in number.items():
        if step is unfolded:
            yield from _unfolded_unit(step, number)
            continue
        yield _node(node, _label(step, unfolded), step.kind)
        for feeding, shape in step.inputs:
            yield _edge(number[feeding], node, shape, shown=feeding.kind in _LABELLED)
    inputs = "; ".join(number[step] for step in flow.steps if step.kind == "input")
    yield f"  {{rank=source; {inputs}}}"
    last = number[flow.steps[-1]]
    yield _node("probability", dot_heading("probability of a click", "[B]"), "input")
    yield f"  {last} -> probability [label={dot_label('sigmoid')} color={dot_label(_OTHER)}]"


def _label(step: Step, unfolded: Step | None) -> str:
    shape = f"[{', '.join(step.shape)}]"
    match step.kind:
        case "input":
            return dot_heading(step.name)
        case "further":
            return dot_heading(step.name, *step.layers)
        case "table":
            size = f"{step.rows:,} x {step.shape[0]}"
            shared = [f"one table for {len(step.inputs)} features"] if len(step.inputs) > 1 else []
            return dot_heading("Embedding", size, *shared)
        case "numbers":
            return dot_heading("normalise", "(x - mean) / std, is missing", shape)
        case "attend":
            same = unfolded is not None and step.layers == unfolded.layers
            said = ["the same layers, own weights"] if same else list(step.layers)
            return dot_heading(step.name, *said, "sum over L of weight · h", shape)
        case "layers":
            return dot_heading(step.name, *step.layers, *([] if step.shape == ("B",) else [shape]))
        case _:
            return dot_heading(_NAMES.get(step.name, step.name), shape)


def _unfolded_unit(step: Step, number: dict[Step, str]) -> Iterator[str]:
    """The activation unit, layer by layer: a cluster whose last box is the step itself."""
    node = number[step]
    (target, of_target), (history, of_history) = step.inputs[:2]
    shape = f"[B, L, {4 * int(of_target[-1])}]"
    softmax = " and softmax" if step.layers[-1].startswith("softmax") else ""
    yield f"  subgraph cluster_{node} {{"
    yield '    label="" style="filled,rounded" color=grey60'
    yield f"    fillcolor={dot_label(_COLOURS['attend'])}"
    parts = dot_heading(step.name, "t, h, t - h, t · h", f"concatenate {shape}")
    yield f"  {_node(f'{node}_parts', parts, 'input')}"
    yield f"  {_node(f'{node}_layers', dot_heading(f'MLP{softmax}', *step.layers), 'layers')}"
    pooled = dot_heading("sum over L of weight · h", f"[{', '.join(step.shape)}]")
    yield f"  {_node(node, pooled, 'input')}"
    yield "  }"
    yield _edge(f"{node}_parts", f"{node}_layers", ("B", "L"), shown=False)
    yield _edge(f"{node}_layers", node, ("B", "L"), shown=True, name="weight")
    yield _edge(number[target], f"{node}_parts", of_target, shown=True, name="t")
    yield _edge(number[history], f"{node}_parts", of_history, shown=True, name="h")
    yield _edge(number[history], node, of_history, shown=False)


def _node(node: str, label: str, kind: Kind) -> str:
    return f"  {node} [label={label} fillcolor={dot_label(_COLOURS[kind])}]"


def _edge(tail: str, head: str, shape: tuple[str, ...], *, shown: bool, name: str = "") -> str:
    colour = _HISTORY if "L" in shape else _OTHER
    label = f"{name} [{', '.join(shape)}]".strip() if shown else ""
    attributes = f"color={dot_label(colour)} fontcolor={dot_label(colour)}"
    attributes += f" label={dot_label(f' {label} ')}" if label else ""
    return f"  {tail} -> {head} [{attributes}]"
