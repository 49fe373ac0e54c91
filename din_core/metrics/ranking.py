"""HR@k, NDCG@k and MRR: where the one item that was taken stands among its candidates.

What sequence recommenders report (He et al., *Neural Collaborative Filtering*, WWW 2017, section
4.1). They depend on the number of candidates: figures against sampled candidates and against all
items are different figures (Krichene and Rendle, *On Sampled Metrics for Item Recommendation*, KDD
2020). Shapes: M positives.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from din_core.metrics.scored_samples import Floats

#: The lengths of a list that are reported.
CUTOFFS = (1, 5, 10, 20)


def rank_of_positive(n_higher: npt.ArrayLike, n_equal: npt.ArrayLike) -> Floats:
    """Rank of a positive among its candidates, 1 for the best, ``[M]``.

    Args:
        n_higher: Candidates that score higher, ``[M]``.
        n_equal: Candidates that score the same; half of them count as better, so that a model that
            tells nothing apart does not look good, ``[M]``.
    """
    return 1 + np.asarray(n_higher, np.float64) + np.asarray(n_equal, np.float64) / 2


def hits(rank: npt.ArrayLike, k: int) -> Floats:
    """Whether each positive is among the first k, 1.0 or 0.0, ``[M]``; the mean is HR@k.

    Example:
        >>> hits([1, 3, 11], 10).tolist()
        [1.0, 1.0, 0.0]
    """
    return (np.asarray(rank, np.float64) <= k).astype(np.float64)


def discounted_gains(rank: npt.ArrayLike, k: int) -> Floats:
    """1 / log2(1 + rank) of a positive among the first k, else 0, ``[M]``; the mean is NDCG@k.

    Järvelin and Kekäläinen, *Cumulated gain-based evaluation of IR techniques*, 2002; with one
    relevant item the ideal gain is 1.

    Example:
        >>> discounted_gains([1, 3, 11], 10).tolist()
        [1.0, 0.5, 0.0]
    """
    ranks = np.asarray(rank, np.float64)
    return np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0)


def reciprocal_ranks(rank: npt.ArrayLike) -> Floats:
    """1 / rank of each positive, ``[M]``; the mean is MRR.

    Example:
        >>> reciprocal_ranks([1, 4]).tolist()
        [1.0, 0.25]
    """
    return 1 / np.asarray(rank, np.float64)


def by_name(rank: npt.ArrayLike) -> Mapping[str, Floats]:
    """Return every figure of each positive, by name; the figure of a model is the mean, ``[M]``."""
    named = {f"hr_at_{k}": hits(rank, k) for k in CUTOFFS}
    # NDCG@1 is HR@1.
    named |= {f"ndcg_at_{k}": discounted_gains(rank, k) for k in CUTOFFS if k > 1}
    return {**named, "mrr": reciprocal_ranks(rank)}
