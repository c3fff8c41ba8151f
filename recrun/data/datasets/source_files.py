"""Find the files of a data set, and check that they hold what they should."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from recrun.data.datasets.pieces import are_many, find_pieces
from recrun.data.formats.opening import BLOCK, COMPRESSIONS, content_digests, open_binary
from recrun.errors import DataError

_T = TypeVar("_T")


@dataclass(frozen=True)
class SourceFile:
    """One file that a data set is read from.

    Args:
        name: its name (a path below the data set's folder); without the ending of a compression, a compressed file of
            that name is found too.
        url: where it can be downloaded, or the archive (zip, tar) that holds it.
        checksum: "sha256:..." or "md5:..." of its decompressed content, where known.
        optional: whether the data set can be read without it.
        member: its name in the archive, when `url` is one.
        mirrors: where else the same can be downloaded.
        page: the page that tells how to get it, for what has to be downloaded by hand.
        many: whether it may be a folder of files, or a pattern, whose files are read as one.
    """

    name: str
    url: str = ""
    checksum: str = ""
    optional: bool = False
    member: str = ""
    mirrors: tuple[str, ...] = ()
    page: str = ""
    many: bool = False


@dataclass(frozen=True)
class EntityFile:
    """A published table of users or items, which lies beside the files of its data set.

    Args:
        name: its name.
        columns: the names of its columns, the id first, if it has no header row; "" for one that is not offered.
        separator: between columns; found in the first line if "".
        encoding: of its text.
        marks: the column that the last columns together are, each of which marks one value by "1", and these values.
    """

    name: str
    columns: tuple[str, ...] = ()
    separator: str = ""
    encoding: str = "utf-8-sig"
    marks: tuple[str, tuple[str, ...]] = ("", ())


def locate(dataset: str, folders: Sequence[Path], files: Sequence[SourceFile]) -> dict[str, Path]:
    """Return the path of each file, all from the first folder that has every required one.

    The files of a folder or a pattern are called `name: file` each, in the order of their names.

    In each folder a file is looked for as it is called, then with ".gz" and ".zst" (see `find_file`).

    Args:
        dataset: its name, for messages.
        folders: where to look, in order; the last is the root.
        files: what to look for.

    Raises:
        DataError: no folder has them all; the message names every path, and where to get the files.
    """
    looked_at: list[Path] = []
    for folder in folders:
        found = {file.name: path for file in files if (path := _find(folder / file.name, file)) is not None}
        if all(file.name in found or file.optional for file in files):
            return {key: path for name, place in found.items() for key, path in _pieces(name, place).items()}
        looked_at += [folder / file.name for file in files if file.name not in found and not file.optional]
    raise DataError(_not_found(dataset, folders, files, looked_at))


def _find(path: Path, file: SourceFile) -> Path | None:
    return path if file.many and are_many(path) else find_file(path)


def _pieces(name: str, path: Path) -> dict[str, Path]:
    if path.is_file():
        return {name: path}
    pieces = find_pieces(path)
    shared = path if path.is_dir() else Path(os.path.commonpath([piece.parent for piece in pieces]))
    return {f"{name}: {piece.relative_to(shared).as_posix()}": piece for piece in pieces}


def pieces_of(name: str, files: Mapping[str, _T]) -> dict[str, _T]:
    """Return what `locate` or `check_content` returned for a file, or for each file of a folder or a pattern."""
    return {key: value for key, value in files.items() if key == name or key.startswith(f"{name}: ")}


def check_content(
    dataset: str, files: Sequence[SourceFile], paths: Mapping[str, Path]
) -> tuple[dict[str, str], list[str]]:
    """Return the SHA-256 of each file's decompressed content, and a note for each that is not the published file.

    A file that differs from it only in line ends has a note of its own: its interactions are the published ones.
    """
    hashes: dict[str, str] = {}
    notes: list[str] = []
    checksums = {file.name: file.checksum for file in files}
    for name, path in paths.items():
        checksum = checksums.get(name, "")
        hashes[name], difference = compare_content(path, checksum)
        if difference and differs_in_line_ends(path, checksum):
            notes.append(
                f"{path} is the published file of {dataset} but for its line ends, so the interactions are the same "
                f"({difference})"
            )
        elif difference:
            notes.append(
                f"{path} is not the published file of {dataset}, so results may not compare "
                f"with published ones ({difference})"
            )
    return hashes, notes


def refuse_twice(parts: Mapping[str, str], hashes: Mapping[str, str]) -> None:
    """Refuse two parts that are one file, under whatever names.

    Args:
        parts: the name of each part's file.
        hashes: the digest of each file's decompressed content.

    Raises:
        DataError: two have the same content.
    """
    seen: dict[tuple[str, ...], str] = {}
    for part, name in parts.items():
        other = seen.setdefault(tuple(pieces_of(name, hashes).values()), part)
        if other != part:
            raise DataError(f"two parts hold the same: {other} ({parts[other]}) and {part} ({name}); name another file")


def compare_content(path: Path, checksum: str, *, ending: str | None = None) -> tuple[str, str]:
    """Return the SHA-256 of a file's decompressed content, and how it differs from the expected one, or "".

    Args:
        path: the file.
        checksum: "sha256:..." or "md5:...", or "" when nothing is known.
        ending: tells the compression, when the file's own name does not.
    """
    kind, _, expected = checksum.partition(":")
    others = (kind,) if kind not in ("", "sha256") else ()
    digests = dict(zip(("sha256", *others), content_digests(path, ("sha256", *others), ending=ending), strict=True))
    differs = bool(expected) and digests[kind] != expected.lower()
    return digests["sha256"], f"{kind} {digests[kind]}, expected {expected}" if differs else ""


def differs_in_line_ends(path: Path, checksum: str) -> bool:
    r"""Return whether a file would have a checksum with other line ends: \n for \r\n, or the reverse, or at its end.

    The file is read once, in blocks. Asked only of files that do not have the checksum as they are.
    """
    kind, _, expected = checksum.partition(":")
    digests = {end: hashlib.new(kind, usedforsecurity=False) for end in (b"\n", b"\r\n")}
    for block in _without_last_line_end(path):
        for end, digest in digests.items():
            digest.update(block if end == b"\n" else block.replace(b"\n", end))
    found = {digest.hexdigest() for digest in digests.values()}
    for end, digest in digests.items():
        digest.update(end)
    return expected.lower() in found | {digest.hexdigest() for digest in digests.values()}


def _without_last_line_end(path: Path) -> Iterator[bytes]:
    r"""Yield a file's decompressed content in blocks, with \n for \r\n and without the end of its last line."""
    kept = b""
    with open_binary(path) as stream:
        while block := stream.read(BLOCK):
            block = kept + block
            # What may be the last line end, or half of one, waits for the next block.
            kept = next((end for end in (b"\r\n", b"\r", b"\n") if block.endswith(end)), b"")
            yield block.removesuffix(kept).replace(b"\r\n", b"\n")
    if kept == b"\r":
        yield kept


def find_file(path: Path) -> Path | None:
    """Return the path at which a file is there, or None.

    A name with the ending of a compression means that file alone. Any other means the plain file where there is one,
    else the one compressed file of that name.

    Raises:
        DataError: there is no plain file, and two compressed ones.
    """
    if path.suffix in COMPRESSIONS[1:]:
        return path if path.is_file() else None
    if path.is_file():
        return path
    found = compressed_beside(path)
    if len(found) > 1:
        names = " and ".join(each.name for each in found)
        raise DataError(f"{path} is not there, but {names} are; name the one that is meant, or remove the other")
    return found[0] if found else None


def compressed_beside(path: Path) -> list[Path]:
    """Return the compressed files that have the name of a file and an ending more."""
    return [found for ending in COMPRESSIONS[1:] if (found := path.with_name(path.name + ending)).is_file()]


def unlike_beside(paths: Mapping[str, Path]) -> list[str]:
    """Return a note for each plain file beside which a compressed one of its name holds something else."""
    notes = []
    for path in paths.values():
        for other in [] if path.suffix in COMPRESSIONS[1:] else compressed_beside(path):
            if not _hold_the_same(path, other):
                notes.append(f"{path} is read; {other.name} beside it holds something else")
    return notes


def unlike_published(dataset: str, shipped: Mapping[str, int], published: Mapping[str, int]) -> list[str]:
    """Return a note if the files do not hold as many users, items and rows as are known of the published ones."""
    unlike = [
        f"{shipped.get(name, 0):,} {name} instead of {count:,}"
        for name, count in published.items()
        if shipped.get(name) != count
    ]
    return [f"{dataset} is not as published: {', '.join(unlike)}"] if unlike else []


def _hold_the_same(path: Path, other: Path) -> bool:
    try:
        return content_digests(path) == content_digests(other)
    except DataError:  # damaged, for instance
        return False


def _not_found(dataset: str, folders: Sequence[Path], files: Sequence[SourceFile], looked_at: Sequence[Path]) -> str:
    root = folders[-1]
    lines = [f"{dataset} is not at root={root}" + ("" if root.is_dir() else " (there is no such folder)")]
    lines += ["Looked for (also with .gz and .zst):", *(f"  {path}{_instead(path)}" for path in looked_at)]
    needed = [file for file in files if not file.optional and (file.url or file.page)]
    if needed and all(file.url for file in needed):
        lines.append(f"Get it with:\n  recrun data fetch {dataset} root={shlex.quote(str(root))}\nor by hand:")
    elif needed:
        lines.append("Get it by hand:")
    for file in needed:
        # The first folder bears recrun's name, the second the usual one.
        target = shlex.quote(str(folders[:2][-1] / file.name))
        if file.url and not file.member:
            lines.append(f"  curl -L --fail --create-dirs -o {target} {file.url}")
        else:
            lines.append(f"  {file.url or file.page}  ({'unpack; ' * bool(file.member)}put {file.name} at {target})")
        if file.checksum:
            lines.append(f"    {file.checksum}  {file.name}")
    return "\n".join(lines)


def _instead(path: Path) -> str:
    """Return what is there in place of a file, in brackets, or ""."""
    plain = path.with_name(path.name.removesuffix(path.suffix)) if path.suffix in COMPRESSIONS[1:] else path
    if path.is_symlink() and not path.exists():
        target = os.readlink(path)
        remedy = f"; get the file: git annex get {path.name}" if "annex/objects" in target else ""
        return f" (a link to {target}, which is not there{remedy})"
    if path.exists():
        return " (which is no regular file)" if not path.is_dir() else " (which is a folder)"
    return f" ({plain.name} is there; name that one)" if plain != path and plain.is_file() else ""
