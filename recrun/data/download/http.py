"""One URL to one file: resumed where it broke off, bounded in size and patience, never more than http and https.

What comes out is whatever the server sent. Whether it is what was wanted is for the caller to find out, by a checksum,
before the file gets its final name.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urljoin, urlsplit

from recrun import __version__
from recrun.errors import DownloadError

Progress = Callable[[int, int | None], None]
"""Told how many bytes are there, and how many there will be, if the server says so."""

_BLOCK: Final = 1 << 16
_ENOUGH: Final = 1 << 16
"""Bytes that an attempt must bring to count as progress."""
_LEAST: Final = 1 << 10
"""Bytes that must come within the timeout; less is as good as nothing."""
_LONGEST_PAUSE: Final = 60.0
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d+/(\d{1,18}|\*)")
_TRY_AGAIN: Final = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Limits:
    """How long and how much.

    Args:
        timeout: seconds to wait for a connection, or for data.
        attempts: how often in a row something is tried that brings nothing new.
        pause: seconds before the second attempt; doubled for each further one.
        max_bytes: the largest file, compressed or unpacked.
    """

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0
    max_bytes: int = 4 << 30


class _Broken(Exception):
    """An attempt that failed in a way that the next one may not; `pause` is what the server asked for, in seconds."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


def download(url: str, part: Path, limits: Limits, progress: Progress | None = None) -> None:
    """Fill a file with what a URL gives, going on where an earlier attempt stopped.

    Args:
        url: http or https.
        part: the file; what it holds already is taken for the beginning, unless the server starts anew.
        limits: how long and how much.
        progress: told what is there, at every block.

    Raises:
        DownloadError: the server refuses, redirects elsewhere, sends too much, or breaks off too often; the disk is
            full. What came so far stays in `part`.
    """
    check_url(url)
    n_failures = 0
    while True:
        before = _size(part)
        try:
            _attempt(url, part, limits, progress)
            return
        except _Broken as error:
            n_failures = 1 if _size(part) - before >= _ENOUGH else n_failures + 1
            if n_failures >= limits.attempts:
                kept = f"; {_size(part):,} bytes are kept, and the next fetch goes on from there" if _size(part) else ""
                raise DownloadError(f"{url}: {error} ({n_failures} attempts){kept}") from error
            time.sleep(min(max(limits.pause * 2 ** (n_failures - 1), error.pause), _LONGEST_PAUSE))


def check_url(url: str, redirected_from: str = "") -> None:
    """Refuse what is not http or https, and a way from https to http.

    Raises:
        DownloadError: it is.
    """
    where = f"{redirected_from} redirects to {url}" if redirected_from else url
    try:
        scheme, host = urlsplit(url).scheme.lower(), urlsplit(url).hostname
    except ValueError as error:
        raise DownloadError(f"{where}: not a URL that can be asked for ({error})") from error
    if scheme not in ("http", "https") or not host:
        raise DownloadError(f"{where}: only http and https are downloaded")
    if scheme == "http" and redirected_from.lower().startswith("https:"):
        raise DownloadError(f"{where}: from https to http is refused")


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 5
    max_repeats = 2

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Message) -> Any:
        target = headers.get("location") or headers.get("uri")
        if target:
            check_url(urljoin(req.full_url, target), req.full_url)
        return super().http_error_302(req, fp, code, msg, headers)  # type: ignore[arg-type]

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener without the handlers for files, FTP and data that urllib installs otherwise."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _attempt(url: str, part: Path, limits: Limits, progress: Progress | None) -> None:
    have = _size(part)
    headers = {"User-Agent": f"recrun/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with _opener().open(urllib.request.Request(url, headers=headers), timeout=limits.timeout) as response:
            _check_encoding(url, response)
            start = _start(url, response, part, have)
            total = _total(response)
            _check_size(url, total or 0, limits)
            _save(url, response, part, start, total, limits, progress)
    except urllib.error.HTTPError as error:
        with error:
            _explain_refusal(url, error, part, have)
    except (http.client.InvalidURL, UnicodeError) as error:
        raise DownloadError(f"{url}: not a URL that can be asked for ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(f"{url}: the server's certificate is not valid ({reason.verify_message})") from error
        if isinstance(reason, TimeoutError):
            raise _Broken(f"nothing came for {limits.timeout:g} seconds") from error
        raise _Broken(f"the connection failed ({reason or type(reason).__name__})") from error


def _explain_refusal(url: str, error: urllib.error.HTTPError, part: Path, have: int) -> None:
    """Raise what an answer other than success means; return when it means that everything is there already."""
    if error.code == 416 and have:
        if error.headers.get("Content-Range", "").strip() == f"bytes */{have}":
            return
        _discard(part)
        raise _Broken("the file on the server is shorter than what was kept") from error
    answer = f"the server answers {error.code} {error.reason}".strip()
    if error.code in _TRY_AGAIN or error.code >= 500:
        pause = (error.headers.get("Retry-After") or "").strip()
        raise _Broken(answer, float(pause) if pause.isdecimal() else 0.0) from error
    raise DownloadError(f"{url}: {answer}") from error


def _check_encoding(url: str, response: HTTPResponse) -> None:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise DownloadError(f"{url}: the server sends the file in another encoding ({encoding})")


def _start(url: str, response: HTTPResponse, part: Path, have: int) -> int:
    """Return where the bytes that come now belong: behind those that are there, or at the beginning."""
    if response.status == 200:
        return 0
    if not have or response.status != 206:
        raise DownloadError(f"{url}: the server answers {response.status} {response.reason}")
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None or int(match[1]) != have:
        _discard(part)
        raise _Broken("the server sent another part of the file than it was asked for")
    return have


def _total(response: HTTPResponse) -> int | None:
    """Return the size of the whole file, if the server tells."""
    if response.status == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        return int(match[2]) if match and match[2] != "*" else None
    length = response.headers.get("Content-Length", "").strip()
    return int(length) if length.isdecimal() else None


def _save(
    url: str,
    response: HTTPResponse,
    part: Path,
    start: int,
    total: int | None,
    limits: Limits,
    progress: Progress | None,
) -> None:
    have, since, before = start, time.monotonic(), start
    with _open(part, "ab" if start else "wb") as file:
        while block := response.read1(_BLOCK):
            have += len(block)
            _check_size(url, have, limits)
            _write(file, block, part)
            if progress is not None:
                progress(have, total)
            if time.monotonic() - since > limits.timeout:
                if have - before < _LEAST:
                    raise _Broken(f"only {have - before} bytes came in {limits.timeout:g} seconds")
                since, before = time.monotonic(), have
    if total is not None and have < total:
        raise _Broken(f"the connection was closed after {have:,} of {total:,} bytes")


def _check_size(url: str, size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise DownloadError(f"{url}: more than {limits.max_bytes:,} bytes are not downloaded")


def _write(file: IO[bytes], block: bytes, part: Path) -> None:
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _unwritable(part, error) from error


def _open(part: Path, mode: str) -> IO[bytes]:
    try:
        return part.open(mode, buffering=0)
    except OSError as error:
        raise _unwritable(part, error) from error


def _unwritable(part: Path, error: OSError) -> DownloadError:
    return DownloadError(f"{part}: cannot be written ({error.strerror or error})")


def _discard(part: Path) -> None:
    _open(part, "wb").close()


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
