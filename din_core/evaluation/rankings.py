"""Where test positives stand among many candidates: what sequence recommenders report.

The candidates are the positive itself and items that its user had not interacted with before: some
drawn uniformly, or all of them. What the user interacts with later stays a candidate, for nobody
knows of it yet. An item that was never in training is one, too. Shapes: M positives, I items,
C candidates of one positive, X candidates of a block of positives, one after the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from din_core.arrow_without_pandas import numbers, texts
from din_core.config import RankingConfig
from din_core.inputs.batches import BatchGatherer
from din_core.metrics.ranking import rank_of_positive
from din_core.training import prediction

if TYPE_CHECKING:
    from din_core.inputs.training_data import Samples, TrainingData
    from din_core.network.models import ClickModel

Ints = npt.NDArray[np.int64]

# Bounds the memory of a block: candidates that are scored together, and their histories' bounds.
_BLOCK = 200_000
# Where nothing is said of it: positives ranked among all items, and the scores that may take.
_ALL_ITEMS_POSITIVES = 40
_ALL_ITEMS_SCORES = 200_000


def rank_test_positives(model: ClickModel, data: TrainingData, config: RankingConfig) -> Any:
    """Rank test positives among drawn candidates, and among all items.

    Args:
        model: A model built for the log's vocabulary, on any device.
        data: The log.
        config: How many, and among how many.

    Returns:
        Arrow table of one row a positive and set of candidates (``sampled``, ``all``):
        ``user_idx``, ``position``, ``candidates``, ``target_item_idx``, ``n_candidates`` (the
        positive included), ``rank`` and ``popularity_rank``.
    """
    rng = np.random.default_rng(config.ranking_seed)
    test = data.samples["test"]
    positives = test.take(np.flatnonzero(test.label == 1))
    score = _scorer(model, data)
    popularity = training_popularity(data)
    order = rng.permutation(len(positives))
    n_items = data.vocabulary.n_items

    def drawn(earlier: Ints, positive: int) -> Ints:
        return drawn_candidates(rng, np.union1d(earlier, [positive]), n_items, config)

    def every(earlier: Ints, positive: int) -> Ints:
        # The positive is put before them, by itself.
        return np.setdiff1d(np.arange(1, n_items + 1), np.union1d(earlier, [positive]))

    tables = [
        _ranked(positives.take(np.sort(order[:most])), data, name, others, score, popularity)
        for name, most, others in (
            ("sampled", config.sampled_positives, drawn),
            ("all", _number_among_all(config, n_items), every),
        )
    ]
    return pa.concat_tables(tables)


def _number_among_all(config: RankingConfig, n_items: int) -> int:
    """Return how many positives are ranked among all items, at most."""
    if config.all_items_positives is not None:
        return config.all_items_positives
    return min(_ALL_ITEMS_POSITIVES, _ALL_ITEMS_SCORES // max(1, n_items))


def drawn_candidates(
    rng: np.random.Generator, excluded: Ints, n_items: int, config: RankingConfig
) -> Ints:
    """Draw items uniformly and without repetition, ``[C]``.

    A draw is a number among the free items; the excluded ones are holes that it steps over.

    Args:
        rng: Where randomness comes from.
        excluded: Items that are no candidates, ascending.
        n_items: Items are 1 … n_items.
        config: How many to draw; all free ones where there are fewer.
    """
    n_free = n_items - len(excluded)
    number = rng.choice(n_free, min(config.sampled_candidates, n_free), replace=False)
    # Free items before each hole, counted from 0.
    before_hole = excluded - 1 - np.arange(len(excluded))
    return number + np.searchsorted(before_hole, number, side="right") + 1


def training_popularity(data: TrainingData) -> Ints:
    """Count the training interactions of each item, ``[I + 1]``, without what is held out."""
    size = data.vocabulary.n_items + 1
    counts = np.bincount(data.event_items, minlength=size)
    for split in ("val", "test"):
        samples = data.samples[split]
        counts -= np.bincount(samples.item[samples.label == 1], minlength=size)
    return counts


def _ranked(
    positives: Samples,
    data: TrainingData,
    name: str,
    others: Callable[[Ints, int], Ints],
    score: Callable[[Samples], npt.NDArray[np.float32]],
    popularity: Ints,
) -> Any:
    """Rank positives among the candidates that ``others`` gives for each."""
    columns: dict[str, list[npt.NDArray[Any]]] = {"n": [], "rank": [], "popularity_rank": []}
    for block, candidates, starts in _blocks(positives, data, others):
        of_block = _asked_about(positives.take(block), candidates, starts)
        columns["n"].append(np.diff(starts))
        columns["rank"].append(_ranks(score(of_block), starts))
        columns["popularity_rank"].append(_ranks(popularity[candidates], starts))
    n_candidates, rank, popularity_rank = (
        np.concatenate([np.zeros(0), *each]) for each in columns.values()
    )
    return pa.table(
        {
            "user_idx": numbers(positives.user),
            "position": numbers(positives.position),
            "candidates": texts([name] * len(positives)),
            "target_item_idx": numbers(positives.item),
            "n_candidates": numbers(n_candidates.astype(np.int64)),
            "rank": numbers(rank),
            "popularity_rank": numbers(popularity_rank),
        }
    )


def _blocks(
    positives: Samples, data: TrainingData, others: Callable[[Ints, int], Ints]
) -> Iterator[tuple[slice, Ints, Ints]]:
    """Yield positives, their candidates ``[X]``, and where those of each begin ``[M + 1]``.

    The first candidate of a positive is itself.
    """
    first, waiting, size = 0, list[Ints](), 0
    for number in range(len(positives)):
        begin = data.user_offsets[positives.user[number] - 1]
        earlier = np.unique(data.event_items[begin : positives.end[number]]).astype(np.int64)
        positive = int(positives.item[number])
        waiting.append(np.concatenate([[positive], others(earlier, positive)]))
        size += len(waiting[-1])
        if size >= _BLOCK or number + 1 == len(positives):
            lengths = [len(each) for each in waiting]
            yield slice(first, number + 1), np.concatenate(waiting), np.cumsum([0, *lengths])
            first, waiting, size = number + 1, [], 0


def _asked_about(positives: Samples, candidates: Ints, starts: Ints) -> Samples:
    """The samples that put each candidate in the place of its positive."""
    repeated = positives.take(np.repeat(np.arange(len(positives)), np.diff(starts)))
    return dataclasses.replace(repeated, item=candidates.astype(np.int32))


def _ranks(values: npt.NDArray[Any], starts: Ints) -> npt.NDArray[np.float64]:
    """Rank of the first value among each group of values, ``[M]``."""
    of_positive = np.repeat(values[starts[:-1]], np.diff(starts))
    higher = np.add.reduceat((values > of_positive).astype(np.int64), starts[:-1])
    equal = np.add.reduceat((values == of_positive).astype(np.int64), starts[:-1])
    return rank_of_positive(higher, equal - 1)


def _scorer(model: ClickModel, data: TrainingData) -> Callable[[Samples], npt.NDArray[np.float32]]:
    device = next(model.parameters()).device
    gatherer = BatchGatherer.of(model, data)
    return lambda samples: prediction.score(model, gatherer, samples, device)
