"""docs/bring-your-own-data.md, run as it stands: its rows, its SQL, its options, up to the samples.

What comes out of the rows of each section is counted by hand.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
import yaml

from din_assets.starting import refresh_config
from din_core import store
from din_core.config import SequenceConfig, SourceConfig, config_from_mapping
from din_core.sources import ingest
from din_core.tables import sequences

DOCUMENT = Path(__file__).parents[2] / "docs" / "bring-your-own-data.md"
SECTION = re.compile(r"^## (.*?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECTIONS = dict(SECTION.findall(DOCUMENT.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Expected:
    """What the options of a section make of its rows.

    Attributes:
        interactions: Rows of ``interactions``.
        items: One item's id with its attributes.
        samples: Positives and negatives of each split, where there are any.
    """

    interactions: int
    item: tuple
    samples: dict[str, tuple[int, int]] = field(default_factory=dict)


# Without labels each positive has one sampled negative, a user's first event is no sample, the last
# is test and the one before it validation where there are three. With labels what was shown after
# the first click is a sample.
EXPECTED = {
    "MovieLens": [
        Expected(7, (665, "Comedy"), {"train": (1, 1), "val": (2, 2), "test": (2, 2)}),
        # Liked are the last three of user 1 and the last two of user 2; the first has no history.
        Expected(7, (665, "Comedy"), {"val": (1, 0), "test": (2, 0)}),
    ],
    # Four clicks of user 1; user 2 keeps one, which is no sample.
    "Taobao UserBehavior": [
        Expected(5, (2333346, 2520771), {"train": (1, 1), "val": (1, 1), "test": (1, 1)})
    ],
    "Amazon Reviews 2023": [
        Expected(
            6,
            ("B072R421GX", "Computers", "Maker B"),
            {"train": (1, 1), "val": (1, 1), "test": (2, 2)},
        )
    ],
    # Pages of 2, 3 and 2 headlines, and of 2 and 2; the first page of each user is no sample.
    "MIND": [Expected(11, ("N55689", "sports", "football_nfl"), {"val": (1, 2), "test": (2, 2)})],
    # User 0 clicks the first and the third of four videos, user 1 as well.
    "KuaiRand": [Expected(8, (3784, 12, 11), {"train": (0, 2), "val": (2, 0), "test": (0, 2)})],
    # After their first clicks the one is shown one campaign, the other two.
    "Criteo-like ads logs": [Expected(6, (884761,), {"val": (0, 1), "test": (1, 1)})],
}


def blocks(section, kind):
    return [(name, text) for found, name, text in BLOCK.findall(SECTIONS[section]) if found == kind]


@pytest.fixture
def files(request, tmp_path, monkeypatch):
    """The files of a section, and what its SQL makes of them, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, text in blocks(request.param, "text"):
        Path(name).write_text(text, encoding="utf-8")
    for _, statement in blocks(request.param, "sql"):
        duckdb.connect().execute(statement)
    return request.param


CASES = [(name, number) for name, cases in EXPECTED.items() for number in range(len(cases))]


@pytest.mark.parametrize(("files", "number"), CASES, indirect=["files"])
def test_options_of_a_section_make_samples_of_its_rows(files, number):
    expected = EXPECTED[files][number]
    run_config = yaml.safe_load(blocks(files, "yaml")[number][1])
    refresh_config.check_names(run_config)
    options = run_config["ops"]["interactions"]["config"]
    source = config_from_mapping(SourceConfig, options)
    with store.connect(":memory:") as con:
        report = ingest(con, source)
        assert report.account["interactions"] == expected.interactions
        assert report.source.rejections == ()
        sequences.build(con, source, SequenceConfig(), in_ids=True)
        samples = con.execute(
            "select split, count(*) filter (label = 1), count(*) filter (label = 0) "
            "from samples group by split"
        ).fetchall()
        assert {split: tuple(counts) for split, *counts in samples} == expected.samples
        item = expected.item[0]
        names = ["item_id", *options.get("item_attribute_cols", ["cate_id"])]
        seen = con.execute(
            f"select distinct {', '.join(names)} from interactions where item_id = ?", [item]
        ).fetchall()
        assert seen == [expected.item]


def test_every_section_is_run():
    assert set(SECTIONS) == set(EXPECTED)
    assert all(len(blocks(name, "yaml")) == len(cases) for name, cases in EXPECTED.items())


def ingested(tmp_path, text):
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    with store.connect(":memory:") as con:
        report = ingest(con, SourceConfig(path=str(tmp_path / "log.csv"), item_attribute_cols=()))
        times = [time for (time,) in con.execute("select time from interactions").fetchall()]
    return report.account["rejected"], times


def test_pitfalls_are_as_they_are_told(tmp_path):
    # A date and an hour in one number pass for seconds; an American date is no time at all.
    assert ingested(tmp_path, "user_id,item_id,time\n1,2,14102100\n") == (0, [14102100])
    american = "user_id,item_id,time\n1,2,2019-11-11\n1,3,11/11/2019 9:05:58 AM\n"
    assert ingested(tmp_path, american)[0] == 1
    # Times before and after the days of the log: only the negative one is none.
    taobao = "user_id,item_id,time\n1,2,1511561733\n1,3,-1511561733\n1,4,2122867355\n"
    assert ingested(tmp_path, taobao) == (1, [1511561733, 2122867355])
    # ml-1m with the header that the page puts first.
    assert ingested(tmp_path, "user_id::item_id::rating::time\n1::1193::5::978300760\n") == (
        0,
        [978300760],
    )
