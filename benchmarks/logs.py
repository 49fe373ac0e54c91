"""Generated logs of the shape of known data sets: exact counts, power laws, nothing to learn.

For logs of 100 million rows see :mod:`benchmarks.scale_log`, which writes in blocks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

_FIRST_DAY, _DAYS = 11_000, 5_000  # of the epoch: 2000 to 2013, at day resolution as Amazon's
_DAY_SECONDS = 86_400


def write_shaped_log(
    path: Path | str, users: int, items: int, cates: int, rows: int, least: int, seed: int
) -> None:
    """Write a log ``user_id,item_id,time,cate_id`` in which every user, item and category occurs.

    Args:
        path: The file.
        users: Users, with ids 1 … users; their activity is log-normal above ``least``.
        items: Items; popularity follows ``1 / (rank + 10)``.
        cates: Categories, at most as many as items; each item has one.
        rows: Events, at least ``users * least`` and at least ``items``.
        least: Fewest events of a user.
        seed: Seed of every draw.

    Raises:
        ValueError: The counts contradict each other.
    """
    if rows < users * least or rows < items or items < cates:
        raise ValueError(
            f"{rows} rows cannot hold {users} users with {least} events each, {items} items and "
            f"{cates} categories; ask for more rows"
        )
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(1, users + 1), _activity(users, rows, least, rng))
    item = np.concatenate([np.arange(items), _power_law(items, rows - items, rng)])
    rng.shuffle(item)
    cate_of = np.concatenate([np.arange(cates), _power_law(cates, items - cates, rng)])
    rng.shuffle(cate_of)
    scatter = rng.permutation(items)  # a popular item has any number
    day = _FIRST_DAY + rng.integers(0, _DAYS, rows)
    order = np.argsort(day, kind="stable")
    table = pa.table(
        {
            "user_id": user[order],
            "item_id": scatter[item[order]] + 1,
            "time": day[order] * _DAY_SECONDS,
            "cate_id": cate_of[item[order]] + 1,
        }
    )
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    with Path(path).open("wb") as file:
        file.write(",".join(table.column_names).encode() + b"\n")
        pa_csv.write_csv(table, file, options)


def _activity(users: int, rows: int, least: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Events of each user: ``least``, and the rest shared out in log-normal proportion."""
    share = rng.lognormal(0.0, 1.3, users)
    bounds = np.rint(np.cumsum(share) / share.sum() * (rows - users * least)).astype(np.int64)
    return least + np.diff(bounds, prepend=0)


def _power_law(size: int, n_draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw from 0 … size - 1 with p(rank) ~ 1 / (rank + 10), by the inverse of its integral."""
    low, high = np.log(10.0), np.log(size + 10.0)
    ranks = np.exp(low + (high - low) * rng.random(n_draws)) - 10.0
    return np.clip(ranks.astype(np.int64), 0, size - 1)
