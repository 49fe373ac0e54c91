"""What people would pick instead of a DIN, fitted on the same training events.

Each function is given a log and returns scores of the validation and of the test samples, higher
for what is likelier. It sees training events; what it chooses (a strength, a number of rounds), it
chooses by the validation AUC, as our early stopping does. A history is what the sample's own is:
before a test event it ends with the validation event. Shapes: N samples, U users, I items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from din_core import metrics
from din_core.inputs.samplers.visible_log import n_seen_in_training

if TYPE_CHECKING:
    from din_core.inputs.flat_log import Samples, TrainingData

Scores = dict[str, npt.NDArray[Any]]
_HELD_OUT = ("val", "test")

#: Weights of the logarithm of the popularity beside a peer's own score, in its deviations.
_POPULARITY_WEIGHTS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_EASE_STRENGTHS = (50.0, 200.0, 800.0)
_BPR_FACTORS = (32, 128)
_BPR_ROUNDS = (100, 300)


def popularity(data: TrainingData, seed: int) -> tuple[Scores, dict[str, Any]]:  # noqa: ARG001
    """Training events of the candidate."""
    count = np.asarray(_users_by_items(data).sum(axis=0)).ravel()
    return {split: count[data.samples[split].item] for split in _HELD_OUT}, {}


def co_occurrence(data: TrainingData, seed: int) -> tuple[Scores, dict[str, Any]]:  # noqa: ARG001
    """Users who have both the candidate and an item of the history, as cosines, summed up."""
    from scipy import sparse

    of_user = _users_by_items(data)
    of_user.data[:] = 1.0
    count = np.maximum(np.asarray(of_user.sum(axis=0)).ravel(), 1)
    scaled = of_user @ sparse.diags(1 / np.sqrt(count))
    both = (scaled.T @ scaled).tolil()
    both.setdiag(0)
    similar = both.tocsr()
    own = {split: _by_history(data, data.samples[split], similar) for split in _HELD_OUT}
    return _with_popularity(data, [({}, own)])


def ease(data: TrainingData, seed: int) -> tuple[Scores, dict[str, Any]]:  # noqa: ARG001
    """EASE (Steck, WWW 2019): the linear autoencoder in closed form, in NumPy."""
    of_user = _users_by_items(data)
    of_user.data[:] = 1.0
    gram = (of_user.T @ of_user).toarray().astype(np.float32)

    def fitted() -> Iterable[tuple[dict[str, Any], Scores]]:
        for strength in _EASE_STRENGTHS:
            inverse = np.linalg.inv(gram + strength * np.eye(len(gram), dtype=np.float32))
            weights = -inverse / np.diag(inverse)
            np.fill_diagonal(weights, 0)
            own = {split: _by_history(data, data.samples[split], weights) for split in _HELD_OUT}
            yield {"strength": strength}, own

    return _with_popularity(data, fitted())


def bpr(data: TrainingData, seed: int) -> tuple[Scores, dict[str, Any]]:
    """Matrix factorisation by Bayesian personalised ranking, of the library implicit."""
    from implicit.bpr import BayesianPersonalizedRanking

    of_user = _users_by_items(data)

    def fitted() -> Iterable[tuple[dict[str, Any], Scores]]:
        for factors in _BPR_FACTORS:
            for rounds in _BPR_ROUNDS:
                model = BayesianPersonalizedRanking(
                    factors=factors, iterations=rounds, random_state=seed, num_threads=1
                )
                model.fit(of_user, show_progress=False)
                own = {
                    split: np.einsum(
                        "nd,nd->n",
                        model.user_factors[data.samples[split].user],
                        model.item_factors[data.samples[split].item],
                    )
                    for split in _HELD_OUT
                }
                yield {"factors": factors, "iterations": rounds}, own

    return _with_popularity(data, fitted())


def lightgbm(data: TrainingData, seed: int) -> tuple[Scores, dict[str, Any]]:
    """Gradient boosted trees of the library LightGBM on what can be counted of a sample."""
    import lightgbm as library

    columns = {split: counts(data, data.samples[split]) for split in data.samples}
    train, val = (
        library.Dataset(columns[split], data.samples[split].label) for split in ("train", "val")
    )
    options = {"objective": "binary", "metric": "auc", "verbose": -1, "seed": seed}
    options |= {"num_threads": 1, "learning_rate": 0.05, "deterministic": True}
    model = library.train(
        options, train, 2_000, [val], callbacks=[library.early_stopping(50, verbose=False)]
    )
    scores = {split: np.asarray(model.predict(columns[split])) for split in _HELD_OUT}
    return scores, {"rounds": model.best_iteration, "columns": columns["train"].shape[1]}


PEERS: dict[str, Callable[[TrainingData, int], tuple[Scores, dict[str, Any]]]] = {
    "popularity": popularity,
    "co_occurrence": co_occurrence,
    "bpr": bpr,
    "ease": ease,
    "lightgbm": lightgbm,
}


def counts(data: TrainingData, samples: Samples) -> npt.NDArray[np.float32]:
    """What can be counted of samples from earlier training events, ``[N, C]``."""
    from typing import get_args

    import torch

    from din_core.config import LogNumber
    from din_core.inputs.batches import BatchGatherer

    names = get_args(LogNumber)
    batch = BatchGatherer(data, torch.device("cpu"), names).gather(
        user=torch.as_tensor(samples.user),
        item=torch.as_tensor(samples.item),
        start=torch.as_tensor(samples.start),
        end=torch.as_tensor(samples.end),
        n_positions=int((samples.end - samples.start).sum()),
        time=torch.as_tensor(samples.time),
    )
    length = (samples.end - samples.start).astype(np.float32)
    attributes = [of[samples.item] for of in data.item_attributes.values()]
    return np.column_stack([*(batch.sparse[name].numpy() for name in names), length, *attributes])


def _users_by_items(data: TrainingData) -> Any:
    """How often each user has each item among the training events, sparse ``[U + 1, I + 1]``."""
    from scipy import sparse

    n_events = np.diff(data.user_offsets)
    users = np.repeat(np.arange(1, len(n_events) + 1), n_events)
    position = np.arange(len(users)) - data.user_offsets[users - 1]
    seen = position < n_seen_in_training(data)[users]
    shape = (data.vocabulary.n_users + 1, data.vocabulary.n_items + 1)
    ones = np.ones(int(seen.sum()), dtype=np.float32)
    return sparse.csr_matrix((ones, (users[seen], data.event_items[seen])), shape=shape)


def _by_history(data: TrainingData, samples: Samples, similar: Any) -> npt.NDArray[Any]:
    """Sum over the items of each history of how similar they are to the candidate, ``[N]``."""
    length = (samples.end - samples.start).astype(np.int64)
    sample = np.repeat(np.arange(len(samples)), length)
    begin = np.repeat(samples.start - (np.cumsum(length) - length), length)
    item = data.event_items[begin + np.arange(len(sample))]
    pairs = np.asarray(similar[item, samples.item[sample]]).ravel()
    return np.bincount(sample, pairs, minlength=len(samples))


def _with_popularity(
    data: TrainingData, fitted: Iterable[tuple[dict[str, Any], Scores]]
) -> tuple[Scores, dict[str, Any]]:
    """Add as much of the popularity as is best on validation, and take the best fit there."""
    count, _ = popularity(data, 0)
    found: list[tuple[float, dict[str, Any], Scores]] = []
    for settings, own in fitted:
        scale = float(own["val"].std()) or 1.0
        for weight in _POPULARITY_WEIGHTS:
            scores = {
                split: own[split] / scale + weight * np.log1p(count[split]) for split in _HELD_OUT
            }
            area = metrics.auc(data.samples["val"].label, scores["val"])
            found.append((area or 0.0, {**settings, "popularity_weight": weight}, scores))
    _, settings, scores = max(found, key=lambda each: each[0])
    return scores, settings
