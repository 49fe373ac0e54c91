"""Fetch one large file over HTTP so that it arrives whole or not at all: resumed, checked, renamed.

Built on ``urllib`` of the standard library: the library layer has no HTTP dependency of its own,
and what matters here (Range, If-Range, a timeout on each read) is in plain headers and sockets.
What a file means is not known here; the bytes on disk are
:mod:`din_core.datasets.amazon.partial_files`'s.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import logging
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import IO

from din_core.datasets.amazon.partial_files import (
    DownloadError,
    Origin,
    PartialFile,
    forget_part,
    open_part,
)
from din_core.escaping import printable

__all__ = ["DownloadError", "fetch"]

logger = logging.getLogger(__name__)

ByteProgress = Callable[[int, int | None], None]

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
_LONGEST_PAUSE = 60.0
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_PASSING = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class _TransferError(Exception):
    """The transfer stopped for a reason that may pass; ``pause`` is what the server asked for."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    on_progress: ByteProgress | None = None,
    timeout: float = 30.0,
    attempts: int = 5,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch ``url`` to ``target``, or do nothing when it is there already.

    The bytes go to ``<target>.part``, are checked (``sha256`` if given, else for a ``.gz`` its
    own checksums) and take their name in one step. What a broken connection leaves is continued
    by this call and by later ones, so long as the server still has the same file.

    Args:
        url: An ``http`` or ``https`` address.
        target: Where the file goes; missing folders are made. A name ending in ``.gz`` says that
            gzip is expected. An existing file is taken as it is, unless it fails ``sha256``.
        sha256: Hex digest that the file must have.
        on_progress: Called with bytes received and bytes in all (None where unknown).
        timeout: Seconds without a byte after which a connection counts as stalled.
        attempts: Tries in a row that bring nothing new before giving up, 1 or more.
        sleep: Waits between tries: 1, 2, 4 … 60 seconds, or as ``Retry-After`` says.

    Returns:
        ``target``.

    Raises:
        DownloadError: It could not be fetched, is not what was expected or cannot be written.
    """
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise DownloadError(f"{url}: not an http or https address; check base_url")
    if target.is_file() and (sha256 is None or _sha256(target) == sha256.lower()):
        forget_part(target)
        return target
    with open_part(target) as part:
        failures, furthest = 0, part.size
        while True:
            pause = 0.0
            try:
                _receive(url, part, timeout, on_progress)
                why = _fault(part, sha256)
                if why is None:
                    part.publish()
                    logger.info("%s: %s bytes fetched from %s", target, f"{part.size:,}", url)
                    return target
                _give_up_or_restart(url, part, why)
            except _TransferError as interruption:
                why, pause = str(interruption), interruption.pause
            # A file that restarts again and again brings nothing new: only the furthest counts.
            failures = 1 if part.size > furthest else failures + 1
            furthest = max(furthest, part.size)
            if failures >= attempts:
                raise DownloadError(_epitaph(url, part, why, failures))
            pause = pause or 2.0 ** (failures - 1)
            logger.warning("%s: %s; trying again in %.0f s", url, why, min(pause, _LONGEST_PAUSE))
            sleep(min(pause, _LONGEST_PAUSE))


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a redirect within a host, and from http to https; what else, the user decides."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request to make instead.

        Raises:
            DownloadError: The server names another host, port or scheme.
        """
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        upgraded = (old.scheme, new.scheme) == ("http", "https")
        if old.hostname != new.hostname or not (
            upgraded or (old.scheme, old.port) == (new.scheme, new.port)
        ):
            fp.close()
            raise DownloadError(
                f"{req.full_url}: the server sends on to another place, {printable(newurl)}, which "
                "is not followed; if you trust that one, name its folder as base_url"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _epitaph(url: str, part: PartialFile, why: str, failures: int) -> str:
    total = part.origin.total if part.origin else None
    of = "" if total is None else f" of {total:,}"
    kept = f" (kept in {part.path.name}, to be continued)" if part.size else ""
    tries = "one attempt" if failures == 1 else f"{failures} attempts in a row"
    return (
        f"{url}: {why}; given up after {tries} that brought nothing new, with {part.size:,}{of} "
        f"bytes received{kept}; check the address and the network and run again"
    )


def _receive(url: str, part: PartialFile, timeout: float, on_progress: ByteProgress | None) -> None:
    """Make one request and write what comes, until the part is complete or an exception says why.

    Raises:
        _TransferError: Worth another try; what was received is in the part.
        DownloadError: Not worth another try.
    """
    headers = {"User-Agent": "din-assets", "Accept-Encoding": "identity"}
    if part.origin is not None and part.origin.url != url:
        part.restart()
    if part.origin is not None and part.size:
        if part.size == part.origin.total:
            return
        headers["Range"] = f"bytes={part.size}-"
        if part.origin.validator is not None:
            headers["If-Range"] = part.origin.validator
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - fetch checks the scheme
    try:
        with urllib.request.build_opener(_SameHost).open(request, timeout=timeout) as response:
            _copy(url, response, part, on_progress)
    except urllib.error.HTTPError as error:
        with error:
            _refused(url, error, part)
    except TimeoutError as error:
        raise _TransferError(f"the server sent nothing for {timeout:g} s") from error
    except urllib.error.URLError as error:
        raise _TransferError(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(f"the connection broke ({error!r})") from error


def _refused(url: str, error: urllib.error.HTTPError, part: PartialFile) -> None:
    answer = f"the server answered {error.code} {error.reason}"
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.restart()
        raise _TransferError(f"{answer} to a request for the rest: starting over") from error
    if error.code in _PASSING:
        after = error.headers.get("Retry-After", "")
        raise _TransferError(answer, float(after) if after.isdecimal() else 0.0) from error
    raise DownloadError(
        f"{url}: {answer} and sent no file; check the address, or name a mirror as base_url"
    ) from error


def _copy(
    url: str,
    response: http.client.HTTPResponse,
    part: PartialFile,
    on_progress: ByteProgress | None,
) -> None:
    head = b""
    if response.status == HTTPStatus.PARTIAL_CONTENT and part.origin is not None and part.size:
        total = _check_continuation(response, part, part.origin)
        part.pieced = True
    elif response.status == HTTPStatus.OK:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        # Looked at before the part is dropped: an error page must not cost what is there.
        head = _first_bytes(url, response, part.target, total)
        part.restart(Origin(url, _validator(response), total))
    else:
        raise DownloadError(
            f"{url}: the server answered {response.status} {response.reason}, which is not a file; "
            "check the address, or name a mirror as base_url"
        )
    if total is not None:
        part.check_space(total - part.size)
    chunk = head or response.read1(_CHUNK)
    while chunk:
        part.write(chunk)
        if on_progress is not None:
            on_progress(part.size, total)
        chunk = response.read1(_CHUNK)
    if total is not None and part.size < total:
        raise _TransferError(f"the server broke off after {part.size:,} of {total:,} bytes")


def _check_continuation(
    response: http.client.HTTPResponse, part: PartialFile, origin: Origin
) -> int | None:
    """Hold a 206 answer against what is there; returns the bytes of the whole file."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    total = None if found is None or found[2] == "*" else int(found[2])
    same = (
        found is not None
        and int(found[1]) == part.size
        and (origin.total is None or total is None or total == origin.total)
        and _validator(response) in {None, origin.validator}
    )
    if not same:
        part.restart()
        raise _TransferError("the file on the server has changed meanwhile: starting over")
    return total if total is not None else origin.total


def _validator(response: http.client.HTTPResponse) -> str | None:
    etag = response.headers.get("ETag")
    # RFC 9110, section 13.1.5: a weak tag does not promise equal bytes.
    if etag is not None and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")


def _first_bytes(
    url: str, response: http.client.HTTPResponse, target: Path, total: int | None
) -> bytes:
    head = b""
    while len(head) < len(_GZIP_MAGIC) and (chunk := response.read1(_CHUNK)):
        head += chunk
    if total is not None and len(head) < min(total, len(_GZIP_MAGIC)):
        raise _TransferError(f"the server broke off after {len(head)} of {total:,} bytes")
    if target.suffix == ".gz" and not head.startswith(_GZIP_MAGIC):
        kind = response.headers.get("Content-Type", "unnamed type")
        raise DownloadError(
            f"{url}: the server sent {kind} where gzip was expected, beginning with "
            f"{head[:60]!r}; check the address, or name a mirror as base_url"
        )
    return head


def _fault(part: PartialFile, sha256: str | None) -> str | None:
    """What is wrong with the complete part; None when nothing is."""
    if sha256 is not None:
        found = _sha256(part.path)
        if found == sha256.lower():
            return None
        return f"the {part.size:,} bytes received have sha256 {found} instead of {sha256.lower()}"
    if part.target.suffix != ".gz":
        return None
    try:
        with gzip.open(part.path) as content:
            while content.read(_CHUNK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        return f"the {part.size:,} bytes received are not a whole gzip file ({error})"
    return None


def _give_up_or_restart(url: str, part: PartialFile, why: str) -> None:
    # Pieces may come from two versions of the file, and where the server named no length the end
    # may be missing: both are put right by starting over. One whole answer would only come again.
    in_doubt = part.pieced or part.origin is None or part.origin.total is None
    if not in_doubt:
        part.discard()
        raise DownloadError(
            f"{url}: {why}; nothing was kept. The file on the server is another one than "
            "expected or damaged: check the checksum, or name a mirror as base_url"
        )
    part.restart()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
