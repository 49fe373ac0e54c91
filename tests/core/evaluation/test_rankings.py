"""Where positives stand among candidates: ranks by hand, and who is a candidate."""

import numpy as np
import pytest

from din_core.config import DINConfig, RankingConfig
from din_core.evaluation import rankings
from din_core.network.models import build_model
from tests.core.training_logs import log

# Items of three users, oldest first; the last one is test. Nobody ever took 7 or 8.
SEQUENCES = [[1, 2, 3, 4], [4, 3, 2, 5], [6, 1, 6, 6]]


@pytest.fixture
def data():
    return log(SEQUENCES, cates=[1] * 8, n_items=8)


@pytest.fixture
def asked(monkeypatch):
    """A model whose score is the number of the item; what it was asked about is kept."""
    seen = []

    def score(model, gatherer, samples, device):
        seen.append(samples)
        return samples.item.astype(np.float32)

    monkeypatch.setattr(rankings.prediction, "score", score)
    return seen


def ranked(data, **config):
    model = build_model(DINConfig(embed_dim=2, mlp_dims=(2,), attention_dims=(2,)), data.vocabulary)
    rows = rankings.rank_test_positives(model, data, RankingConfig(**config)).to_pylist()
    return {(row["user_idx"], row["candidates"]): row for row in rows}


def test_ranks_among_all_items_by_hand(data, asked):
    found = ranked(data, sampled_positives=0)
    assert set(found) == {(1, "all"), (2, "all"), (3, "all")}
    # User 1 had 1, 2, 3: candidates 4 … 8, and 5 to 8 are above its positive 4.
    assert (found[1, "all"]["n_candidates"], found[1, "all"]["rank"]) == (5, 5.0)
    # User 2 had 4, 3, 2: candidates 1, 5, 6, 7, 8 with the positive 5.
    assert (found[2, "all"]["n_candidates"], found[2, "all"]["rank"]) == (5, 4.0)
    # User 3 takes 6 again: it stays a candidate. Candidates 2, 3, 4, 5, 6, 7, 8.
    assert (found[3, "all"]["n_candidates"], found[3, "all"]["rank"]) == (7, 3.0)
    # Training: 1 2 | 4 3 | 6 1. 1 twice; 2, 3, 4, 6 once; 5, 7, 8 never.
    assert rankings.training_popularity(data).tolist() == [0, 2, 1, 1, 1, 0, 1, 0, 0]
    # User 1: 4 (1) among 5 (0), 6 (1), 7 (0), 8 (0): half of a tie is above it.
    assert found[1, "all"]["popularity_rank"] == 1.5
    # User 2: 5 (0) among 1 (2), 6 (1), 7 (0), 8 (0): two above, two equal.
    assert found[2, "all"]["popularity_rank"] == 4.0
    assert found[3, "all"]["target_item_idx"] == 6


def test_candidates_are_asked_about_with_the_history_of_their_positive(data, asked):
    ranked(data, sampled_positives=0)
    [samples] = asked
    histories = {
        (int(user), tuple(data.event_items[start:end].tolist()))
        for user, start, end in zip(samples.user, samples.start, samples.end, strict=True)
    }
    assert histories == {(1, (1, 2, 3)), (2, (4, 3, 2)), (3, (6, 1, 6))}


def test_drawn_candidates_are_free_items_each_at_most_once_and_the_same_again(data, asked):
    found = ranked(data, all_items_positives=0, sampled_candidates=2)
    assert {row["n_candidates"] for row in found.values()} == {3}
    [samples] = asked
    for user, had in ((1, {1, 2, 3}), (2, {4, 3, 2}), (3, {6, 1})):
        positive, *others = samples.item[samples.user == user].tolist()
        assert positive == SEQUENCES[user - 1][-1]
        assert len({positive, *others}) == 3
        assert not {*others} & had
    assert ranked(data, all_items_positives=0, sampled_candidates=2) == found
    # Where there are fewer free items than asked for, all are candidates.
    every = ranked(data, all_items_positives=0, sampled_candidates=100)
    assert [row["n_candidates"] for row in every.values()] == [5, 5, 7]


def test_drawn_candidates_are_uniform_over_the_free_items():
    rng = np.random.default_rng(0)
    config = RankingConfig(sampled_candidates=3)
    drawn = [
        rankings.drawn_candidates(rng, np.array([1, 4, 5, 10]), 10, config) for _ in range(4_000)
    ]
    counts = np.bincount(np.concatenate(drawn), minlength=11)
    assert np.flatnonzero(counts).tolist() == [2, 3, 6, 7, 8, 9]
    # Each with chance 1/2 in 4,000 draws: 2,000 ± 32 (standard deviation).
    assert np.abs(counts[counts > 0] - 2_000).max() < 160


def test_blocks_change_no_rank(data, asked, monkeypatch):
    whole = ranked(data)
    monkeypatch.setattr(rankings, "_BLOCK", 1)
    assert ranked(data) == whole


def test_large_catalogue_is_ranked_as_far_as_the_scores_allow_unless_told(data, asked, monkeypatch):
    monkeypatch.setattr(rankings, "_ALL_ITEMS_SCORES", 17)  # of eight items: two positives
    assert len(ranked(data, sampled_positives=0)) == 2
    assert len(ranked(data, sampled_positives=0, all_items_positives=3)) == 3


def test_no_more_positives_are_ranked_than_asked_for(data, asked):
    assert len(ranked(data, sampled_positives=2, all_items_positives=1)) == 3
    assert ranked(data, sampled_positives=0, all_items_positives=0) == {}
