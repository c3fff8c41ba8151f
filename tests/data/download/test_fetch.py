"""Fetching data sets from a server on this machine."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recrun.data.datasets.source_files import SourceFile, find_file
from recrun.data.download.fetch import Fetched, fetch
from recrun.data.download.http import Limits
from recrun.errors import DataError, DownloadError, RegistryError
from recrun.registry import DATASETS

from .loopback import LoopbackServer, claim, drop_after, instead, loopback_server, serve, status, truncate

TRAIN = "".join(f"{u} " + " ".join(str((u + i) % 40) for i in range(20)) + "\n" for u in range(40)).encode() * 50
TEST = "".join(f"{u} {(u + 25) % 40}\n" for u in range(40)).encode()
QUICK = Limits(timeout=0.5, attempts=2, pause=0.01, max_bytes=10 << 20)
CODE = """
from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import Preparation
from recrun.data.datasets.source_files import SourceFile
from recrun.data.formats.table import Layout
from recrun.data.formats.integer_lines import read_lightgcn

class Mine(RecDataSet):
    "Mine."
    folders = ("mine",)
    terms = "Be kind."
    downloads = {downloads!r}
    def __init__(self, root=".", *, valid_ratio: float = 0.1):
        super().__init__(root, Preparation(valid_ratio=valid_ratio))
    def read(self, files):
        return {{part: read_lightgcn(files[part + ".txt"], Layout()) for part in ("train", "test")}}
"""

Fetch = Callable[..., Fetched]


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with loopback_server() as running:
        running.contents |= {"/train.txt": TRAIN, "/test.txt": TEST}
        yield running


@pytest.fixture
def mine(server: LoopbackServer, tmp_path: Path) -> Fetch:
    """Fetch a data set of one's own, made of the files given, else of train.txt and test.txt."""
    n_sets = 0

    def run(*files: SourceFile, limits: Limits = QUICK) -> Fetched:
        nonlocal n_sets
        n_sets += 1
        files = files or (
            SourceFile("train.txt", f"{server.url}/train.txt", sha256(TRAIN)),
            SourceFile("test.txt", f"{server.url}/test.txt", "md5:" + hashlib.md5(TEST).hexdigest()),
        )
        path = tmp_path / f"mine{n_sets}.py"
        path.write_text(CODE.format(downloads=tuple(files)))
        return fetch(f"{path}:Mine", tmp_path / "sets", limits=limits)

    return run


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_file_is_fetched_verified_and_then_left_alone(
    mine: Fetch, server: LoopbackServer, tmp_path: Path
) -> None:
    fetched = mine()
    assert fetched.folder == tmp_path / "sets" / "mine"
    assert [(file.name, file.status, file.is_verified) for file in fetched.files] == [
        ("train.txt", "downloaded", True),
        ("test.txt", "downloaded", True),
    ]
    assert fetched.files[0].sha256 == hashlib.sha256(TRAIN).hexdigest()
    assert fetched.terms == "Be kind."
    assert listing(tmp_path / "sets") == ["mine/test.txt", "mine/train.txt"]
    n_requests = len(server.requests)
    assert [file.status for file in mine().files] == ["present", "present"]
    assert len(server.requests) == n_requests


def test_what_was_fetched_trains(mine: Fetch, tmp_path: Path) -> None:
    mine()
    data = DATASETS.get(f"{tmp_path}/mine1.py:Mine")(tmp_path / "sets")
    assert (data.n_users, data.n_items, data.notes[:0]) == (40, 40, [])


def test_a_broken_download_leaves_a_part_that_no_data_set_reads_and_the_next_goes_on(
    mine: Fetch, server: LoopbackServer, tmp_path: Path
) -> None:
    server.plans["/train.txt"] = [drop_after(1000), drop_after(1000), serve]
    with pytest.raises(DownloadError, match="2,000 bytes are kept, and the next fetch continues from there"):
        mine()
    assert listing(tmp_path / "sets") == ["mine/train.txt.part"]
    with pytest.raises(DataError, match=r"Mine is not at root=.*(?s:.*)recrun data fetch Mine"):
        DATASETS.get(f"{tmp_path}/mine1.py:Mine")(tmp_path / "sets")
    mine()
    assert ("/train.txt", 2000) in server.requests
    assert (tmp_path / "sets" / "mine" / "train.txt").read_bytes() == TRAIN
    assert find_file(tmp_path / "sets" / "mine" / "train.txt.part") is None


def test_a_part_of_something_else_is_found_out_and_thrown_away(
    mine: Fetch, server: LoopbackServer, tmp_path: Path
) -> None:
    (tmp_path / "sets" / "mine").mkdir(parents=True)
    (tmp_path / "sets" / "mine" / "train.txt.part").write_bytes(b"x" * 500)
    mine()
    assert (tmp_path / "sets" / "mine" / "train.txt").read_bytes() == TRAIN
    assert [start for path, start in server.requests if path == "/train.txt"] == [500, 0]


@pytest.mark.parametrize("bad", [instead(b"<html>Not here.</html>"), truncate(1000), claim(1000), instead(b"")])
def test_other_content_never_gets_the_name(mine: Fetch, server: LoopbackServer, tmp_path: Path, bad: object) -> None:
    server.plans["/train.txt"] = [bad]  # type: ignore[list-item]
    with pytest.raises(
        DownloadError, match=r"its content is not train\.txt \(sha256 .*, expected .*\), and was deleted"
    ):
        mine()
    assert listing(tmp_path / "sets") == []


def test_a_mirror_helps_out(mine: Fetch, server: LoopbackServer) -> None:
    file = SourceFile("train.txt", f"{server.url}/gone.txt", sha256(TRAIN), mirrors=(f"{server.url}/train.txt",))
    assert mine(file).files[0].url == f"{server.url}/train.txt"
    server.plans["/train.txt"] = [status(410)]
    with pytest.raises(
        DownloadError, match=r"404 Not Found; .*410 Gone; try again later, or place by hand: .*/sets/mine/x\.txt$"
    ):
        mine(SourceFile("x.txt", f"{server.url}/gone.txt", sha256(b"x"), mirrors=(f"{server.url}/train.txt",)))


def test_a_file_that_is_there_and_is_another_is_not_touched(mine: Fetch, tmp_path: Path) -> None:
    path = tmp_path / "sets" / "mine" / "train.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"0 1 2\n")
    with pytest.raises(DataError, match=r"train\.txt is not the published file of .*; move it away and fetch again"):
        mine()
    assert path.read_bytes() == b"0 1 2\n"


def test_a_file_that_is_there_with_other_line_ends_is_left_alone(mine: Fetch, tmp_path: Path) -> None:
    path = tmp_path / "sets" / "mine" / "train.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(TRAIN.replace(b"\n", b"\r\n"))
    assert mine().files[0].status == "present"
    assert path.read_bytes() == TRAIN.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("folder", ["Mine", "mine", "."])
def test_files_at_any_usual_place_count_as_present_even_compressed(
    mine: Fetch, server: LoopbackServer, tmp_path: Path, folder: str
) -> None:
    place = tmp_path / "sets" / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "train.txt.gz").write_bytes(gzip.compress(TRAIN))
    (place / "test.txt").write_bytes(TEST)
    assert [file.status for file in mine().files] == ["present", "present"]
    assert server.requests == []


def test_a_compressed_file_keeps_its_ending_and_is_verified_inside(mine: Fetch, server: LoopbackServer) -> None:
    server.contents["/train.txt.gz"] = gzip.compress(TRAIN)
    fetched = mine(SourceFile("train.txt", f"{server.url}/train.txt.gz", sha256(TRAIN)))
    assert fetched.files[0].path == fetched.folder / "train.txt.gz"
    server.contents["/other.txt.gz"] = gzip.compress(TRAIN)[:-20]
    with pytest.raises(DownloadError, match=r"other\.txt cannot be read .*damaged or cut short"):
        mine(SourceFile("other.txt", f"{server.url}/other.txt.gz", sha256(TRAIN)))


def zipped(**entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return stream.getvalue()


def members(server: LoopbackServer, archive: str, *extra: SourceFile) -> tuple[SourceFile, ...]:
    url = f"{server.url}/{archive}"
    return (
        SourceFile("train.txt", url, sha256(TRAIN), member="set/train.txt"),
        SourceFile("test.txt", url, sha256(TEST), member="set/test.txt"),
        SourceFile("README", url, optional=True, member="set/README"),
        *extra,
    )


def test_an_archive_is_downloaded_once_and_only_what_is_wanted_is_left(
    mine: Fetch, server: LoopbackServer, tmp_path: Path
) -> None:
    server.contents["/set.zip"] = zipped(set__train_txt=TRAIN, set__test_txt=TEST, set__more_txt=b"more")
    fetched = mine(*members(server, "set.zip"))
    assert [file.status for file in fetched.files] == ["downloaded", "downloaded", "missing"]
    assert fetched.notes == ["not downloaded, but optional: README"]
    assert listing(tmp_path / "sets") == ["mine/test.txt", "mine/train.txt"]
    assert server.requests == [("/set.zip", 0)]


def test_a_tar_archive_does_as_well(mine: Fetch, server: LoopbackServer) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in (("set/train.txt", TRAIN), ("set/test.txt", TEST), ("set/README", b"Read me.")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    server.contents["/set.tar.gz"] = stream.getvalue()
    server.plans["/set.tar.gz"] = [drop_after(300), serve]
    fetched = mine(*members(server, "set.tar.gz"))
    assert {file.status for file in fetched.files} == {"downloaded"}
    assert ("/set.tar.gz", 300) in server.requests


def test_an_archive_with_other_content_leaves_nothing(mine: Fetch, server: LoopbackServer, tmp_path: Path) -> None:
    server.contents["/set.zip"] = zipped(set__train_txt=TRAIN + b"1 2\n", set__test_txt=TEST)
    with pytest.raises(DownloadError, match=r"its content is not train\.txt"):
        mine(*members(server, "set.zip"))
    assert listing(tmp_path / "sets") == []
    server.contents["/set.zip"] = zipped(set__test_txt=TEST)
    with pytest.raises(DownloadError, match=r"the archive does not contain set/train\.txt"):
        mine(*members(server, "set.zip"))
    assert listing(tmp_path / "sets") == []


def test_a_hostile_archive_writes_nothing_but_the_files_of_the_data_set(
    mine: Fetch, server: LoopbackServer, tmp_path: Path
) -> None:
    server.contents["/set.zip"] = zipped(set__train_txt=TRAIN, set__test_txt=TEST, **{"../../../evil_txt": b"evil"})
    mine(*members(server, "set.zip"))
    assert listing(tmp_path) == ["mine1.py", "sets/mine/test.txt", "sets/mine/train.txt"]


def test_an_archive_that_holds_too_much_is_refused(mine: Fetch, server: LoopbackServer, tmp_path: Path) -> None:
    server.contents["/set.zip"] = zipped(set__train_txt=bytes(20 << 20), set__test_txt=TEST)
    with pytest.raises(DownloadError, match=r"'set/train\.txt' holds more than 10,485,760 bytes"):
        mine(*members(server, "set.zip"))
    assert listing(tmp_path / "sets") == []


def test_what_is_optional_may_fail(mine: Fetch, server: LoopbackServer) -> None:
    fetched = mine(
        SourceFile("train.txt", f"{server.url}/train.txt", sha256(TRAIN)),
        SourceFile("user_list.txt", f"{server.url}/user_list.txt", optional=True),
    )
    assert [(file.name, file.status) for file in fetched.files] == [
        ("train.txt", "downloaded"),
        ("user_list.txt", "missing"),
    ]
    assert "404 Not Found" in fetched.notes[0]


def test_without_a_checksum_nothing_that_is_there_is_gone_on_with(
    mine: Fetch, server: LoopbackServer, tmp_path: Path
) -> None:
    (tmp_path / "sets" / "mine").mkdir(parents=True)
    (tmp_path / "sets" / "mine" / "test.txt.part").write_bytes(b"x")
    fetched = mine(SourceFile("test.txt", f"{server.url}/test.txt"))
    assert server.requests == [("/test.txt", 0)]
    assert [(file.is_verified, file.sha256) for file in fetched.files] == [(False, hashlib.sha256(TEST).hexdigest())]


def test_a_second_process_is_refused(mine: Fetch, tmp_path: Path) -> None:
    folder = tmp_path / "sets" / "mine"
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process is fetching into"):
            mine()
    finally:
        os.close(descriptor)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_said_at_once(mine: Fetch, server: LoopbackServer, tmp_path: Path) -> None:
    (tmp_path / "sets" / "mine").mkdir(parents=True)
    (tmp_path / "sets" / "mine" / "train.txt.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"sets/mine: cannot be written \(No space left on device\)$"):
        mine()
    assert len(server.requests) == 1


def test_a_folder_that_cannot_be_written_is_said(mine: Fetch, tmp_path: Path) -> None:
    (tmp_path / "sets").write_text("a file")
    with pytest.raises(DownloadError, match=r"sets.*: cannot be written"):
        mine()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("Synthetic", DataError, "names no files that could be downloaded"),
        ("File", DataError, "names no files that could be downloaded"),
        ("Gowala_m1", RegistryError, "did you mean 'Gowalla_m1'"),
    ],
)
def test_what_cannot_be_fetched_says_why(tmp_path: Path, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fetch(name, tmp_path)


def test_a_set_without_an_address_says_where_to_get_it(mine: Fetch, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"get train\.txt \(https://example\.org/terms\) and put it into .*/sets/mine$"):
        mine(SourceFile("train.txt", page="https://example.org/terms"))
    assert not (tmp_path / "sets").exists()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd"])
def test_an_address_of_another_kind_is_refused(mine: Fetch, url: str) -> None:
    with pytest.raises(DownloadError, match="only http and https are downloaded"):
        mine(SourceFile("train.txt", url, sha256(TRAIN)))


def test_every_data_set_with_files_names_an_https_address_and_a_checksum_for_each() -> None:
    for component in DATASETS:
        for file in DATASETS.get(component.name).downloads:
            assert all(url.startswith("https://") for url in (file.url, *file.mirrors)), file
            assert file.optional or file.checksum, file


def test_the_shared_data_are_the_published_files(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Gowalla_m1", "LastFM", "MovieLens100K", "MovieLensLatestSmall", "Beauty", "MovieLens1M"):
        assert {file.status for file in fetch(name, shared_data).files} == {"present"}
