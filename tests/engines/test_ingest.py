"""A source read by a cluster: the same tables, account, refusals and versions as on one machine.

Sources that are read in parts of a few bytes are read whole by `make test-thorough`: the tables and
the account are the same either way.
"""

import contextlib
import gzip
import os
import pathlib
import shutil

import pytest

from din_core import store
from din_core.config import SourceConfig
from din_core.engines.errors import EngineError
from din_core.engines.parquet_tables import ParquetRoot
from din_core.engines.spark import SparkEngine
from din_core.sources import SourceError, ingest, parts, staged_parquet
from din_core.sources.staged_parquet import StagedParquet
from tests.engines.source_files import BARE, DENSE, LOGS, PLAIN, parquet

TABLES = ("interactions", "rejected_rows")


@pytest.fixture
def engine(spark, tmp_path):
    return SparkEngine(spark, ParquetRoot(str(tmp_path / "tables"), buckets=2))


@pytest.fixture(autouse=True)
def _readers_by_name(request, monkeypatch):
    """Let the workers find the readers by their names where they are threads of this process.

    To send them whole takes a third of such a small ingestion.
    """
    is_sail = request.config.getoption("--engine") == "sail"
    if is_sail and "readers_travel_whole" not in request.fixturenames:
        monkeypatch.setattr(staged_parquet, "on_workers", contextlib.nullcontext)


@pytest.fixture
def readers_travel_whole():
    """Send the readers as to workers that have no installation of this program."""


def written(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def on_cluster(engine, con, source):
    with engine.transaction(), store.transaction(con):
        return ingest(con, source, engine=engine)


def rows_of(con, table):
    return con.execute(f"from {table} order by file, line").fetchall()


def both(engine, ours, theirs, path, **config):
    """Ingest on either engine, hold the results against each other, and return the account."""
    source = SourceConfig(path=str(path), **config)
    report = ingest(ours, source)
    assert on_cluster(engine, theirs, source) == report
    assert store.relations(theirs) == dict.fromkeys(TABLES, "view")
    for table in TABLES:
        assert store.column_types(theirs, table) == store.column_types(ours, table)
        assert rows_of(theirs, table) == rows_of(ours, table)
        assert store.content_version(theirs, table) == store.content_version(ours, table)
    account = report.account
    assert account["lines_read"] == (
        account["interactions"] + account["rejected"] + account["duplicates_dropped"]
    )
    return account


def refused(engine, ours, theirs, path, **config):
    source = SourceConfig(path=str(path), **config)
    with pytest.raises(SourceError) as on_one_machine:
        ingest(ours, source)
    with pytest.raises(SourceError) as caught:
        on_cluster(engine, theirs, source)
    assert str(caught.value) == str(on_one_machine.value)
    return str(caught.value)


LABELS_AND_WORDS = (
    "labels, words for nothing among numbers, milliseconds, another unit, a NUL byte far down"
)
AT_URL = "several files, one compressed, one of Parquet"
AT_ONCE = "every reason, quotes, equal rows, several files"
SHAPES = (
    AT_ONCE,
    "quoted",
    "two characters between values",
    "several files",
    "a mark, Windows line ends, blank lines",
    "equal rows",
    "every reason",
)


# What the other logs show already, and which; `make test-spark` takes all. What lies between values
# and around files is read by the same Python on a cluster, and shown in tests/core/sources.
THOROUGH = {
    **dict.fromkeys(SHAPES, "test_parts_of_a_few_bytes_make_the_same_tables"),
    **dict.fromkeys(
        (
            "plain",
            "empty attributes",
            "texts missing here and there",
            "ids as floats",
            "ids as text",
            "the largest numbers",
            "numbers",
            "a column with an odd name",
        ),
        "ids, attributes and numbers of every kind",
    ),
    "tab-separated, quotes that mean nothing": "tests/core/sources/test_quoting.py",
    "gzip": "test_a_source_at_a_url_is_read_as_one_in_a_folder",
    AT_URL: "test_a_source_at_a_url_is_read_as_one_in_a_folder",
    "bzip2 by its bytes": "gzip, at a URL",
    "true and false": "text of ids, attributes and numbers; labels",
    "times as text": "the same beside times in Parquet",
    "durations and moments in Parquet": "the same beside times as text",
    "within a second": "times as text, durations and moments",
    "milliseconds": LABELS_AND_WORDS,
    "fractions of nanoseconds": "fractions of nanoseconds, most cut off",
    "times whose digits were cut off": "fractions of nanoseconds, most cut off",
    "one time of another unit": LABELS_AND_WORDS,
    "words for nothing among numbers": LABELS_AND_WORDS,
    "a NUL byte far down": LABELS_AND_WORDS,
    "words for nothing among text, exponents": "words for nothing among numbers; ids, attributes",
    "labels": LABELS_AND_WORDS,
    "labels that Java takes for numbers": LABELS_AND_WORDS,
    "labels of both signs": "labels; chosen labels",
    "Parquet of integers": "test_a_source_at_a_url_is_read_as_one_in_a_folder",
    "Parquet": "times as text, durations and moments",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.thorough] if name in THOROUGH else []) for name in LOGS],
)
def test_a_cluster_makes_the_same_tables_as_one_machine(engine, ours, theirs, tmp_path, name):
    files, config, (used, rejected, dropped) = LOGS[name]
    written(tmp_path / "log", files)
    account = both(engine, ours, theirs, tmp_path / "log" / "**" / "*.*", **config)
    assert (account["interactions"], account["rejected"]) == (used, rejected)
    assert account["duplicates_dropped"] == dropped


# The first shows all of them at once, but for separators and line ends. Those are Python's
# business, wherever a part is read: test_parts.py, and
# test_parts_that_begin_amiss_for_the_second_time_are_read_beside_others.
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.thorough] if n != AT_ONCE else []) for n in SHAPES],
)
def test_parts_of_a_few_bytes_make_the_same_tables(
    engine, ours, theirs, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(parts, "PART_BYTES", 9)
    files, config, (used, rejected, dropped) = LOGS[name]
    written(tmp_path / "log", files)
    account = both(engine, ours, theirs, tmp_path / "log" / "**" / "*.*", **config)
    assert (account["interactions"], account["rejected"]) == (used, rejected)
    assert account["duplicates_dropped"] == dropped


@pytest.mark.usefixtures("readers_travel_whole")
def test_parts_that_begin_amiss_for_the_second_time_are_read_beside_others(
    engine, ours, theirs, tmp_path, monkeypatch
):
    # The first row ends in the line `",3`, which opens a value itself where it is read alone. So
    # the parts behind are put right from two places at once, and those of the second twice.
    monkeypatch.setattr(parts, "PART_BYTES", 6)
    rows = '1,"2\n9,9,9\n",3\n4,5,6\n4,5,6\n7,",8,9\n0",5\n1,1,1\n'
    written(tmp_path, {"a.csv": f"user_id,item_id,time\n{rows}"})
    account = both(engine, ours, theirs, tmp_path / "a.csv", **BARE)
    assert (account["lines_read"], account["interactions"]) == (5, 5)


@pytest.mark.usefixtures("readers_travel_whole")
def test_row_groups_are_read_side_by_side(engine, ours, theirs, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    columns = {"user_id": [1, 2, 3, 4, 5], "item_id": [7] * 5, "time": [1, -2, 3, -4, 5]}
    written(tmp_path, {"a.parquet": parquet(columns, row_group_size=2)})
    both(engine, ours, theirs, tmp_path / "a.parquet", item_attribute_cols=())
    lines = theirs.execute("select line from rejected_rows order by line").fetchall()
    assert lines == [(2,), (4,)]


@pytest.fixture
def shared_objects(request, objects):
    """An object store that Sail's workers share with this process."""
    if request.config.getoption("--engine") != "sail":
        pytest.skip("the workers are other processes")
    return objects


@pytest.mark.parametrize(
    "name",
    [
        AT_URL,
        pytest.param("Parquet of integers", marks=pytest.mark.thorough),
        pytest.param("several files", marks=pytest.mark.thorough),
        pytest.param("gzip", marks=pytest.mark.thorough),
        # Times of Parquet: test_a_cluster_makes_the_same_tables_as_one_machine.
        pytest.param("Parquet", marks=pytest.mark.thorough),
        # Every reason: test_parts_of_a_few_bytes_make_the_same_tables.
        pytest.param("every reason", marks=pytest.mark.thorough),
    ],
)
def test_a_source_at_a_url_is_read_as_one_in_a_folder(
    engine, ours, theirs, tmp_path, shared_objects, monkeypatch, name
):
    monkeypatch.setattr(parts, "PART_BYTES", 30)
    files, config, (used, rejected, _) = LOGS[name]
    written(tmp_path / "log", files)
    for path, content in files.items():
        content = content if isinstance(content, bytes) else content.encode()
        shared_objects.pipe_file(f"/log/{path}", content)
    account = both(engine, ours, theirs, "memory://log/**", **config)
    assert (account["interactions"], account["rejected"]) == (used, rejected)
    at_url = [store.content_version(ours, table) for table in TABLES]
    ingest(ours, SourceConfig(path=str(tmp_path / "log" / "**" / "*.*"), **config))
    assert [store.content_version(ours, table) for table in TABLES] == at_url


def test_a_url_without_a_file_is_refused(engine, ours, theirs, shared_objects):
    shared_objects.pipe_file("/log/a.csv", PLAIN.encode())
    for url, sentence in {
        "memory://log/b.csv": "there is no such file",
        "memory://log": "this is a folder",
        "nowhere://log/a.csv": "Protocol not known: nowhere",
    }.items():
        assert sentence in refused(engine, ours, theirs, url)


REFUSED = {
    "no row": ("user_id,item_id,time\n", BARE, "there is a header and no row below it"),
    "no usable row": ("user_id,item_id,time\n1,2,-3\n", BARE, "not one of 1 rows can be used"),
    "mixed units": (
        "user_id,item_id,time\n1,2,1500000000\n1,3,1500000000000\n", BARE, "mixes units",
    ),
    "times of two ways of writing": (
        "user_id,item_id,time\n1,2,2024-31-01\n1,3,2024-1-2 9:30\n1,4,2024-28-02\n1,5,5 May 24\n",
        BARE,
        "2 of 4 times are not read (the first is '2024-31-01', a.csv line 2)",
    ),
    "ratings": ("user_id,item_id,time,label\n1,2,3,5\n1,3,4,4\n1,4,5,4\n", BARE, "'4' (2 rows)"),
    "no positive": ("user_id,item_id,time,label\n1,2,3,0\n", BARE, "no positive label"),
    "numbers that are none": (
        "user_id,item_id,time,price\n1,2,3,cheap\n", DENSE, "a.csv line 2: 'cheap'",
    ),
    "JSON": ('{"user_id": 1}\n', BARE, "this is JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_cluster_refuses_what_one_machine_refuses(engine, ours, theirs, tmp_path, name):
    content, config, sentence = REFUSED[name]
    written(tmp_path, {"a.csv": content})
    assert sentence in refused(engine, ours, theirs, tmp_path / "a.csv", **config)
    assert store.relations(theirs) == {}


def test_a_damaged_file_is_named(engine, ours, theirs, tmp_path):
    whole = gzip.compress(PLAIN.encode() * 1000)
    written(tmp_path, {"a.csv.gz": whole[:-9]})
    said = refused(engine, ours, theirs, tmp_path / "a.csv.gz")
    assert "the file is damaged or cut off" in said


def test_a_file_that_the_workers_do_not_see_is_named(engine, theirs, tmp_path, monkeypatch):
    written(tmp_path, {"a.csv": PLAIN})
    seen = parts.plan

    def gone(layout, part_bytes):
        planned = seen(layout, part_bytes)
        shutil.move(tmp_path / "a.csv", tmp_path / "b.csv")
        return planned

    monkeypatch.setattr(parts, "plan", gone)
    with pytest.raises(SourceError, match=r"a\.csv: the cluster cannot read this file .* worker"):
        on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "a.csv")))


def changed(path):
    """Give a file other content of the same size, at another time."""
    path.write_bytes(path.read_bytes().replace(b"300", b"301"))
    os.utime(path, ns=(1, 1))


def test_a_file_that_changes_while_a_cluster_reads_it_is_refused(
    engine, theirs, tmp_path, monkeypatch
):
    written(tmp_path, {"a.csv": PLAIN})
    read = StagedParquet._read

    def read_and_changed(rows, some):
        told = read(rows, some)
        changed(tmp_path / "a.csv")
        return told

    monkeypatch.setattr(StagedParquet, "_read", read_and_changed)
    with pytest.raises(SourceError, match=r"a\.csv: the file changed while it"):
        on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "a.csv")))
    assert store.relations(theirs) == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed, r"a\.csv: the file changed while it"),
        (lambda path: path.write_text(PLAIN), "a worker of the cluster finds .* bytes there"),
        (lambda path: path.unlink(), "the cluster cannot read this file"),
    ],
    ids=["of the same size", "shorter", "gone"],
)
def test_a_file_that_changes_before_its_rejected_rows_are_fetched_is_refused(
    engine, theirs, tmp_path, monkeypatch, change, said
):
    written(tmp_path, {"a.csv": PLAIN + "1,2,-3,3\n"})
    raws = StagedParquet._raws

    def changed_and_read(rows, wanted):
        change(tmp_path / "a.csv")
        return raws(rows, wanted)

    monkeypatch.setattr(StagedParquet, "_raws", changed_and_read)
    with pytest.raises(SourceError, match=said):
        on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "a.csv")))
    assert store.relations(theirs) == {}


def test_a_row_that_may_be_meant_otherwise_is_named_by_its_line(
    engine, ours, theirs, tmp_path, monkeypatch
):
    monkeypatch.setattr(parts, "PART_BYTES", 12)
    swallowing = '1,"2\n9,9,9\n3",3\n'
    no_break = "3\u00a0,3,3\n"
    text = f"user_id,item_id,time\n1,1,1\n2,2,2\n{swallowing * 2}{no_break}"
    written(tmp_path, {"a.csv": text})
    source = SourceConfig(path=str(tmp_path / "a.csv"), **BARE)
    said = on_cluster(engine, theirs, source).source.notes
    assert [note.split(")")[0] for note in said] == [
        "a.csv: 2 rows (the first in line 4",
        "a.csv: 1 rows (the first in line 10",
    ]
    assert "take in lines that look like rows" in said[0]
    assert "a character nobody sees" in said[1]
    assert ingest(ours, source).source.notes == said


def test_the_session_is_left_as_it_was(engine, spark, theirs, tmp_path):
    before = spark.conf.get("spark.sql.optimizer.excludedRules", "")
    written(tmp_path, {"a.csv": PLAIN})
    on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "a.csv")))
    assert spark.conf.get("spark.sql.optimizer.excludedRules", "") == before


def test_rows_that_a_cluster_writes_twice_are_no_duplicates(engine, theirs, tmp_path, monkeypatch):
    written(tmp_path, {"a.csv": PLAIN})
    read = StagedParquet._read

    def twice(rows, some):
        told = read(rows, some)
        for path in pathlib.Path(engine.root.url).glob("source_rows/*/*.parquet"):
            shutil.copy(path, path.with_name(f"again-{path.name}"))
        return told

    monkeypatch.setattr(StagedParquet, "_read", twice)
    with pytest.raises(EngineError, match=r"3 rows were read, 0 of them .* 6 and 0 were written"):
        on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "a.csv")))
    assert store.relations(theirs) == {}


@pytest.mark.usefixtures("readers_travel_whole")
def test_nothing_of_the_reading_is_left_below_the_root(engine, theirs, tmp_path):
    written(tmp_path, {"a.csv": PLAIN + "1,2,-3,3\n", "b.csv": "user_id,item_id,time\n1,2,-3\n"})
    on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "a.csv")))
    with pytest.raises(SourceError):
        on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "b.csv"), **BARE))
    left = [path for path in pathlib.Path(engine.root.url).glob("*/*") if path.is_dir()]
    tables = ["interactions", "rejected_rows"]
    assert sorted(path.parent.name for path in left) == tables
    folders = [path.name for path in pathlib.Path(engine.root.url).iterdir() if path.is_dir()]
    assert sorted(folders) == tables


def test_a_root_that_cannot_be_tidied_hides_no_refusal(engine, theirs, tmp_path, monkeypatch):
    def fails(folder):
        raise EngineError(f"{folder} cannot be removed")

    written(tmp_path, {"a.csv": "user_id,item_id,time\n1,2,-3\n"})
    monkeypatch.setattr(engine.root, "remove", fails)
    with pytest.raises(SourceError, match="not one of 1 rows can be used"):
        on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "a.csv"), **BARE))
