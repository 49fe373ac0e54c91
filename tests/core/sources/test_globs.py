"""A pattern names files: each is read once, whatever links lead to it."""

import os

import pytest

from din_core.sources.errors import SourceError
from din_core.sources.files import find_files
from din_core.sources.globs import expand
from tests.core.ingested_logs import ingested, rows, write

HEADER = "user_id,item_id,time,cate_id\n"


def names(pattern):
    return [file.name for file in find_files(pattern)]


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_file_with_a_second_name_is_read_once_and_it_is_said(con, tmp_path, link):
    write(tmp_path / "may.csv", HEADER + "1,1,1,1\n")
    write(tmp_path / "june.csv", HEADER + "1,2,2,1\n")
    link(tmp_path / "may.csv", tmp_path / "latest.csv")
    report = ingested(con, f"{tmp_path}/*.csv")
    assert rows(con, "item_id") == [(2,), (1,)]
    kept, other = ("may.csv", "latest.csv") if link is os.symlink else ("latest.csv", "may.csv")
    assert report.source.files == ("june.csv", kept)
    (said,) = report.source.recognised
    assert said == f"{kept} is also called {tmp_path}/{other}: it is one file, and read once"


def test_links_that_lead_in_a_circle_come_to_an_end(con, tmp_path):
    below = tmp_path / "log" / "2024"
    below.mkdir(parents=True)
    write(below / "a.csv", HEADER + "1,1,1,1\n1,2,2,1\n")
    for name in ("up", "top", "here"):
        (below / name).symlink_to(tmp_path / "log" if name != "here" else below)
    assert ingested(con, f"{tmp_path}/**/*.csv").interactions == 2


def test_link_to_itself_is_a_sentence(tmp_path):
    write(tmp_path / "a.csv", HEADER)
    (tmp_path / "b.csv").symlink_to("b.csv")
    for pattern in (f"{tmp_path}/*.csv", f"{tmp_path}/b.csv"):
        with pytest.raises(SourceError, match=r"b\.csv: (this link leads to|there is) no"):
            names(pattern)


def test_folders_behind_links_are_entered(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "log").mkdir()
    write(tmp_path / "elsewhere" / "a.csv", HEADER)
    (tmp_path / "log" / "incoming").symlink_to(tmp_path / "elsewhere")
    assert names(f"{tmp_path}/log/**/*.csv") == ["a.csv"]


def test_two_stars_stand_for_any_folders_but_hidden_ones(tmp_path, monkeypatch):
    for place in ("a.csv", "x/b.csv", "x/y/c.csv", "x/y/.d.csv", ".git/e.csv", "x/y/f.txt"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / place, HEADER)
    monkeypatch.chdir(tmp_path)
    assert expand("**/*.csv") == ["a.csv", "x/b.csv", "x/y/c.csv"]
    assert expand(f"{tmp_path}/**/y/**/*.csv") == [f"{tmp_path}/x/y/c.csv"]
    assert sorted(expand("x/**")) == ["x/b.csv", "x/y", "x/y/c.csv", "x/y/f.txt"]
    assert expand("none/**/*.csv") == []


def test_one_path_may_lead_through_a_link(tmp_path):
    write(tmp_path / "may.csv", HEADER)
    (tmp_path / "latest.csv").symlink_to("may.csv")
    assert names(f"{tmp_path}/latest.csv") == ["latest.csv"]
