"""Files of a source made by hand, of whatever a reader has to take apart, and how each is read."""

import bz2
import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq

PLAIN = "user_id,item_id,time,cate_id\n1,10,100,a\n2,20,200,b\n1,30,300,a\n"


def parquet(columns, **options):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


DENSE = {"context_dense_cols": ("price",), "item_attribute_cols": ()}
BARE = {"item_attribute_cols": ()}
#: Dates, moments and numbers, usable and not, with as many digits as there may be.
TIMES_OF_TEXT = (
    "1,1,2020-02-29\n1,2,2020-02-29T10:11:12Z\n"
    "1,3,2020-02-29 10:11\n1,4,2020-02-29T10:11:12+01:00\n1,5,2020-02-29 10:11:12 -0130\n"
    "1,6,2020-02-30\n1,7,2020-02-29 24:00\n1,8,1969-12-31\n1,9,2020-2-9\n"
    '1,0,"2020-07-05 00:08:23,1"\n'
    "1,10,2020-02-29 10:11:12.5 UTC\n1,11,1970-01-01\n1,12,9999-12-31T23:59:59.999999\n"
    "2,1,1.5e9\n2,2,15E+8\n2,3,1500000000500e-3\n2,4,.5e1\n2,5,0e999\n2,6,1e-30\n"
    "2,7,1e99\n2,8,-1.5e-3\n2,9,5.e0\n2,10,123.456789e2\n2,11,5e-19\n"
    "3,1,20200229T101112Z\n3,2,20200229T1011+0130\n3,3,20200229 10:11:12.5\n"
    "3,4,20200230T1011\n3,5,20200229T2411\n"
    "4,1,5.123456789012345678\n4,2,0.000000000000000001\n"
    "4,3,99999999999.999999999999999999\n4,4,7\n4,5,0.12345678901234567850\n"
)
DURATIONS = parquet(
    {
        "user_id": ["ann", r"\N", "bob"],
        "item_id": [1, 2, 3],
        "time": pa.array([500_000, 0, 3_000_000], pa.duration("us")),
        "cate_id": ["a", "b", r"\N"],
        "price": [float("inf"), 2.0, 2.5],
    }
)
MOMENTS = parquet(
    {
        "user_id": [1, 2, 3, 4],
        "item_id": [1.0, 2.5, 3.0, 4.0],
        "time": pa.array([1_500_000_000_123_456, 0, 7, 8], pa.timestamp("us")),
        "cate_id": ["a", None, "", "b, c"],
        "price": [1, 2, 3, 4],
    }
)
# To judge times of text takes an engine longest: where others are shown, times are integers.
# Files, options, and how many of the rows are used, rejected, dropped as equal to an earlier one.
LOGS = {
    # Many of the kinds below at once, which do not disturb each other: an engine plans a query for
    # longer than it takes such rows through it.
    "ids, attributes and numbers of every kind": (
        {
            "a.csv": "user_id,item_id,time,number,text,largest,beyond,"
            '"a.b `c` ""d""",missing,price\n'
            "007,1,1,1.5,é,9223372036854775807,9223372036854775808,x,x,-0\n"
            "7,1.0,2,2,True,-9223372036854775808,9.223372036854775807e+18,,,$5\n"
            "+7,1e+16,3,3.0,false,1,-9223372036854775807,x,y,1e400\n"
            "7.0,-7.0,4,4,1d,,,,,3.5e38\n"
            "1e3,1,5,5,x,2,2,x,z,0.1\n"
            "1e3,2,6,6, x ,3,3,x,,\n"
            "a,2,7,7,y,3,3,x,,True\n"
            "b,2,8,8,y,3,3,x,,NaN\n"
            "c,2,9,9,y,3,3,x,,.5\n"
            "d,2,10,10,y,3,3,x,,1e-320\n"
            "e,2,11,11,y,3,3,x,,1d\n"
        },
        {
            "item_attribute_cols": (
                "number", "text", "largest", "beyond", 'a.b `c` "d"', "missing",
            ),
            "context_dense_cols": ("price",),
        },
        (11, 0, 0),
    ),
    "labels, words for nothing among numbers, milliseconds, another unit, a NUL byte far down": (
        {
            "a.csv": b"user_id,item_id,time,cate_id,label\n1,1,1569951049541,5,True\n"
            b"1,2,1569951049000,,no\n1,3,1569951049542,5,1.0\n1,4,1569951049543,5,maybe\n"
            b"1,5,1569951049544,5,1d\n1.0,1,1569951049545,NA,1\nNULL,2,1569951049545,5,1\n"
            b"2,#N/A,1569951049545,5.0,1\n2,1,-4,5,1\n"
            + b"1,1,1569951049545,,0\n" * 200 + b"1,2,1500000000,5,1\n"
            + b"\n" * 4096 + b"1,2,\x003,4,1\n"
        },
        {},
        (204, 7, 0),
    ),
    "times as text, durations and moments in Parquet, infinite numbers and nothing": (
        {
            "a.csv": "user_id,item_id,time,cate_id,price\n" + TIMES_OF_TEXT.replace("\n", ",,\n"),
            "b.parquet": DURATIONS,
            "c.parquet": MOMENTS,
        },
        {"item_dense_cols": ("price",), "time_unit": "s"},
        (33, 8, 0),
    ),
    "fractions of nanoseconds, most cut off": (
        {
            "a.csv": "user_id,item_id,time\n1,1,1.6E+18\n1,2,1.60E+18\n"
            "2,1,1569951049541123456.75\n"
        },
        BARE,
        (3, 0, 0),
    ),
    "every reason, quotes, equal rows, several files": (
        {
            "a/log.csv": b"user_id,item_id,time,cate_id\n1,2,3,4\n,2,3,4\n1,,3,4\n1,2,,4\n"
            b'1,2,x,4\n1,2,-3,4\n1,2,3\n1,2,3,4,5\n1,"2,3,4\n1,2,3,\xff\n1,2\r9,3,4\n',
            "b/log.csv": 'time;cate_id;item_id;user_id\n7;a;1;2\n8;;2;3\n7;a;1;2\n7.0;a;1;2\n'
            '8;;2;3\n9;"x";"a, ""b""";"1"\n200;;"c\nd";2\n',
        },
        {"drop_duplicates": True},
        (5, 10, 3),
    ),
    "several files, one compressed, one of Parquet": (
        {
            "b/log.csv.gz": gzip.compress(PLAIN.encode()),
            "a/log.csv": "time;cate_id;item_id;user_id\n7;a;1;2\n8;b;2;3\n",
            "c/log.parquet": parquet(
                {
                    "user_id": [1, 2, None, 4],
                    "item_id": [1.0, 2.5, 3.0, float("nan")],
                    "time": [5, 6, 7, 8],
                    "cate_id": ["a", "b", "a", "b"],
                }
            ),
        },
        {},
        (7, 2, 0),
    ),
    # One kind at a time.
    "times as text": (
        {"a.csv": "user_id,item_id,time\n" + TIMES_OF_TEXT},
        {**BARE, "time_unit": "s"},
        (27, 7, 0),
    ),
    "durations and moments in Parquet": (
        {"a.parquet": DURATIONS, "b.parquet": MOMENTS},
        {"item_dense_cols": ("price",)},
        (6, 1, 0),
    ),
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
        {"a.csv": b"\xef\xbb\xbfuser_id,item_id,time,cate_id\r\n\r\n1,2,3,4\r\n\r\n2,3,-3,5\r\n"},
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
    "texts missing here and there": (
        # Rows lie by user, so the first text of a folder is another than that of the file.
        {
            "a.csv": "user_id,item_id,time,cate_id\n1,1,1,x\n2,1,2,\n3,2,3,y\n4,2,4,\n5,3,5,z\n"
            "1,3,6,\n"
        },
        {},
        (6, 0, 0),
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
    "within a second": (
        {
            "a.csv": "user_id,item_id,time\n1,1,2020-07-05 00:08:23.900\n"
            '1,2,"2020-07-05 00:08:23,1"\n1,3,1593878903.5\n1,4,1593878903\n'
        },
        BARE,
        (4, 0, 0),
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
    "dates without hyphens behind a zero": (
        {"a.csv": "user_id,item_id,time\n1,1,0\n1,2,20240501.0\n1,3,20240502\n1,4,2024-5-3\n"},
        BARE,
        (4, 0, 0),
    ),
    "months, days and hours of one digit": (
        {
            "a.csv": "user_id,item_id,time\n1,1,2024-5-1\n1,2,2024-5-11 9:30\n1,8,\n"
            "1,3,2024-11-1T9:30:01.5Z\n1,4,2024-05-01 9:30:01+1\n1,5,2024-05-1 19:30-05\n"
            "1,6,2024-5-\n1,7,2024-5-1T\n"
        },
        BARE,
        (4, 4, 0),
    ),
    "words for nothing among numbers": (
        {"a.csv": "user_id,item_id,time,cate_id\n1.0,1,1,NA\nNULL,2,2,5\n2,#N/A,3,5.0\n2,1,-4,5\n"},
        {},
        (1, 3, 0),
    ),
    "what logs write for nobody": (
        {"a.csv": "user_id,item_id,time,cate_id\n1,-,1,?\n-,2,2,5\n-nan,2,3,5\n1,3,4,-inf\n"},
        {},
        (1, 3, 0),
    ),
    "words for nothing among text, exponents": (
        {"a.csv": "user_id,item_id,time,cate_id\nNULL,1.5E+17,1,\\N\na,2,2,nan\na,3,3,b\n"},
        {},
        (3, 0, 0),
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
    "times whose digits were cut off": (
        {"a.csv": "user_id,item_id,time\n1,1,1.6E+12\n1,2,1.60E+12\n2,1,1600000000001\n"},
        BARE,
        (3, 0, 0),
    ),
    "Parquet of integers": (
        {
            "a.parquet": parquet(
                {
                    "user_id": [1, 2, None, 4],
                    "item_id": [1.0, 2.5, 3.0, float("nan")],
                    "time": [5, 6, 7, 8],
                }
            )
        },
        BARE,
        (2, 2, 0),
    ),
    "Parquet": (
        {
            "a.parquet": parquet(
                {
                    "user_id": [1, 2, 3, 4],
                    "item_id": [1.0, 2.5, 3.0, 4.0],
                    "time": pa.array([1_500_000_000_123_456, 0, 7, 8], pa.timestamp("us")),
                    "cate_id": ["a", None, "", "b, c"],
                }
            )
        },
        {},
        (4, 0, 0),
    ),
}  # fmt: skip
