"""A process of ours looks for garbage seldom, and ends without looking once more."""

import gc
import subprocess
import sys

import pytest

from din_assets.runs import garbage
from tests import forks

_ENDS = """
import gc, sys

class Garbage:
    def __init__(self):
        self.itself = self

    def __del__(self):
        sys.stderr.write("looked for")

{before}
Garbage()
"""


@pytest.fixture
def threshold():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_garbage_is_looked_for_less_often_than_by_default(threshold):
    gc.set_threshold(700, 10, 10)
    garbage.collect_seldom()
    assert gc.get_threshold()[0] >= 50_000


@pytest.mark.parametrize(
    ("before", "said"),
    [("", "looked for"), ("from din_assets.runs import garbage; garbage.leave_at_end()", "")],
)
def test_a_process_that_ends_leaves_its_garbage(before, said):
    program = _ENDS.format(before=before)
    ended = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (0, said)


_ENDS_AS_CODE_LOCATION = """
import atexit, gc
import dagster as dg
from din_assets.definitions import alone

alone(dg.Definitions())
atexit._run_exitfuncs()
pipe.send(gc.get_freeze_count())
"""


def test_a_code_location_of_ours_alone_ends_so_as_well():
    assert forks.answer(_ENDS_AS_CODE_LOCATION) > 100_000
