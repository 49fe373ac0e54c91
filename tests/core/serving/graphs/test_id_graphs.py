"""Graphs that take ids answer as the model does, and take what nobody knows for unknown.

How a graph looks up an id does not depend on the model behind it: one kind of model is asked by
text here, one by numbers, and `din_products` both ways below. `make test-thorough` asks every kind
both ways. Whoever writes graphs holds them to the model, `base_model`'s in `test_writing`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from din_core.serving.graphs.id_tables import Source, read
from din_core.serving.graphs.parity import require_parity_of_all
from din_core.serving.graphs.tracing import ExportError
from tests.core.serving.graphs.tiny_bundles import (
    CATES,
    CONFIGS,
    DESCRIBED,
    NUMBERS,
    PLAIN,
    TEXTS,
    make_bundle,
)

INT64 = np.iinfo(np.int64)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Bundles by name, made when first asked for."""
    made = {}

    def get(name, *, strings=False, vocabulary=DESCRIBED):
        key = (name, strings, vocabulary is DESCRIBED)
        if key not in made:
            folder = tmp_path_factory.mktemp("bundle")
            made[key] = make_bundle(folder, CONFIGS[name], vocabulary, strings=strings)
        return made[key]

    return get


def ids(values):
    if any(isinstance(each, str) for each in values):
        return np.array(values, dtype=object)
    return np.array(values, dtype=np.int64)


def expected_of(bundle, user, history, candidates, hours):
    """The model's answers on indices that are looked up here, by hand."""
    cates, n = [0, *CATES], len(candidates)
    prices = [np.nan, np.nan, 2.0, 3.5, -1.0, 0.0, 9.0, 4.0, 2.5, 1e9]
    countries, ages = [0, 1, 2, 0, 1, 2, 1, 2], [np.nan, 20, np.nan, 31, 44, 5, 60, 18]
    return bundle.in_torch(
        user_idx=np.full(n, user),
        country_idx=np.full(n, countries[user]),
        age=np.full(n, ages[user], np.float32),
        target_item_idx=np.array(candidates),
        target_cate_idx=np.array([cates[each] for each in candidates]),
        target_price=np.array([prices[each] for each in candidates], np.float32),
        hist_item_idx=np.tile(np.array(history, np.int64), (n, 1)),
        hist_cate_idx=np.tile(np.array([cates[each] for each in history], np.int64), (n, 1)),
        hour=np.array(hours, np.float32),
    )


QUICK = {("din", True), ("din_softmax", False)}


@pytest.mark.parametrize(
    ("name", "strings"),
    [
        pytest.param(
            name,
            strings,
            marks=[] if (name, strings) in QUICK else [pytest.mark.thorough],
            id=f"{name}-{'strings' if strings else 'int64'}",
        )
        for name in CONFIGS
        for strings in (False, True)
    ],
)
def test_every_graph_answers_as_the_model_does(bundles, name, strings):
    bundle = bundles(name, strings=strings)
    item_ids = TEXTS if strings else NUMBERS
    user_id = "u4" if strings else 4
    history, candidates, hours = [3, 9, 2], [4, 1, 9, 3, 7], [0.0, 12.5, np.nan, 23.0, 7.0]
    expected = expected_of(bundle, 5, history, candidates, hours)
    context = {"hour": np.array(hours, np.float32)}
    past, asked = (
        ids([item_ids[i - 1] for i in history]),
        ids([item_ids[i - 1] for i in candidates]),
    )
    ranked = bundle.run(
        "rank.onnx",
        user_id=ids([user_id]),
        history_item_id=past,
        candidate_item_id=asked,
        **context,
    )[0]
    in_indices = bundle.run(
        "rank_indices.onnx", user_idx=np.array([5]), history_item_idx=np.array(history),
        candidate_item_idx=np.array(candidates), **context,
    )[0]  # fmt: skip
    scored = bundle.run(
        "score.onnx", user_id=ids([user_id] * 5), target_item_id=asked,
        hist_item_id=np.tile(past, (5, 1)), **context,
    )[0]  # fmt: skip
    for answer in (ranked, in_indices, scored):
        np.testing.assert_allclose(answer, expected, atol=1e-6, rtol=0)
    assert len({round(float(each), 3) for each in expected}) > 1
    explained = bundle.run(
        "explain.onnx", user_id=ids([user_id]), history_item_id=past, candidate_item_id=asked[:1],
        hour=np.array(hours[:1], np.float32),
    )  # fmt: skip
    assert explained[0][0] == pytest.approx(expected[0], abs=1e-6)
    for place in range(3):
        rest = [each for other, each in enumerate(history) if other != place]
        [without] = expected_of(bundle, 5, rest, candidates[:1], hours[:1])
        assert explained[1][place] == pytest.approx(without, abs=1e-6)


def rank(bundle, history, candidates):
    """Rank for a model without user, numbers or context."""
    return bundle.run("rank.onnx", history_item_id=ids(history), candidate_item_id=ids(candidates))[
        0
    ]


def score(bundle, histories, targets):
    return bundle.run("score.onnx", target_item_id=ids(targets), hist_item_id=histories)[0]


@pytest.fixture(scope="module")
def numbers(bundles):
    return bundles("din_products", vocabulary=PLAIN)


@pytest.fixture(scope="module")
def texts(bundles):
    return bundles("din_products", vocabulary=PLAIN, strings=True)


def test_inputs_that_no_model_reads_are_none(numbers):
    assert set(numbers.report.id_types) == {"item_id"}


@pytest.mark.parametrize("unknown", [-1, 41, 9, 2**53 + 1, INT64.min, INT64.max])
def test_an_id_that_nobody_knows_is_unknown_wherever_it_stands(numbers, unknown):
    known = rank(numbers, [40, 10], [77, 6])
    of_unknown = expected_of(numbers, 0, [1, 2], [0], [0])[0]
    assert abs(known[1] - of_unknown) > 1e-3
    answers = rank(numbers, [unknown, 40, unknown, 10, unknown], [77, unknown, 6])
    np.testing.assert_allclose(answers, [known[0], of_unknown, known[1]], atol=1e-6, rtol=0)
    rows = np.array([[40, unknown, 10], [unknown, 40, 10]])
    answers = score(numbers, rows, [77, unknown])
    np.testing.assert_allclose(answers, [known[0], of_unknown], atol=1e-6, rtol=0)


@pytest.mark.parametrize("unknown", ["", "\0", "a\0\0", "a\0c", "e", "日", "a  ", "aa", "\udfff"])
def test_a_string_is_known_by_every_character(texts, unknown):
    of_unknown = expected_of(texts, 0, [1, 2], [0], [0])[0]
    known = rank(texts, ["a", "a\0"], TEXTS)
    expected = expected_of(texts, 0, [1, 2], range(1, 10), [0] * 9)
    np.testing.assert_allclose(known, expected, atol=1e-6, rtol=0)
    if unknown == "\udfff":  # no character: refused, and never another item's row
        with pytest.raises(Exception, match=r"(?i)utf|surrogate|unicode"):
            rank(texts, [], [unknown])
        return
    answer = rank(texts, [unknown, "a", unknown, "a\0"], [unknown])
    assert answer[0] == pytest.approx(of_unknown, abs=1e-6)


@pytest.mark.parametrize("outside", [-1, 0, 10, -9, 2**40, INT64.min, INT64.max])
def test_an_index_beyond_the_table_is_unknown(numbers, outside):
    answers = numbers.run(
        "rank_indices.onnx", history_item_idx=np.array([1, outside, 2]),
        candidate_item_idx=np.array([3, outside, 9]),
    )[0]  # fmt: skip
    expected = expected_of(numbers, 0, [1, 2], [3, 0, 9], [0] * 3)
    np.testing.assert_allclose(answers, expected, atol=1e-6, rtol=0)


def test_nothing_asked_is_nothing_answered_and_an_empty_history_is_one(numbers, texts):
    assert rank(numbers, [40], []).shape == (0,)
    nothing = np.array([], dtype=object)
    answer = texts.run("rank.onnx", history_item_id=ids(["a"]), candidate_item_id=nothing)[0]
    assert answer.shape == (0,)
    expected = expected_of(numbers, 0, [], [3, 9], [0, 0])
    np.testing.assert_allclose(rank(numbers, [], [77, 6]), expected, atol=1e-6, rtol=0)
    empty = np.zeros((2, 0), np.int64)
    np.testing.assert_allclose(score(numbers, empty, [77, 6]), expected, atol=1e-6, rtol=0)
    assert score(numbers, np.zeros((0, 3), np.int64), []).shape == (0,)
    explained = numbers.run("explain.onnx", history_item_id=ids([]), candidate_item_id=ids([77]))
    assert [each.shape for each in explained] == [(1,), (0,), (0,)]


def test_the_latest_known_events_count_wherever_padding_stands(numbers):
    # max_history is 4, and the latest four known ones are 5, 6, 7, 8.
    latest = [0, 12, 13, 5]
    expected = expected_of(numbers, 0, [5, 6, 7, 8], [3], [0])
    assert abs(expected - expected_of(numbers, 0, [2, 5, 6, 7, 8], [3], [0])) > 1e-3
    longer = [40, 10, 0, -1, 12, 13, -1, 5, -1]
    np.testing.assert_allclose(rank(numbers, longer, [77]), expected, atol=1e-6, rtol=0)
    rows = np.array([longer, [*latest, -1, -1, -1, -1, -1], [-1, -1, -1, -1, -1, *latest]])
    answers = score(numbers, rows, [77] * 3)
    np.testing.assert_allclose(answers, expected.repeat(3), atol=1e-6, rtol=0)


def test_explanation_leaves_events_alone_that_do_not_count(numbers):
    history = [40, -1, 0, 12, 13, 5]  # the first is before the latest four, the second unknown
    whole, without, weights = numbers.run(
        "explain.onnx", history_item_id=ids(history), candidate_item_id=ids([77])
    )
    assert whole == pytest.approx(expected_of(numbers, 0, [5, 6, 7, 8], [3], [0]), abs=1e-6)
    assert without[:2] == pytest.approx([whole[0]] * 2)
    assert weights[:2].tolist() == [0, 0]
    for place, rest in enumerate(([6, 7, 8], [5, 7, 8], [5, 6, 8], [5, 6, 7]), start=2):
        expected = expected_of(numbers, 0, rest, [3], [0])[0]
        assert without[place] == pytest.approx(expected, abs=1e-6)
    assert (np.abs(without[2:] - whole) > 1e-4).any()
    assert (np.abs(weights[2:]) > 1e-4).all()


@pytest.mark.parametrize("name", ["din", "din_softmax", "din_products"])
def test_attention_weights_are_those_of_the_formula(bundles, name):
    # Bundles that were made for others above.
    strings = name == "din"
    vocabulary = PLAIN if name == "din_products" else DESCRIBED
    bundle = bundles(name, strings=strings, vocabulary=vocabulary)
    model, history, candidate = bundle.saved.model, [1, 5, 9], 3
    item_ids = TEXTS if strings else NUMBERS
    feed = {
        "history_item_id": ids([item_ids[i - 1] for i in history]),
        "candidate_item_id": ids([item_ids[candidate - 1]]),
    }
    if "user_id" in bundle.report.id_types:
        feed |= {"user_id": ids(["u2" if strings else 2]), "hour": np.array([7.0], np.float32)}
    weights = bundle.run("explain.onnx", **feed)[2:]
    cates = [0, *CATES]
    indices = {
        "item": (history, candidate),
        "cate": ([cates[i] for i in history], cates[candidate]),
    }
    embedded = []
    for feature in model.history_features:
        past, target = indices[feature.name.split("_")[1]]
        table = model.embedding.table(feature).weight.detach()
        embedded.append((table[past], table[[target]]))
    if len(model.units) == 1:
        embedded = [tuple(torch.cat(parts, dim=1) for parts in zip(*embedded, strict=True))]
    for unit, (past, target), given in zip(model.units, embedded, weights, strict=True):
        with torch.no_grad():
            expected = unit.scores_by_concatenation(target, past, torch.zeros(3, dtype=torch.int64))
        if unit.position_bias is not None:  # that of the latest event is the first
            last = len(unit.position_bias) - 1
            expected = expected + unit.position_bias.detach()[[min(2, last), 1, 0]]
        expected = torch.softmax(expected, 0) if unit.use_softmax else expected
        np.testing.assert_allclose(given, expected.numpy(), atol=1e-6, rtol=0)


def test_other_weights_than_the_model_s_are_refused(bundles, tmp_path):
    bundle = bundles("din", strings=True)
    tables, known = read(DESCRIBED, bundle.folder.parent / "vocabulary", with_users=True)
    source = Source(bundle.saved.model, tables, known, ["hour"], 4)
    assert max(require_parity_of_all(source, bundle.folder).values()) < 1e-6
    with pytest.raises(ExportError, match=r"explain\.onnx: a probability .* differs from PyTorch"):
        # The events before the latest three count for the graphs only.
        require_parity_of_all(replace(source, max_history=3), bundle.folder)
