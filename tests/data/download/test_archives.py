"""Archives that hold what they should, and archives that want something else."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from recrun.data.download.archives import unpack
from recrun.errors import DownloadError

LIMIT = 1 << 20


def make_zip(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def make_tar(path: Path, *entries: tuple[str | tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in entries:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_the_members_wanted_go_to_the_files_named(tmp_path: Path, kind: str) -> None:
    entries = (("set/a.txt", b"one"), ("set/b.txt", b"two" * 100_000), ("set/c.txt", b"three"))
    path = tmp_path / "archive"
    if kind == "zip":
        make_zip(path, *entries)
    else:
        make_tar(path, *entries, mode=f"w:{kind.partition('.')[2]}")
    wanted = {"set/b.txt": tmp_path / "out", "set/a.txt": tmp_path / "a", "set/none.txt": tmp_path / "none"}
    assert sorted(unpack(path, wanted, max_bytes=LIMIT)) == ["set/a.txt", "set/b.txt"]
    assert (tmp_path / "out").read_bytes() == b"two" * 100_000
    assert files_below(tmp_path) == ["a", "archive", "out"]


NAMES_OUTSIDE = ["../evil.txt", "a/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt", "C:evil.txt"]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_names_and_links_in_an_archive_never_decide_where_anything_is_written(
    tmp_path: Path, make: Callable[..., Path]
) -> None:
    link = zip_link("link") if make is make_zip else special("link", tarfile.SYMTYPE, "..")
    path = tmp_path / "deep" / "archive"
    path.parent.mkdir()
    evil = [(name, b"evil") for name in (*NAMES_OUTSIDE, "link/evil.txt")]
    make(path, (link, b".."), *evil, ("good.txt", b"good"))
    assert unpack(path, {"good.txt": tmp_path / "deep" / "good.txt"}, max_bytes=LIMIT) == ["good.txt"]
    assert files_below(tmp_path) == ["deep", "deep/archive", "deep/good.txt"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = make_tar(tmp_path / "archive", (special("good.txt", kind), b""), ("good.txt", b"good"))
    with pytest.raises(DownloadError, match=r"its member 'good\.txt' is encrypted or not a regular file"):
        unpack(path, {"good.txt": tmp_path / "good.txt"}, max_bytes=LIMIT)
    assert files_below(tmp_path) == ["archive"]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "archive", (zip_link("good.txt"), b"/etc/passwd"))
    with pytest.raises(DownloadError, match=r"its member 'good\.txt' is encrypted or not a regular file"):
        unpack(path, {"good.txt": tmp_path / "good.txt"}, max_bytes=LIMIT)


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_bomb_is_not_written_beyond_the_bound(tmp_path: Path, make: Callable[..., Path]) -> None:
    path = make(tmp_path / "archive", ("zeros", bytes(50 << 20)))
    assert path.stat().st_size < 100_000
    with pytest.raises(DownloadError, match="'zeros' holds more than 1,048,576 bytes"):
        unpack(path, {"zeros": tmp_path / "zeros"}, max_bytes=LIMIT)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2 * LIMIT


def test_a_zip_that_lies_about_a_size_is_not_believed(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "archive", ("zeros", bytes(5 << 20)))
    content = path.read_bytes().replace((5 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(DownloadError, match="archive"):
        unpack(path, {"zeros": tmp_path / "zeros"}, max_bytes=LIMIT)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2 * LIMIT


def test_what_a_tar_says_about_a_member_is_bounded_too(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    header = info.tobuf(format=tarfile.USTAR_FORMAT)
    (tmp_path / "archive").write_bytes(gzip.compress(header + bytes(1 << 20)))
    with pytest.raises(DownloadError, match="a header holds more than 1,048,576 bytes"):
        unpack(tmp_path / "archive", {}, max_bytes=LIMIT)


@pytest.mark.parametrize(
    ("make", "damage"),
    # A flipped byte in a tar may only show in the content, whose checksum tells.
    [(make_zip, "flipped"), *((make, damage) for make in (make_zip, make_tar) for damage in ("empty", "text", "cut"))],
)
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, make: Callable[..., Path], damage: str) -> None:
    content = make(tmp_path / "archive", ("good.txt", bytes(range(256)) * 400)).read_bytes()
    middle = len(content) // 2
    spoiled = {
        "empty": b"",
        "text": b"<html>not here</html>" * 100,
        "cut": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
    }
    (tmp_path / "archive").write_bytes(spoiled[damage])
    with pytest.raises(DownloadError, match=r"archive: not a zip or tar archive, or damaged"):
        unpack(tmp_path / "archive", {"good.txt": tmp_path / "good.txt"}, max_bytes=LIMIT)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "archive", ("good.txt", b"good"))
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DownloadError, match=r"its member 'good\.txt' is encrypted or not a regular file"):
        unpack(path, {"good.txt": tmp_path / "good.txt"}, max_bytes=LIMIT)


def test_a_target_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "archive", ("good.txt", b"good"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        unpack(path, {"good.txt": tmp_path / "nowhere" / "good.txt"}, max_bytes=LIMIT)


def test_empty_members_without_end_count_as_well(tmp_path: Path) -> None:
    entries = tuple((f"{number}", b"") for number in range(3000))
    archive = make_tar(tmp_path / "archive", *entries)
    with pytest.raises(DownloadError, match="holds more than 1,048,576 bytes"):
        unpack(archive, {"x": tmp_path / "x"}, max_bytes=LIMIT)


def test_long_names_within_long_names_are_damage(tmp_path: Path) -> None:
    header = special("long", tarfile.GNUTYPE_LONGNAME, "")
    header.size = 1
    block = header.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(tarfile.BLOCKSIZE, b"\0")
    (tmp_path / "archive").write_bytes(gzip.compress(block * 3000))
    with pytest.raises(DownloadError, match="not a zip or tar archive, or damaged"):
        unpack(tmp_path / "archive", {"x": tmp_path / "x"}, max_bytes=LIMIT)


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_of_one_name_the_last_one_counts(tmp_path: Path, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / "archive", ("x", b"the first, and longer"), ("x", b"the last"))
    assert set(unpack(archive, {"x": tmp_path / "x"}, max_bytes=LIMIT)) == {"x"}
    assert (tmp_path / "x").read_bytes() == b"the last"
