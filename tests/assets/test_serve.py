"""``din serve`` as a process: what a client gets, and how it ends and starts again."""

import itertools
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest
import tritonclient.http as triton
from starlette.testclient import TestClient

from din_assets.command import cli
from din_assets.runs.folders import project_root
from din_core.serving.server.application import create_app
from tests.core.serving import hand_made_bundle


@pytest.fixture
def folder(tmp_path):
    return hand_made_bundle.write(tmp_path / "v1")


@contextmanager
def _serving(folder, n_workers=1):
    """Start the server on a free port, yield the process and its address, and end it."""
    command = [sys.executable, "-m", "din_assets.command.cli", "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--bundle", str(folder), "--workers", str(n_workers)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            address = None
            n_started = 0  # each process says when it answers, in any order with the address
            while address is None or n_started < n_workers:
                line = process.stderr.readline()
                assert line, "the server ended"
                n_started += "startup complete" in line
                if running := re.search(r"running on http://(\S+)", line):
                    address = running.group(1)
            yield process, address
        finally:
            process.terminate()
            process.communicate()


def _best(address):
    request = urllib.request.Request(
        f"http://{address}/rank", b'{"k": 1}', {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["items"][0]["item_id"]


def test_a_client_of_the_protocol_is_answered_and_a_killed_server_starts_again(folder):
    with _serving(folder) as (process, address):
        client = triton.InferenceServerClient(address)
        assert client.is_server_ready()
        assert client.is_model_ready("rank")
        inputs = []
        for name, ids in (("history_item_id", [10, 40]), ("candidate_item_id", [20, 77])):
            inputs.append(triton.InferInput(name, [2], "INT64"))
            inputs[-1].set_data_from_numpy(np.array(ids))
        answer = client.infer("rank", inputs).as_numpy("probability")
        assert answer == pytest.approx([0.403, 0.003])
        client.close()
        process.send_signal(signal.SIGKILL)
        process.wait()
    with _serving(folder) as (_, address):
        assert _best(address) == 20


def test_a_running_server_says_which_bundle_it_has_taken_up(tmp_path):
    for version, kind in (("v1", "int64"), ("v2", "string")):
        hand_made_bundle.write(tmp_path / version, kind)
    current = tmp_path / "current"
    current.symlink_to("v1")
    with _serving(current) as (process, address):
        assert _best(address) == 20
        (tmp_path / "new").symlink_to("v2")
        (tmp_path / "new").replace(current)
        assert process.stderr is not None
        while (line := process.stderr.readline()).startswith("INFO"):
            pass
        assert line == "din: bundle v1 is served now\n"  # both of them bear that version
        assert _best(address) == "b"


def test_several_processes_answer_and_end_when_they_are_told_to(folder):
    with _serving(folder, n_workers=2) as (process, address):
        assert _best(address) == 20
        process.terminate()
        assert process.wait() == 0


def _section_of_the_page():
    page = (project_root() / "docs" / "serving.md").read_text(encoding="utf-8")
    return page.partition("\n## HTTP\n")[2].partition("\n## ")[0]


def _request(words):
    """What curl or autocannon would send, by the words of its command line."""
    told = dict(itertools.pairwise(words))
    [place] = [word for word in words if re.match(r"(http://)?(localhost|127\.0\.0\.1):8000", word)]
    body = told.get("-d") if words[0] == "curl" else told["-b"]
    headers = {"content-type": "application/json"} if body else {}
    assert (body is None) or any("application/json" in word for word in words)
    return re.sub(r"^.*:8000", "", place), body.encode() if body else None, headers


def test_commands_of_the_page_are_answered_as_it_says(finished):
    commands = re.findall(r"^\$ (.*?)(?:\s+# .*)?$", _section_of_the_page(), flags=re.M)
    serving = [words for each in commands if (words := shlex.split(each))[0] == "din"]
    asking = [words for each in commands if (words := shlex.split(each))[0] != "din"]
    assert (len(serving), len(asking)) == (2, 5)
    for words in serving:
        assert cli._parser(words[1:]).parse_args(words[1:]).command == "serve"
    app = create_app(finished.home / "artifacts" / "bundle" / "current")
    with TestClient(app) as client:
        for words in asking:
            path, body, headers = _request(words)
            method = "GET" if body is None else "POST"
            answer = client.request(method, path, content=body, headers=headers)
            assert answer.status_code == 200, answer.text
            if path == "/rank":
                assert answer.json()["items"]


def test_page_names_every_route_and_every_field(finished):
    app = create_app(finished.home / "artifacts" / "bundle" / "current")
    section = _section_of_the_page()
    described = app.openapi()
    for path in described["paths"]:
        plain = path.replace("/versions/{version}", "")
        assert plain in section or f"…{plain.removeprefix('/v2/models/{name}')}" in section, path
    for field in described["components"]["schemas"]["RankRequest"]["properties"]:
        assert f"`{field}`" in section, field


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bundle", "nowhere"], "nowhere: no such folder"),
        (["--port", "70000"], "'70000' is not a port, 0 to 65535"),
        (["--port", "²"], "'²' is not a port, 0 to 65535"),
        (["--workers", "0"], "'0' is not a whole number of 1 or more"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(arguments, sentence, capsys):
    assert cli.main(["serve", *arguments]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_that_is_taken_is_told_in_a_sentence(folder, capsys, workers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = ["serve", "--bundle", str(folder), "--port", port, "--workers", workers]
        assert cli.main(words) == 2
    [said] = capsys.readouterr().err.splitlines()
    assert (
        said == f"din: --host 127.0.0.1 --port {port} cannot be listened on: Address already in use"
    )


def test_a_missing_package_is_named_with_the_way_to_install_it(folder, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["serve", "--bundle", str(folder)]) == 2
    assert "din serve needs fastapi: pip install fastapi uvicorn" in capsys.readouterr().err
