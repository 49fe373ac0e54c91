"""Why a score is what it is: what attention gives each event, and what the score is without it.

The change without an event is exact: the model answers again for the history that lacks it. It is
defined for every model; weights are there where the model has attention, and they are shares of 1
only where it has a softmax. Shapes: B samples, P history positions of all of them together, V
histories that lack one event each (there are P of them), Q positions of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from din_core.inputs.batches import BatchGatherer
from din_core.inputs.samplers.hashing import draw
from din_core.network.batch import Batch

if TYPE_CHECKING:
    from din_core.config import ExplanationConfig
    from din_core.inputs.training_data import Samples, TrainingData
    from din_core.network.models import ClickModel

Float64 = npt.NDArray[np.float64]

#: Bounds the memory of a step, as the batches of a prediction do: Q at most, where V is above 1.
_POSITIONS = 4096 * 50


@dataclass(frozen=True)
class Explanation:
    """What each history event means to the answers for B samples.

    Attributes:
        offsets: Sample *b* owns the positions ``offsets[b] … offsets[b + 1] - 1``, oldest first,
            int64 ``[B + 1]``.
        log_odds: The model's answers as log-odds, ``[B]``.
        log_odds_without: Answers for the sample's history without the event, ``[P]``.
        weights: By history feature, what attention multiplies the event by, ``[P]``; nothing for a
            model without attention.
    """

    offsets: npt.NDArray[np.int64]
    log_odds: Float64
    log_odds_without: Float64
    weights: Mapping[str, Float64]

    @property
    def sample(self) -> npt.NDArray[np.int64]:
        """Sample of each position, ``[P]``."""
        return np.repeat(np.arange(len(self.log_odds)), np.diff(self.offsets))

    @property
    def score(self) -> Float64:
        """Probabilities ``[B]``."""
        return _probability(self.log_odds)

    @property
    def score_without(self) -> Float64:
        """Probabilities without the event, ``[P]``."""
        return _probability(self.log_odds_without)


def explain(model: ClickModel, batch: Batch) -> Explanation:
    """Explain the answers for a batch; the model is left in evaluation mode.

    Args:
        model: On the device of the batch.
        batch: Samples. A sample whose history is empty has nothing to explain.

    Returns:
        Weights, and the answers with and without each event.
    """
    model.eval()
    with torch.inference_mode():
        weights = model.attention_weights(batch)
        without = [model.logits(part) for part in _without_each_event(batch)]
        return Explanation(
            offsets=batch.offsets.cpu().numpy(),
            log_odds=_numbers(model.logits(batch)),
            log_odds_without=_numbers(torch.cat(without) if without else torch.zeros(0)),
            weights={name: _numbers(weights_P) for name, weights_P in weights.items()},
        )


def explain_samples(model: ClickModel, data: TrainingData, samples: Samples) -> Explanation:
    """Explain the answers for samples of a log.

    Args:
        model: A model built for the log's vocabulary, on any device.
        data: The log.
        samples: B of its samples.
    """
    return explain(model, BatchGatherer.of(model, data).gather_samples(samples))


def samples_to_explain(data: TrainingData, config: ExplanationConfig) -> Samples:
    """Pick test samples: of some users, those that see most of the user's sequence.

    With leave-one-out these are the user's test positive and its negatives, in a labelled log the
    last list that the user was shown. Users are picked by a hash of their index, so that another
    log of the same users, or another model, explains the same ones.

    Args:
        data: The log.
        config: How many users, and the seed of the hash.

    Returns:
        The samples, ordered as those of the split.
    """
    test = data.samples["test"]
    users, first = np.unique(test.user, return_index=True)
    if not len(users):
        return test
    latest = np.maximum.reduceat(test.end, first)
    order = np.argsort(draw(config.seed, users, np.zeros_like(users), 0), kind="stable")
    picked = np.zeros(len(users), dtype=bool)
    picked[order[: config.n_users]] = True
    of_sample = np.searchsorted(users, test.user)
    return test.take(picked[of_sample] & (test.end == latest[of_sample]))


def _without_each_event(batch: Batch) -> Iterator[Batch]:
    """Yield the batch's samples once for each of their events, without it, in the events' order."""
    lengths = batch.offsets.diff()
    remaining = (lengths - 1)[batch.segment_ids]
    ends = torch.cumsum(remaining, 0)
    first, n_events = 0, len(remaining)
    while first < n_events:
        before = int(ends[first - 1]) if first else 0
        last = int(torch.searchsorted(ends, before + _POSITIONS, right=True))
        last = min(max(last, first + 1), n_events)
        yield _without(batch, torch.arange(first, last, device=ends.device))
        first = last


def _without(batch: Batch, event: torch.Tensor) -> Batch:
    """The samples that V events belong to, each without its event."""
    sample = batch.segment_ids[event]
    begin = batch.offsets[sample]
    length = batch.offsets[sample + 1] - begin - 1
    offsets = torch.zeros(len(event) + 1, dtype=torch.int64, device=event.device)
    torch.cumsum(length, 0, out=offsets[1:])
    segment_ids = torch.repeat_interleave(length)
    place = torch.arange(len(segment_ids), device=event.device)
    place += (begin - offsets[:-1])[segment_ids]
    place += place >= event[segment_ids]  # from the event on, the next one
    return Batch(
        sparse={name: values[sample] for name, values in batch.sparse.items()},
        sequences={name: ids[place] for name, ids in batch.sequences.items()},
        offsets=offsets,
        segment_ids=segment_ids,
    )


def _numbers(values: torch.Tensor) -> Float64:
    return values.double().cpu().numpy()


def _probability(log_odds: Float64) -> Float64:
    # Not 1 / (1 + exp(-x)), which overflows where x is far below 0.
    return np.exp(-np.logaddexp(0.0, -log_odds))
