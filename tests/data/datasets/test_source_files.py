"""The content of files against their published checksums."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from pathlib import Path

import pytest

from recrun.data.datasets import source_files
from recrun.data.datasets.lightgcn import Gowalla_m1
from recrun.data.datasets.source_files import SourceFile, check_content, differs_in_line_ends
from recrun.data.formats.opening import BLOCK

PUBLISHED = b"0 1 2\n1 3\n\n2 4 5\n"
OTHER_LINE_ENDS = {
    "crlf": PUBLISHED.replace(b"\n", b"\r\n"),
    "crlf without the last": PUBLISHED.replace(b"\n", b"\r\n")[:-2],
    "without the last": PUBLISHED[:-1],
    "a last one more": PUBLISHED + b"\n",
    "crlf and a last one more": (PUBLISHED + b"\n").replace(b"\n", b"\r\n"),
    "one line with crlf": PUBLISHED.replace(b"1 3\n", b"1 3\r\n"),
    "all but one with crlf": PUBLISHED.replace(b"\n", b"\r\n").replace(b"1 3\r\n", b"1 3\n"),
}
OTHER_CONTENT = {
    "empty": b"",
    "only a line end": b"\n",
    "another number": PUBLISHED.replace(b"5", b"6"),
    "another number and crlf": PUBLISHED.replace(b"5", b"6").replace(b"\n", b"\r\n"),
    "a line less": PUBLISHED[: -len(b"2 4 5\n")],
    "the empty line left out": PUBLISHED.replace(b"\n\n", b"\n"),
    "two empty lines more": PUBLISHED + b"\n\n",
    "two empty lines more and crlf": (PUBLISHED + b"\n\n").replace(b"\n", b"\r\n"),
    "cr alone": PUBLISHED.replace(b"\n", b"\r"),
    "cr twice": PUBLISHED.replace(b"\n", b"\r\r\n"),
    "cr at the end": PUBLISHED[:-1] + b"\r",
    "lf before cr": PUBLISHED.replace(b"\n", b"\n\r"),
    "a blank at the end of a line": PUBLISHED.replace(b"1 3\n", b"1 3 \n"),
    "a mark of the byte order": b"\xef\xbb\xbf" + PUBLISHED,
    "cut short": PUBLISHED[:-2],
    "utf-16": PUBLISHED.decode().encode("utf-16"),
}


def _checksum(kind: str, content: bytes) -> str:
    return f"{kind}:{hashlib.new(kind, content).hexdigest()}"


def _notes(folder: Path, content: bytes, checksum: str, ending: str = "") -> list[str]:
    path = folder / f"train.txt{ending}"
    path.write_bytes(gzip.compress(content) if ending else content)
    hashes, notes = check_content("Mine", [SourceFile("train.txt", checksum=checksum)], {"train.txt": path})
    assert hashes == {"train.txt": hashlib.sha256(content).hexdigest()}
    return notes


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("kind", ["sha256", "md5"])
@pytest.mark.parametrize("content", OTHER_LINE_ENDS.values(), ids=OTHER_LINE_ENDS)
def test_other_line_ends_have_a_note_of_their_own(tmp_path: Path, content: bytes, kind: str, ending: str) -> None:
    checksum = _checksum(kind, PUBLISHED)
    found = _checksum(kind, content).replace(":", " ")
    assert _notes(tmp_path, content, checksum, ending) == [
        f"{tmp_path}/train.txt{ending} is the published file of Mine but for its line ends, so the interactions are "
        f"the same ({found}, expected {checksum.partition(':')[2]})"
    ]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
@pytest.mark.parametrize("content", OTHER_CONTENT.values(), ids=OTHER_CONTENT)
def test_other_content_is_not_the_published_file(tmp_path: Path, content: bytes, kind: str) -> None:
    (note,) = _notes(tmp_path, content, _checksum(kind, PUBLISHED))
    assert "train.txt is not the published file of Mine, so results may not compare with published ones (" in note


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_file_published_with_crlf_may_have_lost_it(tmp_path: Path, kind: str) -> None:
    published = PUBLISHED.replace(b"\n", b"\r\n")
    for content in (PUBLISHED, PUBLISHED[:-1], published[:-2]):
        (note,) = _notes(tmp_path, content, _checksum(kind, published))
        assert "but for its line ends" in note
    (note,) = _notes(tmp_path, PUBLISHED.replace(b"1", b"7"), _checksum(kind, published))
    assert "is not the published file" in note


@pytest.mark.parametrize("checksum", ["", *(_checksum(kind, PUBLISHED) for kind in ("sha256", "md5"))])
def test_a_good_file_is_read_once(tmp_path: Path, checksum: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    original = source_files.open_binary
    monkeypatch.setattr(source_files, "open_binary", lambda path: opened.append(path) or original(path))
    assert _notes(tmp_path, PUBLISHED, checksum.upper().replace("SHA256", "sha256").replace("MD5", "md5")) == []
    assert opened == []


@pytest.mark.parametrize("shift", [-2, -1, 0, 1])
def test_a_line_end_between_two_blocks_counts_as_one(tmp_path: Path, shift: int) -> None:
    first = b"1" * (BLOCK + shift)
    content = b"\r\n".join([first, b"2" * (BLOCK - 2), b"3", b""])
    (tmp_path / "a").write_bytes(content)
    for published in (content.replace(b"\r\n", b"\n"), content.replace(b"\r\n", b"\n")[:-1]):
        assert differs_in_line_ends(tmp_path / "a", _checksum("sha256", published))
    assert not differs_in_line_ends(tmp_path / "a", _checksum("sha256", content.replace(b"\r\n", b"")))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345 6789\r\n" * (3 * BLOCK))
    tracemalloc.start()
    assert not differs_in_line_ends(path, _checksum("md5", b"x"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * BLOCK


def test_a_data_set_with_other_line_ends_is_the_same_data(tmp_path: Path) -> None:
    train, test = b"".join(b"%d %d 2 3 4 5 6\n" % (user, user % 2) for user in range(9)), b"0 1\n8 1\n"

    class Mine(Gowalla_m1):
        folders = ("mine",)
        published = {}  # noqa: RUF012
        downloads = tuple(
            SourceFile(name, checksum=_checksum("sha256", content))
            for name, content in (("train.txt", train), ("test.txt", test))
        )

    data = {}
    for name, end in (("unix", b"\n"), ("windows", b"\r\n")):
        (tmp_path / name / "mine").mkdir(parents=True)
        (tmp_path / name / "mine" / "train.txt").write_bytes(train.replace(b"\n", end))
        (tmp_path / name / "mine" / "test.txt").write_bytes(test.replace(b"\n", end))
        data[name] = Mine(tmp_path / name)
    assert data["unix"].hashes["split"] == data["windows"].hashes["split"]
    assert data["unix"].notes == []
    assert ["but for its line ends" in note for note in data["windows"].notes] == [True, True]
