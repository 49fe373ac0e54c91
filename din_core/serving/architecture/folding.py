"""Many features that are treated alike, drawn once: a log may have sixty attributes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from din_core.serving.architecture.flow import Flow, Step

if TYPE_CHECKING:
    from collections.abc import Hashable

#: So many features of one treatment are drawn each for itself; of more, one, and the others' names.
MOST = 4
_NAMED = 3


def folded(flow: Flow) -> Flow:
    """Draw the first of many features that are treated alike, and a box for the others.

    Two features are treated alike where what is made of the one alone has the same steps, layers
    and widths as what is made of the other, and goes to the same place.

    Args:
        flow: All steps.

    Returns:
        The same flow where no treatment has more than :data:`MOST` features.
    """
    owner = _owners(flow.steps)
    parts: dict[Step, list[Step]] = {}
    for step in flow.steps:
        if owner[step] is not None:
            parts.setdefault(owner[step] or step, []).append(step)
    alike: dict[Hashable, list[Step]] = {}
    for root, steps in parts.items():
        alike.setdefault(_treatment(steps, flow.steps, owner), []).append(root)
    instead: dict[Step, Step] = {}
    for roots in alike.values():
        if len(roots) > MOST:
            names = [root.name for root in roots[1:]]
            named = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
            further = Step(
                "further", f"{len(names)} more, each as {roots[0].name}", layers=(named,)
            )
            instead |= {step: further for root in roots[1:] for step in parts[root]}
    return dataclasses.replace(flow, steps=_rebuilt(flow.steps, instead)) if instead else flow


def _owners(steps: Sequence[Step]) -> dict[Step, Step | None]:
    """The table, or the input without a table, that a step is made of alone; None where of more."""
    owner: dict[Step, Step | None] = {}
    for step in steps:
        fed = {owner[feeding] for feeding, _ in step.inputs}
        if step.kind in ("input", "table"):
            owner[step] = step
        else:
            owner[step] = next(iter(fed)) if len(fed) == 1 else None
    for step in steps:
        if step.kind == "table":  # the inputs of a table belong to it
            owner |= {feeding: step for feeding, _ in step.inputs}
    return owner


def _treatment(
    part: Sequence[Step], steps: Sequence[Step], owner: Mapping[Step, Step | None]
) -> Hashable:
    """What is done to one feature, without its name and its vocabulary's size."""
    place = {step: i for i, step in enumerate(part)}
    inside = tuple(
        (
            step.kind,
            "" if step.kind in ("input", "table", "numbers") else step.name,
            step.shape,
            step.layers,
            tuple((place.get(feeding, -1), shape) for feeding, shape in step.inputs),
        )
        for step in part
    )
    outside = tuple(
        (i, place[feeding], shape)
        for i, step in enumerate(steps)
        if owner[step] is None
        for feeding, shape in step.inputs
        if feeding in place
    )
    return inside, outside


def _rebuilt(steps: Sequence[Step], instead: Mapping[Step, Step]) -> list[Step]:
    """The steps that stay, fed by what stands for those that do not."""
    new: dict[Step, Step] = {}
    for step in steps:
        if step in instead:
            new.setdefault(instead[step], instead[step])
            continue
        inputs: dict[Step, tuple[str, ...]] = {}
        kept: list[tuple[Step, tuple[str, ...]]] = []
        for feeding, shape in step.inputs:
            if feeding not in instead:
                kept.append((new[feeding], shape))
            elif instead[feeding] not in inputs:
                inputs[instead[feeding]] = shape
                kept.append((instead[feeding], shape))
        new[step] = dataclasses.replace(step, inputs=tuple(kept))
    return list(new.values())
