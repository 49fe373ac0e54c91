"""Options that were chosen and have no effect on this log: nothing is ignored silently.

A choice is told from a default by its value: what equals the default changes nothing anyway.
"""

from __future__ import annotations

from din_core.config import OptionsError, SequenceConfig
from din_core.tables.template_context import TemplateContext

_DEFAULTS = SequenceConfig()


def refuse(table: str, context: TemplateContext, sequences: SequenceConfig) -> None:
    """Refuse options of a table that ask for something else than this log gives.

    Args:
        table: The table that is built, one of :func:`din_core.tables.sequences.tables` or
            ``samples``.
        context: From :func:`din_core.tables.sequences.template_context`.
        sequences: The options as they were chosen.

    Raises:
        OptionsError: Sampling is asked for, and the log is labelled.
    """
    if table != "negatives" or not context.labelled:
        return
    names = ("negative_sampling", "negatives_per_positive", "sampling_seed")
    if chosen := _chosen(sequences, names):
        raise OptionsError(
            f"{chosen[0]} has no effect: the log is labelled, so its logged negatives are taken "
            "and none are sampled. Leave it out, or read the log without its labels (label_col: "
            "'')"
        )


def sentences(table: str, context: TemplateContext, sequences: SequenceConfig) -> tuple[str, ...]:
    """Say which of a table's options have no effect, and why.

    Args:
        table: As of :func:`refuse`.
        context: As of :func:`refuse`.
        sequences: As of :func:`refuse`.
    """
    if table == "negatives" and not context.labelled and not sequences.negatives_per_positive:
        names = ("negative_sampling", "sampling_seed")
        what = "has no effect on the table: negatives_per_positive is 0"
    elif table == "samples" and sequences.split == "leave_one_out":
        names = ("val_from", "test_from")
        what = "has no effect: split is 'leave_one_out'; choose split: temporal, or leave them out"
    else:
        return ()
    return tuple(f"{each} {what}" for each in _chosen(sequences, names))


def _chosen(sequences: SequenceConfig, names: tuple[str, ...]) -> list[str]:
    """Those of the options that are not the defaults, each with its value."""
    return [
        f"{name}={getattr(sequences, name)}"
        for name in names
        if getattr(sequences, name) != getattr(_DEFAULTS, name)
    ]
