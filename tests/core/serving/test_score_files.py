"""Scores go to a file that is there when it is whole; what was there before stays until then."""

import os
import resource

import duckdb
import pytest

from din_core.errors import WrongRequestError
from din_core.serving import score_files
from din_core.serving.ranker import Ranker
from din_core.serving.score_files import UnwrittenScoresError
from tests.core.serving import hand_made_bundle


@pytest.fixture
def ranker(tmp_path):
    return Ranker(hand_made_bundle.write(tmp_path / "v1"))


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.parquet"
    duckdb.sql("select 1 as user_id, i as item_id from range(9000) as t (i)").write_parquet(
        str(path)
    )
    return path


def test_scores_that_cannot_be_written_leave_what_was_there_and_name_the_file(
    ranker, pairs, tmp_path
):
    out = tmp_path / "scores.parquet"
    out.write_text("of before")
    there = sorted(tmp_path.iterdir())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as a disk that is full
    try:
        with pytest.raises(UnwrittenScoresError) as failed:
            score_files.score(ranker, pairs, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(failed.value) == f"{out}: not written: File too large; what was there stays"
    assert out.read_text() == "of before"
    assert sorted(tmp_path.iterdir()) == there


def test_device_or_pipe_is_not_replaced(ranker, pairs, tmp_path):
    pipe, stdout = tmp_path / "pipe", tmp_path / "stdout"
    os.mkfifo(pipe)
    stdout.symlink_to(pipe)
    for out in (pipe, stdout):
        with pytest.raises(WrongRequestError, match=f"^{out}: no file can be written there$"):
            score_files.score(ranker, pairs, out)
    assert pipe.is_fifo()
    assert stdout.is_symlink()
