"""What a reader may make of attention weights: said wherever they are shown."""

from __future__ import annotations


def meaning_of_weights(has_attention: bool, weights_are_shares: bool) -> str:
    """Say it in a sentence.

    Args:
        has_attention: Whether the model has any weights.
        weights_are_shares: Whether they come from a softmax.
    """
    if not has_attention:
        return "This model has no attention, so no event has a weight; the changes hold for it."
    if weights_are_shares:
        return "Weights come from a softmax: they are shares, and add up to 1 over a history."
    return (
        "Weights are no shares: without softmax they do not add up to 1, and a large one with an "
        "embedding near 0 does little. What an event does to the answer is the change."
    )
