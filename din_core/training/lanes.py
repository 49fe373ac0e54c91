"""Threads that each take a whole share of a step, instead of meeting after every operation.

torch's own threads (OpenMP) meet at a barrier after each operation, some hundred times in a step,
and whoever comes first waits there for the others. On a machine that others use too, one of them is
always held up. Lanes meet once in a step: each runs forward and backward of its samples alone.

Shares are cut by number, and what comes of them is added in their order, so that the result does
not depend on which lane is faster. A lane holds Python's lock only between operations.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

#: A share of fewer samples spends its time in Python, not in products.
LEAST_SAMPLES = 256
#: More of them would wait for Python's lock; their own operations share the other threads.
MOST_LANES = 4


def number_of_lanes(n_samples: int, n_threads: int) -> int:
    """Return how many lanes a step pays for.

    Args:
        n_samples: Samples of a step.
        n_threads: Threads that may run at once.
    """
    most = max(1, min(n_threads, n_samples // LEAST_SAMPLES, MOST_LANES))
    # Each lane has as many threads: six make three lanes of two, not four of one.
    return max(range(1, most + 1), key=lambda number: (number * (n_threads // number), number))


class Lanes:
    """Some threads for shares of work, of which the caller's own is one.

    Args:
        number: How many.
        threads_each: torch's threads within a lane, from now on the caller's number, too.
    """

    def __init__(self, number: int, threads_each: int = 1) -> None:
        self.number = number
        self._callers_threads = torch.get_num_threads()
        self._pool = (
            ThreadPoolExecutor(
                number - 1,
                thread_name_prefix="lane",
                initializer=torch.set_num_threads,
                initargs=(threads_each,),
            )
            if number > 1
            else None
        )
        if self._pool is not None:
            torch.set_num_threads(threads_each)

    def map(self, work: Callable[[T], R], shares: Sequence[T]) -> list[R]:
        """Do the work on every share at once and return what comes of it, in their order.

        A lane that is done with a share takes the next one that nobody has.

        Raises:
            Exception: What a failing share raised, when no lane works any more. Nobody begins
                another share after it.
        """
        if self._pool is None:
            return [work(share) for share in shares]
        left = enumerate(shares)
        done: dict[int, R] = {}

        def work_along() -> None:
            try:
                for number, share in left:
                    done[number] = work(share)
            finally:
                for _ in left:  # after an error
                    pass

        others = [self._pool.submit(work_along) for _ in shares[1 : self.number]]
        try:
            work_along()
        finally:
            wait(others)
        for other in others:
            other.result()
        return [done[number] for number in range(len(shares))]

    def close(self) -> None:
        """Let the threads end. The caller's torch has as many threads as before."""
        if self._pool is not None:
            self._pool.shutdown()
            # A thread that sets its own number sets that of all later threads, too.
            torch.set_num_threads(self._callers_threads)


def added_up(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Add up what the shares of a step have given, in their order; one part or more."""
    return functools.reduce(torch.add, parts)


@contextmanager
def lanes(number: int, threads_each: int = 1) -> Generator[Lanes]:
    """Have lanes for a while."""
    opened = Lanes(number, threads_each)
    try:
        yield opened
    finally:
        opened.close()


def one_ahead(make: Callable[[T], R], items: Iterable[T]) -> Generator[R]:
    """Make the next thing while the caller works with this one.

    Args:
        make: Makes a thing of an item; runs in another thread, one call at a time, in order.
        items: What things are made of.

    Yields:
        What ``make`` returns for each item.
    """
    with ThreadPoolExecutor(
        1, thread_name_prefix="ahead", initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        waiting = None
        for item in items:
            coming = pool.submit(make, item)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
