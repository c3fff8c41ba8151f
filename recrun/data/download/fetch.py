"""Downloading a data set: every file checked against its published checksum before it gets its name.

A file that is under way is called `<name>.part`, which no data set reads. It is locked by the process that writes it,
continued by the next one, and believed only when the whole of it has the right checksum.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.source_files import SourceFile, compare_content, find_file
from recrun.data.download.archives import unpack
from recrun.data.download.http import Limits, download
from recrun.errors import DataError, DownloadError
from recrun.files import HeldError, hold
from recrun.registry import DATASETS

PART: Final = ".part"
"""The ending of a file that is not complete, or not known to be."""

Watch = Callable[[str, int, int | None], None]
"""Told the name of what comes, how many bytes are there, and how many there will be."""


@dataclass(frozen=True)
class FetchedFile:
    """One file of a data set, as it lies there now.

    Args:
        name: its name in the data set.
        path: where it is; None when it is optional and could not be had.
        status: "present", "downloaded" or "missing".
        sha256: of its decompressed content.
        is_verified: whether that content is the published one.
        url: where it came from, or would have come from.
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
        folder: where its files lie.
        files: all of them.
        notes: what a user should know.
        terms: what those who made the data ask for.
    """

    dataset: str
    folder: Path
    files: list[FetchedFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    terms: str = ""

    def document(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        files = [{**vars(file), "path": None if file.path is None else str(file.path)} for file in self.files]
        return {
            "dataset": self.dataset,
            "folder": str(self.folder),
            "files": files,
            "notes": self.notes,
            "terms": self.terms,
        }


def fetch(dataset: str, root: str | Path = ".", *, limits: Limits | None = None, watch: Watch | None = None) -> Fetched:
    """Download what a data set is made of, unless it is there already.

    Args:
        dataset: a registered name, or `./file.py:Name`.
        root: the folder of data sets; the files go into the data set's own folder in it.
        limits: how long and how much.
        watch: told how far each download is.

    Raises:
        RegistryError: there is no such data set.
        DataError: it has no download, or a file is there that is not the published one.
        DownloadError: a file could not be had.
    """
    kind: type[RecDataSet] = DATASETS.get(dataset)
    _refuse_without_urls(kind, dataset)
    folder = _folder(kind, Path(root).expanduser())
    fetched = Fetched(dataset, folder, terms=kind.terms)
    with _locked(folder):
        missing = [file for file in kind.downloads if find_file(folder / file.name) is None]
        fetched.files += [_present(file, folder, dataset) for file in kind.downloads if file not in missing]
        for group in _by_url(missing):
            try:
                fetched.files += _get(group, folder, limits or Limits(), watch)
            except DownloadError as error:
                if not all(file.optional for file in group):
                    raise
                fetched.notes.append(str(error))
    _add_missing(fetched, kind.downloads)
    return fetched


def _add_missing(fetched: Fetched, files: Sequence[SourceFile]) -> None:
    """Complete the list of files with those that could not be had, in the data set's order."""
    known = {file.name: file for file in fetched.files}
    missing = [file.name for file in files if file.name not in known]
    if missing:
        fetched.notes.append(f"could not be had, and can be done without: {', '.join(missing)}")
    fetched.files = [
        known.get(file.name, FetchedFile(file.name, None, "missing", None, False, file.url)) for file in files
    ]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from fetching into a folder; the folder itself is the lock, so that none is left behind."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with hold(folder, patience=0.0):
            yield
    except HeldError as error:
        raise DownloadError(f"another process is fetching into {folder}") from error
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> DownloadError:
    return DownloadError(f"{error.filename or folder}: cannot be written ({error.strerror or error})")


def _refuse_without_urls(kind: type[RecDataSet], dataset: str) -> None:
    if not kind.downloads:
        raise DataError(f"{dataset} names no files that could be downloaded; there is nothing to fetch")
    without = [file for file in kind.downloads if not file.url and not file.optional]
    if without:
        pages = ", ".join(dict.fromkeys(file.page for file in without if file.page)) or "no page is known"
        names = ", ".join(file.name for file in without)
        raise DataError(f"{dataset} cannot be downloaded just so; get {names} by hand: {pages}")


def _folder(kind: type[RecDataSet], root: Path) -> Path:
    """Return the folder that holds every required file already, else the one that bears the usual name."""
    places = kind.locations(root)
    required = [file for file in kind.downloads if not file.optional]
    complete = (place for place in places if all(find_file(place / file.name) for file in required))
    return next(complete, places[:2][-1])


def _present(file: SourceFile, folder: Path, dataset: str) -> FetchedFile:
    path = find_file(folder / file.name)
    assert path is not None
    sha256, difference = compare_content(path, file.checksum)
    if difference:
        raise DataError(f"{path} is not the published file of {dataset} ({difference}); move it away and fetch again")
    return FetchedFile(file.name, path, "present", sha256, bool(file.checksum), file.url)


def _by_url(files: Iterable[SourceFile]) -> list[list[SourceFile]]:
    """Return the files in groups that come in one download."""
    groups: dict[str, list[SourceFile]] = {}
    for file in files:
        if file.url:
            groups.setdefault(file.url, []).append(file)
    return list(groups.values())


def _get(group: Sequence[SourceFile], folder: Path, limits: Limits, watch: Watch | None) -> list[FetchedFile]:
    """Download one group, from its first address or else from a mirror."""
    urls = (group[0].url, *group[0].mirrors)
    failures = []
    for url in urls:
        try:
            return _get_from(url, group, folder, limits, watch)
        except DownloadError as error:
            failures.append(str(error))
    raise DownloadError("; ".join(failures))


def _get_from(
    url: str, group: Sequence[SourceFile], folder: Path, limits: Limits, watch: Watch | None
) -> list[FetchedFile]:
    is_archive = bool(group[0].member)
    name = Path(urlsplit(url).path).name if is_archive else group[0].name
    part = folder / f"{name}{PART}"
    part.parent.mkdir(parents=True, exist_ok=True)
    # Without a checksum to find out, what an earlier attempt left cannot be told from the beginning of this file.
    is_trusted = any(file.checksum for file in group)
    for is_last in (False, True):
        if is_last or not is_trusted:
            part.unlink(missing_ok=True)
        download(url, part, limits, None if watch is None else lambda done, total: watch(name, done, total))
        try:
            return _unpacked(url, group, folder, part, limits) if is_archive else [_checked(url, group[0], part)]
        except DownloadError:
            # What was there may have been the beginning of something else: once more, from the start.
            if is_last:
                raise
        finally:
            if is_last or is_archive:
                part.unlink(missing_ok=True)
    raise AssertionError("the last attempt either returns or raises")


def _checked(url: str, file: SourceFile, part: Path) -> FetchedFile:
    """Give a downloaded file its name, if it holds what it should."""
    ending = next((ending for ending in (".gz", ".zst") if urlsplit(url).path.endswith(ending)), "")
    target = part.with_name(f"{file.name.rpartition('/')[2]}{ending}")
    return _take(url, file, part, target, ending)


def _unpacked(url: str, group: Sequence[SourceFile], folder: Path, archive: Path, limits: Limits) -> list[FetchedFile]:
    """Unpack the files of a downloaded archive, each checked before it gets its name."""
    targets = {file.member: folder / file.name for file in group}
    parts = {member: target.with_name(target.name + PART) for member, target in targets.items()}
    try:
        for part in parts.values():
            part.parent.mkdir(parents=True, exist_ok=True)
        found = unpack(archive, parts, max_bytes=limits.max_bytes)
        lacking = [file.member for file in group if file.member not in found and not file.optional]
        if lacking:
            raise DownloadError(f"{url}: the archive holds no {', '.join(lacking)}")
        there = [file for file in group if file.member in found]
        return [_take(url, file, parts[file.member], targets[file.member], "") for file in there]
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _take(url: str, file: SourceFile, part: Path, target: Path, ending: str) -> FetchedFile:
    try:
        sha256, difference = compare_content(part, file.checksum, ending=ending)
    except DataError as error:
        raise DownloadError(f"{url}: brought a file that cannot be read ({error})") from error
    if difference:
        raise DownloadError(f"{url}: brought something other than {file.name} ({difference}); it is thrown away")
    with part.open("r+b") as stream:  # Windows flushes no file that is open for reading only
        os.fsync(stream.fileno())
    os.replace(part, target)
    return FetchedFile(file.name, target, "downloaded", sha256, bool(file.checksum), url)


def next_command(fetched: Fetched, root: str | Path) -> str:
    """Return the command that trains on what was fetched."""
    return f"recrun train bprmf dataset={shlex.quote(fetched.dataset)} root={shlex.quote(str(root))}"
