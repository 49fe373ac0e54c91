"""Mini-batches gathered from a log that stands once in memory, without a loop.

Which samples a batch holds is decided in :mod:`din_core.inputs.epochs`. Shapes: B samples of a
batch, P history positions of all of them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from din_core.inputs.log_numbers import LogNumbers
from din_core.network.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from din_core.config import LogNumber
    from din_core.inputs.flat_log import Samples, TrainingData
    from din_core.network.models import ClickModel


class BatchGatherer:
    """The columns of a log on one device, and batches gathered from them without a loop.

    Attributes and numbers are looked up after the items, so that a history costs one read of
    ``event_items`` and one of each attribute's map.

    Args:
        data: The log; its event items and attribute maps are copied to the device.
        device: Where batches are made.
        log_numbers: What to compute of the log for each sample, beside what it says itself.

    Raises:
        LogNumbersError: This log cannot give one of them.
    """

    def __init__(
        self, data: TrainingData, device: torch.device, log_numbers: Sequence[LogNumber] = ()
    ) -> None:
        self._event_items = torch.as_tensor(data.event_items).to(device)
        self._item_attributes = {
            name: torch.as_tensor(index).to(device) for name, index in data.item_attributes.items()
        }
        self._user_attributes = {
            name: torch.as_tensor(index).to(device) for name, index in data.user_attributes.items()
        }
        self._item_dense = {
            name: torch.as_tensor(of).to(device) for name, of in data.item_dense.items()
        }
        self._user_dense = {
            name: torch.as_tensor(of).to(device) for name, of in data.user_dense.items()
        }
        self._users = None
        if data.share is not None:
            self._users = torch.as_tensor(data.share.users).to(device)
        self._context_columns = list(data.vocabulary.context_dense)
        self._log_numbers = LogNumbers(data, log_numbers, device)
        self._device = device

    @classmethod
    def of(cls, model: ClickModel, data: TrainingData) -> BatchGatherer:
        """Gather all that a model takes, on the model's device.

        Args:
            model: A model built for the log's vocabulary.
            data: The log, with times where the model has ``log_numbers``.

        Raises:
            LogNumbersError: This log cannot give one of them.
        """
        return cls(data, next(model.parameters()).device, model.log_numbers)

    def gather_samples(self, samples: Samples, n_positions: int | None = None) -> Batch:
        """Make a batch of samples, without labels.

        Args:
            samples: B of the log.
            n_positions: P, counted here where it is left out.
        """
        if n_positions is None:
            n_positions = int((samples.end - samples.start).sum())
        columns = {
            name: torch.as_tensor(values).to(self._device)
            for name, values in samples.columns().items()
            if name not in ("position", "k", "label")
        }
        return self.gather(**columns, n_positions=n_positions)

    def gather(
        self,
        *,
        user: Tensor,
        item: Tensor,
        start: Tensor,
        end: Tensor,
        n_positions: int,
        label: Tensor | None = None,
        context: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Batch:
        """Make a batch.

        Args:
            user: Users, int ``[B]``.
            item: Candidates, int ``[B]``.
            start: First event row of each history, int ``[B]``.
            end: Event row after its last, int ``[B]``.
            n_positions: P, the sum of ``end - start``. Given by the caller, who knows it on the
                host, so that a GPU need not be waited for.
            label: ``[B]``.
            context: Numbers that belong to the samples, float ``[B, C]``, where the log has any.
            time: When the samples were, float64 ``[B]``; only ``log_numbers`` ask for it.

        Returns:
            The batch, with all inputs named as the columns of ``encoded_samples``.
        """
        # Everything made of it counts positions in 64 bits, `segment_ids` among it, which kernels
        # read.
        length = end.long() - start.long()
        offsets = torch.zeros(len(length) + 1, dtype=torch.int64, device=length.device)
        torch.cumsum(length, 0, out=offsets[1:])
        segment_ids = torch.repeat_interleave(length, output_size=n_positions)
        # Position p of the batch is event p, moved by as much as its own history is.
        moved_by = (start - offsets[:-1]).index_select(0, segment_ids)
        event = torch.arange(n_positions, device=length.device).add_(moved_by)
        # On a CPU `[index]` is five times as slow as `index_select`.
        history = self._event_items.index_select(0, event)
        numbers = () if context is None else context.unbind(1)
        of_log: dict[str, Tensor] = {}
        if self._log_numbers.names:
            category = next(iter(self._item_attributes.values()), None)
            of_log = self._log_numbers.of(
                item=item.long(),
                time=time,
                end=end,
                segment_ids=segment_ids,
                event=event,
                target_category=None if category is None else category.index_select(0, item),
                event_category=None if category is None else category.index_select(0, history),
            )
        return Batch(
            sparse={
                "target_item_idx": item.long(),
                "user_idx": (
                    user if self._users is None else self._users.index_select(0, user)
                ).long(),
                **of_log,
                **_each("target_", self._item_attributes, item, torch.int64),
                **_each("", self._user_attributes, user, torch.int64),
                **_each("target_", self._item_dense, item),
                **_each("", self._user_dense, user),
                **dict(zip(self._context_columns, numbers, strict=True)),
            },
            sequences={
                "hist_item_idx": history.long(),
                **_each("hist_", self._item_attributes, history, torch.int64),
            },
            offsets=offsets,
            segment_ids=segment_ids,
            label=None if label is None else label.float(),
        )


def _each(
    prefix: str, columns: Mapping[str, Tensor], rows: Tensor, dtype: torch.dtype | None = None
) -> dict[str, Tensor]:
    """Some rows of each column, with a prefix before its name."""
    return {
        f"{prefix}{name}": column.index_select(0, rows).to(dtype or column.dtype)
        for name, column in columns.items()
    }
