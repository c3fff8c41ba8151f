"""Download one URL to one file, with retries, and continue where an earlier attempt stopped.

The file holds whatever the server sent: verify its checksum before using it.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.errors import DownloadError
from recrun.version import __version__

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes received so far, and the size of the file if the server announces it."""

_BLOCK: Final = 1 << 16
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Status codes after which another attempt may succeed."""


@dataclass(frozen=True)
class Limits:
    """Bounds on the time and size of a download.

    Args:
        timeout: seconds to wait for a connection, or for data.
        attempts: how often a URL is tried.
        pause: seconds before the second attempt; doubled before each further one.
        max_bytes: the largest file, compressed or decompressed.
    """

    timeout: float = 30.0
    attempts: int = 5
    pause: float = 1.0
    max_bytes: int = 4 << 30


class _Interrupted(Exception):
    """An attempt failed in a way that may be temporary."""


def download(url: str, part: Path, limits: Limits, progress: Progress | None = None) -> None:
    """Download a URL to a file, through the proxies that the environment names.

    Args:
        url: http or https.
        part: the file; what it holds already is taken for the beginning, unless the server sends everything.
        limits: bounds on time and size.
        progress: called after every block.

    Raises:
        DownloadError: the server cannot be reached, refuses, breaks off too often, or sends too much. What was
            received so far stays in `part`.
        OSError: the file cannot be written.
    """
    check_url(url)
    for n_attempts in range(1, limits.attempts + 1):
        try:
            return _attempt(url, part, limits, progress)
        except _Interrupted as error:
            reason = f"{url}: {error} ({n_attempts} attempts)"
        if n_attempts < limits.attempts:
            time.sleep(limits.pause * 2 ** (n_attempts - 1))
    size = _size(part)
    raise DownloadError(
        reason + (f"; {size:,} bytes are kept, and the next fetch continues from there" if size else "")
    )


def _attempt(url: str, part: Path, limits: Limits, progress: Progress | None) -> None:
    have = _size(part)
    headers = {"User-Agent": f"recrun/{__version__}", **({"Range": f"bytes={have}-"} if have else {})}
    opener = urllib.request.build_opener(_Redirects)
    with _explained(url, limits, part):
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=limits.timeout)
    with response:
        is_continued = bool(have) and response.status == 206
        if not is_continued and response.status != 200:
            raise DownloadError(f"{url}: the server answers {response.status} {response.reason}")
        if is_continued and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise _Interrupted("the server sent another part of the file than requested")
        have = have if is_continued else 0
        total = None if response.length is None else have + response.length
        if (total or 0) > limits.max_bytes:
            raise _too_large(url, limits)
        with part.open("ab" if is_continued else "wb") as file:
            while block := _read(url, response, limits, part):
                have += len(block)
                if have > limits.max_bytes:
                    raise _too_large(url, limits)
                file.write(block)
                if progress is not None:
                    progress(have, total)
    if total is not None and have < total:
        raise _Interrupted(f"the connection was closed after {have:,} of {total:,} bytes")


def _read(url: str, response: http.client.HTTPResponse, limits: Limits, part: Path) -> bytes:
    # Only reading is explained as a failure of the network: an error of writing is one of the disk.
    with _explained(url, limits, part):
        return response.read1(_BLOCK)


@contextmanager
def _explained(url: str, limits: Limits, part: Path) -> Iterator[None]:
    """Turn a failure of the network or the server into _Interrupted if it may be temporary, else DownloadError."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and _size(part):
            part.unlink()
            raise _Interrupted("the server cannot continue what was kept") from error
        answer = f"the server answers {error.code} {' '.join(str(error.reason).split())}"
        raise _Interrupted(answer) if error.code in _TEMPORARY else DownloadError(f"{url}: {answer}") from error
    except (http.client.InvalidURL, ValueError) as error:
        raise DownloadError(f"{url}: not a valid URL ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(f"{url}: the server's certificate is not valid ({reason.verify_message})") from error
        if isinstance(reason, TimeoutError):
            raise _Interrupted(f"no data for {limits.timeout:g} seconds") from error
        raise _Interrupted(f"the connection failed ({reason or type(reason).__name__})") from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        check_url(newurl, redirected_from=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_url(url: str, redirected_from: str = "") -> None:
    """Refuse what is neither http nor https, and a redirect from https to http.

    Raises:
        DownloadError: the URL is refused.
    """
    where = f"{redirected_from} redirects to {url}" if redirected_from else url
    if not url.lower().startswith(("http://", "https://")):
        raise DownloadError(f"{where}: only http and https are downloaded")
    if url.lower().startswith("http:") and redirected_from.lower().startswith("https:"):
        raise DownloadError(f"{where}: from https to http is refused")


def _too_large(url: str, limits: Limits) -> DownloadError:
    return DownloadError(f"{url}: the file is larger than {limits.max_bytes:,} bytes")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
