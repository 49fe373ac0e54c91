"""Pictures for people: the network's computation graph and the training curve.

Graphs are drawn by torchviz and Graphviz, curves by matplotlib's object interface, which keeps no
global state. Pictures depend on the model alone: node names are numbered, not object ids.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import graphviz
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from din_core.atomic_files import replacing
from din_core.escaping import dot_label
from din_core.network.layers.attention import plain_formula
from din_core.serving.autograd_graph import make_dot
from din_core.serving.graphs.random_inputs import random_inputs
from din_core.serving.images import rendered

if TYPE_CHECKING:
    from din_core.network.models import ClickModel
    from din_core.training.reports import EpochReport

# Operations that only hand a parameter on; drawing them doubles the picture and tells nothing.
_PASSED_THROUGH = frozenset({"AccumulateGrad", "TBackward0", "ToCopyBackward0"})
# With it the graph of a usual network fits a page, and its letters can still be read there.
_SCALE = 0.55
_NODE = re.compile(
    r'^\s*(\d+) \[label=(?:"(?P<quoted>[^"]*)"|(?P<plain>\S+?))(?P<rest>[ \]].*)$', re.S
)
_EDGE = re.compile(r"^\s*(\d+) -> (\d+)\s*$")


def save_graph(
    model: ClickModel, path: Path | str, dpi: int = 300, *, source: str | None = None
) -> None:
    """Draw the computation graph of one small batch into a file; see :func:`graph_source`.

    Args:
        model: The network.
        path: A file ending in ``.png``, ``.svg`` or ``.pdf``.
        dpi: Resolution of a PNG.
        source: What :func:`graph_source` gave for the model, where it has been called before.

    Raises:
        ValueError: Another ending.
        PictureError: Graphviz is not installed.
    """
    path = Path(path)
    ending = path.suffix.removeprefix(".")
    if ending not in ("png", "svg", "pdf"):
        raise ValueError(f"{path}: pictures are .png, .svg or .pdf, not '{path.suffix}'")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(rendered(source or graph_source(model), ending, dpi))


def graph_source(
    model: ClickModel, inputs: Mapping[str, torch.Tensor] | None = None, name: str | None = None
) -> str:
    """The graph in Graphviz's language, equal for equal networks.

    It goes from the parameters down to the prediction. Parameters are blue and carry their names,
    operations grey, the prediction green. It is that of the plain formula, in evaluation mode.

    Args:
        model: The network; it is left as it is.
        inputs: Padded inputs to draw it for, as :meth:`ClickModel.forward` takes them; ``None``
            makes some. Only their number shows, at the probability.
        name: Name of the graph; by default that of the model's class.

    Returns:
        A ``digraph``.
    """
    name = name or type(model).__name__.lower()
    if inputs is None:
        made = random_inputs(model, 2, 3, np.random.default_rng(0))
        inputs = {feature: torch.from_numpy(each) for feature, each in made.items()}
    device = next(model.parameters()).device
    was_training = model.training
    try:
        with plain_formula(model):
            x = {feature: each.to(device) for feature, each in inputs.items()}
            # Numbers go through torchviz's labels unchanged; names may hold anything.
            names = {f"p{i}": each for i, (each, _) in enumerate(model.named_parameters())}
            parameters = dict(zip(names, model.parameters(), strict=True))
            drawn = make_dot(model.eval()(x), params=parameters)
    finally:
        model.train(was_training)
    return _digraph(cast("list[str]", drawn.body), names, model.title, graphviz.quoting.quote(name))


def canonical_graph(svg: bytes) -> bytes:
    """An SVG without the comment that names the version of Graphviz: what may be hashed."""
    return re.sub(rb"<!--.*?-->\s*", b"", svg, flags=re.S)


def _digraph(statements: Sequence[str], names: Mapping[str, str], title: str, name: str) -> str:
    """Torchviz's statements with numbered nodes and without operations that only pass on.

    Args:
        statements: Nodes and edges.
        names: What stands for a parameter in a label, and the parameter's name.
        title: Of the model, for people.
        name: Of the graph.
    """
    labels: dict[str, tuple[str, str]] = {}
    edges: list[tuple[str, str]] = []
    for statement in statements:
        edge, node = _EDGE.match(statement), _NODE.match(statement)
        if edge:
            edges.append((edge[1], edge[2]))
        elif node:
            label = node["quoted"] if node["plain"] is None else node["plain"]
            labels[node[1]] = (label, node["rest"])
    source_of = {
        head: tail for tail, head in edges if labels.get(head, ("", ""))[0] in _PASSED_THROUGH
    }
    number = {node: f"n{i}" for i, node in enumerate(n for n in labels if n not in source_of)}
    lines = [
        f"digraph {name} {{",
        f"  graph [ranksep={0.3 * _SCALE:.3f} nodesep={0.15 * _SCALE:.3f} fontname=monospace",
        f"         fontsize={14 * _SCALE:.1f} labelloc=t",
        f"         label={dot_label(f'{title}: blue parameters, grey operations, green output')}]",
        "  node [shape=box style=filled fillcolor=grey92 fontname=monospace",
        f"        fontsize={10 * _SCALE:.1f} height={0.2 * _SCALE:.3f} width={0.75 * _SCALE:.3f}",
        f'        margin="{0.11 * _SCALE:.3f},{0.055 * _SCALE:.3f}" penwidth={_SCALE}]',
        f"  edge [arrowsize={_SCALE} penwidth={_SCALE}]",
    ]
    for node, new in number.items():
        label, rest = labels[node]
        colour = re.search(r"fillcolor=\w+", rest)
        what, *shape = label.strip().split("\n")
        text = [names.get(what) or re.sub(r"Backward\d*$", "", what), *shape]
        text = ["probability", f" {what}"] if "green" in rest else text
        lines.append(f"  {new} [label={dot_label(*text)} {colour[0] if colour else ''}]")
    for tail, head in edges:
        if head in source_of:
            continue
        while tail in source_of:
            tail = source_of[tail]
        lines.append(f"  {number[tail]} -> {number[head]}")
    return "\n".join([*lines, "}", ""])


def training_curve(history: Sequence[EpochReport]) -> bytes:
    """Draw training loss and validation AUC over the epochs, the best epoch marked.

    Args:
        history: Epochs in their order; may be empty.

    Returns:
        A PNG below 60 kB.
    """
    figure = Figure(figsize=(6.4, 3.2), dpi=100)
    FigureCanvasAgg(figure)
    of_loss, of_auc = figure.subplots(1, 2)
    # Not layout="constrained", which draws everything twice; there is room for six decimals.
    figure.subplots_adjust(left=0.12, right=0.98, bottom=0.15, top=0.86, wspace=0.3)
    losses = [(each.epoch, each.train_loss) for each in history if each.train_loss is not None]
    if losses:
        of_loss.plot(*zip(*losses, strict=True), marker=".", color="tab:grey")
    of_loss.set_title("training log loss", fontsize=10)
    measured = [(each.epoch, each.val_auc) for each in history if each.val_auc is not None]
    if measured:
        of_auc.plot(*zip(*measured, strict=True), marker=".", color="tab:blue")
        epoch, best = max(measured, key=lambda each: each[1])
        of_auc.plot([epoch], [best], marker="o", fillstyle="none", markersize=11, color="tab:red")
        of_auc.set_title(f"validation AUC, best {best:.4f} in epoch {epoch}", fontsize=8)
    else:
        of_auc.set_title("no validation AUC", fontsize=10)
    for axes in (of_loss, of_auc):
        axes.set_xlabel("epoch")
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    # Without the entry that names matplotlib's version, so that equal curves are equal bytes.
    metadata: Mapping[str, Any] = {"Software": None}
    figure.savefig(buffer, format="png", metadata=metadata)
    return buffer.getvalue()
