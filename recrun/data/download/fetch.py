"""Download the files of a data set, and verify each before it gets its name.

An incomplete file is called `<name>.part`, which no data set reads. The next fetch continues it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.source_files import SourceFile, compare_content, differs_in_line_ends, find_file
from recrun.data.download.archives import unpack
from recrun.data.download.http import Limits, download
from recrun.errors import DataError, DownloadError
from recrun.files import HeldError, hold
from recrun.registry import DATASETS

PART: Final = ".part"
"""The ending of a file that is incomplete or not verified."""

Watch = Callable[[str, int, int | None], None]
"""Called with the name of a download, the bytes received, and the size of the file if it is known."""


@dataclass(frozen=True)
class FetchedFile:
    """One file of a data set after fetching.

    Args:
        name: its name in the data set.
        path: where it is; None when it is optional and could not be downloaded.
        status: "present", "downloaded" or "missing".
        sha256: of its decompressed content.
        is_verified: whether that content has the published checksum.
        url: where it was, or would be, downloaded from.
    """

    name: str
    path: Path | None
    status: str
    sha256: str | None
    is_verified: bool
    url: str


@dataclass
class Fetched:
    """What `fetch` did.

    Args:
        dataset: the data set.
        folder: where its files are.
        files: all of them.
        notes: what a user should know.
        terms: what the publishers of the data ask of its users.
    """

    dataset: str
    folder: Path
    files: list[FetchedFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    terms: str = ""

    def document(self) -> dict[str, Any]:
        """Return everything in types that JSON has."""
        files = [{**vars(file), "path": None if file.path is None else str(file.path)} for file in self.files]
        return {**vars(self), "folder": str(self.folder), "files": files}


def fetch(dataset: str, root: str | Path = ".", *, limits: Limits | None = None, watch: Watch | None = None) -> Fetched:
    """Download the files of a data set, except those that are there already.

    Args:
        dataset: a registered name, or `./file.py:Name`.
        root: the folder of data sets; the files go into the data set's own folder in it.
        limits: bounds on the time and size of each download.
        watch: called with the progress of each download.

    Raises:
        RegistryError: there is no such data set.
        DataError: it cannot be downloaded, or a file that is there is not the published one.
        DownloadError: a file could not be downloaded or written.
    """
    kind: type[RecDataSet] = DATASETS.get(dataset)
    folder = _folder(kind, Path(root).expanduser())
    _require_urls(kind, dataset, folder)
    files = {file.name: FetchedFile(file.name, None, "missing", None, False, file.url) for file in kind.downloads}
    notes = []
    with _locked(folder):
        groups: dict[str, list[SourceFile]] = {}
        for file in kind.downloads:
            if path := find_file(folder / file.name):
                files[file.name] = _present(file, path, dataset)
            elif file.url:
                groups.setdefault(file.url, []).append(file)
        for group in groups.values():
            try:
                files |= {file.name: file for file in _get(group, folder, limits or Limits(), watch)}
            except DownloadError as error:
                if not all(file.optional for file in group):
                    raise
                notes.append(str(error))
    if missing := [file.name for file in files.values() if file.path is None]:
        notes.append(f"not downloaded, but optional: {', '.join(missing)}")
    return Fetched(dataset, folder, list(files.values()), notes, kind.terms)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from fetching into a folder; the folder itself is the lock, so no lock file remains."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with hold(folder, patience=0.0):
            yield
    except HeldError as error:
        raise DownloadError(f"another process is fetching into {folder}; wait until it is done") from error
    except OSError as error:
        raise DownloadError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from error


def _require_urls(kind: type[RecDataSet], dataset: str, folder: Path) -> None:
    if not kind.downloads:
        raise DataError(f"{dataset} names no files that could be downloaded; there is nothing to fetch")
    without = [file for file in kind.downloads if not file.url and not file.optional]
    if without:
        pages = ", ".join(dict.fromkeys(file.page for file in without if file.page)) or "no page is known"
        names = ", ".join(file.name for file in without)
        raise DataError(f"{dataset} has to be downloaded by hand: get {names} ({pages}) and put it into {folder}")


def _folder(kind: type[RecDataSet], root: Path) -> Path:
    """Return the folder that holds every required file already, else the one with the usual name."""
    folders = kind.locations(root)
    required = [file for file in kind.downloads if not file.optional]
    complete = (folder for folder in folders if all(find_file(folder / file.name) for file in required))
    return next(complete, folders[:2][-1])


def _present(file: SourceFile, path: Path, dataset: str) -> FetchedFile:
    sha256, difference = compare_content(path, file.checksum)
    if difference and not differs_in_line_ends(path, file.checksum):
        raise DataError(f"{path} is not the published file of {dataset} ({difference}); move it away and fetch again")
    return FetchedFile(file.name, path, "present", sha256, bool(file.checksum), file.url)


def _get(group: Sequence[SourceFile], folder: Path, limits: Limits, watch: Watch | None) -> list[FetchedFile]:
    """Download the files of one URL, from there or else from a mirror."""
    failures = []
    for url in (group[0].url, *group[0].mirrors):
        try:
            return _get_from(url, group, folder, limits, watch)
        except DownloadError as error:
            failures.append(str(error))
    needed = [file for file in group if not file.optional] or group
    paths = ", ".join(str(folder / file.name) for file in needed)
    raise DownloadError(f"{'; '.join(failures)}; try again later, or place by hand: {paths}")


def _get_from(
    url: str, group: Sequence[SourceFile], folder: Path, limits: Limits, watch: Watch | None
) -> list[FetchedFile]:
    name = Path(urlsplit(url).path).name if group[0].member else group[0].name
    part = folder / f"{name}{PART}"
    part.parent.mkdir(parents=True, exist_ok=True)
    if not any(file.checksum for file in group):
        # Nothing would reveal that an older part is the beginning of another file.
        part.unlink(missing_ok=True)
    while True:
        is_continued = part.exists()
        download(url, part, limits, None if watch is None else lambda done, total: watch(name, done, total))
        try:
            return _unpacked(url, group, folder, part, limits) if group[0].member else [_plain(url, group[0], part)]
        except DownloadError:
            # An older part may have been the beginning of another file: download all of it, once.
            if not is_continued:
                raise
        finally:
            part.unlink(missing_ok=True)


def _plain(url: str, file: SourceFile, part: Path) -> FetchedFile:
    ending = next((ending for ending in (".gz", ".zst") if urlsplit(url).path.endswith(ending)), "")
    return _accept(url, file, part, part.with_name(part.name.removesuffix(PART) + ending), ending)


def _unpacked(url: str, group: Sequence[SourceFile], folder: Path, archive: Path, limits: Limits) -> list[FetchedFile]:
    parts = {file.member: folder / f"{file.name}{PART}" for file in group}
    try:
        for part in parts.values():
            part.parent.mkdir(parents=True, exist_ok=True)
        found = unpack(archive, parts, max_bytes=limits.max_bytes)
        lacking = [file.member for file in group if file.member not in found and not file.optional]
        if lacking:
            raise DownloadError(f"{url}: the archive does not contain {', '.join(lacking)}")
        there = [file for file in group if file.member in found]
        return [_accept(url, file, parts[file.member], folder / file.name) for file in there]
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _accept(url: str, file: SourceFile, part: Path, target: Path, ending: str = "") -> FetchedFile:
    """Verify a file, and only then give it its name."""
    try:
        sha256, difference = compare_content(part, file.checksum, ending=ending)
    except DataError as error:
        raise DownloadError(f"{url}: {file.name} cannot be read ({error})") from error
    if difference:
        raise DownloadError(f"{url}: its content is not {file.name} ({difference}), and was deleted")
    with part.open("r+b") as stream:  # Windows flushes no file that is open for reading only
        os.fsync(stream.fileno())
    os.replace(part, target)
    return FetchedFile(file.name, target, "downloaded", sha256, bool(file.checksum), url)


def next_command(fetched: Fetched, root: str | Path) -> str:
    """Return the command that trains on what was fetched."""
    return f"recrun train bprmf dataset={shlex.quote(fetched.dataset)} root={shlex.quote(str(root))}"
