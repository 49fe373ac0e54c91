"""Downloads against a local server that misbehaves in every way the field has seen."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from din_core.datasets.amazon import downloads, partial_files
from din_core.datasets.amazon.downloads import DownloadError, fetch

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
PACKED = gzip.compress(CONTENT, mtime=0)
HTML = b"<html><body>Please log in to the network</body></html>"


class Server:
    """Answers each request by the next of ``script`` (the last one again and again)."""

    def __init__(self) -> None:
        self.script: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.ranges: list[str | None] = []
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.ranges.append(self.headers.get("Range"))
                self.close_connection = True
                answer = server.script.pop(0) if len(server.script) > 1 else server.script[0]
                answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/data.gz"


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    thread = threading.Thread(target=served.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.released.set()
    served.http.shutdown()
    thread.join()
    served.http.server_close()


def whole(
    body: bytes,
    *,
    etag: str | None = '"1"',
    upto: int | None = None,
    ranges: bool = True,
    length: bool = True,
    stall: threading.Event | None = None,
) -> Callable[[BaseHTTPRequestHandler], None]:
    """A correct server of ``body``, but for the ways that are asked for."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        start = 0
        asked = request.headers.get("Range")
        condition = request.headers.get("If-Range")
        if asked is not None and ranges and condition in {None, etag}:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            request.send_response(200)
        if etag is not None:
            request.send_header("ETag", etag)
        if length:
            request.send_header("Content-Length", str(len(body) - start))
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(body[start:upto])
        request.wfile.flush()
        if stall is not None:
            stall.wait(10)

    return answer


def status(
    code: int, body: bytes = b"", **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def no_sleep(seconds: float) -> None:
    pass


def test_file_arrives_whole_with_progress_and_nothing_beside_it(
    server: Server, tmp_path: Path
) -> None:
    server.script = [whole(PACKED)]
    seen: list[tuple[int, int | None]] = []
    target = fetch(
        server.url, tmp_path / "new" / "data.gz", on_progress=lambda *each: seen.append(each)
    )
    assert target.read_bytes() == PACKED
    assert names(target.parent) == {"data.gz"}
    assert seen[-1] == (len(PACKED), len(PACKED))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_second_call_makes_no_request(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED)]
    digest = hashlib.sha256(PACKED).hexdigest().upper()
    for _ in range(2):
        fetch(server.url, tmp_path / "data.gz", sha256=digest)
    fetch(server.url, tmp_path / "data.gz")
    assert len(server.ranges) == 1


def test_existing_file_with_another_checksum_is_replaced(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED)]
    target = tmp_path / "data.gz"
    target.write_bytes(b"old")
    fetch(server.url, target, sha256=hashlib.sha256(PACKED).hexdigest())
    assert target.read_bytes() == PACKED


def test_broken_off_transfer_is_continued_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED, upto=1000), whole(PACKED, upto=5000), whole(PACKED)]
    pauses: list[float] = []
    fetch(server.url, tmp_path / "data.gz", sleep=pauses.append)
    assert (tmp_path / "data.gz").read_bytes() == PACKED
    assert server.ranges == [None, "bytes=1000-", "bytes=5000-"]
    # Both tries brought something new, so the pause does not grow.
    assert pauses == [1.0, 1.0]


def test_later_call_continues_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED, upto=1000), whole(PACKED)]
    with pytest.raises(DownloadError, match=r"broke off after 1,000 of 300,\d+ bytes.*kept in"):
        fetch(server.url, tmp_path / "data.gz", attempts=1)
    assert names(tmp_path) == {"data.gz.part", "data.gz.part.json"}
    fetch(server.url, tmp_path / "data.gz", attempts=1)
    assert server.ranges == [None, "bytes=1000-"]
    assert (tmp_path / "data.gz").read_bytes() == PACKED
    assert names(tmp_path) == {"data.gz"}


def test_part_that_was_complete_before_a_kill_needs_no_request(
    server: Server, tmp_path: Path
) -> None:
    server.script = [whole(PACKED, upto=1000)]
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path / "data.gz", attempts=1)
    (tmp_path / "data.gz.part").write_bytes(PACKED)
    fetch(server.url, tmp_path / "data.gz", attempts=1)
    assert len(server.ranges) == 1


def test_note_that_outlived_a_kill_is_cleared_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.gz").write_bytes(PACKED)
    (tmp_path / "data.gz.part.json").write_text("{}")
    fetch(server.url, tmp_path / "data.gz")
    assert names(tmp_path) == {"data.gz"}


@pytest.mark.parametrize("note", ["", "[]", '{"url": "x"}', None])
def test_part_without_a_readable_note_is_not_continued(
    server: Server, tmp_path: Path, note: str | None
) -> None:
    (tmp_path / "data.gz.part").write_bytes(b"of unknown origin")
    if note is not None:
        (tmp_path / "data.gz.part.json").write_text(note)
    server.script = [whole(PACKED)]
    fetch(server.url, tmp_path / "data.gz", attempts=1)
    assert server.ranges == [None]
    assert (tmp_path / "data.gz").read_bytes() == PACKED


def test_part_of_another_address_is_not_continued(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED, upto=1000, etag=None), whole(PACKED, etag=None)]
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path / "data.gz", attempts=1)
    fetch(server.url + "?mirror", tmp_path / "data.gz", attempts=1)
    assert server.ranges == [None, None]


def test_stalled_transfer_is_given_up_and_continued(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED, upto=1000, stall=server.released), whole(PACKED)]
    fetch(server.url, tmp_path / "data.gz", timeout=1.0, sleep=no_sleep)
    assert server.ranges == [None, "bytes=1000-"]
    assert (tmp_path / "data.gz").read_bytes() == PACKED


def test_server_that_never_answers_is_named_as_stalled(server: Server, tmp_path: Path) -> None:
    server.script = [lambda request: server.released.wait(10) and None]
    with pytest.raises(DownloadError, match=r"sent nothing for 0\.1 s; given up after 2 attempts"):
        fetch(server.url, tmp_path / "data.gz", timeout=0.1, attempts=2, sleep=no_sleep)
    assert names(tmp_path) == set()


def test_server_that_ignores_range_sends_the_file_anew(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED, upto=1000, ranges=False), whole(PACKED, ranges=False)]
    fetch(server.url, tmp_path / "data.gz", sleep=no_sleep)
    assert server.ranges == [None, "bytes=1000-"]
    assert (tmp_path / "data.gz").read_bytes() == PACKED


def test_server_that_ignores_range_and_always_breaks_off_is_given_up(
    server: Server, tmp_path: Path
) -> None:
    server.script = [whole(PACKED, upto=1000, ranges=False)]
    with pytest.raises(DownloadError, match="given up after 3 attempts in a row"):
        fetch(server.url, tmp_path / "data.gz", attempts=3, sleep=no_sleep)
    assert len(server.ranges) == 3


@pytest.mark.parametrize("etag", ['"2"', None])
def test_file_that_changes_between_tries_is_fetched_anew(
    server: Server, tmp_path: Path, etag: str | None
) -> None:
    changed = gzip.compress(OTHER, mtime=0)
    server.script = [whole(PACKED, upto=1000, etag='"1"'), whole(changed, etag=etag)]
    fetch(server.url, tmp_path / "data.gz", sleep=no_sleep)
    assert (tmp_path / "data.gz").read_bytes() == changed


def test_change_that_the_server_hides_is_found_by_the_gzip_checksum(
    server: Server, tmp_path: Path
) -> None:
    # Same length, no ETag, Range obeyed: the pieces fit together, but not in content.
    changed = gzip.compress(OTHER, mtime=0)
    assert len(changed) == len(PACKED)
    server.script = [whole(PACKED, upto=1000, etag=None), whole(changed, etag=None)]
    fetch(server.url, tmp_path / "data.gz", sleep=no_sleep)
    assert (tmp_path / "data.gz").read_bytes() == changed
    assert server.ranges == [None, "bytes=1000-", None]


def test_range_answer_for_another_place_is_not_appended(server: Server, tmp_path: Path) -> None:
    wrong = status(206, PACKED[7:], Content_Range=f"bytes 7-{len(PACKED) - 1}/{len(PACKED)}")
    server.script = [whole(PACKED, upto=1000), wrong, whole(PACKED)]
    fetch(server.url, tmp_path / "data.gz", sleep=no_sleep)
    assert (tmp_path / "data.gz").read_bytes() == PACKED
    assert server.ranges == [None, "bytes=1000-", None]


def test_refused_range_starts_over(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED, upto=1000), status(416), whole(PACKED)]
    fetch(server.url, tmp_path / "data.gz", sleep=no_sleep)
    assert server.ranges == [None, "bytes=1000-", None]


def test_weak_tag_is_not_taken_for_a_promise_of_equal_bytes(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED, upto=1000, etag='W/"1"'), whole(PACKED, etag='W/"1"')]
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path / "data.gz", attempts=1)
    assert '"validator": null' in (tmp_path / "data.gz.part.json").read_text()


def test_page_with_status_200_is_not_taken_for_gzip(server: Server, tmp_path: Path) -> None:
    server.script = [status(200, HTML, Content_Type="text/html")]
    with pytest.raises(DownloadError, match=r"text/html where gzip was expected.*<html><body>Pl"):
        fetch(server.url, tmp_path / "data.gz")
    assert names(tmp_path) == set()


def test_page_instead_of_the_rest_does_not_cost_what_is_there(
    server: Server, tmp_path: Path
) -> None:
    server.script = [whole(PACKED, upto=1000), status(200, HTML), whole(PACKED)]
    with pytest.raises(DownloadError, match="where gzip was expected"):
        fetch(server.url, tmp_path / "data.gz", sleep=no_sleep)
    fetch(server.url, tmp_path / "data.gz")
    assert server.ranges[-1] == "bytes=1000-"
    assert (tmp_path / "data.gz").read_bytes() == PACKED


def test_empty_answer_is_not_taken_for_gzip(server: Server, tmp_path: Path) -> None:
    server.script = [status(200)]
    with pytest.raises(DownloadError, match="where gzip was expected"):
        fetch(server.url, tmp_path / "data.gz")


def test_damaged_gzip_is_found_by_its_own_checksum(server: Server, tmp_path: Path) -> None:
    damaged = PACKED[:-8] + bytes(4) + PACKED[-4:]
    server.script = [whole(damaged)]
    with pytest.raises(DownloadError, match=r"not a whole gzip file.*CRC.*nothing was kept"):
        fetch(server.url, tmp_path / "data.gz")
    assert names(tmp_path) == set()
    assert len(server.ranges) == 1


def test_wrong_checksum_names_both_and_keeps_nothing(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED)]
    found = hashlib.sha256(PACKED).hexdigest()
    with pytest.raises(DownloadError, match=f"have sha256 {found} instead of {'0' * 64}"):
        fetch(server.url, tmp_path / "data.gz", sha256="0" * 64)
    assert names(tmp_path) == set()


def test_answer_without_a_length_that_ends_early_is_fetched_again(
    server: Server, tmp_path: Path
) -> None:
    server.script = [whole(PACKED, upto=1000, length=False), whole(PACKED, length=False)]
    fetch(server.url, tmp_path / "data.gz", sleep=no_sleep)
    assert (tmp_path / "data.gz").read_bytes() == PACKED


def test_missing_file_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.script = [status(404, HTML)]
    with pytest.raises(
        DownloadError, match=r"/data\.gz: the server answered 404 Not Found.*mirror"
    ):
        fetch(server.url, tmp_path / "data.gz")
    assert len(server.ranges) == 1
    assert names(tmp_path) == set()


def test_busy_server_is_asked_again_with_growing_pauses(server: Server, tmp_path: Path) -> None:
    server.script = [status(503), status(502), status(429, Retry_After="7"), whole(PACKED)]
    pauses: list[float] = []
    fetch(server.url, tmp_path / "data.gz", sleep=pauses.append)
    assert pauses == [1.0, 2.0, 7.0]


def test_unreachable_server_is_named(server: Server, tmp_path: Path) -> None:
    # A port that was just free and is served by nobody.
    closed = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = closed.server_port
    closed.server_close()
    with pytest.raises(DownloadError, match=rf"127\.0\.0\.1:{port}/x.gz: no connection.*refused"):
        fetch(f"http://127.0.0.1:{port}/x.gz", tmp_path / "x.gz", attempts=2, sleep=no_sleep)


@pytest.mark.parametrize("url", ["file:///etc/hosts", "ftp://example.org/x.gz", "x.gz"])
def test_only_web_addresses_are_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not an http or https address"):
        fetch(url, tmp_path / "x.gz")


def test_full_disk_is_told_before_the_first_byte(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = [whole(PACKED)]
    usage = partial_files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(partial_files.shutil, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(DownloadError, match="more bytes are needed and the disk has 10 left"):
        fetch(server.url, tmp_path / "data.gz")
    assert names(tmp_path) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_disk_that_fills_up_meanwhile_ends_in_one_sentence(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED)]
    (tmp_path / "data.gz.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"data\.gz\.part: cannot be written \(No space left"):
        fetch(server.url, tmp_path / "data.gz")
    assert names(tmp_path) == set()
    assert len(server.ranges) == 1


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"cannot be written.*choose another folder"):
        fetch("http://127.0.0.1:9/x.gz", tmp_path / "file" / "x.gz")


def test_two_fetches_of_one_file_do_not_mix(server: Server, tmp_path: Path) -> None:
    server.script = [whole(PACKED)]
    with (
        partial_files.open_part(tmp_path / "data.gz"),
        pytest.raises(DownloadError, match="another process is fetching this file"),
    ):
        fetch(server.url, tmp_path / "data.gz")
    fetch(server.url, tmp_path / "data.gz")


def test_a_redirect_within_the_host_is_followed(server, tmp_path):
    server.script = [status(302, Location="/moved/data.gz"), whole(PACKED)]
    assert fetch(server.url, tmp_path / "data.gz").read_bytes() == PACKED


@pytest.mark.parametrize(
    "location",
    ["http://localhost:{port}/data.gz", "http://127.0.0.1:1/data.gz", "ftp://127.0.0.1/data.gz"],
    ids=["host", "port", "scheme"],
)
def test_a_redirect_to_another_place_is_refused_and_named(server, tmp_path, location):
    location = location.format(port=server.http.server_port)
    server.script = [status(302, Location=location)]
    with pytest.raises(DownloadError) as refused:
        fetch(server.url, tmp_path / "data.gz", sleep=lambda _: None)
    assert f"sends on to another place, {location}, which is not followed" in str(refused.value)
    assert "base_url" in str(refused.value)
    assert names(tmp_path) == set()
    assert len(server.ranges) == 1


@pytest.mark.parametrize(
    ("old", "new", "follows"),
    [
        ("http://a.org/x", "https://a.org/x", True),
        ("http://a.org:80/x", "https://a.org:443/x", True),
        ("https://a.org/x", "http://a.org/x", False),
        ("https://a.org/x", "https://a.org.evil.net/x", False),
        ("https://a.org/x", "https://a.org@evil.net/x", False),
        ("https://a.org/x", "https://A.org/y", True),
    ],
)
def test_encryption_may_be_added_and_never_dropped(old, new, follows):
    handler, request = downloads._SameHost(), urllib.request.Request(old)
    if follows:
        assert handler.redirect_request(request, io.BytesIO(), 302, "", {}, new).full_url == new
    else:
        with pytest.raises(DownloadError, match="another place"):
            handler.redirect_request(request, io.BytesIO(), 302, "", {}, new)
