"""How the command line starts and ends, whatever the command."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from din_assets.command import cli, ui
from din_core.errors import DinError, WrongRequestError

HEAVY = {"dagster", "torch", "duckdb", "pandas"}


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["prune", "--help"]])
def test_command_line_says_what_it_knows_without_what_takes_long(words):
    code = (
        "import sys\n"
        "from din_assets.command import cli\n"
        f"assert cli.main({words!r}) == 0\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage: din" in done.stdout
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [(DinError("the disk is full"), 1), (WrongRequestError("k is 0; it is at least 1"), 2)],
)
def test_error_ends_in_its_sentence_and_a_status_that_says_whose_it_is(
    monkeypatch, capsys, error, status
):
    def failing(_):
        raise error

    monkeypatch.setattr("din_assets.command.prune.run", failing)
    assert cli.main(["prune"]) == status
    assert capsys.readouterr().err == f"din: {error}\n"


@pytest.mark.parametrize("written", [1, 1_000_000], ids=["at the end", "while it writes"])
def test_reader_that_has_seen_enough_ends_a_command_quietly(written):
    code = (
        "import sys\n"
        "from din_assets.command import cli, prune\n"
        f"prune.run = lambda _: print('x' * {written}) or 0\n"
        "sys.exit(cli.main(['prune']))\n"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


_SAYING = """
import sys
from types import SimpleNamespace
from din_assets.command import cli

def told(_):
    print("\u00e4\u2014")
    return 0

module = cli._module("models")
cli._module = lambda name: SimpleNamespace(add_parser=module.add_parser, run=told)
sys.exit(cli.main(["models"]))
"""


def _said(redirection, **environment):
    command = f'"$0" -c "$1" {redirection}'
    return subprocess.run(
        ["sh", "-c", command, sys.executable, _SAYING],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": "", **environment},
    )


def test_output_that_the_terminal_cannot_show_is_escaped():
    done = _said("", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\xe4\\u2014\n", "")


@pytest.mark.parametrize("redirection", [">&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(redirection):
    done = _said(redirection, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_not_laid_to_the_results(unbuffered):
    done = _said(">/dev/full", PYTHONIOENCODING="utf-8", PYTHONUNBUFFERED=unbuffered)
    sentence = "din: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, sentence)


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], []])
@pytest.mark.parametrize("buffered", [True, False])
def test_help_that_cannot_be_written_is_an_error_and_one_that_nobody_reads_is_none(words, buffered):
    command = [sys.executable, *([] if buffered else ["-u"]), "-m", "din_assets.command.cli"]
    read, closed = os.pipe()
    os.close(read)
    with open("/dev/full", "w") as full, open(closed, "w") as unread:  # noqa: PTH123
        for to, status, sentence in (
            (full, 1, "din: the output cannot be written: No space left on device\n"),
            (unread, 128 + signal.SIGPIPE, ""),
        ):
            done = subprocess.run(
                [*command, *words], stdout=to, stderr=subprocess.PIPE, text=True, check=False
            )
            assert (done.returncode, done.stderr) == (status, sentence)


def test_error_after_output_that_cannot_be_written_keeps_its_own_status():
    code = (
        "import sys\n"
        "from din_assets.command import cli, prune\n"
        "from din_core.errors import WrongRequestError\n"
        "def failing(_):\n"
        "    print('some of it')\n"
        "    raise WrongRequestError('k is 0')\n"
        "prune.run = failing\n"
        "sys.exit(cli.main(['prune']))\n"
    )
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
        )
    said = "din: k is 0\ndin: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("status", [0, 2])
def test_sentences_that_cannot_be_written_are_told_by_the_status(status, unbuffered):
    code = (
        "import sys\n"
        "from din_assets.command import cli, prune\n"
        "from din_assets.command.saying import say\n"
        f"prune.run = lambda _: say('half of it') or print('done') or {status}\n"
        "sys.exit(cli.main(['prune']))\n"
    )
    read, closed = os.pipe()
    os.close(read)
    with open("/dev/full", "w") as full, open(closed, "w") as unread:  # noqa: PTH123
        for to, expected in ((full, 1), (unread, 128 + signal.SIGPIPE)):
            done = subprocess.run(
                [sys.executable, "-c", code],
                stdout=subprocess.PIPE,
                stderr=to,
                text=True,
                check=False,
                env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            )
            assert (done.returncode, done.stdout) == (status or expected, "done\n")


def test_unknown_command_names_those_that_there_are(capsys):
    assert cli.main(["prun"]) == 2
    said = capsys.readouterr().err.partition("choose from")[2]
    assert {"run", "refresh", "prune"} <= set(re.findall(r"\w+", said))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("run log.csv", "din run: error: unrecognized arguments: log.csv\n"),
        ("refresh --alll", "din run: error: unrecognized arguments: --alll; is --all meant?\n"),
        (
            "rank --user 3 --tpo 5",
            "din rank: error: unrecognized arguments: --tpo 5; is --top meant?\n",
        ),
        ("rank --tpo=5", "din rank: error: unrecognized arguments: --tpo=5; is --top meant?\n"),
    ],
)
def test_word_that_a_command_does_not_know_is_refused_with_those_that_it_knows(
    capsys, line, sentence
):
    assert cli.main(line.split()) == 2
    command = sentence.partition(":")[0]
    said = capsys.readouterr().err
    assert said.startswith(f"usage: {command} [-h]")
    assert said.endswith(sentence)


@pytest.fixture
def _own_signals():
    """Put the handlers of signals back that a command replaces."""
    before = {wish: signal.getsignal(wish) for wish in (signal.SIGINT, signal.SIGTERM)}
    before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)
    yield
    for wish, handler in before.items():
        signal.signal(wish, handler)


@pytest.mark.usefixtures("_own_signals")
def test_ui_in_the_background_can_be_ended_and_says_when_it_is_up(monkeypatch):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does with `din ui &`
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said, is_up, inherited, told = [], threading.Event(), [], []

    def say(sentence):
        said.append(sentence)
        if sentence == f"the UI is on http://localhost:{port}":
            is_up.set()

    class Services:
        send_signal = told.append

        def __init__(self, *_, **__):
            inherited.append(signal.getsignal(signal.SIGINT))
            assert not is_up.is_set()
            self.server = socket.create_server(("127.0.0.1", port))

        def poll(self):
            return None

        def wait(self):
            is_up.wait(60)
            signal.raise_signal(signal.SIGTERM)
            self.server.close()
            return 0

    monkeypatch.setattr(ui, "say", say)
    monkeypatch.setattr(ui.subprocess, "Popen", Services)
    assert cli.main(["ui", "--port", str(port)]) == 0
    assert is_up.is_set(), said
    assert inherited != [signal.SIG_IGN]
    assert told == [signal.SIGINT]


def test_ui_is_not_begun_where_its_port_is_in_use(monkeypatch, capsys):
    begun = []
    monkeypatch.setattr(ui.subprocess, "Popen", begun.append)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert cli.main(["ui", "--port", str(port)]) == 2
    assert f"port {port} is in use, perhaps by this UI already" in capsys.readouterr().err
    assert begun == []


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize(
    ("wish", "dagster_says", "status"),
    [
        (signal.SIGINT, 0, 0),
        (signal.SIGTERM, 128 + signal.SIGINT, 0),
        (signal.SIGTERM, 1, 1),
        (None, 0, 1),  # so it ends where the port was taken meanwhile
    ],
)
def test_ui_that_ends_by_itself_failed(monkeypatch, capsys, wish, dagster_says, status):
    told = []

    class Services:
        send_signal = told.append

        def __init__(self, *_, **__):
            pass

        def poll(self):
            return dagster_says

        def wait(self):
            if wish is not None:
                signal.raise_signal(wish)
            return dagster_says

    monkeypatch.setattr(ui.subprocess, "Popen", Services)
    assert cli.main(["ui", "--port", "3999"]) == status
    assert told == ([] if wish is None else [signal.SIGINT])
    said = "the UI ended by itself; Dagster says above why. Where port 3999 is in use"
    assert (said in capsys.readouterr().err) == (wish is None)
