"""A seeded log of interactions whose true propensities are known.

Used where no source is given, in tests and in benchmarks: the AUC that the best possible model
would reach is computed beside the model's own. How the log comes about is described by
:class:`din_core.config.SyntheticConfig`. What makes it a task for target attention: a user has
several interests, a candidate agrees with one of them at most, and so
``p(item | user)`` is a *mixture* over the user's interests, not a function of their average.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from din_core.config import SyntheticConfig, validate
from din_core.config.synthetic import LEAST_EVENTS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LATENT = 16
_FIRST_SECOND = 1_577_836_800  # 2020-01-01
_MEAN_GAP_SECONDS = 40_000
_REDRAWS = 20

# Long histories of a drifting focus, and short ones over a large catalogue: what a recipe that was
# tuned on the default must also be right on.
LONG_DRIFTING = SyntheticConfig(
    n_users=1_000,
    n_items=4_000,
    n_cates=80,
    mean_interactions=200.0,
    interests_per_user=8,
    n_interests=300,
    affinity=10.0,
    drift=3.0,
    focus_period=120.0,
    seed=2023,
)
SHORT_LARGE_CATALOGUE = SyntheticConfig(
    n_users=20_000,
    n_items=20_000,
    n_cates=400,
    mean_interactions=8.0,
    interests_per_user=3,
    n_interests=600,
    popularity_exponent=0.6,
    drift=0.0,
    seed=2024,
)


@dataclass(frozen=True)
class _World:
    """Everything drawn before the first interaction, ids counted from 0.

    Attributes:
        cates: int64 [items], category of each item.
        popularity: float64 [items], probability of each item by popularity alone.
        taste: float64 [interests, items], p(item | interest), rows sum to 1.
        interests: int64 [users, k], interests of each user.
        weights: float64 [users, k], how strong each is; 0 fills up.
        phases: float64 [users, k], where in its cycle each interest starts, in [0, 1).
    """

    cates: Ints
    popularity: Floats
    taste: Floats
    interests: Ints
    weights: Floats
    phases: Floats


class SyntheticLog:
    """A generated log with its oracle.

    Attributes:
        config: What it was made from.
        frame: ``user_id, item_id, time, cate_id``, integers, ordered by (time, user). Times are
            seconds; within a user they are distinct, so no tie decides which event is the last.
    """

    def __init__(
        self, config: SyntheticConfig, world: _World, lengths: Ints, frame: pd.DataFrame
    ) -> None:
        self.config = config
        self.frame = frame
        self._world = world
        self._lengths = lengths

    def propensity(
        self, user_ids: npt.ArrayLike, item_ids: npt.ArrayLike
    ) -> npt.NDArray[np.float64]:
        """Return the true probability of each item as its user's last event.

        Args:
            user_ids: [pairs], ids as in ``frame``.
            item_ids: [pairs], ids as in ``frame``.

        Returns:
            float64 [pairs]: p(item | user, time of the last event), before leaving out what the
            user has already interacted with. Its order over a user's free items is the best
            possible.

        Raises:
            ValueError: An id is none of the log's.
        """
        users = _checked(user_ids, self.config.n_users, "user_id")
        items = _checked(item_ids, self.config.n_items, "item_id")
        focus = _focus(self.config, self._world, users, self._lengths[users] - 1)
        return _mixture(self.config, self._world, users, focus, items)

    def held_out(self, seed: int = 0) -> tuple[Ints, Ints, Ints]:
        """Return each user's last event and one uniform free item beside it.

        Args:
            seed: Seed of the free items.

        Returns:
            ``user_ids, item_ids, labels``, each int64 [2 * users].
        """
        rng = np.random.default_rng(seed)
        last = self.frame.drop_duplicates("user_id", keep="last").sort_values("user_id")
        users = np.asarray(last["user_id"], dtype=np.int64)
        width = self.config.n_items + 1
        interacted = np.asarray(
            self.frame["user_id"] * width + self.frame["item_id"], dtype=np.int64
        )
        negatives = rng.integers(1, width, len(users))
        while (clash := np.isin(users * width + negatives, interacted)).any():
            negatives[clash] = rng.integers(1, width, int(clash.sum()))
        items = np.concatenate([np.asarray(last["item_id"], dtype=np.int64), negatives])
        return np.tile(users, 2), items, np.repeat(np.array([1, 0]), len(users))


def generate(config: SyntheticConfig) -> SyntheticLog:
    """Generate a log; the same configuration gives the same log.

    Args:
        config: Its shape.

    Returns:
        The log with its oracle.

    Raises:
        OptionsError: A field is out of its range; the message names it.
    """
    validate(config)
    rng = np.random.default_rng(config.seed)
    world = _draw_world(config, rng)
    lengths = _draw_lengths(config, rng)
    items = _draw_events(config, world, lengths, rng)
    users = np.repeat(np.arange(config.n_users), lengths)
    gaps = 1 + rng.exponential(_MEAN_GAP_SECONDS, len(users)).astype(np.int64)
    elapsed = np.cumsum(gaps)
    first = np.cumsum(lengths) - lengths
    start = rng.integers(0, 365 * 86_400, config.n_users)
    times = _FIRST_SECOND + start[users] + elapsed - elapsed[first][users]
    frame = pd.DataFrame(
        {
            "user_id": users + 1,
            "item_id": items + 1,
            "time": times,
            "cate_id": world.cates[items] + 1,
        }
    )
    frame = frame.sort_values(["time", "user_id"], kind="stable", ignore_index=True)
    return SyntheticLog(config, world, lengths, frame)


def write_csv(log: SyntheticLog, path: Path | str) -> None:
    """Write a log as CSV: byte for byte the same for the same configuration.

    Args:
        log: The log.
        path: The file.
    """
    log.frame.to_csv(path, index=False, lineterminator="\n")


def _unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _draw_world(config: SyntheticConfig, rng: np.random.Generator) -> _World:
    sizes = np.arange(1, config.n_cates + 1) ** -0.7
    cates = np.concatenate(
        [
            np.arange(config.n_cates),
            rng.choice(config.n_cates, config.n_items - config.n_cates, p=sizes / sizes.sum()),
        ]
    )
    styles = rng.integers(0, config.n_styles, config.n_items)
    vectors = _unit(
        _unit(rng.standard_normal((config.n_cates, _LATENT)))[cates]
        + config.style_weight * _unit(rng.standard_normal((config.n_styles, _LATENT)))[styles]
        + config.own_weight * _unit(rng.standard_normal((config.n_items, _LATENT)))
    )
    rank = rng.permutation(config.n_items) + 1
    popularity = rank**-config.popularity_exponent
    popularity /= popularity.sum()
    # An interest lies near an item, so that it lies where items are.
    anchors = rng.integers(0, config.n_items, config.n_interests)
    centres = _unit(vectors[anchors] + 0.3 * _unit(rng.standard_normal((len(anchors), _LATENT))))
    taste = popularity * np.exp(config.affinity * (centres @ vectors.T))
    taste /= taste.sum(axis=1, keepdims=True)
    most = config.interests_per_user
    interests = np.argsort(rng.random((config.n_users, config.n_interests)), axis=1)[:, :most]
    weights = rng.gamma(2.0, size=interests.shape)
    how_many = rng.integers((most + 1) // 2, most + 1, config.n_users)
    weights[np.arange(most) >= how_many[:, None]] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    return _World(cates, popularity, taste, interests, weights, rng.random(interests.shape))


def _draw_lengths(config: SyntheticConfig, rng: np.random.Generator) -> Ints:
    """Draw how many events each user has: many have few, few have many."""
    spread = 0.8
    extra = rng.lognormal(-(spread**2) / 2, spread, config.n_users)
    lengths = LEAST_EVENTS + np.rint(extra * (config.mean_interactions - LEAST_EVENTS))
    return np.minimum(lengths, config.n_items // 2).astype(np.int64)


def _focus(config: SyntheticConfig, world: _World, users: Ints, position: Ints) -> Floats:
    """Return how strong each interest is at an event: [events, k], rows sum to 1."""
    cycle = world.phases[users] + (position / config.focus_period)[:, None]
    focus = world.weights[users] * np.exp(config.drift * np.sin(2 * np.pi * cycle))
    return focus / focus.sum(axis=1, keepdims=True)


def _mixture(
    config: SyntheticConfig, world: _World, users: Ints, focus: Floats, items: Ints
) -> Floats:
    liked = (focus * world.taste[world.interests[users], items[:, None]]).sum(axis=1)
    return (1 - config.exploration) * liked + config.exploration * world.popularity[items]


def _draw_events(
    config: SyntheticConfig, world: _World, lengths: Ints, rng: np.random.Generator
) -> Ints:
    """Draw each user's items one after the other, none twice: [sum of lengths], user by user."""
    # One long ascending table: row r of the taste lies between r and r + 1. Its last row is
    # popularity alone.
    tables = np.concatenate([world.taste, world.popularity[None]])
    cumulated = np.cumsum(tables, axis=1)
    cumulated /= cumulated[:, -1:]
    ladder = (cumulated + np.arange(len(tables))[:, None]).ravel()
    drawn = np.full((config.n_users, int(lengths.max())), -1, dtype=np.int64)
    for position in range(drawn.shape[1]):
        waiting = np.flatnonzero(lengths > position)
        for _ in range(_REDRAWS):
            focus = _focus(config, world, waiting, np.full(len(waiting), position))
            chosen = (focus.cumsum(axis=1) < rng.random((len(waiting), 1))).sum(axis=1)
            chosen = np.minimum(chosen, focus.shape[1] - 1)
            row = world.interests[waiting, chosen]
            row[rng.random(len(waiting)) < config.exploration] = len(world.taste)
            at = np.searchsorted(ladder, row + rng.random(len(waiting)), side="right")
            item = np.clip(at - row * config.n_items, 0, config.n_items - 1)
            again = (drawn[waiting, :position] == item[:, None]).any(axis=1)
            drawn[waiting[~again], position] = item[~again]
            waiting = waiting[again]
            if not len(waiting):
                break
        for user in waiting:  # nearly everything they like is taken: draw among what is free
            drawn[user, position] = _draw_free(config, world, int(user), drawn[user], position, rng)
    return drawn[np.arange(drawn.shape[1]) < lengths[:, None]]


def _draw_free(
    config: SyntheticConfig,
    world: _World,
    user: int,
    drawn: Ints,
    position: int,
    rng: np.random.Generator,
) -> int:
    users = np.full(config.n_items, user)
    focus = _focus(config, world, users, np.full(config.n_items, position))
    chance = _mixture(config, world, users, focus, np.arange(config.n_items))
    chance[drawn[:position]] = 0.0
    if not chance.any():
        chance[:] = 1.0
        chance[drawn[:position]] = 0.0
    return int(rng.choice(config.n_items, p=chance / chance.sum()))


def _checked(ids: npt.ArrayLike, highest: int, name: str) -> Ints:
    numbers = np.asarray(ids, dtype=np.int64)
    if len(numbers) and not (numbers.min() >= 1 and numbers.max() <= highest):
        raise ValueError(
            f"{name} from {numbers.min()} to {numbers.max()}: the log has 1 to {highest}; pass "
            "the ids of the frame, not indices"
        )
    return numbers - 1
