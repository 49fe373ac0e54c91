"""Options that were chosen and have no effect on this log: nothing is ignored silently.

Its class knows what has none whatever the log (``without_effect``). A choice is told from a default
by its value: what equals the default changes nothing anyway.
"""

from __future__ import annotations

from din_core.config import OptionsError, SequenceConfig
from din_core.tables.template_context import TemplateContext

#: What says how negatives are sampled; a labelled log has its own.
OF_SAMPLING = ("negative_sampling", "negatives_per_positive", "sampling_seed")

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
    if table == "negatives" and context.labelled and (chosen := _chosen(sequences, OF_SAMPLING)):
        raise OptionsError(of_labelled_log(chosen[0]))


def of_labelled_log(chosen: str) -> str:
    """Say that a choice has no effect on a labelled log, and the way out.

    Args:
        chosen: The option with its value.
    """
    return (
        f"{chosen} has no effect: the log is labelled, so its logged negatives are taken and none "
        "are sampled. Leave it out, or read the log without its labels (label_col: '')"
    )


def sentences(table: str, context: TemplateContext, sequences: SequenceConfig) -> tuple[str, ...]:
    """Say which of a table's options have no effect, and why.

    Args:
        table: As of :func:`refuse`.
        context: As of :func:`refuse`.
        sequences: As of :func:`refuse`.
    """
    if table != "negatives" or context.labelled or sequences.negatives_per_positive:
        return ()
    what = "has no effect on the table: negatives_per_positive is 0"
    return tuple(
        f"{each} {what}" for each in _chosen(sequences, ("negative_sampling", "sampling_seed"))
    )


def _chosen(sequences: SequenceConfig, names: tuple[str, ...]) -> list[str]:
    """Those of the options that are not the defaults, each with its value."""
    return [
        f"{name}={getattr(sequences, name)}"
        for name in names
        if getattr(sequences, name) != getattr(_DEFAULTS, name)
    ]
