"""``din serve`` as a process: what a client gets, and how it ends and starts again."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest
import tritonclient.http as triton

from din_assets.command import cli
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


def test_several_processes_answer_and_end_when_they_are_told_to(folder):
    with _serving(folder, n_workers=2) as (process, address):
        assert _best(address) == 20
        process.terminate()
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bundle", "nowhere"], "nowhere: no such folder"),
        (["--port", "70000"], "'70000' is not a port, 0 to 65535"),
        (["--workers", "0"], "'0' is not a whole number of 1 or more"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(arguments, sentence, capsys):
    try:
        status = cli.main(["serve", *arguments])
    except SystemExit as exit_:  # argparse's way
        status = exit_.code
    assert status == 2
    assert sentence in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_way_to_install_it(folder, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["serve", "--bundle", str(folder)]) == 2
    assert "din serve needs fastapi: pip install 'din-assets[serve]'" in capsys.readouterr().err
