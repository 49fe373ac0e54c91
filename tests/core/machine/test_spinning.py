"""Threads of torch spin briefly, unless somebody has decided otherwise."""

import os
import subprocess
import sys

import pytest

from din_core.machine import spinning
from din_core.machine.spinning import limit_spinning, say_if_too_late


def what_libgomp_says(program, **environment):
    """Run a program and return libgomp's own account of its settings, and the log."""
    without = {
        k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env=without | {"OMP_DISPLAY_ENV": "VERBOSE"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stderr


#: Loads what torch loads at its import, which takes seconds with all the rest.
LIBGOMP = (
    "import ctypes, importlib.util, pathlib\n"
    "[folder] = importlib.util.find_spec('torch').submodule_search_locations\n"
    "ctypes.CDLL(next(pathlib.Path(folder, 'lib').glob('libgomp*')))\n"
)


@pytest.mark.skipif(sys.platform != "linux", reason="only there torch comes with libgomp")
@pytest.mark.parametrize(
    "program",
    [
        f"import din_core\n{LIBGOMP}",
        # Torch would have loaded it: that takes longer than all that the UI asks of them.
        f"import sys, din_assets.definitions; assert 'torch' not in sys.modules\n{LIBGOMP}",
        # Like din_core, which it begins with; torch itself takes two seconds.
        pytest.param("import din_core.tutorial, torch", marks=pytest.mark.thorough),
    ],
    ids=["din_core", "din_assets.definitions", "din_core.tutorial"],
)
def test_wherever_a_program_starts_libgomp_is_told(program):
    said = what_libgomp_says(program)
    assert "GOMP_SPINCOUNT = '1000'" in said
    assert "torch was imported before" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="only there torch comes with libgomp")
def test_who_has_decided_is_not_overruled():
    program = f"import din_core\n{LIBGOMP}"
    assert "GOMP_SPINCOUNT = '7'" in what_libgomp_says(program, GOMP_SPINCOUNT="7")
    said = what_libgomp_says(program, OMP_WAIT_POLICY="PASSIVE")
    assert "GOMP_SPINCOUNT = '0'" in said


def test_torch_that_is_loaded_already_is_said_once_when_training_begins(monkeypatch, caplog):
    monkeypatch.setattr(spinning, "_too_late", False)
    environment = {}
    limit_spinning(environment, loaded={"torch"})
    assert environment == {}
    say_if_too_late()
    say_if_too_late()
    (record,) = caplog.records
    assert "GOMP_SPINCOUNT=1000" in record.getMessage()
    assert "import din_core first" in record.getMessage()


def test_nothing_is_said_where_it_came_in_time(monkeypatch, caplog):
    monkeypatch.setattr(spinning, "_too_late", False)
    environment = {}
    limit_spinning(environment, loaded=set())
    assert environment == {"GOMP_SPINCOUNT": "1000"}
    say_if_too_late()
    assert not caplog.records
