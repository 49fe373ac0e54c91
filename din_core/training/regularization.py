"""Penalties on embedding rows that look only at the rows of a mini-batch.

Coupled L2 on gathered rows, and the paper's mini-batch aware regularization (arXiv 1706.06978,
section 5.1). Both give a gradient to add, so the optimizer needs to know nothing of them. Shapes: V
rows of a table, U distinct rows gathered in a step, D embedding width, E events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from din_core.inputs.epochs import EpochPlan
    from din_core.inputs.flat_log import TrainingData

Counts = npt.NDArray[np.int64]

# Samples of an epoch that are counted at a time.
_CHUNK_SAMPLES = 1 << 22


class GatheredRowsL2:
    """``strength * w`` for each row of the batch: coupled weight decay, on gathered rows only.

    The dense form would move idle rows as well: with Adam, whose step does not depend on the
    gradient's size, from 0.05 to below 0.005 in 60 steps. A row that is not in the batch stays.

    Args:
        strength: Factor of the row, from 0.
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength

    def __call__(self, table: str, rows: Tensor, weight: Tensor) -> Tensor:
        """Gradient of the penalty, ``[U, D]``."""
        del table, rows  # all rows are treated alike
        return self._strength * weight


class MiniBatchAware:
    """The paper's regularization, equations 4 to 6.

    The L2 norm of all used parameters, summed over the samples they are used in (equation 4), is
    approximated by ``sum over batches m and rows j of alpha_mj / n_j * ||w_j||^2`` (equation 5),
    with ``alpha_mj`` = 1 if any sample of batch *m* has row *j*, and ``n_j`` the number of
    occurrences of *j* in all samples. The gradient for a row of the batch is (equation 6)::

        strength * alpha_mj / n_j * w_j

    where, as in the paper, the factor 2 is part of the strength. A frequent row is gathered by more
    batches and divided by more occurrences: it is held less than a rare one.

    Args:
        strength: The paper's lambda, from 0.
        counts: ``n_j`` by table, ``[V]``; see :func:`occurrences`. A row without occurrences counts
            as one.
        device: Where the rows are.
    """

    def __init__(self, strength: float, counts: Mapping[str, Counts], device: torch.device) -> None:
        self._factors = {
            name: torch.as_tensor(strength / np.maximum(n, 1), dtype=torch.float32).to(device)
            for name, n in counts.items()
        }

    def __call__(self, table: str, rows: Tensor, weight: Tensor) -> Tensor:
        """Gradient of the penalty, ``[U, D]``."""
        return self._factors[table].index_select(0, rows).unsqueeze(1) * weight


def occurrences(data: TrainingData, plan: EpochPlan) -> dict[str, Counts]:
    """Count how often each id occurs in the samples of an epoch, as candidate and in histories.

    Args:
        data: The log.
        plan: The epoch; redrawn negatives are counted as they were drawn.

    Returns:
        By name of the table's owner in :func:`din_core.network.models.build_model`
        (``target_item_idx``, ``target_<attribute>``, ``user_idx``, ``<user attribute>``): int64
        ``[V]``.
    """
    # In how many histories an event stands: a history opens at `start` and closes at `end`.
    n_events = len(data.event_items)
    opened = np.zeros(n_events + 1, dtype=np.int64)
    of_item = np.zeros(data.vocabulary.n_items + 1, dtype=np.int64)
    of_user = np.zeros(data.n_users + 1, dtype=np.int64)
    for first in range(0, len(plan), _CHUNK_SAMPLES):
        columns = plan.columns(slice(first, first + _CHUNK_SAMPLES))
        np.add.at(opened, columns["start"], 1)
        np.subtract.at(opened, columns["end"], 1)
        np.add.at(of_item, columns["item"], 1)
        np.add.at(of_user, columns["user"], 1)
    np.add.at(of_item, data.event_items, np.cumsum(opened)[:n_events])

    counts = {"target_item_idx": of_item, "user_idx": of_user}
    if data.share is not None:
        counts["user_idx"] = np.zeros(data.vocabulary.n_users + 1, dtype=np.int64)
        counts["user_idx"][data.share.users] = of_user
    for name, index in data.item_attributes.items():
        size = data.vocabulary.item_attributes[name] + 1
        counts[f"target_{name}"] = _summed(index, of_item, size)
    for name, index in data.user_attributes.items():
        size = data.vocabulary.user_attributes[name] + 1
        counts[name] = _summed(index, of_user, size)
    return counts


def _summed(index: npt.NDArray[np.int32], counts: Counts, size: int) -> Counts:
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, index, counts)
    return total
