"""A source that cannot be used at all says so in one sentence: what, where, and the way out."""

import gzip
import random

import pytest

from din_core.config import OptionsError, SourceConfig
from din_core.errors import DinError
from din_core.sources import SourceError, fingerprint, stage
from tests.core.ingested_logs import ingested, refused, rejected, rows, write

HEADER = "user_id,item_id,time,cate_id\n"

NO_TIME = "time is neither a number nor ISO 8601 such as 2024-05-01T13:00:00Z"


def test_source_error_is_shown_without_a_stack_trace_and_is_a_value_error():
    assert issubclass(SourceError, DinError)
    assert issubclass(SourceError, ValueError)


def test_missing_file_is_named(con, tmp_path):
    assert refused(con, f"{tmp_path}/no.csv").startswith(
        f"{tmp_path}/no.csv: there is no such file"
    )


def test_folder_is_refused_with_a_glob_to_use_instead(con, tmp_path):
    message = refused(con, str(tmp_path))
    assert "this is a folder" in message
    assert f"'{tmp_path}/*.csv'" in message


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("part-0.c000.snappy.parquet", "*.parquet"),
        ("day=2024-05-01/part-0.parquet", "**/*.parquet"),
        ("log.2024.csv.gz", "*.csv.gz"),
        ("log", "*"),
        ("_SUCCESS", "*.csv"),
    ],
)
def test_glob_that_a_folder_is_refused_with_fits_its_files(con, tmp_path, file, pattern):
    folder = tmp_path / "logs"
    (folder / file).parent.mkdir(parents=True)
    (folder / file).touch()
    (folder / ".part-0.crc").touch()
    assert f"a glob as '{folder}/{pattern}'" in refused(con, str(folder))


def test_glob_without_match_is_refused(con, tmp_path):
    assert "no file matches this pattern" in refused(con, f"{tmp_path}/*.csv")


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")], ids=["plain", "gzip"])
def test_empty_file_is_refused(con, tmp_path, content):
    assert "the file is empty" in refused(con, write(tmp_path / "log.csv", content))


def test_file_of_blank_lines_is_refused(con, tmp_path):
    assert "only blank lines" in refused(con, write(tmp_path / "log.csv", "\n\r\n\n"))


def test_header_alone_is_refused(con, tmp_path):
    assert "no row below it" in refused(con, write(tmp_path / "log.csv", HEADER + "\n"))


def test_values_in_place_of_a_header_are_recognised(con, tmp_path):
    message = refused(con, write(tmp_path / "log.csv", "1,2,1400457600,3\n1,3,1400457601,3\n"))
    assert "line 1 is not a header, it holds values (1, 2, 1400457600, 3)" in message
    assert "user_id,item_id,time,cate_id" in message


def test_missing_column_is_refused_with_the_closest_name_and_its_option(con, tmp_path):
    path = write(tmp_path / "log.csv", "userId,item_id,timestamp,cate_id\n1,2,3,4\n")
    message = refused(con, path)
    assert "the columns 'user_id' and 'time' are not in the header" in message
    assert "(userId, item_id, timestamp, cate_id)" in message
    assert "user_col=userId, time_col=timestamp" in message
    report = ingested(con, path, user_col="userId", time_col="timestamp")
    assert report.interactions == 1


def test_a_log_without_attributes_is_told_how_to_say_so(con, tmp_path):
    path = write(tmp_path / "log.csv", "user_id,item_id,time\n1,2,3\n")
    assert "a log without attributes has item_attribute_cols=[]" in refused(con, path)
    ingested(con, path, item_attribute_cols=())
    path = write(tmp_path / "log.csv", "user_id,item_id,time,cate_id\n1,2,3,4\n")
    assert "item_attribute_cols=[]" not in refused(
        con, path, item_attribute_cols=("cate_id", "brand")
    )
    assert "item_attribute_cols=[]" not in refused(con, path, user_attribute_cols=("age",))


def test_a_column_that_another_option_has_found_is_not_suggested(con, tmp_path):
    path = write(tmp_path / "log.csv", "user_id,item_id,day,cate_id\n1,2,3,4\n")
    message = refused(con, path)
    assert "time_col=..." in message
    path = write(tmp_path / "log.csv", "user_id,item,time,cate_id\n1,2,3,4\n")
    assert "item_col=item" in refused(con, path)


def test_columns_that_differ_by_case_alone_are_two_columns(con, tmp_path):
    path = write(tmp_path / "log.csv", "USER_ID,user_id,item_id,time,Time,cate_id\n9,1,2,3,9,4\n")
    ingested(con, path)
    assert rows(con) == [(1, 2, 3, 4)]


def test_column_that_stands_twice_is_refused(con, tmp_path):
    path = write(tmp_path / "log.csv", "user_id,item_id,time,cate_id,time\n1,2,3,4,5\n")
    assert "the column 'time' 2 times" in refused(con, path)


def test_header_that_is_not_utf_8_is_refused(con, tmp_path):
    message = refused(con, write(tmp_path / "log.csv", "user_id,é,time\n1,2,3".encode("latin-1")))
    assert "the header (line 1) is not UTF-8" in message


def test_old_mac_line_ends_are_refused(con, tmp_path):
    message = refused(con, write(tmp_path / "log.csv", "user_id,item_id,time,cate_id\r1,2,3,4\r"))
    assert "bare carriage returns" in message


def test_cut_off_gzip_is_refused(con, tmp_path):

    noise = "".join(f"{random.Random(i).random()},2,3,4\n" for i in range(3_000))
    packed = gzip.compress((HEADER + noise).encode())
    path = write(tmp_path / "log.csv.gz", packed[: len(packed) // 2])
    assert "damaged or cut off" in refused(con, path)


def test_damaged_parquet_is_refused(con, tmp_path):
    assert "no readable Parquet" in refused(con, write(tmp_path / "log.parquet", b"PAR1oops"))


def test_files_of_a_glob_with_different_columns_are_refused(con, tmp_path):
    write(tmp_path / "a.csv", HEADER + "1,2,3,4\n")
    write(tmp_path / "b.csv", "user_id,item_id,time,cate_id,label\n1,2,3,4,1\n")
    message = refused(con, f"{tmp_path}/*.csv")
    assert "b.csv: its columns differ from those of a.csv (label)" in message


def test_log_without_one_usable_row_is_refused_with_its_reasons(con, tmp_path):
    path = write(tmp_path / "log.csv", HEADER + "1,2,yesterday,4\n1,2,,4\n1,2,today,4\n")
    message = refused(con, path)
    assert "not one of 3 rows can be used" in message
    assert f"{NO_TIME} (2 rows, log.csv line 2: 1,2,yesterday,4)" in message
    assert "empty time (1 rows, log.csv line 3: 1,2,,4)" in message


def test_attribute_with_the_name_of_another_column_is_refused(con, tmp_path):
    path = write(tmp_path / "log.csv", HEADER + "1,2,3,4\n")
    twice = "user_col and item_attribute_cols name the column 'User_ID' twice"
    with pytest.raises(OptionsError, match=twice):
        ingested(con, path, item_attribute_cols=("User_ID",))
    for name in ("line", "file_number", "number_of_file", "user_bucket"):
        assert f"'{name}' cannot be an attribute" in refused(con, path, item_attribute_cols=(name,))


@pytest.mark.parametrize(
    ("role", "options"),
    [
        ("time_col", {"label_col": "Time"}),
        ("user_col", {"label_col": "user_id"}),
        ("item_attribute_cols", {"label_col": "cate_id"}),
        ("context_dense_cols", {"label_col": "hour", "context_dense_cols": ["hour"]}),
    ],
)
def test_label_has_no_other_role(con, tmp_path, role, options):
    """As an attribute or a number it would be known to the model that is to predict it."""
    with pytest.raises(OptionsError, match=r"name the column .* twice: a column has one") as error:
        ingested(con, write(tmp_path / "log.csv", HEADER + "1,2,3,4\n"), **options)
    assert role in str(error.value)
    assert "label_col" in str(error.value)


def test_bad_rows_are_kept_whole_with_line_and_reason_and_the_rest_goes_on(con, tmp_path):
    path = write(
        tmp_path / "log.csv",
        HEADER.encode()
        + b"1,2,3,4\n"
        + b",2,3,4\n"  # 3
        + b"1, ,3,4\n"  # 4
        + b"1,2,yesterday,4\n"  # 5
        + b"1,2,-3,4\n"  # 6
        + b"1,2,3\n"  # 7
        + b"1,2,3,4,5\n"  # 8
        + b"1,\xe9,3,4\n"  # 9
        + b"\n"  # 10
        + b"1,2,3,\n"  # 11, an attribute alone
        + b'1,"2,3,4\n'  # 12
        + b"1,2,,4\n"  # 13
        + b"5,6,7,8",  # 14, no line end
    )
    report = ingested(con, path)
    assert rows(con) == [(1, 2, 3, 4), (1, 2, 3, None), (5, 6, 7, 8)]
    assert rejected(con) == [
        (3, "empty user_id", ",2,3,4"),
        (4, "empty item_id", "1, ,3,4"),
        (5, NO_TIME, "1,2,yesterday,4"),
        (6, "negative time", "1,2,-3,4"),
        (7, "expected 4 fields, found 3", "1,2,3"),
        (8, "expected 4 fields, found 5", "1,2,3,4,5"),
        (9, "not UTF-8 (byte 0xe9)", r"1,\xe9,3,4"),
        (12, "a quote is opened and not closed", '1,"2,3,4'),
        (13, "empty time", "1,2,,4"),
    ]
    assert (report.lines_read, report.interactions, report.rejected) == (12, 3, 9)
    assert {r.reason: r.rows for r in report.source.rejections}["negative time"] == 1
    assert report.source.rejections[0].examples[0].startswith("log.csv line ")


def test_reason_names_the_first_examples(con, tmp_path, caplog):
    path = write(tmp_path / "log.csv", HEADER + "1,2,3,4\n" + ",2,3,4\n" * 5)
    (reason,) = ingested(con, path).source.rejections
    assert (reason.reason, reason.rows) == ("empty user_id", 5)
    assert reason.examples == tuple(f"log.csv line {line}: ,2,3,4" for line in (3, 4, 5))
    assert "5 of 6 rows rejected: empty user_id, for example log.csv line 3" in caplog.text


def test_label_column_makes_the_rows_impressions(con, tmp_path):
    path = write(
        tmp_path / "log.csv",
        "user_id,item_id,time,cate_id,label\n1,2,3,4,1\n1,3,3,4,0\n1,4,3,4,2\n1,4,3,4,\n",
    )
    report = ingested(con, path)
    assert report.source.has_label
    assert rows(con, "item_id, label") == [(2, 1), (3, 0)]
    assert [reason for _, reason, _ in rejected(con)] == ["label is neither 0 nor 1"] * 2


def test_exact_duplicates_are_counted_and_dropped_when_asked(con, tmp_path):
    path = write(
        tmp_path / "log.csv", HEADER + "1,2,3,4\n1,2,4,4\n1,2,3,4\n1,2,3,5\n1, 2,3,4\n,,,\n"
    )
    kept = ingested(con, path)
    assert (kept.interactions, kept.duplicates) == (5, 0)
    report = ingested(con, path, drop_duplicates=True)
    assert rows(con, "time, cate_id, line") == [(3, 4, 2), (4, 4, 3), (3, 5, 5)]
    assert (report.lines_read, report.interactions, report.rejected, report.duplicates) == (
        *(6, 3, 1, 2),
    )


def test_glob_reads_all_files_and_a_row_says_which(con, tmp_path):
    write(tmp_path / "b.csv", HEADER + "3,1,1,1\n3,1,x,1\n")
    write(tmp_path / "a.csv", HEADER + "1,1,1,1\n")
    (tmp_path / "c.csv").mkdir()
    report = ingested(con, f"{tmp_path}/*.csv")
    assert report.source.files == ("a.csv", "b.csv")
    assert rows(con, "user_id, file, line") == [(1, "a.csv", 2), (3, "b.csv", 2)]
    assert con.execute("select file, line, raw from rejected_rows").fetchall() == [
        ("b.csv", 3, "3,1,x,1")
    ]


def test_files_of_one_name_are_told_apart_without_the_machines_path(con, tmp_path):
    for day in ("mon", "tue"):
        (tmp_path / day).mkdir()
        write(tmp_path / day / "log.csv", HEADER + "1,1,1,1\n")
    assert ingested(con, f"{tmp_path}/*/log.csv").source.files == ("mon/log.csv", "tue/log.csv")


def test_files_are_named_so_that_ties_in_time_follow_the_order_of_the_paths(con, tmp_path):
    for place in ("a/2.csv", "b/1.csv"):
        (tmp_path / place).parent.mkdir()
        write(tmp_path / place, HEADER + f"1,{place[2]},5,1\n")
    report = ingested(con, f"{tmp_path}/*/*.csv")
    assert report.source.files == ("a/2.csv", "b/1.csv")
    # As `events` orders what shares a second: the file read first, first.
    ordered = con.execute("select item_id from interactions order by time, file, line").fetchall()
    assert ordered == [(2,), (1,)]


def test_folder_that_sorts_after_a_file_of_its_name_keeps_its_place(con, tmp_path):
    # As text '-' < '/' , though compared folder by folder 'a' comes before 'a-b'.
    for place in ("a/x.csv", "a-b/x.csv"):
        (tmp_path / place).parent.mkdir()
        write(tmp_path / place, HEADER + "1,1,5,1\n")
    files = ingested(con, f"{tmp_path}/*/x.csv").source.files
    assert list(files) == sorted(files) == ["a-b/x.csv", "a/x.csv"]


def test_file_whose_name_looks_like_a_glob_is_read(con, tmp_path):
    assert ingested(con, write(tmp_path / "log[1].csv", HEADER + "1,1,1,1\n")).interactions == 1


def test_fingerprint_depends_on_content_alone(con, tmp_path):
    text = (HEADER + "1,2,3,4\n").encode()
    plain = ingested(con, write(tmp_path / "a.csv", text)).source.sha256
    packed = ingested(con, write(tmp_path / "b.csv.gz", gzip.compress(text))).source.sha256
    other = ingested(con, write(tmp_path / "c.csv", text + b"1,2,3,5\n")).source.sha256
    assert plain == packed != other
    assert fingerprint(f"{tmp_path}/b.csv.gz") == plain
    both = f"{tmp_path}/[ac].csv"
    assert fingerprint(both) == ingested(con, both).source.sha256


def test_progress_tells_bytes_and_rows(con, tmp_path):
    path = write(tmp_path / "log.csv", HEADER + "1,2,3,4\n" * 10)
    seen = []
    stage(con, SourceConfig(path=path), on_progress=seen.append)
    assert (seen[-1].bytes_read, seen[-1].bytes_total, seen[-1].rows) == (109, 109, 10)


def test_staging_again_replaces_what_was_staged(con, tmp_path):
    first = write(tmp_path / "a.csv", HEADER + "1,2,3,4\n")
    second = write(tmp_path / "b.csv", HEADER + "7,8,9,1\n7,8,9,2\n")
    stage(con, SourceConfig(path=first))
    stage(con, SourceConfig(path=second))
    assert con.execute("select count(*), min(user_id) from source_rows").fetchall() == [(2, 7)]


def test_source_is_read_inside_an_open_transaction(con, tmp_path):
    con.execute("begin")
    ingested(con, write(tmp_path / "a.csv", HEADER + "1,2,3,4\n1,2,x,4\n"))
    con.execute("commit")
    assert rows(con) == [(1, 2, 3, 4)]


def test_no_attributes_and_many_attributes(con, tmp_path):
    path = write(tmp_path / "log.csv", 'user_id,item_id,time,"a ""b""",age\n1,2,3,x,30\n')
    ingested(con, path, item_attribute_cols=())
    assert [row[0] for row in con.execute("describe interactions").fetchall()] == [
        *("user_id", "item_id", "time", "file", "line")
    ]
    ingested(con, path, item_attribute_cols=('a "b"',), user_attribute_cols=("age",))
    assert rows(con, '"a ""b""", age') == [("x", 30)]


@pytest.mark.parametrize("line", ["u1,i2,2020-01-01 10:00:00,a", "u1,i2,31.1.2020,a", "1,2,3,4"])
def test_log_without_a_header_is_told_so(con, tmp_path, line):
    assert "line 1 is not a header, it holds values" in refused(
        con, write(tmp_path / "log.csv", f"{line}\n{line}\n")
    )
    write(tmp_path / "a.csv", HEADER + "1,2,3,4\n")
    assert "log.csv: line 1 is not a header" in refused(con, f"{tmp_path}/*.csv")


def test_what_stands_above_or_around_the_header_is_named(con, tmp_path):
    path = write(tmp_path / "log.csv", "# exported 2020-01-01\n")
    assert "line 1 should be the header and looks like a comment" in refused(con, path)
    path = write(tmp_path / "log.csv", f'"{HEADER.strip()}"\n"1,2,3,4"\n')
    assert "the whole line stands in quotes" in refused(con, path)
    assert "has only blank lines" in refused(con, write(tmp_path / "log.csv", "  \n \t\n"))
    assert ingested(con, write(tmp_path / "log.csv", f" \n{HEADER}1,2,3,4\n")).interactions == 1


@pytest.mark.parametrize(
    ("above", "header"),
    [
        ("Export of 2020-01-01\n\n", HEADER),
        ("Export of,2020-01-01\n,\n", HEADER),
        ("# exported by ann, bob\n\n", HEADER.replace(",", ";")),
        ('\ufeff"Report"\n""\n', '"user_id","item_id","time","cate_id"\n'),
        ("+----+\n\n", "| user_id | item_id | time | cate_id |\n"),
    ],
)
def test_header_below_other_lines_is_found_and_told(con, tmp_path, above, header):
    message = refused(con, write(tmp_path / "log.csv", f"{above}{header}1,2,3,4\n"))
    first = above.strip("\ufeff").split("\n")[0]
    assert f"the header is line 3 ({header.strip()}), and line 1 reads '{first}'" in message
    assert "tail -n +3 log.csv" in message


def test_lines_with_a_delimiter_below_a_title_are_told(con, tmp_path):
    path = write(tmp_path / "log.csv", "Export of 2020\nuser,item,time\n1,2,3\n")
    assert "line 2 is comma-separated: if it is the header, remove" in refused(con, path)
    path = write(tmp_path / "log.csv", "user item time cate\n1 2 3 a,b,c\n1 2 3 4\n")
    assert "' ' stands there 3 times: is it the delimiter?" in refused(con, path)


def test_files_of_one_content_are_warned_of(con, tmp_path):
    for name in ("log.csv", "log (1).csv"):
        write(tmp_path / name, HEADER + "1,2,3,4\n")
    write(tmp_path / "other.csv", HEADER + "1,2,3,5\n")
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress((HEADER + "1,2,3,4\n").encode()))
    (note,) = ingested(con, f"{tmp_path}/*").source.notes
    assert "log (1).csv and log.csv and log.csv.gz hold the same: their rows count 3 times" in note


def test_column_without_a_name_is_no_attribute(con, tmp_path):
    path = write(tmp_path / "log.csv", "user_id,item_id,time,\n1,2,3,4\n")
    with pytest.raises(OptionsError, match=r"item_attribute_cols is \[''\]: each column needs a n"):
        ingested(con, path, item_attribute_cols=("",))
