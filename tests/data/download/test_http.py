"""One URL to one file, from servers that drop, stall, lie, and send elsewhere."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from recrun.data.download.http import Limits, check_url, download
from recrun.errors import DownloadError

from .loopback import (
    LoopbackServer,
    claim,
    drop_after,
    ignore_range,
    instead,
    loopback_server,
    other_range,
    redirect,
    serve,
    stall_after,
    status,
    truncate,
)

CONTENT = random.Random(0).randbytes(200_000)
QUICK = Limits(timeout=0.3, attempts=3, pause=0.01, max_bytes=1 << 20)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with loopback_server() as running:
        running.contents["/file"] = CONTENT
        yield running


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.part"


def test_a_good_server_is_asked_once(server: LoopbackServer, part: Path) -> None:
    told: list[tuple[int, int | None]] = []
    download(f"{server.url}/file", part, QUICK, lambda done, total: told.append((done, total)))
    assert part.read_bytes() == CONTENT
    assert server.requests == [("/file", 0)]
    assert told[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("bad", [drop_after(70_000), drop_after(0), stall_after(70_000), status(503), status(429)])
def test_what_breaks_off_goes_on_where_it_stopped(server: LoopbackServer, part: Path, bad: object) -> None:
    server.plans["/file"] = [bad, serve]  # type: ignore[list-item]
    download(f"{server.url}/file", part, QUICK)
    assert part.read_bytes() == CONTENT
    assert [start for _, start in server.requests] in ([0, 70_000], [0, 0])


def test_a_next_process_goes_on_with_what_is_there(server: LoopbackServer, part: Path) -> None:
    part.write_bytes(CONTENT[:150_000])
    download(f"{server.url}/file", part, QUICK)
    assert part.read_bytes() == CONTENT
    assert server.requests == [("/file", 150_000)]


def test_a_server_without_ranges_sends_everything_anew(server: LoopbackServer, part: Path) -> None:
    server.plans["/file"] = [drop_after(70_000), ignore_range]
    download(f"{server.url}/file", part, QUICK)
    assert part.read_bytes() == CONTENT


def test_a_server_that_sends_another_part_is_asked_for_the_whole(server: LoopbackServer, part: Path) -> None:
    server.plans["/file"] = [drop_after(70_000), other_range, serve]
    download(f"{server.url}/file", part, QUICK)
    assert part.read_bytes() == CONTENT
    assert [start for _, start in server.requests] == [0, 70_000, 0]


def test_what_is_longer_than_the_file_is_thrown_away(server: LoopbackServer, part: Path) -> None:
    part.write_bytes(bytes(len(CONTENT) + 1))
    download(f"{server.url}/file", part, QUICK)
    assert part.read_bytes() == CONTENT


def test_a_server_that_says_too_much_is_believed_until_it_fails(server: LoopbackServer, part: Path) -> None:
    server.plans["/file"] = [claim(len(CONTENT) + 50)]
    with pytest.raises(DownloadError, match=r"the connection was closed after 200,000 of 200,050 bytes \(3 attempts\)"):
        download(f"{server.url}/file", part, QUICK)


def test_a_server_that_says_too_little_leaves_a_short_file(server: LoopbackServer, part: Path) -> None:
    server.plans["/file"] = [claim(1000)]
    download(f"{server.url}/file", part, QUICK)
    assert part.read_bytes() == CONTENT[:1000]


def test_an_end_that_nobody_announced_cannot_be_told_from_the_end(server: LoopbackServer, part: Path) -> None:
    server.plans["/file"] = [truncate(1000)]
    download(f"{server.url}/file", part, QUICK)
    assert part.read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (stall_after(10), r"no data for 0\.3 seconds \(3 attempts\); 30 bytes are kept"),
        (stall_after(0), r"no data for 0\.3 seconds \(3 attempts\)$"),
        (status(500), r"the server answers 500 Internal Server Error \(3 attempts\)"),
        (status(404), r"the server answers 404 Not Found$"),
        (status(403), r"the server answers 403 Forbidden$"),
        (status(204), r"the server answers 204 No Content$"),
        (claim(1 << 40), r"the file is larger than 1,048,576 bytes"),
        (redirect("file:///etc/passwd"), r"302 Found - Redirection to url 'file:///etc/passwd' is not allowed$"),
        (redirect("ftp://127.0.0.1/x"), r"redirects to ftp://127.0.0.1/x: only http and https"),
        (redirect("data:text/plain,hello", 307), r"307 .* Redirection to url 'data:text/plain,hello' is not allowed$"),
        (redirect("/file"), r"the server answers 302"),
    ],
)
def test_what_cannot_work_ends_with_the_reason(server: LoopbackServer, part: Path, bad: object, message: str) -> None:
    server.plans["/file"] = [bad]  # type: ignore[list-item]
    with pytest.raises(DownloadError, match=message):
        download(f"{server.url}/file", part, QUICK)


def test_more_than_the_bound_is_not_written(server: LoopbackServer, part: Path) -> None:
    server.plans["/file"] = [truncate(len(CONTENT))]
    with pytest.raises(DownloadError, match="the file is larger than 1,000 bytes"):
        download(f"{server.url}/file", part, Limits(max_bytes=1000))
    assert part.stat().st_size <= 1000


def test_a_redirect_to_another_place_is_followed(server: LoopbackServer, part: Path) -> None:
    server.contents["/old"] = b""
    server.plans["/old"] = [redirect("/file")]
    download(f"{server.url}/old", part, QUICK)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("url", "origin", "message"),
    [
        ("file:///etc/passwd", "", "only http and https"),
        ("ftp://example.org/x", "", "only http and https"),
        ("/etc/passwd", "", "only http and https"),
        ("http://example.org/x", "https://example.org/x", "from https to http is refused"),
    ],
)
def test_only_http_and_https_are_downloaded(url: str, origin: str, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        check_url(url, origin)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:notaport/x", "http://127.0.0.1/a b", "http://" + "a" * 70 + "/", "http://", "http://[::1"]
)
def test_what_is_no_url_is_refused(part: Path, url: str) -> None:
    with pytest.raises(DownloadError):
        download(url, part, Limits(attempts=1, timeout=1))


def test_nobody_there_is_tried_again_and_then_said(part: Path) -> None:
    with loopback_server() as server:
        url = server.url
    with pytest.raises(DownloadError, match=r"the connection failed \(.*refused.*\) \(2 attempts\)$"):
        download(f"{url}/file", part, Limits(attempts=2, pause=0.01))


def test_a_file_that_cannot_be_written_is_no_reason_to_try_again(server: LoopbackServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        download(f"{server.url}/file", tmp_path / "nowhere" / "file.part", QUICK)
    assert len(server.requests) == 1


def test_the_proxy_of_the_environment_is_used(
    server: LoopbackServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    server.contents["http://data.example.org/file"] = CONTENT
    download("http://data.example.org/file", part, QUICK)
    assert part.read_bytes() == CONTENT


def test_something_else_is_downloaded_as_it_is(server: LoopbackServer, part: Path) -> None:
    server.plans["/file"] = [instead(b"<html>")]
    download(f"{server.url}/file", part, QUICK)
    assert part.read_bytes() == b"<html>"
