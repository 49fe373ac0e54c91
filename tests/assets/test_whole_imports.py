"""An interruption while a library is loaded: it waits, and is not lost."""

import importlib
import importlib.util
import signal
import sys
import threading

import pytest

from din_assets.runs import whole_imports

#: What compiled modules do when Python code that they call is interrupted.
SWALLOWS = """
import signal
try:
    signal.raise_signal(signal.{name})
except BaseException:
    pass
"""
MISTAKES = """
import signal
try:
    signal.raise_signal(signal.{name})
except BaseException:
    raise ImportError("initialization failed")
"""


class InterruptionError(Exception):
    """What a handler of Dagster raises, for instance."""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes a package, and the one finder that knows it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    finder = whole_imports.WholeImports(frozenset({"loaded_whole"}))
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    monkeypatch.delitem(sys.modules, "loaded_whole", raising=False)

    def write(text, name="loaded_whole"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("loaded_whole", None)
    sys.modules.pop("loaded_as_ever", None)


@pytest.fixture
def handled():
    """Signals with a handler that raises, as in a step of a run."""

    def handle(number, frame):
        raise InterruptionError(signal.Signals(number).name)

    before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
    yield handle
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("text", [SWALLOWS, MISTAKES])
def test_interruption_while_a_library_is_loaded_is_raised_when_it_is(package, handled, name, text):
    package(text.format(name=name))
    with pytest.raises(InterruptionError, match=name):
        importlib.import_module("loaded_whole")
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == [handled] * 2


def test_other_packages_are_interrupted_as_ever(package, handled):
    package(SWALLOWS.format(name="SIGINT"), "loaded_as_ever")
    importlib.import_module("loaded_as_ever")


def test_library_within_a_library_waits_for_the_outer_one(handled):
    reached = []

    def load_two():
        with whole_imports.interruptions_wait():
            with whole_imports.interruptions_wait():
                signal.raise_signal(signal.SIGINT)
            reached.append("the end of the outer one")

    with pytest.raises(InterruptionError):
        load_two()
    assert reached


def test_nothing_waits_for_a_library_that_cannot_be_loaded(package, handled):
    package("raise ImportError('no such library')")
    with pytest.raises(ImportError, match="no such library"):
        importlib.import_module("loaded_whole")
    assert signal.getsignal(signal.SIGINT) is handled


def test_signal_that_is_ignored_stays_so(handled):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with whole_imports.interruptions_wait():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.raise_signal(signal.SIGINT)


def test_handler_that_a_library_sets_stays(handled):
    with whole_imports.interruptions_wait():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_threads_load_without_a_handler_of_theirs(handled):
    seen = []

    def load():
        with whole_imports.interruptions_wait():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert seen == [handled]


def test_the_libraries_are_loaded_so_once_the_layer_is_imported():
    whole_imports.import_whole()  # a second time changes nothing
    finders = [each for each in sys.meta_path if isinstance(each, whole_imports.WholeImports)]
    assert len(finders) == 1
    for name in whole_imports.LIBRARIES:
        found = finders[0].find_spec(name, None)
        assert found is not None, name
        assert found.loader.get_filename(name) == importlib.util.find_spec(name).origin
