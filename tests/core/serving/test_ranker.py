"""What the Ranker answers, and what it refuses, on a bundle that can be computed by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest

from din_core import manifests, serving
from din_core.errors import WrongRequestError
from din_core.serving.bundle import rows
from din_core.serving.bundle.contents import Bundle, BundleError, NotABundleError
from din_core.serving.bundle.ids import VocabularyIds
from din_core.serving.ranker import Ranker
from tests.core.serving import hand_made_bundle
from tests.core.serving.hand_made_bundle import ITEMS, USERS


@pytest.fixture(scope="module", params=["int64", "string"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory, kind):
    return hand_made_bundle.write(tmp_path_factory.mktemp("bundles") / kind, kind)


@pytest.fixture(scope="module")
def ranker(folder):
    return Ranker(folder)


@pytest.fixture(scope="module")
def integers(tmp_path_factory):
    return Ranker(hand_made_bundle.write(tmp_path_factory.mktemp("bundles") / "integers"))


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return Ranker(hand_made_bundle.write(tmp_path_factory.mktemp("bundles") / "texts", "string"))


@pytest.fixture(scope="module")
def with_hour(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "hour"
    return Ranker(hand_made_bundle.write(folder, context=("hour",)))


def test_known_user_is_ranked_by_the_history_of_the_log_over_the_whole_catalogue(ranker, kind):
    user, items = next(iter(USERS[kind])), list(ITEMS[kind])
    ranking = ranker.rank(user_id=user)
    # The history is worth 0.1 and 0.2: 0.003 on top of each. Both of its items are left out.
    assert list(ranking.item_id) == [items[1], items[2]]
    assert ranking.probability == pytest.approx([0.403, 0.403])
    assert ranking.user_is_known
    assert ranking.history == USERS[kind][user]
    assert ranking.excluded == [items[0], items[3]]
    assert ranking.n_candidates == 2
    assert ranking.notes == []
    assert ranking.version == "v1"


def test_history_of_the_request_counts_instead(ranker, kind):
    user, items = next(iter(USERS[kind])), list(ITEMS[kind])
    ranking = ranker.rank(user_id=user, history=[items[1]], k=4)
    assert list(ranking.item_id) == [items[2], items[3], items[0]]
    assert ranking.probability == pytest.approx([0.404, 0.204, 0.104])
    assert ranking.history == [items[1]]


def test_items_of_the_history_are_candidates_where_that_is_asked_for(ranker, kind):
    items = list(ITEMS[kind])
    ranking = ranker.rank(history=[items[1]], exclude_history=False, k=9)
    assert list(ranking.item_id) == [items[1], items[2], items[3], items[0]]
    assert ranking.excluded == []


def test_user_who_is_not_known_is_told_and_ranked_as_somebody_of_whom_nothing_is(ranker, kind):
    new = {"int64": 77, "string": "nobody"}[kind]
    ranking = ranker.rank(user_id=new)
    assert not ranking.user_is_known
    assert ranking.probability == pytest.approx([0.4, 0.4, 0.2, 0.1])
    assert [sentence.split(":")[0] for sentence in ranking.notes] == [
        f"user {new!r} is not known",
        "the history is empty",
    ]
    with_history = ranker.rank(user_id=new, history=list(ITEMS[kind])[:1])
    assert with_history.probability == pytest.approx([0.401, 0.401, 0.201])
    assert len(with_history.notes) == 1


def test_user_without_events_is_known_and_has_an_empty_history(ranker, kind):
    ranking = ranker.rank(user_id=list(USERS[kind])[1])
    assert ranking.user_is_known
    assert ranking.history == []
    assert ranking.notes[0].startswith("the history is empty")


def test_unknown_ids_are_named_and_take_no_other_items_score(ranker, kind):
    items = list(ITEMS[kind])
    unknown = {"int64": [-1, 99, 2**63 - 1], "string": ["", "zz", "a "]}[kind]
    ranking = ranker.rank(history=[*unknown, items[0]], candidates=[*unknown, items[1]], k=9)
    assert ranking.unknown_history == unknown
    assert ranking.unknown_candidates == ranking.excluded == unknown
    assert list(ranking.item_id) == [items[1]]
    ranking = ranker.rank(history=[items[0]], candidates=[unknown[1], items[1], unknown[0]])
    assert ranking.unknown_candidates == [unknown[1], unknown[0]]
    assert list(ranking.item_id) == [items[1], unknown[1], unknown[0]]
    assert ranking.probability == pytest.approx([0.401, 0.001, 0.001])
    assert str(unknown[1]) in ranking.notes[-1]


def test_unknown_event_of_a_history_takes_no_item_out_of_the_catalogue(ranker, kind):
    items = list(ITEMS[kind])
    unknown = {"int64": 99, "string": "zz"}[kind]
    ranking = ranker.rank(history=[unknown, items[0]], k=9)
    # Worth 0.4, 0.4 and 0.2, and a hundredth of 0.1 on top: the last item is among them.
    assert list(ranking.item_id) == [items[1], items[2], items[3]]
    assert ranking.probability == pytest.approx([0.401, 0.401, 0.201])
    assert ranking.excluded == [items[0]]


def test_equal_scores_keep_the_order_that_the_candidates_came_in(ranker, kind):
    a, b, c, d = ITEMS[kind]
    assert list(ranker.rank(k=1).item_id) == [b]
    assert list(ranker.rank(candidates=[c, a, b, d], k=2).item_id) == [c, b]
    many = [a, d] * 50 + [c, b] * 50
    assert list(ranker.rank(candidates=many, k=3).item_id) == [c, b, c]


def test_no_candidates_give_an_empty_answer(ranker, kind):
    assert list(ranker.rank(candidates=[])) == []
    assert (
        ranker.rank(candidates=list(ITEMS[kind])[:1], history=list(ITEMS[kind])).n_candidates == 0
    )


def test_rows_of_samples_are_scored_in_blocks_in_their_order(ranker, kind, monkeypatch):
    monkeypatch.setattr(rows, "ROWS_OF_A_BLOCK", 2)
    a, b, _, d = ITEMS[kind]
    table = {
        "target_item_id": [a, b, d, None, b],
        "hist_item_id": [[a], [], [a, d], [d], None],
        "label": [1, 0, 1, 0, 1],
    }
    expected = [0.101, 0.4, 0.203, 0.002, 0.4]
    assert ranker.score(table) == pytest.approx(expected)
    assert ranker.score(pa.table(table)) == pytest.approx(expected)
    frame = pd.DataFrame(table).drop(3).astype({"target_item_id": type(a)})
    assert ranker.score(frame) == pytest.approx([*expected[:3], expected[4]])
    large = pa.table(table).append_column(
        "again", pa.array(table["target_item_id"]).dictionary_encode()
    )
    large = large.drop_columns("target_item_id").rename_columns({"again": "target_item_id"})
    assert ranker.score(large) == pytest.approx(expected)
    assert ranker.score(pa.table(table).slice(0, 0)).shape == (0,)


@pytest.mark.parametrize("repeated", [1, 40])
def test_pairs_are_scored_by_the_histories_of_their_users(ranker, kind, repeated):
    known, eventless = USERS[kind]
    unknown = {"int64": -5, "string": ""}[kind]
    b = list(ITEMS[kind])[1]
    users = [known] * repeated + [eventless] * repeated + [unknown] * repeated
    expected = [0.403] * repeated + [0.4] * repeated + [0.4] * repeated
    assert ranker.score_pairs(users, [b] * len(users)) == pytest.approx(expected)
    assert ranker.score_pairs([], []).shape == (0,)


def test_event_that_raised_the_score_says_by_how_much(ranker, kind):
    a, b, _, d = ITEMS[kind]
    unknown = {"int64": 99, "string": "zz"}[kind]
    explanation = ranker.explain(item_id=b, history=[a, unknown, d])
    assert explanation.probability == pytest.approx(0.403)
    assert [event.item_id for event in explanation.events] == [a, unknown, d]
    assert [event.change for event in explanation.events] == pytest.approx(
        [0.001, 0, 0.002], abs=1e-7
    )
    weights = [event.attention_weight["attention_weight"] for event in explanation.events]
    assert weights == pytest.approx([0.1, 0, 0.2])
    assert [event.is_known for event in explanation.events] == [True, False, True]
    assert ranker.explain(item_id=b, user_id=next(iter(USERS[kind]))).probability == pytest.approx(
        0.403
    )


def test_numbers_of_the_moment_are_one_for_all_or_one_each_or_missing(with_hour):
    candidates = [10, 40]
    for hour, expected in [
        (1.0, {10: 0.2, 40: 0.3}),
        ([2.0, 0.0], {10: 0.3, 40: 0.2}),
        (float("nan"), {10: 0.1, 40: 0.2}),
    ]:
        ranking = with_hour.rank(candidates=candidates, context={"hour": hour})
        assert dict(ranking) == pytest.approx(expected)
    assert dict(with_hour.rank(candidates=candidates)) == pytest.approx({10: 0.1, 40: 0.2})
    table = {"target_item_id": [10, 40], "hist_item_id": [[], []], "hour": [None, 1]}
    assert with_hour.score(table) == pytest.approx([0.1, 0.3])
    assert with_hour.score_pairs([2], [40], {"hour": 1}) == pytest.approx([0.3])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"k": 0}, "k is 0; it is a whole number of at least 1"),
        ({"k": 2.5}, "k is 2.5; it is a whole number of at least 1"),
        ({"k": True}, "k is True; it is a whole number of at least 1"),
        ({"user_id": "1"}, "user_id is '1' (str), and ids are integers here"),
        ({"user_id": float("nan")}, "user_id is nan (float), and ids are integers here"),
        ({"user_id": 2**63}, f"user_id is {2**63}, which is no 64-bit integer"),
        ({"history": "10"}, "history is '10'; give a list of ids"),
        ({"history": 10}, "history is 10; give a list of ids"),
        ({"history": [10, None]}, "history[1] is None (NoneType), and ids are integers here"),
        ({"candidates": [10, 1.5]}, "candidates[1] is 1.5 (float), and ids are integers here"),
        ({"candidates": np.zeros((2, 2), int)}, "candidates has 2 dimensions; give a list of ids"),
        ({"context": {"hour": 3}}, "context has 'hour', and the model takes no such number"),
        ({"context": [3]}, "context is [3]; give numbers by their names"),
        ({"exclude_history": "no"}, "exclude_history is 'no'; give True or False"),
        ({"exclude_history": None}, "exclude_history is None; give True or False"),
        ({"history": {10, 20}}, "history is a set, which has no order of ids; give a list of ids"),
        ({"candidates": {10: 1}}, "candidates is a dict, which has no order of ids; give a list"),
        (
            {"history": np.ma.array([10, 20], mask=[False, True])},
            "history[1] is None (NoneType), and ids are integers here",
        ),
    ],
)
def test_what_cannot_be_answered_ends_in_a_sentence(integers, asked, sentence):
    with pytest.raises(WrongRequestError) as error:
        integers.rank(**asked)
    assert str(error.value).startswith(sentence)


def test_half_a_character_is_refused_wherever_it_is_an_id(texts):
    """JSON has such escapes, and a command line such bytes; no file of a log in UTF-8 does."""
    half = "b\ud800"
    for name, ask in {
        "user_id": lambda: texts.rank(user_id=half),
        "history[1]": lambda: texts.rank(history=["a", half]),
        "candidates[0]": lambda: texts.rank(candidates=[half]),
        "item_id": lambda: texts.explain(item_id=half),
        "user_ids[0]": lambda: texts.score_pairs([half], ["a"]),
    }.items():
        with pytest.raises(WrongRequestError) as error:
            ask()
        assert str(error.value) == f"{name} is 'b\\ud800', which is not UTF-8"


def test_threads_are_a_whole_number(folder):
    for wrong in (0, 1.5, "2", True):
        with pytest.raises(WrongRequestError, match="it is a whole number of at least 1"):
            Ranker(folder, threads=wrong)


def test_ranking_of_nothing_says_why(integers):
    assert "there are no candidates" in integers.rank(candidates=[]).notes
    [sentence] = integers.rank(candidates=[10], history=[10, 20]).notes
    assert sentence == "all candidates are in the history, and exclude_history leaves those out"


def test_integer_is_no_id_where_ids_are_text(texts):
    with pytest.raises(WrongRequestError) as error:
        texts.rank(candidates=[5])
    assert str(error.value) == "candidates[0] is 5 (int), and ids are text here; write '5'"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"target_item_id": [10]}, "the rows have no column 'hist_item_id', which the model takes"),
        (
            {"target_item_id": ["10"], "hist_item_id": [[10]]},
            "column 'target_item_id' holds string, and these ids are int64",
        ),
        (
            {"target_item_id": [10.0], "hist_item_id": [[10]]},
            "column 'target_item_id' holds double, and these ids are int64",
        ),
        (
            {"target_item_id": [10], "hist_item_id": [10]},
            "column 'hist_item_id' holds int64; a history is a list of item ids, oldest first",
        ),
        (
            {"target_item_id": [10], "hist_item_id": [["x"]]},
            "column 'hist_item_id' holds string, and these ids are int64",
        ),
        ("rows", "rows are to be an Arrow table, a dictionary of columns of one length, or a data"),
        (
            {"target_item_id": [10, 20], "hist_item_id": [[10]]},
            "rows are to be an Arrow table, a dictionary of columns of one length, or a data",
        ),
        (
            pa.table([[10], [20], [[10]]], names=["target_item_id"] * 2 + ["hist_item_id"]),
            "the rows have 2 columns 'target_item_id'; keep one",
        ),
    ],
)
def test_rows_that_cannot_be_scored_end_in_a_sentence(integers, table, sentence):
    with pytest.raises(WrongRequestError) as error:
        integers.score(table)
    assert str(error.value).startswith(sentence)


def test_numbers_that_are_none_end_in_a_sentence(with_hour):
    with pytest.raises(WrongRequestError, match="context 'hour' is 'noon'; give a number"):
        with_hour.rank(context={"hour": "noon"})
    table = {"target_item_id": [10], "hist_item_id": [[10]]}
    with pytest.raises(WrongRequestError, match="no column 'hour', which the model takes"):
        with_hour.score(table)
    with pytest.raises(WrongRequestError, match="column 'hour' holds string, and it is to hold"):
        with_hour.score({**table, "hour": ["noon"]})


@pytest.mark.parametrize("number", [float("inf"), -float("inf"), 1e39, 10**400])
def test_infinite_number_is_refused_and_not_taken_for_a_missing_one(with_hour, number):
    with pytest.raises(WrongRequestError, match="context 'hour' is "):
        with_hour.rank(context={"hour": number})
    with pytest.raises(WrongRequestError, match="context 'hour' is "):
        with_hour.rank(context={"hour": [1, number]}, candidates=[10, 20])
    if isinstance(number, float):
        table = {"target_item_id": [10, 20], "hist_item_id": [[], []], "hour": [0.5, number]}
        with pytest.raises(WrongRequestError, match=r"column 'hour' is .* at place 1 of 2; give a"):
            with_hour.score(table)


def test_text_is_no_number_even_if_it_looks_like_one(with_hour):
    with pytest.raises(WrongRequestError, match="context 'hour' is '3'; give a number"):
        with_hour.rank(context={"hour": "3"})


@pytest.mark.parametrize(
    "value", [["3", None], np.datetime64("2020-01-01"), np.timedelta64(3, "h"), 3j]
)
def test_what_numpy_would_turn_into_a_number_is_none(with_hour, value):
    with pytest.raises(WrongRequestError, match=r"context 'hour' is .*; give a number"):
        with_hour.rank(candidates=[10, 40], context={"hour": value})


def test_number_that_is_masked_is_missing(with_hour):
    hour = np.ma.array([2, 7], mask=[False, True])
    ranking = with_hour.rank(candidates=[10, 40], context={"hour": hour})
    assert dict(ranking) == pytest.approx({10: 0.3, 40: 0.2})


def test_unknown_id_that_cannot_be_seen_is_quoted(texts):
    (note,) = texts.rank(history=["", "a\0", " ", "zz"]).notes
    assert note.endswith(r": '', 'a\x00', ' ', zz")


def test_texts_of_every_arrow_type_are_ids(texts):
    views = pa.array(["a", "b"], pa.string_view())  # as polars has them
    events = pa.array([["a"], ["b"]], pa.list_(pa.dictionary(pa.int32(), pa.string())))
    table = pa.table({"target_item_id": views, "hist_item_id": events})
    assert texts.score(table) == pytest.approx([0.101, 0.404])


def test_file_that_is_no_pointer_is_no_bundle(tmp_path):
    for content in ("a,b\n" * 500, "word " * 500):
        (tmp_path / "log.csv").write_text(content)
        with pytest.raises(NotABundleError, match="no such folder"):
            Ranker(tmp_path / "log.csv")


def test_histories_are_read_also_when_the_folder_is_gone(tmp_path):
    """``din prune`` may remove a version that a server still answers with."""
    folder = hand_made_bundle.write(tmp_path / "v1")
    ranker = Ranker(folder)
    ranker.sessions.open("rank.onnx")
    shutil.rmtree(folder)
    assert ranker.rank(user_id=1, k=1).history == [10, 40]


def test_folder_that_is_no_bundle_is_named(tmp_path):
    with pytest.raises(NotABundleError, match=r"nowhere: no such folder; make the bundle"):
        Ranker(tmp_path / "nowhere")
    with pytest.raises(NotABundleError, match=r"holds no bundle \(there is no manifest.json\)"):
        Ranker(tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("circle", r"circle: no such folder; make the bundle"),
        ("n" * 300, r"n cannot be looked into \(File name too long\); make the folder"),
        ("a\0b", r"no such folder"),
        (b"caf\xe9", r"caf\\xe9: the path of the bundle is not UTF-8; rename the folder"),
    ],
)
def test_folder_that_cannot_be_reached_is_a_sentence(tmp_path, name, sentence):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(NotABundleError, match=sentence):
        Ranker(tmp_path / os.fsdecode(name))


def test_manifest_of_another_program_is_not_called_damaged(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(BundleError, match=r"manifest.json of format 2, and this program reads 1"):
        Ranker(copy)


def test_graph_that_onnxruntime_is_too_old_for_is_a_sentence(tmp_path):
    copy = hand_made_bundle.write(tmp_path / "v1")
    graph = onnx.load(copy / "rank.onnx")
    graph.ir_version = 99
    (copy / "rank.onnx").write_bytes(graph.SerializeToString())
    manifest = manifests.read(copy)
    about = {**manifest.about, "libraries": {"onnxruntime": "99.1"}}
    manifests.write(copy, manifest.version, about)
    sentence = r"cannot use rank.onnx: .*IR version: 99.*made with onnxruntime 99\.1: install that"
    with pytest.raises(BundleError, match=sentence):
        Ranker(copy).rank()


def test_damaged_file_is_told_before_it_answers(folder, tmp_path, kind):
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = bytearray((copy / "rank.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "rank.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"rank.onnx has other content than was committed; copy"):
        Ranker(copy).rank()
    (copy / "histories.parquet").unlink()
    with pytest.raises(BundleError, match=r"histories.parquet is missing"):
        Ranker(copy)
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"max_history": 3', '"max_history": 4'))
    with pytest.raises(BundleError, match=r"has a damaged manifest.json; copy the bundle again"):
        Ranker(copy)


def test_bundle_is_found_by_a_link_and_by_a_file_with_its_name(folder, tmp_path):
    place = tmp_path / "bundle"
    shutil.copytree(folder, place / "v1")
    (place / "link").symlink_to("v1", target_is_directory=True)
    (place / "file").write_text("v1\n")
    for name in ("link", "file", "v1"):
        assert Bundle.open(place / name).folder == place / "v1"


def test_open_bundle_stays_what_it_is_when_current_leads_elsewhere(integers, texts, tmp_path):
    current = tmp_path / "current"
    current.symlink_to(integers.bundle.folder)
    ranker = Ranker(current)
    current.unlink()
    current.symlink_to(texts.bundle.folder)
    assert ranker.rank(k=1).item_id.tolist() == [20]


def test_ranking_is_answered_without_torch_database_or_orchestrator(folder):
    code = (
        "import sys\n"
        "from din_core.serving import Ranker\n"
        f"ranker = Ranker({str(folder)!r})\n"
        "assert len(ranker.rank(history=ranker.rank().item_id.tolist())) == 0\n"
        # pyarrow imports pandas where it is, for the rows of a table and not for a ranking.
        "assert 'pandas' not in sys.modules\n"
        "ranker.score({'target_item_id': ranker.rank().item_id, 'hist_item_id': [[]] * 4})\n"
        "print(*sorted({'torch', 'duckdb', 'dagster', 'onnx', 'yaml'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("n_asked", [1, 300])
def test_ids_are_found_one_by_one_and_together_alike(n_asked):
    texts = sorted({"", "a", "\ud7ff", "\U00010000", "ü", *(f"id{i}" for i in range(1000))})
    numbers = sorted({-(2**63), -1, 0, 2**63 - 1, *range(10, 500, 3)})
    for ids, kind, absent in ((texts, "string", ["b", "id"]), (numbers, "int64", [-2, 11])):
        dtype = object if kind == "string" else np.int64
        asked = np.array(([*ids[:2], ids[-1], *absent] * n_asked)[: 5 * n_asked], dtype)
        found = VocabularyIds(pa.array(ids), kind).positions(asked)
        assert found.tolist() == [0, 1, len(ids) - 1, -1, -1] * n_asked


@pytest.mark.parametrize("n_asked", [1, 300])
def test_ids_of_a_vocabulary_that_has_grown_are_found_where_they_stand(n_asked):
    texts = ["m", "z", *(f"id{i}" for i in range(1000)), "a", "", "\U00010000", "ü"]
    numbers = [50, 7, -(2**63), 9, 2**63 - 1, -1]
    for ids, kind, absent in ((texts, "string", ["b"]), (numbers, "int64", [8])):
        vocabulary = VocabularyIds(pa.chunked_array([ids[:3], ids[3:]]), kind)
        dtype = object if kind == "string" else np.int64
        asked = np.array([ids[-1], *absent, ids[0], ids[4]] * n_asked, dtype)
        assert vocabulary.positions(asked).tolist() == [len(ids) - 1, -1, 0, 4] * n_asked
        assert vocabulary.to_numpy().tolist() == ids


def test_attach_and_ranker_are_names_of_the_room():
    assert serving.Ranker is Ranker
    assert callable(serving.attach)
    with pytest.raises(AttributeError, match="has no attribute 'ranger'"):
        _ = serving.ranger
