"""Work that nobody does is told of, once, and work that is done or has no tasks left is not."""

from dataclasses import dataclass

import pytest

from din_core.engines.standstill import Standstill


@dataclass
class Stage:
    stage_id: int
    num_completed_tasks: int = 0
    done: bool = False


class Hearing:
    """A question that is told of every other second, and what is said of it."""

    def __init__(self):
        self.said, self.seconds = [], 0.0
        self._heard = Standstill("the engine", self.said.append, clock=lambda: self.seconds)

    def hears(self, *stages, at_work=0, done=False, seconds=40):
        for _ in range(seconds // 2):
            self._heard(stages=stages, inflight_tasks=at_work, operation_id="x", done=done)
            self.seconds += 2
        return len(self.said)


@pytest.fixture
def asked():
    return Hearing()


def test_tasks_that_nobody_takes_are_told_once(asked):
    assert asked.hears(Stage(0), seconds=28) == 0
    assert asked.hears(Stage(0), seconds=8) == 1
    assert asked.hears(Stage(0), seconds=600) == 1
    assert "nobody has worked on what the engine was asked for 30 s" in asked.said[0]


def test_work_that_begins_and_ceases_again_is_told_again(asked):
    assert asked.hears(Stage(0)) == 1
    assert asked.hears(Stage(0), at_work=2) == 1
    assert asked.hears(Stage(0, num_completed_tasks=2)) == 2


def test_the_next_question_is_given_as_long(asked):
    asked.hears(Stage(0), seconds=28)
    asked.hears(Stage(0), done=True, seconds=2)
    assert asked.hears(Stage(1), seconds=28) == 0


@pytest.mark.parametrize(
    "stages",
    [
        # The tables' files are given their names, which is the server's own work.
        [Stage(0, 4, done=True)],
        # The first had been made for an earlier part of the question, and is not made again.
        [Stage(0), Stage(1, 4, done=True)],
        [],
    ],
)
def test_a_server_at_work_itself_is_not_told_of(asked, stages):
    assert asked.hears(*stages, seconds=600) == 0


@pytest.mark.parametrize(
    "stages",
    [
        [Stage(0, 4, done=True), Stage(1)],
        # Half of them are made, the other half wait.
        [Stage(0, 2), Stage(1, 1, done=True)],
    ],
)
def test_a_part_of_the_work_that_nobody_takes_is_told(asked, stages):
    assert asked.hears(*stages) == 1
