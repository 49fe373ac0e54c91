"""The web server on a bundle that can be computed by hand: answers, refusals, another bundle."""

import json
import logging
import math
import shutil

import numpy as np
import pytest
from starlette.testclient import TestClient

from din_core import manifests
from din_core.serving.bundle.contents import BundleError, NotABundleError
from din_core.serving.server.application import Limits, create_app
from din_core.serving.server.current_bundle import CurrentBundle
from tests.core.serving import hand_made_bundle

SMALL = Limits(max_request_bytes=2_000, max_history=3, max_explained=2)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = hand_made_bundle.write(tmp_path_factory.mktemp("bundles") / "v1", context=("hour",))
    return TestClient(create_app(folder, SMALL))


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = hand_made_bundle.write(tmp_path_factory.mktemp("bundles") / "v1", "string")
    return TestClient(create_app(folder))


def test_candidates_are_ranked_and_unknown_ids_named(client):
    response = client.post(
        "/rank", json={"user_id": 7, "history": [10, 99], "candidates": [10, 40, 77, 20], "k": 2}
    )
    assert response.status_code == 200
    answer = response.json()
    # 10 and 99 are worth 0.1 and 0: 0.001 on top of each candidate; 10 is in the history.
    assert [each["item_id"] for each in answer["items"]] == [20, 40]
    assert [each["probability"] for each in answer["items"]] == pytest.approx([0.401, 0.201])
    assert "events" not in answer["items"][0]
    assert answer["unknown_candidates"] == [77]
    assert answer["unknown_history"] == [99]
    assert answer["excluded"] == [10]
    assert answer["user_is_known"] is False
    assert answer["version"] == "v1"


def test_ids_of_text_are_ranked(texts):
    answer = texts.post("/rank", json={"user_id": "u1", "exclude_history": False, "k": 4}).json()
    assert [each["item_id"] for each in answer["items"]] == ["b", "c", "é,\n", "a"]


def test_numbers_of_the_moment_are_taken_one_for_each_candidate_or_missing(client):
    request = {"history": [], "candidates": [10, 20, 40], "context": {"hour": [5, None, 1.0]}}
    answer = client.post("/rank", json=request).json()
    found = {each["item_id"]: each["probability"] for each in answer["items"]}
    assert found == pytest.approx({10: 0.6, 20: 0.4, 40: 0.3})


def test_explanation_says_what_each_event_did(texts):
    request = {"history": ["a", "b"], "candidates": ["c"], "explain": True}
    (item,) = texts.post("/rank", json=request).json()["items"]
    assert [each["item_id"] for each in item["events"]] == ["a", "b"]
    assert [each["change"] for each in item["events"]] == pytest.approx([0.001, 0.004], rel=1e-3)
    assert item["events"][1]["attention_weight"]["attention_weight"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("request_", "status", "field", "sentence"),
    [
        ({"k": 0}, 422, "k", "greater than or equal to 1"),
        ({"k": "3"}, 422, "k", "valid integer"),
        ({"k": True}, 422, "k", "valid integer"),
        ({"user": 1}, 422, "user", "no such field; there are user_id, history, candidates"),
        ({"candidates": [1, None]}, 422, "candidates.1", "an id is an integer or text"),
        ({"history": [1, 2.5]}, 422, "history.1", "an id is an integer or text"),
        ({"exclude_history": "no"}, 422, "exclude_history", "valid boolean"),
        ([], 422, "body", "not a JSON object; send one, with content-type: application/json"),
        ({"context": {"hour": 10**400}}, 400, "context", "give a number"),
        ({"context": {"hour": "9"}}, 422, "context.hour", "give a number, or a list with one for"),
        ({"context": {"hour": True}}, 422, "context.hour", "give a number, or a list with one for"),
        ({"at": "noon"}, 422, "at", "give a number, the seconds since 1970-01-01 UTC"),
        ({"history": [1], "history_times": ["noon"]}, 422, "history_times.0", "give numbers, the"),
        ({"context": {"hour": 1e39}}, 400, "context", "give a finite number"),
        (
            {"explain": True, "k": 1, "context": {"hour": [1, 2, 3, 4]}},
            400,
            "candidates",
            "left out, and context has a number for each",
        ),
        (
            {"explain": True, "k": 1, "candidates": [10, 10], "context": {"hour": [1, 2]}},
            400,
            "candidates",
            "10 is there twice",
        ),
        ({"user_id": "u1"}, 400, "user_id", "'u1'"),
        ({"candidates": ["a"]}, 400, "candidates", "'a'"),
        ({"user_id": 2**63}, 400, "user_id", "no 64-bit integer"),
        ({"context": {"minute": 3}}, 400, "context", "takes hour"),
        ({"candidates": [1, 2], "context": {"hour": [1.0]}}, 400, "context", "hour"),
        ({"history": [1, 2, 3, 4]}, 400, "history", "4 events, and 3 are allowed"),
        ({"explain": True, "k": 3}, 400, "k", "3 items are to be explained, and 2 are allowed"),
    ],
)
def test_a_wrong_request_is_refused_in_a_sentence_with_its_field(
    client, request_, status, field, sentence
):
    response = client.post("/rank", json=request_)
    assert (response.status_code, response.json()["field"]) == (status, field)
    assert sentence in response.json()["error"]


def test_a_body_that_is_no_json_is_refused(client):
    response = client.post("/rank", content=b"{", headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"].startswith("the body is not JSON")


def test_half_a_character_is_refused(texts):
    body = b'{"candidates": ["\\ud800"]}'
    response = texts.post("/rank", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "which is not UTF-8" in response.json()["error"]
    asked = [_tensor("history_item_id", "BYTES", []), _tensor("candidate_item_id", "BYTES", ["?"])]
    body = json.dumps({"inputs": asked}).replace("?", "\\ud800").encode()
    response = texts.post("/v2/models/rank/infer", content=body)
    assert response.status_code == 400
    assert response.json()["error"].startswith("inputs[1].data: '\\ud800' is not UTF-8")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b'{"user_id": "\xff"}', "can't decode byte 0xff in position 13"),
        (b'{"user_id": ' + b"9" * 5000 + b"}", "digits"),
    ],
    ids=["bytes", "digits"],
)
def test_a_body_that_cannot_be_decoded_is_refused_with_its_cause(texts, body, cause):
    headers = {"content-type": "application/json"}
    response = texts.post("/rank", content=body, headers=headers)
    assert (response.status_code, response.json()["field"]) == (400, "body")
    assert response.json()["error"].startswith("the body cannot be read as JSON: ")
    assert cause in response.json()["error"]


@pytest.mark.parametrize("path", ["/rank", "/v2/models/rank/infer"])
def test_json_that_is_nested_too_deeply_is_refused(texts, path):
    body = b"[" * 100_000
    response = texts.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "recursion" in response.json()["error"]


def test_number_beyond_32_bits_is_refused(client):
    inputs = [
        _tensor("history_item_id", "INT64", []),
        _tensor("candidate_item_id", "INT64", [20]),
        _tensor("hour", "FP32", [1e300]),
    ]
    response = client.post("/v2/models/rank/infer", json={"inputs": inputs})
    assert response.status_code == 400
    assert "inputs[2].data: a value lies outside of FP32" in response.json()["error"]


def test_number_of_the_moment_may_be_null(client):
    request = {"history": [], "candidates": [20], "context": {"hour": None}}
    assert client.post("/rank", json=request).json()["items"][0]["probability"] == pytest.approx(
        0.4
    )


def test_explanation_is_refused_where_the_bundle_has_no_graph_for_it(tmp_path):
    """As that of a vocabulary which is too large for graphs with ids inside."""
    folder = hand_made_bundle.write(tmp_path / "v1")
    (folder / "explain.onnx").unlink()
    about = manifests.read(folder).about
    manifests.write(folder, "v1", {**about, "left_out": {"explain.onnx": "too many ids"}})
    answer = TestClient(create_app(folder)).post("/rank", json={"k": 1, "explain": True})
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "explain: this bundle has no explain.onnx: too many ids",
        "field": "explain",
    }


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/rank", 405, "/rank takes no GET; /openapi.json says what it takes"),
        ("/a", 404, "there is no route GET /a; /openapi.json lists all"),
    ],
)
def test_refusals_of_routes_are_sentences_too(client, path, status, sentence):
    response = client.get(path)
    assert (response.status_code, response.json()) == (status, {"error": sentence})
    assert response.headers.get("allow") == ("POST" if status == 405 else None)


def _in_parts(n_bytes):
    for _ in range(n_bytes // 100):
        yield b" " * 100


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("path", ["/rank", "/v2/models/rank/infer"])
def test_a_request_that_is_too_large_is_refused(client, is_streamed, path):
    body = _in_parts(2_100) if is_streamed else b" " * 2_001
    response = client.post(path, content=body)
    assert response.status_code == 413
    assert "larger than 2,000 bytes" in response.json()["error"]


def _tensor(name, datatype, data):
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}


def test_protocol_tells_health_and_metadata(client):
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/rank/versions/v1/ready").json() == {"name": "rank", "ready": True}
    assert client.get("/v2").json() == {
        "name": "din-assets",
        "version": "v1",
        "extensions": ["binary_tensor_data"],
    }
    described = client.get("/v2/models/rank").json()
    assert {each["name"]: each["datatype"] for each in described["inputs"]} == {
        "history_item_id": "INT64",
        "candidate_item_id": "INT64",
        "hour": "FP32",
    }


def test_head_is_answered_as_get_is_and_without_a_body(client):
    described = client.get("/openapi.json").json()["paths"]
    asked = [path for path, methods in described.items() if "get" in methods]
    assert {"/v2", "/v2/health/live", "/v2/health/ready"} < {*asked}
    for name, status in (("rank", 200), ("nobody", 404)):
        for path in (each.format(name=name, version="v1") for each in asked):
            head, get = client.head(path), client.get(path)
            assert head.status_code == get.status_code
            assert get.status_code == (status if name in path else 200)
            assert head.headers["content-length"] == get.headers["content-length"]
    # What changes nothing is not described twice.
    assert not [path for path, methods in described.items() if "head" in methods]


def test_protocol_infers_what_the_route_ranks(client):
    inputs = [
        _tensor("history_item_id", "INT64", [10, 40]),
        _tensor("candidate_item_id", "INT64", [20, 77]),
        _tensor("hour", "FP32", [0, 1.5]),
    ]
    response = client.post("/v2/models/rank/versions/v1/infer", json={"inputs": inputs})
    (output,) = response.json()["outputs"]
    assert output["data"] == pytest.approx([0.403, 0.153])
    asked = {"inputs": inputs, "outputs": [{"name": "probability"}]}
    asked["outputs"][0]["parameters"] = {"binary_data": True}
    response = client.post("/v2/models/rank/infer", json=asked)
    n_json = int(response.headers["Inference-Header-Content-Length"])
    assert np.frombuffer(response.content[n_json:], "<f4") == pytest.approx([0.403, 0.153])
    assert json.loads(response.content[:n_json])["outputs"][0]["parameters"] == {
        "binary_data_size": 8
    }


@pytest.mark.parametrize(
    ("path", "headers", "status", "sentence"),
    [
        ("/v2/models/rnk/infer", {}, 404, "model 'rnk' is none of ['explain', 'rank', 'score']"),
        ("/v2/models/rank/versions/2/infer", {}, 404, "version '2' is not served, 'v1' is"),
        ("/v2/models/rank/infer", {}, 400, "inputs: missing"),
        (
            "/v2/models/rank/infer",
            {"Inference-Header-Content-Length": "all"},
            400,
            "'all' is not a number of bytes",
        ),
    ],
)
def test_protocol_refuses_in_a_sentence(client, path, headers, status, sentence):
    response = client.post(path, json={}, headers=headers)
    assert response.status_code == status
    assert sentence in response.json()["error"]


def test_routes_are_described(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/rank", "/v2/health/ready", "/v2/models/{name}/infer"} <= set(paths)


@pytest.fixture
def versions(tmp_path):
    """Two bundles, and a link ``current`` to the first: of integers, then of texts."""
    hand_made_bundle.write(tmp_path / "v1")
    hand_made_bundle.write(tmp_path / "v2", "string")
    (tmp_path / "current").symlink_to("v1")
    return tmp_path


def _lead_to(versions, name):
    (versions / "new").symlink_to(name)
    (versions / "new").replace(versions / "current")


def test_a_bundle_that_is_published_is_taken_up_and_an_open_one_answers_on(versions):
    current = CurrentBundle(versions / "current")
    before = current.get()
    assert not current.refresh()
    _lead_to(versions, "v2")
    assert current.refresh()
    shutil.rmtree(versions / "v1")
    assert before.ranker.rank(k=1).item_id.tolist() == [20]
    assert current.get().ranker.rank(k=1).item_id.tolist() == ["b"]
    assert current.get().folder == versions / "v2"


def test_a_damaged_bundle_is_told_of_once_and_the_one_before_stays(versions, caplog):
    current = CurrentBundle(versions / "current")
    (versions / "v2" / "rank.onnx").write_bytes(b"half")
    _lead_to(versions, "v2")
    with caplog.at_level(logging.WARNING):
        assert not current.refresh()
        assert not current.refresh()
    assert len(caplog.records) == 1
    assert "rank.onnx" in caplog.text
    assert current.get().ranker.rank(k=1).item_id.tolist() == [20]


def test_a_refused_bundle_is_taken_up_when_it_has_been_made_again(versions):
    current = CurrentBundle(versions / "current")
    whole = (versions / "v2" / "rank.onnx").read_bytes()
    (versions / "v2" / "rank.onnx").write_bytes(b"half")
    _lead_to(versions, "v2")
    assert not current.refresh()
    (versions / "v2" / "rank.onnx").write_bytes(whole)
    assert current.refresh()
    assert current.get().ranker.rank(k=1).item_id.tolist() == ["b"]


def test_an_unforeseen_fault_of_a_new_bundle_ends_neither_answers_nor_watching(
    versions, monkeypatch, caplog
):
    current = CurrentBundle(versions / "current")
    with monkeypatch.context() as patch:
        patch.setattr("din_core.serving.resolver.VocabularyIds", None)
        _lead_to(versions, "v2")
        assert not current.refresh()
    assert "is not served, v1 stays" in caplog.text
    assert current.get().ranker.rank(k=1).item_id.tolist() == [20]
    _lead_to(versions, "v1")
    _lead_to(versions, "v2")
    (versions / "v2" / "rank.onnx").touch()
    assert current.refresh()


def test_a_pointer_in_a_circle_ends_neither_answers_nor_watching(versions, caplog):
    current = CurrentBundle(versions / "current")
    _lead_to(versions, "current")
    assert not current.refresh()
    assert "no such folder" in caplog.text
    assert current.get().ranker.rank(k=1).item_id.tolist() == [20]
    _lead_to(versions, "v2")
    assert current.refresh()


def test_a_server_takes_up_another_bundle_while_it_runs(versions):
    app = create_app(versions / "current", Limits(refresh_seconds=0.01))
    with TestClient(app) as client:
        assert client.post("/rank", json={"k": 1}).json()["items"][0]["item_id"] == 20
        _lead_to(versions, "v2")
        found = 20
        while found == 20:  # never refused in between, however long it takes
            response = client.post("/rank", json={"k": 1})
            assert response.status_code == 200
            found = response.json()["items"][0]["item_id"]
        assert found == "b"


def test_no_server_starts_without_a_bundle(tmp_path):
    with pytest.raises(NotABundleError, match="no such folder"):
        create_app(tmp_path / "none")


def test_no_server_starts_with_a_damaged_one(versions):
    (versions / "v1" / "score.onnx").write_bytes(b"half")
    with pytest.raises(BundleError, match=r"score\.onnx"):
        create_app(versions / "current")


def test_numbers_of_the_log_are_counted_for_the_moment_of_a_request(tmp_path):
    folder = hand_made_bundle.write(
        tmp_path / "v1", log_numbers=("days_since_item_event", "days_since_last_event")
    )
    day = 86_400
    with TestClient(create_app(folder, SMALL)) as client:
        request = {"history": [20], "candidates": [10], "at": 103 * day, "history_times": [day]}
        (item,) = client.post("/rank", json=request).json()["items"]
        # The item's last event was on day 100, that of the history is said to be on day 1.
        expected = 0.1 + 0.004 + 0.1 * (math.log1p(3) + math.log1p(102))
        assert item["probability"] == pytest.approx(expected)
        del request["history"]
        answer = client.post("/rank", json=request)
        assert (answer.status_code, answer.json()["field"]) == (400, "history_times")
