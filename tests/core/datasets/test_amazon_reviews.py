"""Amazon Reviews 2014: from hand-made files of its two formats to the CSV."""

from __future__ import annotations

import ast
import gzip
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from din_core.datasets.amazon import metadata as amazon_metadata
from din_core.datasets.amazon.downloads import DownloadError
from din_core.datasets.amazon.interactions import _Lines
from din_core.datasets.amazon.metadata import (
    MetadataError,
    leading_asin,
    read_metadata,
    top_level_literals,
)
from din_core.datasets.amazon.reviews import prepare, write_interactions
from din_core.sources.errors import SourceError

DAY = 86_400


def review(user: str, item: str, seconds: object = DAY, **more: object) -> dict[str, object]:
    return {"reviewerID": user, "asin": item, "unixReviewTime": seconds, **more}


def pack(path: Path, lines: list[Any], *, literals: bool = False) -> Path:
    """Write one line each: bytes as they are, anything else as JSON or as a Python literal."""
    style = repr if literals else json.dumps
    body = b"\n".join(line if isinstance(line, bytes) else style(line).encode() for line in lines)
    path.write_bytes(gzip.compress(body + b"\n", mtime=0))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    reviews = [
        review("U2", "B1", 3 * DAY, reviewText='Fine, "really"\nI\'d buy it again'),
        review("U1", "B2", 2 * DAY),
        review("U1", "B1", DAY, overall=5.0),
    ]
    metadata = [
        {"asin": "B1", "title": "Tea", "categories": [["Food"], ["Food", "Tea, loose"]]},
        {"asin": "B9", "categories": [["Food", "Nobody's"]]},
        {"asin": "B2", "categories": [["Toys"]]},
    ]
    return (
        pack(tmp_path / "reviews_Baby_5.json.gz", reviews),
        pack(tmp_path / "meta_Baby.json.gz", metadata, literals=True),
    )


EXPECTED = f"""\
user_id,item_id,time,cate_id
U2,B1,{3 * DAY},"Tea, loose"
U1,B2,{2 * DAY},Toys
U1,B1,{DAY},"Tea, loose"
"""


def rejected(path: Path | None) -> list[dict[str, Any]]:
    assert path is not None
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_review_becomes_a_row_with_the_last_entry_of_the_last_path(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    report = write_interactions(*files, tmp_path / "out" / "a.csv")
    assert report.path.read_text() == EXPECTED
    assert (report.reviews_read, report.interactions, report.reviews_rejected) == (3, 3, 0)
    assert (report.metadata_read, report.metadata_rejected) == (3, 0)
    assert (report.items, report.items_without_category) == (2, 0)
    assert report.rejected_path is None
    assert [path.name for path in report.path.parent.iterdir()] == ["a.csv"]


def test_compressed_csv_holds_the_same_and_is_the_same_each_time(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    first = write_interactions(*files, tmp_path / "a.csv.gz").path.read_bytes()
    second = write_interactions(*files, tmp_path / "b.csv.gz").path.read_bytes()
    assert gzip.decompress(first).decode() == EXPECTED
    assert first == second


def test_reviews_that_cannot_be_used_are_kept_whole_with_place_and_reason(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    bad: list[Any] = [
        b'{"reviewerID": "U1", "asin": "B1"',
        b"\xff\xfe",
        b"[1]",
        {"asin": "B1", "unixReviewTime": 1},
        review("", "B1"),
        review("U1", "B\t1"),
        review("U1", "\ud800"),
        {"reviewerID": "U1", "asin": 5, "unixReviewTime": 1},
        review("U1", "B1", "yesterday"),
        review("U1", "B1", -1),
        review("U1", "B1", 1.5),
        review("U1", "B1", True),
        review("U1", "B1", 1 << 63),
        b"[" * 100_000,
    ]
    good = review("U1", "B1", 0)
    path = pack(tmp_path / "r.json.gz", [*bad, b"", good, b"  "])
    report = write_interactions(path, files[1], tmp_path / "a.csv")
    assert report.path.read_text().splitlines()[1:] == ['U1,B1,0,"Tea, loose"']
    assert (report.reviews_read, report.interactions, report.reviews_rejected) == (15, 1, 14)
    entries = rejected(report.rejected_path)
    assert [entry["line"] for entry in entries] == list(range(1, 15))
    assert {entry["file"] for entry in entries} == {"r.json.gz"}
    assert entries[0]["raw"] == '{"reviewerID": "U1", "asin": "B1"'
    assert entries[1]["raw"] == "\\xff\\xfe"
    assert [entry["reason"] for entry in entries[:4]] == [
        "not JSON (Expecting ',' delimiter at character 34)",
        "not UTF-8 (byte 1)",
        "a list where an object is expected",
        "'reviewerID' is None, not a usable text",
    ]
    assert entries[8]["reason"] == "'unixReviewTime' is 'yesterday', not seconds since 1970"


def test_items_without_usable_metadata_are_of_category_unknown_and_counted(
    tmp_path: Path,
) -> None:
    items = ["B1", "B2", "B3", "B4", "B5", "B6", "B7"]
    reviews = pack(tmp_path / "r.json.gz", [review("U1", item) for item in items])
    metadata: list[Any] = [
        {"asin": "B1", "categories": [["Food"]]},
        {"asin": "B2", "title": "no categories"},
        {"asin": "B3", "categories": [["Food"], []]},
        {"asin": "B4", "categories": [["Food", 7]]},
        b"{'asin': 'B5', 'categories': [['Food']]",
        b"{'asin': 'B6', 'categories': [[open('x')]]}",
        {"categories": [["Food"]]},
        {"asin": "B8", "title": "not reviewed, so not looked at"},
    ]
    meta = pack(tmp_path / "m.json.gz", metadata, literals=True)
    report = write_interactions(reviews, meta, tmp_path / "a.csv")
    rows = [line.split(",") for line in report.path.read_text().splitlines()[1:]]
    assert {item: category for _, item, _, category in rows} == {
        "B1": "Food",
        **dict.fromkeys(items[1:], "unknown"),
    }
    assert (report.items, report.items_without_category) == (7, 6)
    assert (report.metadata_read, report.metadata_rejected) == (8, 6)
    assert [entry["line"] for entry in rejected(report.rejected_path)] == [2, 3, 4, 5, 6, 7]


def test_rejected_file_of_an_earlier_run_does_not_outlive_its_reason(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    stale = tmp_path / "a.csv.rejected.jsonl"
    stale.touch()
    write_interactions(*files, tmp_path / "a.csv")
    assert not stale.exists()


def test_of_two_metadata_lines_for_an_item_the_last_counts(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    lines = [{"asin": "B1", "categories": [[name]]} for name in ("Old", "New")]
    meta = pack(tmp_path / "m.json.gz", lines, literals=True)
    report = write_interactions(files[0], meta, tmp_path / "a.csv")
    assert report.path.read_text().splitlines()[1] == f"U2,B1,{3 * DAY},New"


def test_truncated_file_is_named_with_the_line_reached_and_leaves_the_old_csv(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    target = tmp_path / "out" / "a.csv"
    write_interactions(*files, target)
    lines = [review(f"U{number * 7919 % 10007}", "B1", number) for number in range(50_000)]
    whole = pack(tmp_path / "long.json.gz", lines).read_bytes()
    (tmp_path / "cut.json.gz").write_bytes(whole[: len(whole) - 1000])
    with pytest.raises(SourceError, match=r"cut\.json\.gz: .* after line 49,\d{3} .*fetch it"):
        write_interactions(tmp_path / "cut.json.gz", files[1], target)
    assert target.read_text() == EXPECTED
    assert [path.name for path in target.parent.iterdir()] == ["a.csv"]


def test_damaged_and_foreign_files_are_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    packed = files[1].read_bytes()
    damaged, plain = tmp_path / "damaged.gz", tmp_path / "plain.gz"
    damaged.write_bytes(packed[:-8] + bytes(8))
    plain.write_bytes(b"<html>")
    with pytest.raises(SourceError, match=r"damaged\.gz: .*CRC"):
        write_interactions(files[0], damaged, tmp_path / "a.csv")
    with pytest.raises(SourceError, match=r"plain\.gz: .*Not a gzipped file"):
        write_interactions(plain, files[1], tmp_path / "a.csv")
    with pytest.raises(SourceError, match=r"nowhere\.gz: there is no such file"):
        write_interactions(files[0], tmp_path / "nowhere.gz", tmp_path / "a.csv")
    with pytest.raises(SourceError, match=r"none of its 3 lines is a usable review \(not JSON"):
        write_interactions(files[1], files[1], tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_unwritable_target_is_named(files: tuple[Path, Path]) -> None:
    with pytest.raises(DownloadError, match=r"a\.csv: cannot be written"):
        write_interactions(*files, files[0] / "a.csv")


def test_lines_are_counted_across_blocks_and_without_a_last_line_break(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    body = [b"x" * 700_000, b"", b"y" * 2_000_000, b"end"]
    path.write_bytes(gzip.compress(b"\n".join(body)))
    seen: list[tuple[str, int, int | None]] = []
    with (tmp_path / "rejected").open("w") as rejected_lines:
        lines = _Lines(path, rejected_lines, lambda *each: seen.append(each))
        assert list(lines) == [body[0], body[2], body[3]]
        lines.reject(b"end", "why")
    assert lines.read == 3
    assert rejected(tmp_path / "rejected")[0]["line"] == 4
    assert seen[-1] == ("x.gz", path.stat().st_size, path.stat().st_size)


# --- metadata literals: the fast way against ast -------------------------------------------------

texts = st.text(
    st.one_of(
        st.sampled_from(list("'\"\\{}[]:, \n\r\t\0nxuN07é\xa0\u2028😀")),
        st.characters(codec="utf-8"),
    ),
    max_size=12,
) | st.sampled_from(["'asin': 'B9', ", "'categories': [['x']]}", "asin", "categories", "\\'"])
atoms = texts | st.integers() | st.floats() | st.booleans() | st.none()
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=8,
)
items = st.dictionaries(
    texts | st.sampled_from(["asin", "categories", "related", "title"]), values, max_size=5
)
categories = st.lists(st.lists(texts, max_size=3), max_size=3)


def slow_outcome(line: str) -> tuple[str, str] | None:
    """The obvious way, which the fast one must agree with on every line."""
    try:
        item = ast.literal_eval(line)
        asin, category = item["asin"], item["categories"][-1][-1]
    except (ValueError, SyntaxError, LookupError, TypeError, MemoryError):
        return None
    usable = isinstance(asin, str) and isinstance(category, str) and asin and category
    lists = isinstance(item["categories"], list) and isinstance(item["categories"][-1], list)
    return (asin, category) if usable and lists else None


def fast_outcome(line: str) -> tuple[str, str] | None:
    try:
        return read_metadata(line)
    except MetadataError:
        return None


@settings(max_examples=80, deadline=None)
@given(item=items, asin=texts, paths=categories, first=st.booleans())
def test_fast_way_reads_what_literal_eval_reads(
    item: dict[str, Any], asin: str, paths: list[list[str]], first: bool
) -> None:
    wanted = {"asin": asin, "categories": paths}
    line = repr(wanted | item if first else item | wanted)
    assert fast_outcome(line) == slow_outcome(line)


# Spellings that a repr does not give: near misses of what the fast way knows.
soups = st.lists(
    st.sampled_from([*"'\"\\{}[]():,ux0 \t", "\\x4", "\\xe9", "\\u00e9", "\\N{DASH}", "'a'"]),
    max_size=4,
).map("".join)
spellings = (
    st.sampled_from(
        [
            *("'B1'", '"B\'1"', "[['x', 'y']]", "[['x'],['z']]", "{'l': [1, 'm']}", "[[[['x']]]]"),
            *("-1.5", "1e5", "007", "nan", "None", "u'B1'", "b'B1'", "'B' '1'", "('x',)", "{'s'}"),
            *("'\\x4'", ""),
        ]
    )
    | soups
    | soups.map("'{}'".format)
    | soups.map("[['{}']]".format)
)
keys = st.sampled_from(["'asin'", "'categories'", '"asin"', "'k'", "'\\x61sin'", "u'asin'", "1"])
pairs = st.builds("{}{}{}".format, keys, st.sampled_from([": ", ":", " : ", " "]), spellings)
usual = st.sampled_from(["'asin': 'B1'", "'categories': [['x', 'y']]"])


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(max_examples=200, deadline=None)
@given(
    line=st.builds(
        "{}{}{}".format,
        st.sampled_from(["{", "{", "{", " {", "[{", ""]),
        st.lists(usual | usual | pairs, min_size=1, max_size=4).map(", ".join),
        st.sampled_from(["}", "}", "}", "} ", ",}", "}]", "}}", " } # a remark", ""]),
    )
)
@example("{'asin': 'B1', 'asin': 'B2', 'categories': [['x']]}")
@example("{'asin': 'B1', 'asin': 2, 'categories': [['x']]}")
@example(r"{'\x61sin': 'B1', 'categories': [['x']]}")
@example(r"{'asin': 'B1', 'categories': [['\x4', 'x']]}")
@example(r"{'asin': 'B1', 'title': '\x4', 'categories': [['x']]}")
@example(r"{'asin': 'B1', 'title': '\U00110000', 'categories': [['x']]}")
@example(r"{'asin': 'B1', 'title': '\N{no such name}', 'categories': [['x']]}")
@example("{'asin': 'B1', 'title': 'a\rb', 'categories': [['x']]}")
@example("{'asin': 'B1', 'title': 'a\0b', 'categories': [['x']]}")
@example("{'asin': 'B' '1', 'categories': [['x']]}")
@example("{'asin': '''B1''', 'categories': [['x']]}")
@example("{'asin': 'B1', 'n': 007, 'categories': [['x']]}")
@example("{'asin': 'B1', 'n': 1" + "0" * 5000 + ", 'categories': [['x']]}")
@example("{'asin': 'B1', 'categories': (['x'],)}")
@example("{'asin': 'B1', 'categories': [('x',)]}")
@example("{'asin': 'B1', 'categories': [['x']]} # a remark")
@example(" {'asin': 'B1', 'categories': [['x']], } ")
@example("{'asin': 'B1', [1]: 2, 'categories': [['x']]}")
@example("{'asin': 'B1', 'categories': __import__('os').getcwd()}")
def test_fast_way_refuses_what_literal_eval_refuses(line: str) -> None:
    assert fast_outcome(line) == slow_outcome(line)


def test_lines_as_they_occur_take_the_fast_way() -> None:
    line = (
        "{'asin': 'B1', 'description': \"it's\", 'price': 4.5, 'salesRank': {'Food': 12}, "
        r"'title': 'say \"tea\" \xe9 \u2014', 'related': {'also_viewed': ['B2', 'B3'], "
        "'bought': []}, 'categories': [['Food', 'Tea'], ['Gifts']], 'brand': ''}"
    )
    literals = top_level_literals(line)
    assert literals is not None
    assert {name: ast.literal_eval(text) for name, text in literals.items()} == ast.literal_eval(
        line
    )
    assert read_metadata(line) == ("B1", "Gifts")


def test_harmless_escape_is_read_without_a_warning() -> None:
    assert read_metadata(r"{'asin': 'B1', 'categories': [['a\d']]}") == ("B1", r"a\d")


def test_leading_item_is_only_named_where_it_is_plain() -> None:
    assert leading_asin("{'asin': 'B1', 'x': 1}") == "B1"
    assert leading_asin(r"{'asin': 'B\x31', 'x': 1}") is None
    assert leading_asin("{'x': 1, 'asin': 'B1'}") is None


def test_hostile_line_costs_no_time_out_of_proportion() -> None:
    # Backtracking would take hours; the fast way gives up at once.
    line = "{'asin': 'B1', 'x': [" + "'\\x41', " * 20_000 + "!]}"
    assert amazon_metadata.top_level_literals(line) is None


# --- prepare --------------------------------------------------------------------------------------


@pytest.fixture
def mirror(files: tuple[Path, Path], tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            super().do_GET()

        def log_message(self, *args: object) -> None:
            pass

    handler = partial(Handler, directory=str(tmp_path))
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", requests
    http.shutdown()
    thread.join()
    http.server_close()


def test_prepare_fetches_and_writes_once(mirror: tuple[str, list[str]], tmp_path: Path) -> None:
    url, requests = mirror
    seen: set[str] = set()
    target = prepare(
        "Baby", tmp_path / "d", base_url=url, on_progress=lambda name, *_: seen.add(name)
    )
    assert target.read_text() == EXPECTED
    assert seen == {"reviews_Baby_5.json.gz", "meta_Baby.json.gz"}
    before = target.stat()
    assert prepare("Baby", tmp_path / "d", base_url=url + "/") == target
    assert target.stat() == before
    assert requests == ["/reviews_Baby_5.json.gz", "/meta_Baby.json.gz"]


def test_prepare_writes_again_when_an_input_or_the_csv_has_changed(
    mirror: tuple[str, list[str]], tmp_path: Path
) -> None:
    target = prepare("Baby", tmp_path / "d", base_url=mirror[0])
    target.write_text("edited by hand")
    prepare("Baby", tmp_path / "d", base_url=mirror[0])
    assert target.read_text() == EXPECTED
    pack(tmp_path / "d" / "reviews_Baby_5.json.gz", [review("U1", "B2", 7)])
    prepare("Baby", tmp_path / "d", base_url=mirror[0])
    assert target.read_text() == "user_id,item_id,time,cate_id\nU1,B2,7,Toys\n"


def test_prepare_holds_files_against_their_checksums(
    mirror: tuple[str, list[str]], tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match=r"meta_Baby\.json\.gz: .* instead of 0000"):
        prepare("Baby", tmp_path / "d", base_url=mirror[0], sha256s={"meta_Baby.json.gz": "0" * 64})


def test_misspelt_category_is_answered_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no category 'electronics'; did you mean 'Electronics'"):
        prepare("electronics", tmp_path)
    with pytest.raises(SourceError, match="It has: Amazon_Instant_Video, "):
        prepare("../x", tmp_path)


def test_missing_file_on_a_mirror_is_named(mirror: tuple[str, list[str]], tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"reviews_Beauty_5\.json\.gz: .* 404"):
        prepare("Beauty", tmp_path / "d", base_url=mirror[0])
