"""Two machines, imitated by this process and another: a folder for each, and one object store."""

import json
import os
import subprocess
import sys

import pytest

from din_assets.runs import engines
from tests.core.object_stores import BUCKET, object_store

# Knows the root alone.
READS = """
import json, sys
from din_core.engines import reading
with reading.open_tables("s3://tables/log", threads=1) as con:
    print(json.dumps([con.execute(question).fetchall() for question in sys.argv[1:]]))
"""

#: Tables laid out by the ids and by the indices of users, tables that are not, and a view.
TABLES = ("interactions", "known_ids", "users", "attributes", "cates")
QUESTIONS = [f"select count(*) from {name}" for name in ("interactions", "users", "cates")]
#: Up to what is trained on.
ALL_TABLES = (*TABLES, "items", "events", "user_sequences", "negatives", "samples")
MORE_QUESTIONS = [
    "select count(*) from events",
    "select count(*) from negatives",
    "select split, label, count(*) from samples group by all order by all",
    "select len(hist_item_id) from samples order by all limit 1",
]


@pytest.fixture(scope="module")
def bucket():
    with pytest.MonkeyPatch.context() as patch, object_store(patch) as filesystem:
        yield filesystem


def process(code, folder, *arguments):
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
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
    ids=["few tables", "samples"],
)
def test_one_machine_makes_the_tables_and_another_reads_them(
    bucket, finished, pipeline, tmp_path, monkeypatch, tables, questions
):
    url = f"s3://{BUCKET}/log"
    if bucket.exists(url):
        bucket.rm(url, recursive=True)
    bucket.invalidate_cache()
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    # Nothing but its environment says where.
    monkeypatch.chdir(first)
    with monkeypatch.context() as settings:
        settings.setenv("DIN_ENGINE", "spark")
        settings.setenv("DIN_TABLES", url)
        pipeline.home, pipeline.engine, pipeline.buckets = first / "data", engines.name(), 2
        assert pipeline.run(*tables).success
    assert bucket.exists(f"{url}/manifest.json")
    assert not list(first.rglob("*.parquet"))

    answers = json.loads(process(READS, second, *questions))

    assert not list(second.iterdir())
    assert answers[questions.index("select count(*) from users")] == [[60]]
    # The same log, made by DuckDB.
    assert answers == [[[*row] for row in finished.query(question)] for question in questions]
