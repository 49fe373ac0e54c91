"""SASRec (Kang and McAuley, ICDM 2018) as torch-rechub has it, on our splits.

The library has the network; its examples train it with one sampled negative a position and binary
cross entropy, as here. Histories are padded on the right, the side that its towers expect.
"""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from din_core import metrics
from din_core.inputs.samplers.visible_log import n_seen_in_training

if TYPE_CHECKING:
    from din_core.inputs.flat_log import Samples, TrainingData

_LENGTH, _WIDTH, _BATCH = 50, 64, 256
_PATIENCE = 5


def sasrec(
    data: TrainingData, seed: int, max_epochs: int = 100, seconds: float = 1_200.0
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Train until the validation AUC no longer rises; return scores and settings."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
    from torch_rechub.basic.features import SequenceFeature
    from torch_rechub.models.matching.sasrec import SASRec

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    n_items = data.vocabulary.n_items
    features = [
        SequenceFeature(
            name, n_items + 1, _WIDTH, pooling="concat", padding_idx=0,
            shared_with=None if name == "seq" else "seq",
        )
        for name in ("seq", "pos", "neg")
    ]  # fmt: skip
    model = SASRec(features, max_len=_LENGTH, dropout_rate=0.2, num_blocks=2, num_heads=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    sequence, positive = _training_sequences(data)
    best: tuple[float, int, dict[str, Any]] = (-1.0, 0, {})
    ends = time.monotonic() + seconds
    for epoch in range(1, max_epochs + 1):
        model.train()
        for rows in np.array_split(rng.permutation(len(sequence)), -(-len(sequence) // _BATCH)):
            drawn = rng.integers(1, n_items + 1, positive[rows].shape)
            x = {
                "seq": torch.as_tensor(sequence[rows]),
                "pos": torch.as_tensor(positive[rows]),
                "neg": torch.as_tensor(drawn),
            }
            of_positive, of_negative = model(x)
            there = x["pos"] > 0
            logits = torch.cat([of_positive[there], of_negative[there]])
            label = torch.cat([torch.ones(int(there.sum())), torch.zeros(int(there.sum()))])
            loss = cross_entropy(logits, label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        area = metrics.auc(data.samples["val"].label, _score(model, data, data.samples["val"]))
        if (area or 0.0) > best[0]:
            best = (area or 0.0, epoch, copy.deepcopy(model.state_dict()))
        if epoch - best[1] >= _PATIENCE or time.monotonic() > ends:
            break
    model.load_state_dict(best[2])
    scores = {split: _score(model, data, data.samples[split]) for split in ("val", "test")}
    return scores, {"embed_dim": _WIDTH, "max_len": _LENGTH, "best_epoch": best[1], "epochs": epoch}


def _training_sequences(data: TrainingData) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Each user's latest training events, padded on the right, and the event after each of them."""
    seen = n_seen_in_training(data)
    users = np.flatnonzero(seen >= 2)
    sequence = np.zeros((len(users), _LENGTH), dtype=np.int64)
    positive = np.zeros_like(sequence)
    for row, user in enumerate(users):
        first = data.user_offsets[user - 1]
        items = data.event_items[first : first + seen[user]][-_LENGTH - 1 :]
        sequence[row, : len(items) - 1], positive[row, : len(items) - 1] = items[:-1], items[1:]
    return sequence, positive


def _score(model: Any, data: TrainingData, samples: Samples) -> npt.NDArray[Any]:
    """What the last event of each history says of the candidate."""
    import torch

    model.eval()
    found: list[npt.NDArray[Any]] = []
    table = model.item_emb.embed_dict["seq"]
    for first in range(0, len(samples), 2_048):
        part = samples.take(slice(first, first + 2_048))
        sequence = np.zeros((len(part), _LENGTH), dtype=np.int64)
        for row, (start, end) in enumerate(zip(part.start, part.end, strict=True)):
            items = data.event_items[start:end][-_LENGTH:]
            sequence[row, : len(items)] = items
        x = torch.as_tensor(sequence)
        with torch.inference_mode():
            embedded = model.item_emb({"seq": x}, model.features[:1])[:, 0]
            states = model.seq_forward({"seq": x}, embedded)
            last = states[torch.arange(len(x)), ((x != 0).sum(1) - 1).clamp(min=0)]
            found.append((last * table(torch.as_tensor(part.item).long())).sum(1).numpy())
    return np.concatenate(found)
