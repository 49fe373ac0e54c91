"""RelaImpr: how much better than a base model an AUC is."""

from __future__ import annotations


def rela_impr(measured: float, base: float) -> float:
    """Relative improvement of an AUC over a base model's, in percent.

    Paper (arXiv 1706.06978), section 6.3, equation 8: chance level, 0.5, is taken off both.

    Args:
        measured: AUC (or GAUC) of the model.
        base: AUC of the base model, not 0.5.

    Raises:
        ZeroDivisionError: The base model is at chance level.

    Example:
        >>> round(rela_impr(0.8818, 0.8624), 2)
        5.35
    """
    return ((measured - 0.5) / (base - 0.5) - 1) * 100
