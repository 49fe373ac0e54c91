"""Two machines, imitated by two processes with folders of their own and one object store."""

import json
import os
import subprocess
import sys

import pytest

from tests.core.object_stores import BUCKET, object_store

# Makes the tables on Sail, with nothing but its environment to say where.
MAKES = """
import sys
from pathlib import Path
from din_assets.runs import engines
from tests.assets.conftest import Pipeline, run_history
with run_history() as instance:
    pipeline = Pipeline(Path(sys.argv[1]), instance, engine=engines.name())
    assert pipeline.run(*sys.argv[2:]).success
"""

# Knows the root alone.
READS = """
import json, sys
from din_core.engines import reading
with reading.open_tables("s3://tables/log", threads=1) as con:
    print(json.dumps([con.execute(question).fetchall() for question in sys.argv[1:]]))
"""

#: Up to the events of the users: each kind of table that ids and rows are kept in.
TABLES = ("interactions", "known_ids", "users", "items", "attributes", "cates", "events")
QUESTIONS = [
    f"select count(*) from {name}" for name in ("interactions", "users", "items", "cates", "events")
]
#: Up to what is trained on.
ALL_TABLES = (*TABLES, "user_sequences", "negatives", "samples")
MORE_QUESTIONS = [
    "select count(*) from negatives",
    "select split, label, count(*) from samples group by all order by all",
    "select len(hist_item_id) from samples order by all limit 1",
]


@pytest.fixture(scope="module")
def bucket():
    with pytest.MonkeyPatch.context() as patch, object_store(patch) as filesystem:
        yield filesystem


def process(code, folder, *arguments, **settings):
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **settings},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("tables", "questions"),
    [
        (TABLES, QUESTIONS),
        # That Sail makes these as DuckDB does: test_spark_engine.py and tests/engines.
        pytest.param(ALL_TABLES, QUESTIONS + MORE_QUESTIONS, marks=pytest.mark.thorough),
    ],
    ids=["events", "samples"],
)
def test_one_machine_makes_the_tables_and_another_reads_them(
    bucket, finished, tmp_path, tables, questions
):
    url = f"s3://{BUCKET}/log"
    if bucket.exists(url):
        bucket.rm(url, recursive=True)
    bucket.invalidate_cache()
    first, second = tmp_path / "first", tmp_path / "second"
    process(MAKES, first, first / "data", *tables, DIN_ENGINE="spark", DIN_TABLES=url)
    assert bucket.exists(f"{url}/manifest.json")
    assert not list(first.rglob("*.parquet"))

    answers = json.loads(process(READS, second, *questions))

    assert not list(second.iterdir())
    assert answers[questions.index("select count(*) from users")] == [[60]]
    # The same log, made by DuckDB.
    assert answers == [[[*row] for row in finished.query(question)] for question in questions]
