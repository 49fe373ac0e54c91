"""An explanation says what attention gave each event, and what the score is without it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from din_core.config import BaseModelConfig, DINConfig, ExplanationConfig, PNNConfig
from din_core.evaluation import explanations
from din_core.evaluation.explanations import explain, explain_samples, samples_to_explain
from din_core.network.batch import batch_from_padded
from din_core.network.features import SequenceFeature, SparseFeature
from din_core.network.models import DIN, build_model
from din_core.training.prediction import predict
from tests.core.network.test_din import HISTORIES, VOCABULARY, padded_inputs
from tests.core.training_logs import log

CONFIGS = {
    "per feature": DINConfig(),
    "joint": DINConfig(attention="joint", product_inputs=True),
    "softmax": DINConfig(use_softmax=True),
    "biases of positions": DINConfig(attention="joint", product_inputs=True, position_bias=3),
    "base_model": BaseModelConfig(),
    "pnn": PNNConfig(),
}


def built(config):
    torch.manual_seed(0)
    sizes = {"embed_dim": 4, "mlp_dims": (8, 6), "embedding_init_std": 1.0}
    sizes |= {"attention_dims": (7, 5)} if isinstance(config, DINConfig) else {}
    model = build_model(dataclasses.replace(config, **sizes), VOCABULARY)
    model(padded_inputs())  # running statistics that are not the initial ones
    for unit in getattr(model, "units", ()):
        if unit.position_bias is not None:
            torch.nn.init.uniform_(unit.position_bias)
    return model.eval()


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def model(request):
    return built(request.param)


def by_hand():
    """Embeddings of width 1, weight 2 relu(h) + 0.5, log-odds 0.1 interest + 0.2 target - 0.3."""
    target = SparseFeature("target", 4, 1)
    history = SequenceFeature("hist", 4, 1, pooling="concat", shared_with="target")
    unit = {"dims": (1,), "activation": "relu"}
    model = DIN([], [history], [target], {"dims": ()}, unit)
    with torch.no_grad():
        model.embedding.table(target).weight.copy_(torch.tensor([[0.0], [1.0], [2.0], [-1.0]]))
        mlp = model.units[0].mlp
        mlp.layers[0].weight.copy_(torch.tensor([[0.0, 1.0, 0.0, 0.0]]))
        mlp.layers[0].bias.zero_()
        mlp.output.weight.fill_(2.0)
        mlp.output.bias.fill_(0.5)
        model.mlp.output.weight.copy_(torch.tensor([[0.1, 0.2]]))
        model.mlp.output.bias.fill_(-0.3)
    return model


def test_weights_and_changes_are_those_computed_by_hand():
    # Weights 2.5, 4.5, 0.5 on embeddings 1, 2, -1: interest 2.5 + 9 - 0.5 = 11.
    inputs = {"target": torch.tensor([2]), "hist": torch.tensor([[1, 2, 3]])}
    found = explain(by_hand(), batch_from_padded(inputs, ["hist"]))
    np.testing.assert_allclose(found.weights["hist"], [2.5, 4.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(found.log_odds, [1.2], rtol=1e-6)
    np.testing.assert_allclose(found.log_odds_without, [0.95, 0.3, 1.25], rtol=1e-6)
    np.testing.assert_allclose(found.score, [1 / (1 + np.exp(-1.2))], rtol=1e-6)
    np.testing.assert_allclose(found.score_without[1], 1 / (1 + np.exp(-0.3)), rtol=1e-6)


def test_score_without_an_event_is_what_the_model_says_of_the_history_that_lacks_it(
    model, monkeypatch
):
    monkeypatch.setattr(explanations, "_POSITIONS", 4)  # several steps, one of them a single event
    inputs = padded_inputs()
    found = explain(model, batch_from_padded(inputs, HISTORIES))
    expected = []
    for sample, row in enumerate(inputs["hist_item_idx"]):
        for place in row.nonzero().flatten():
            without = {name: values[sample : sample + 1].clone() for name, values in inputs.items()}
            for name in HISTORIES:
                without[name][0, place] = 0  # padding
            expected.append(model(without).item())
    assert list(found.offsets) == [0, 4, 5, 5, 7]
    assert list(found.sample) == [0, 0, 0, 0, 1, 3, 3]
    np.testing.assert_allclose(found.score_without, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.score, model(inputs).detach().numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("attention", ["per_feature", "joint"])
def test_interest_is_the_sum_of_weight_times_embedding(attention):
    model, interests = built(DINConfig(attention=attention)), []
    for unit in model.units:
        unit.register_forward_hook(lambda unit, inputs, interest: interests.append(interest))
    batch = batch_from_padded(padded_inputs(), HISTORIES)
    model(batch)
    weights = model.attention_weights(batch)
    for (histories, _), interest in zip(model.groups, interests, strict=True):
        rows = [model.embedding(history, batch.sequences[history.name]) for history in histories]
        weighted = weights[histories[0].name].unsqueeze(1) * torch.cat(rows, dim=1)
        expected = torch.stack([weighted[batch.segment_ids == b].sum(0) for b in range(4)])
        torch.testing.assert_close(interest, expected)


def test_only_softmax_makes_weights_shares():
    batch = batch_from_padded(padded_inputs(), HISTORIES)
    softmax, plain, none = (built(CONFIGS[name]) for name in ("softmax", "joint", "pnn"))
    assert [each.weights_are_shares for each in (softmax, plain, none)] == [True, False, False]
    for weights in explain(softmax, batch).weights.values():
        np.testing.assert_allclose(weights[:4].sum(), 1.0, rtol=1e-6)
        np.testing.assert_allclose(weights[4], 1.0, rtol=1e-6)
    joint = explain(plain, batch).weights
    np.testing.assert_array_equal(joint["hist_item_idx"], joint["hist_cate_idx"])
    assert explain(none, batch).weights == {}


def test_extreme_log_odds_give_probabilities_without_a_warning():
    found = explanations.Explanation(
        np.array([0, 1]), np.array([-2000.0]), np.array([2000.0]), weights={}
    )
    assert (found.score[0], found.score_without[0]) == (0.0, 1.0)


def small_log():
    sequences = [[1, 2, 3], [4, 5], [2, 3, 4, 5], [6], [1, 6, 2]]
    return log(sequences, cates=[1, 1, 1, 2, 2, 2], n_items=6, negatives=2)


def test_users_are_picked_with_all_of_their_latest_test_samples():
    data = small_log()
    everyone = samples_to_explain(data, ExplanationConfig())
    assert list(everyone.user) == [user for user in (1, 2, 3, 5) for _ in range(3)]
    two = samples_to_explain(data, ExplanationConfig(n_users=2))
    assert len(set(two.user)) == 2
    assert len(two) == 6
    picked = {
        tuple(set(samples_to_explain(data, ExplanationConfig(n_users=2, seed=seed)).user))
        for seed in range(20)
    }
    assert len(picked) > 1


def test_only_the_samples_with_the_longest_view_of_a_user_are_explained():
    data = small_log()
    # A temporal split: two test positives of user 1, at positions 2 and 3.
    both = {
        name: np.concatenate([getattr(data.samples[s], name) for s in ("val", "test")])
        for name in data.samples["test"].columns()
    }
    order = np.lexsort((both["k"], both["position"], both["user"]))
    merged = dataclasses.replace(data.samples["test"], **{n: v[order] for n, v in both.items()})
    found = samples_to_explain(
        dataclasses.replace(data, samples={**data.samples, "test": merged}), ExplanationConfig()
    )
    assert [
        (user, position) for user, position in zip(found.user, found.position, strict=True)
    ] == [(user, position) for user, position in ((1, 3), (2, 2), (3, 4), (5, 3)) for _ in range(3)]


def test_log_without_test_samples_has_nothing_to_explain():
    data = log([[1]], cates=[1], n_items=2)
    assert len(samples_to_explain(data, ExplanationConfig())) == 0


def test_explained_scores_are_the_predictions():
    data = small_log()
    torch.manual_seed(1)
    model = build_model(DINConfig(embed_dim=4, embedding_init_std=1.0), data.vocabulary).eval()
    samples = samples_to_explain(data, ExplanationConfig())
    found = explain_samples(model, data, samples)
    expected = predict(model, data, "test")["score"].to_numpy()
    np.testing.assert_allclose(found.score, expected, rtol=0, atol=1e-6)
    # A history of one event: without it, the answer for a user of whom nothing is known.
    assert found.offsets[4] - found.offsets[3] == 1
