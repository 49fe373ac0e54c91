"""Numbers that the log itself says of a sample: how popular the candidate is, what is how old.

A model asks for them by name (``log_numbers``). Each is computed for a candidate and a moment, so a
redrawn negative has its own. Only training events that are earlier than the sample count: an event
says nothing about itself, nothing held out enters, and a number means the same in training and in
test. Shapes: B samples, P history positions of all of them, E events.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from din_core.errors import DinError
from din_core.inputs.item_timeline import DAY, TRENDS, WINDOWS, ItemTimeline
from din_core.inputs.samplers.visible_log import n_seen_in_training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from din_core.config import LogNumber
    from din_core.inputs.flat_log import TrainingData


# Those that count an item's events, whose ever they are.
_OF_ITEMS = (*WINDOWS, *TRENDS, "days_since_item_event")


class LogNumbersError(DinError, LookupError):
    """A number that this log cannot give."""


def refuse_of_all_users(names: Sequence[LogNumber]) -> None:
    """Refuse what counts the events of all users, for a log that holds some of them.

    Args:
        names: Which numbers are asked for.

    Raises:
        LogNumbersError: One of them cannot be had.
    """
    of_items = [name for name in names if name in _OF_ITEMS]
    if of_items:
        raise LogNumbersError(
            f"log_numbers has {of_items[0]!r}, which counts the events of all users, and a process "
            "that trains on shards reads those of some at a time: leave it out, or train on the "
            "whole log in memory (din_model: processes: 1; loop.train instead of sharded.train)"
        )


class LogNumbers:
    """Computes numbers of a log, without a loop.

    Args:
        data: The log, with times.
        names: Which numbers.
        device: Where batches are made.

    Raises:
        LogNumbersError: The log was read without times, or a number needs an attribute of the item
            and there is none.
    """

    def __init__(
        self, data: TrainingData, names: Sequence[LogNumber], device: torch.device
    ) -> None:
        self.names = list(names)
        if not names:
            return
        if data.share is not None:
            refuse_of_all_users(names)
        if data.event_times is None:
            raise LogNumbersError(
                f"log_numbers has {names[0]!r}, and the log was read without the times of its "
                "events: read it with din_core.inputs.times.with_times"
            )
        if "same_category_events" in names and not data.item_attributes:
            raise LogNumbersError(
                "log_numbers has 'same_category_events', and no column describes the items: name "
                "one in item_attribute_cols, or leave the number out"
            )
        self._n_items = data.vocabulary.n_items
        chosen = _training_events(data)
        if data.share is not None:  # no number of an item is asked for
            chosen[:] = False
        timeline = ItemTimeline(data.event_items[chosen], data.event_times[chosen], self._n_items)
        self._event_times = torch.as_tensor(data.event_times).to(device)
        self._moments = torch.as_tensor(timeline.moments).to(device)
        self._keys = torch.as_tensor(timeline.keys).to(device)
        self._first = torch.as_tensor(timeline.first).to(device)
        self._before = torch.as_tensor(timeline.n_before).to(device)

    def of(
        self,
        *,
        item: Tensor,
        time: Tensor | None,
        end: Tensor,
        segment_ids: Tensor,
        event: Tensor,
        target_category: Tensor | None,
        event_category: Tensor | None,
    ) -> dict[str, Tensor]:
        """Compute the numbers of a batch.

        Args:
            item: Candidates, int64 ``[B]``.
            time: Moments of the samples in seconds, float64 ``[B]``.
            end: Event row after the last of each history, int ``[B]``.
            segment_ids: Sample of each position, int64 ``[P]``.
            event: Event row of each position, int64 ``[P]``.
            target_category: First attribute of the candidates, int ``[B]``.
            event_category: That of the positions, int ``[P]``.

        Returns:
            float32 ``[B]`` by name; NaN where there is nothing to measure from.
        """
        if not self.names:
            return {}
        if time is None:
            raise LogNumbersError("log_numbers need the time of each sample, and it is not given")
        moment = self._rank(time)
        found: dict[str, Tensor] = {}
        for name in self.names:
            if name in WINDOWS:
                found[name] = self._popularity(item, time, moment, WINDOWS[name])
            elif name in TRENDS:
                found[name] = self._trend(item, time, moment, TRENDS[name])
            elif name == "days_since_item_event":
                found[name] = _log_days(time - self._last_of_item(item, moment))
            elif name == "days_since_last_event":
                # A row before the first is the one of an empty history, whose value is not taken.
                last = self._event_times[(end.long() - 1).clamp(min=0)]
                n_events = torch.zeros_like(time).index_add(0, segment_ids, _ones(event, time))
                found[name] = _log_days(torch.where(n_events > 0, time - last, torch.nan))
            elif name == "same_category_events":
                target, of_event = cast("Tensor", target_category), cast("Tensor", event_category)
                is_same = (of_event == target[segment_ids]).to(time.dtype)
                found[name] = torch.zeros_like(time).index_add(0, segment_ids, is_same).log1p()
            else:
                is_same = (self._event_times[event] == time[segment_ids]).to(time.dtype)
                found[name] = torch.zeros_like(time).index_add(0, segment_ids, is_same).log1p()
        return {name: each.float() for name, each in found.items()}

    def _rank(self, time: Tensor) -> Tensor:
        """How many distinct moments of training are earlier."""
        return torch.searchsorted(self._moments, time)

    def _place(self, item: Tensor, moment: Tensor) -> Tensor:
        """Row of the first training event of an item that is not before a moment."""
        return torch.searchsorted(self._keys, item.long() * (len(self._moments) + 1) + moment)

    def _popularity(self, item: Tensor, time: Tensor, moment: Tensor, days: float) -> Tensor:
        """Logarithm of an item's events before a moment, as a multiple of the average item's."""
        begin = torch.zeros_like(moment)
        if math.isfinite(days):
            begin = self._rank(time - days * DAY)
        of_item = (self._place(item, moment) - self._place(item, begin)).to(time.dtype)
        of_all = (self._before[moment] - self._before[begin]).to(time.dtype)
        return torch.log1p(of_item) - torch.log1p(of_all / self._n_items)

    def _trend(self, item: Tensor, time: Tensor, moment: Tensor, days: float) -> Tensor:
        """Logarithm of an item's latest events as a multiple of what those before promise."""
        begin = self._rank(time - days * DAY)
        place = self._place(item, moment)
        of_item = (place - self._place(item, begin)).to(time.dtype)
        so_far = (place - self._first[item.long()]).to(time.dtype)
        latest = (self._before[moment] - self._before[begin]).to(time.dtype)
        promised = so_far * (latest / self._before[moment].clamp(min=1))
        return torch.log1p(of_item) - torch.log1p(promised)

    def _last_of_item(self, item: Tensor, moment: Tensor) -> Tensor:
        """Time of an item's last training event before a moment, NaN where there is none."""
        place = self._place(item, moment)
        rank = self._keys[(place - 1).clamp(min=0)] % (len(self._moments) + 1)
        last = self._moments[rank]
        return torch.where(place > self._first[item.long()], last, torch.nan)


def _training_events(data: TrainingData) -> npt.NDArray[np.bool_]:
    """Which events training may see, bool ``[E]``: those up to a user's last training positive."""
    n_events = np.diff(data.user_offsets)
    position = np.arange(len(data.event_items)) - np.repeat(data.user_offsets[:-1], n_events)
    return position < np.repeat(n_seen_in_training(data)[1:], n_events)


def _log_days(seconds: Tensor) -> Tensor:
    """Logarithm of one plus the days; a moment before what it is measured from counts as none."""
    return torch.log1p(seconds.clamp(min=0) / DAY)


def _ones(like: Tensor, kind: Tensor) -> Tensor:
    return torch.ones(len(like), dtype=kind.dtype, device=kind.device)
