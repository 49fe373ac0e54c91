"""Two machines, imitated by two processes with folders of their own and one object store."""

import json
import os
import subprocess
import sys

import pytest

from tests.core.object_stores import BUCKET, object_store

URL = f"s3://{BUCKET}/log"

# Makes the tables on Sail, with nothing but its environment to say where.
MAKES = """
import sys
from pathlib import Path
from din_assets.runs import engines
from tests.assets.conftest import Pipeline, run_history
with run_history() as instance:
    pipeline = Pipeline(Path(sys.argv[1]), instance, engine=engines.name())
    tables = ("interactions", "known_ids", "users", "items", "attributes", "cates", "events",
              "user_sequences", "negatives", "samples")
    assert pipeline.run(*tables).success
"""

# Knows the root alone.
READS = """
import json
from din_core.engines import reading
with reading.open_tables("s3://tables/log", threads=1) as con:
    splits = con.execute("select split, label, count(*) from samples group by all order by all")
    counted = {"splits": splits.fetchall()}
    for name in ("interactions", "users", "items", "cates", "events", "negatives"):
        counted[name] = con.execute(f"select count(*) from {name}").fetchall()[0][0]
    (history,) = con.execute("select hist_item_id from samples order by all limit 1").fetchall()[0]
    counted["history"] = len(history)
print(json.dumps(counted))
"""


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


def test_one_machine_makes_the_tables_and_another_reads_them(bucket, finished, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    process(MAKES, first, first / "data", DIN_ENGINE="spark", DIN_TABLES=URL)
    assert bucket.exists(f"{BUCKET}/log/manifest.json")
    assert not list(first.rglob("*.parquet"))

    counted = json.loads(process(READS, second))

    assert not list(second.iterdir())
    # The same log, made by DuckDB: 60 users.
    assert counted.pop("users") == 60
    assert counted.pop("history") > 0
    assert [tuple(each) for each in counted.pop("splits")] == finished.query(
        "select split, label, count(*) from samples group by all order by all"
    )
    assert counted == {
        name: finished.query(f"select count(*) from {name}")[0][0] for name in counted
    }
