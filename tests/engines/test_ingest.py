"""A source read by a cluster: the same tables, account, refusals and versions as on one machine."""

import bz2
import gzip
import io
import pathlib
import shutil

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from din_core import store
from din_core.config import SourceConfig
from din_core.engines.parquet_tables import ParquetRoot
from din_core.engines.spark import SparkEngine
from din_core.sources import SourceError, ingest, parts

TABLES = ("interactions", "rejected_rows")
PLAIN = "user_id,item_id,time,cate_id\n1,10,100,a\n2,20,200,b\n1,30,300,a\n"


@pytest.fixture
def engine(spark, tmp_path):
    return SparkEngine(spark, ParquetRoot(str(tmp_path / "tables"), buckets=2))


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


def parquet(columns, **options):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


DENSE = {"context_dense_cols": ("price",), "item_attribute_cols": ()}
BARE = {"item_attribute_cols": ()}
# Files, options, and how many of the rows are used, rejected, dropped as equal to an earlier one.
LOGS = {
    "plain": ({"a.csv": PLAIN}, {}, (3, 0, 0)),
    "quoted": (
        {"a.csv": 'user_id,item_id,time,cate_id\n"1","a, ""b""",100,"x"\n2,"c\nd",200,\n'},
        {},
        (2, 0, 0),
    ),
    "tab-separated, quotes that mean nothing": (
        {"a.tsv": 'user_id\titem_id\ttime\tcate_id\n1\t2\t100\t"A\n1\t3\t200\tB "C" D\n'},
        {},
        (2, 0, 0),
    ),
    "two characters between values": (
        {"a.dat": "user_id::item_id::time::cate_id\n1::2::3::4\n1::3::4\n"},
        {},
        (1, 1, 0),
    ),
    "several files": (
        {"b/log.csv": PLAIN, "a/log.csv": "time;cate_id;item_id;user_id\n7;a;1;2\n8;b;2;3\n"},
        {},
        (5, 0, 0),
    ),
    "a mark, Windows line ends, blank lines": (
        {"a.csv": b"\xef\xbb\xbfuser_id,item_id,time,cate_id\r\n\r\n1,2,3,4\r\n\r\n2,3,x,5\r\n"},
        {},
        (1, 1, 0),
    ),
    "gzip": ({"a.csv.gz": gzip.compress(PLAIN.encode())}, {}, (3, 0, 0)),
    "bzip2 by its bytes": ({"a.csv": bz2.compress(PLAIN.encode())}, {}, (3, 0, 0)),
    "empty attributes": (
        {"a.csv": "user_id,item_id,time,cate_id,brand\n1,2,3,,\n1,3,4,7,\n2,2,5,8,x\n"},
        {"item_attribute_cols": ("cate_id", "brand")},
        (3, 0, 0),
    ),
    "ids as floats": (
        {"a.csv": "user_id,item_id,time\n1,1.5,1\n1.0,2,2\n1e+16,3.0,3\n-7.0,4,4\n"},
        BARE,
        (4, 0, 0),
    ),
    "ids as text": (
        {"a.csv": "user_id,item_id,time\n007,é,1\n7,True,2\n+7,false,3\n7.0,1d,4\n1e3, x ,5\n"},
        BARE,
        (5, 0, 0),
    ),
    "true and false": ({"a.csv": "user_id,item_id,time\n1,True,1\n2,False,2\n"}, BARE, (2, 0, 0)),
    "the largest numbers": (
        {
            "a.csv": "user_id,item_id,time\n9223372036854775807,9223372036854775808,1\n"
            "-9223372036854775808,9.223372036854775807e+18,2\n1,-9223372036854775807,3\n"
        },
        BARE,
        (3, 0, 0),
    ),
    "ISO times": (
        {
            "a.csv": "user_id,item_id,time\n1,1,2020-02-29\n1,2,2020-02-29T10:11:12Z\n"
            "1,3,2020-02-29 10:11\n1,4,2020-02-29T10:11:12+01:00\n1,5,2020-02-29 10:11:12 -0130\n"
            "1,6,2020-02-30\n1,7,2020-02-29 24:00\n1,8,1969-12-31\n1,9,2020-2-9\n"
            "1,10,2020-02-29 10:11:12.5 UTC\n1,11,1970-01-01\n1,12,9999-12-31T23:59:59.999999\n"
        },
        BARE,
        (8, 4, 0),
    ),
    "within a second": (
        {
            "a.csv": "user_id,item_id,time\n1,1,2020-07-05 00:08:23.900\n"
            '1,2,"2020-07-05 00:08:23,1"\n1,3,1593878903.5\n1,4,1593878903\n'
        },
        BARE,
        (4, 0, 0),
    ),
    "eighteen digits": (
        {
            "a.csv": "user_id,item_id,time\n1,1,5.123456789012345678\n1,2,0.000000000000000001\n"
            "1,3,99999999999.999999999999999999\n1,4,7\n1,5,0.12345678901234567850\n"
        },
        BARE,
        (5, 0, 0),
    ),
    "numbers with exponents": (
        {
            "a.csv": "user_id,item_id,time\n1,1,1.5e9\n1,2,15E+8\n1,3,1500000000500e-3\n1,4,.5e1\n"
            "1,5,0e999\n1,6,1e-30\n1,7,1e99\n1,8,-1.5e-3\n1,9,5.e0\n1,10,123.456789e2\n1,11,5e-19\n"
        },
        {**BARE, "time_unit": "s"},
        (9, 2, 0),
    ),
    "milliseconds": (
        {"a.csv": "user_id,item_id,time\n1,1,1569951049541\n1,2,1569951049000\n"},
        BARE,
        (2, 0, 0),
    ),
    "fractions of nanoseconds": (
        {
            "a.csv": "user_id,item_id,time\n1,1,1569951049541123456.75\n"
            "1,2,1569951049541123456\n"
        },
        BARE,
        (2, 0, 0),
    ),
    "one time of another unit": (
        {"a.csv": "user_id,item_id,time\n" + "1,1,1500000000\n" * 200 + "1,2,1500000000000\n"},
        BARE,
        (200, 1, 0),
    ),
    "labels": (
        {"a.csv": "user_id,item_id,time,label\n1,1,1,True\n1,2,2,no\n1,3,3,1.0\n1,4,4,maybe\n"},
        BARE,
        (3, 1, 0),
    ),
    "labels that Java takes for numbers": (
        {"a.csv": "user_id,item_id,time,label\n1,1,1,1\n1,2,2,0\n1,3,3,1d\n1,4,4,0\n"},
        BARE,
        (3, 1, 0),
    ),
    "labels of both signs": (
        {"a.csv": "user_id,item_id,time,y\n1,1,1,1\n1,2,2,-1\n1,3,3,-1.0\n"},
        {**BARE, "label_col": "y"},
        (3, 0, 0),
    ),
    "chosen labels": (
        {"a.csv": "user_id,item_id,time,what\n1,1,1,buy\n1,2,2,4.0\n1,3,3,look\n1,4,4,\n1,5,5,4\n"},
        {**BARE, "label_col": "what", "positive_labels": ("buy", "4", "absent")},
        (4, 1, 0),
    ),
    "equal rows": (
        {"a.csv": "user_id,item_id,time,cate_id\n1,2,3,\n1,2,3,a\n1,2,3,a\n1,2,3,\n1,2,3.0,a\n"},
        {"drop_duplicates": True},
        (2, 0, 3),
    ),
    "numbers": (
        {
            "a.csv": "user_id,item_id,time,price\n1,1,1,-0\n1,2,2,$5\n1,3,3,1e400\n1,4,4,3.5e38\n"
            "1,5,5,\n1,6,6,True\n1,7,7,NaN\n1,8,8,.5\n1,9,9,1e-320\n1,10,10,0.1\n1,11,11,1d\n"
        },
        DENSE,
        (11, 0, 0),
    ),
    "a column with an odd name": (
        {"a.csv": 'user_id,item_id,time,"a.b `c` ""d"""\n1,1,1,x\n1,2,2,\n'},
        {"item_attribute_cols": ('a.b `c` "d"',)},
        (2, 0, 0),
    ),
    "every reason": (
        {
            "a.csv": b"user_id,item_id,time,cate_id\n1,2,3,4\n,2,3,4\n1,,3,4\n1,2,,4\n1,2,x,4\n"
            b'1,2,-3,4\n1,2,3\n1,2,3,4,5\n1,"2,3,4\n1,2,3,\xff\n1,2\r9,3,4\n'
        },
        {},
        (1, 10, 0),
    ),
    "a NUL byte far down": (
        {"a.csv": PLAIN.encode() + b"\n" * 4096 + b"1,2,\x003,4\n"},
        {},
        (3, 1, 0),
    ),
    "Parquet": (
        {
            "a.parquet": parquet(
                {
                    "user_id": [1, 2, None, 4],
                    "item_id": [1.0, 2.5, 3.0, float("nan")],
                    "time": pa.array([1_500_000_000_123_456, 0, 7, 8], pa.timestamp("us")),
                    "cate_id": ["a", None, "", "b, c"],
                }
            )
        },
        {},
        (2, 2, 0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_a_cluster_makes_the_same_tables_as_one_machine(engine, ours, theirs, tmp_path, name):
    files, config, (used, rejected, dropped) = LOGS[name]
    written(tmp_path / "log", files)
    account = both(engine, ours, theirs, tmp_path / "log" / "**" / "*.*", **config)
    assert (account["interactions"], account["rejected"]) == (used, rejected)
    assert account["duplicates_dropped"] == dropped


SHAPES = (
    "quoted",
    "two characters between values",
    "several files",
    "a mark, Windows line ends, blank lines",
    "equal rows",
    "every reason",
)


@pytest.mark.parametrize("name", SHAPES)
def test_parts_of_a_few_bytes_make_the_same_tables(
    engine, ours, theirs, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(parts, "PART_BYTES", 9)
    files, config, _ = LOGS[name]
    written(tmp_path / "log", files)
    both(engine, ours, theirs, tmp_path / "log" / "**" / "*.*", **config)


def test_row_groups_are_read_side_by_side(engine, ours, theirs, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    columns = {"user_id": [1, 2, 3, 4, 5], "item_id": [7] * 5, "time": [1, -2, 3, -4, 5]}
    written(tmp_path, {"a.parquet": parquet(columns, row_group_size=2)})
    both(engine, ours, theirs, tmp_path / "a.parquet", item_attribute_cols=())
    lines = theirs.execute("select line from rejected_rows order by line").fetchall()
    assert lines == [(2,), (4,)]


@pytest.fixture
def store_of_objects(request):
    """An object store: fsspec's in memory, which Sail's workers share with this process."""
    if request.config.getoption("--engine") != "sail":
        pytest.skip("the workers are other processes")
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()


@pytest.mark.parametrize("name", ["several files", "gzip", "Parquet", "every reason"])
def test_a_source_at_a_url_is_read_as_one_in_a_folder(
    engine, ours, theirs, tmp_path, store_of_objects, monkeypatch, name
):
    monkeypatch.setattr(parts, "PART_BYTES", 30)
    files, config, (used, rejected, _) = LOGS[name]
    written(tmp_path / "log", files)
    for path, content in files.items():
        content = content if isinstance(content, bytes) else content.encode()
        store_of_objects.pipe_file(f"/log/{path}", content)
    account = both(engine, ours, theirs, "memory://log/**", **config)
    assert (account["interactions"], account["rejected"]) == (used, rejected)
    at_url = [store.content_version(ours, table) for table in TABLES]
    ingest(ours, SourceConfig(path=str(tmp_path / "log" / "**" / "*.*"), **config))
    assert [store.content_version(ours, table) for table in TABLES] == at_url


def test_a_url_without_a_file_is_refused(engine, ours, theirs, store_of_objects):
    store_of_objects.pipe_file("/log/a.csv", PLAIN.encode())
    for url, sentence in {
        "memory://log/b.csv": "there is no such file",
        "memory://log": "this is a folder",
        "nowhere://log/a.csv": "Protocol not known: nowhere",
    }.items():
        assert sentence in refused(engine, ours, theirs, url)


REFUSED = {
    "no row": ("user_id,item_id,time\n", BARE, "there is a header and no row below it"),
    "no usable row": ("user_id,item_id,time\n1,2,x\n", BARE, "not one of 1 rows can be used"),
    "mixed units": (
        "user_id,item_id,time\n1,2,1500000000\n1,3,1500000000000\n", BARE, "mixes units",
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
    with pytest.raises(SourceError, match=r"a\.csv: .*"):
        on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "a.csv")))


def test_nothing_of_the_reading_is_left_below_the_root(engine, theirs, tmp_path):
    written(tmp_path, {"a.csv": PLAIN + "1,2,x,3\n", "b.csv": "user_id,item_id,time\n1,2,x\n"})
    on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "a.csv")))
    with pytest.raises(SourceError):
        on_cluster(engine, theirs, SourceConfig(path=str(tmp_path / "b.csv"), **BARE))
    left = [path for path in pathlib.Path(engine.root.url).glob("*/*") if path.is_dir()]
    assert sorted(path.parent.name for path in left) == ["interactions", "rejected_rows"]
