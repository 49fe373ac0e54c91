"""Which negatives training takes: those of the table, or new ones every epoch.

The table's are what validation and test are measured with. Training redraws in the same way and
number unless it is told otherwise. A wish that cannot be met is refused; only ``auto`` adapts.
"""

from __future__ import annotations

from dataclasses import dataclass

from din_core.config import TrainingConfig, refuse_contradiction
from din_core.inputs.flat_log import TrainingData
from din_core.inputs.samplers import SAMPLERS, SamplingError


@dataclass(frozen=True)
class Redrawing:
    """How negatives are redrawn.

    Attributes:
        sampling: Name of the sampler, one of :data:`din_core.inputs.samplers.SAMPLERS`.
        per_positive: Negatives for each positive.
    """

    sampling: str
    per_positive: int


#: What says how negatives are redrawn; a labelled log has its own.
OF_REDRAWING = ("negatives", "redrawn_sampling", "redrawn_per_positive")


def redrawing(data: TrainingData, config: TrainingConfig) -> Redrawing | None:
    """Decide whether and how negatives are redrawn.

    Args:
        data: The log.
        config: ``negatives``, ``redrawn_sampling`` and ``redrawn_per_positive`` are read.

    Returns:
        How, or ``None`` where those of the table are taken.

    Raises:
        OptionsError: Something is chosen of redrawn negatives, and none are redrawn.
        SamplingError: An option asks for what this log cannot give.
    """
    refuse_contradiction(config)
    wish = wish_of(config)
    if data.labelled and wish:
        raise SamplingError(of_labelled_log(wish))
    if config.negatives == "fixed" or data.labelled:
        return None
    sampling = data.negative_sampling
    if config.redrawn_sampling != "as_table":
        sampling = config.redrawn_sampling
    if sampling not in SAMPLERS:
        if not wish:
            return None
        raise SamplingError(
            f"{wish}, and training cannot redraw by {sampling!r}: set redrawn_sampling to one of "
            f"{', '.join(SAMPLERS)}"
        )
    per_positive = config.redrawn_per_positive
    return Redrawing(
        sampling, data.negatives_per_positive if per_positive is None else per_positive
    )


def wish_of(config: TrainingConfig) -> str | None:
    """Say which option asks for redrawn negatives, with its value; None where none does."""
    if config.negatives == "redrawn":
        return "negatives is 'redrawn'"
    choices = config.redrawn_choices()
    return next((f"{name} is {value!r}" for name, value in choices.items()), None)


def of_labelled_log(wish: str) -> str:
    """Say that a labelled log cannot give what is wished, and the way out.

    Args:
        wish: From :func:`wish_of`.
    """
    return (
        f"{wish}, but the log is labelled: its logged negatives are taken, and none are sampled. "
        "Leave that out, or read the log without its labels (label_col: '')"
    )
