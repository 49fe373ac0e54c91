"""Large logs for the scale benchmarks: written in blocks, in little memory, the same for a seed.

Only the shape is realistic (a power law of items and of users' activity, categories as a function
of the item); there is nothing to learn from it. ``python -m benchmarks.scale_log --help``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

_BLOCK_EVENTS = 2_000_000
_FIRST_SECOND = 1_511_539_200  # 2017-11-25, the first day of Taobao UserBehavior
_SPAN_SECONDS = 9 * 86_400


def generate_scale_csv(
    path: Path | str,
    n_users: int,
    n_items: int,
    n_cates: int,
    n_events: int,
    seed: int = 2022,
    *,
    on_block: Callable[[int], None] | None = None,
) -> None:
    """Write a log ``user_id,item_id,time,cate_id`` of any length.

    Rows come user by user, as in Taobao UserBehavior, with times of each user at random moments of
    nine days: not ordered in the file, and with ties.

    Args:
        path: The file.
        n_users: Users; each has at least one event where ``n_events`` allows.
        n_items: Items of the catalogue.
        n_cates: Categories.
        n_events: Rows.
        seed: Seed of every draw; the same seed gives the same bytes.
        on_block: Told after each block how many rows are written.
    """
    rng = np.random.default_rng(seed)
    last_row = _last_rows(n_users, n_events, rng)
    cates = rng.permutation(np.arange(n_items, dtype=np.int32) % n_cates).astype(np.int32)
    scatter = rng.permutation(n_items).astype(np.int32)
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    with Path(path).open("wb") as file:
        file.write(b"user_id,item_id,time,cate_id\n")
        for first in range(0, n_events, _BLOCK_EVENTS):
            rows = np.arange(first, min(first + _BLOCK_EVENTS, n_events), dtype=np.int64)
            users = np.searchsorted(last_row, rows, side="right")
            items = scatter[_power_law(n_items, len(rows), rng)]
            times = _FIRST_SECOND + rng.integers(0, _SPAN_SECONDS, len(rows))
            block = pa.table(
                {"u": users + 1, "i": items + 1, "t": times, "c": cates[items] + 1},
            )
            pa_csv.write_csv(block, file, options)
            if on_block is not None:
                on_block(int(rows[-1]) + 1)


def _last_rows(n_users: int, n_events: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return, for each user, the row after its last: activity is log-normal."""
    activity = rng.lognormal(0.0, 1.0, n_users)
    bounds = np.cumsum(activity) * (max(0, n_events - n_users) / activity.sum())
    each = np.arange(1, n_users + 1)
    bounds = np.minimum(np.rint(bounds).astype(np.int64) + each, n_events)
    bounds[-1] = n_events
    return bounds


def _power_law(n_items: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw ranks from 0 with p(rank) ~ 1 / (rank + 10), by the inverse of its integral."""
    low, high = np.log(10.0), np.log(n_items + 10.0)
    rank = np.exp(low + (high - low) * rng.random(size)) - 10.0
    return np.clip(rank.astype(np.int64), 0, n_items - 1)


def main() -> None:
    """Write a log from the command line; the defaults are the shape of Taobao UserBehavior."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("path", type=Path)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=4_000_000)
    parser.add_argument("--cates", type=int, default=9_439)
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--seed", type=int, default=2022)
    wish = parser.parse_args()
    begin = time.perf_counter()
    shape = (wish.users, wish.items, wish.cates, wish.events)
    generate_scale_csv(wish.path, *shape, wish.seed)
    print(f"{wish.path}: {wish.events:,} rows in {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
