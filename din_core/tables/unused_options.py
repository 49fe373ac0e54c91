"""Options that were chosen and have no effect on this log: nothing is ignored silently.

A choice is told from a default by its value: what equals the default changes nothing anyway.
"""

from __future__ import annotations

from din_core.config import SequenceConfig
from din_core.tables.template_context import TemplateContext

_DEFAULTS = SequenceConfig()


def sentences(table: str, context: TemplateContext, sequences: SequenceConfig) -> tuple[str, ...]:
    """Say which of a table's options have no effect, and why.

    Args:
        table: The table that is built, one of :func:`din_core.tables.sequences.tables` or
            ``samples``.
        context: From :func:`din_core.tables.sequences.template_context`.
        sequences: The options as they were chosen.
    """
    if table == "negatives" and context.labelled:
        names = ("negative_sampling", "negatives_per_positive", "seed")
        reason = "the log is labelled, so its logged negatives are taken and none is sampled"
    elif table == "negatives" and not sequences.negatives_per_positive:
        names = ("negative_sampling",)
        reason = "negatives_per_positive is 0"
    elif table == "samples" and sequences.split == "leave_one_out":
        names = ("val_from", "test_from")
        reason = "split is 'leave_one_out'; choose split: temporal, or leave them out"
    else:
        return ()
    return tuple(
        f"{name}={getattr(sequences, name)} has no effect: {reason}"
        for name in names
        if getattr(sequences, name) != getattr(_DEFAULTS, name)
    )
