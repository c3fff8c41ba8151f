"""Find the files of a data set, and check that they hold what they should."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recrun.data.formats.opening import BLOCK, COMPRESSIONS, content_digests, open_binary
from recrun.errors import DataError


@dataclass(frozen=True)
class SourceFile:
    """One file that a data set is read from.

    Args:
        name: its name (a path below the data set's folder), without the ending of a compression.
        url: where it can be downloaded, or the archive (zip, tar) that holds it.
        checksum: "sha256:..." or "md5:..." of its decompressed content, where known.
        optional: whether the data set can be read without it.
        member: its name in the archive, when `url` is one.
        mirrors: where else the same can be downloaded.
        page: the page that tells how to get it, for what has to be downloaded by hand.
    """

    name: str
    url: str = ""
    checksum: str = ""
    optional: bool = False
    member: str = ""
    mirrors: tuple[str, ...] = ()
    page: str = ""


def locate(dataset: str, folders: Sequence[Path], files: Sequence[SourceFile]) -> dict[str, Path]:
    """Return the path of each file, all from the first folder that has every required one.

    In each folder a file is looked for as it is called, then with ".gz" and ".zst".

    Args:
        dataset: its name, for messages.
        folders: where to look, in order; the last is the root.
        files: what to look for.

    Raises:
        DataError: no folder has them all; the message names every path, and where to get the files.
    """
    looked_at: list[Path] = []
    for folder in folders:
        found = {file.name: path for file in files if (path := find_file(folder / file.name)) is not None}
        if all(file.name in found or file.optional for file in files):
            return found
        looked_at += [folder / file.name for file in files if file.name not in found and not file.optional]
    raise DataError(_not_found(dataset, folders, files, looked_at))


def check_content(
    dataset: str, files: Sequence[SourceFile], paths: Mapping[str, Path]
) -> tuple[dict[str, str], list[str]]:
    """Return the SHA-256 of each file's decompressed content, and a note for each that is not the published file.

    A file that differs from it only in line ends has a note of its own: its interactions are the published ones.
    """
    hashes: dict[str, str] = {}
    notes: list[str] = []
    for file in files:
        if file.name not in paths:
            continue
        hashes[file.name], difference = compare_content(paths[file.name], file.checksum)
        if difference and differs_in_line_ends(paths[file.name], file.checksum):
            notes.append(
                f"{paths[file.name]} is the published file of {dataset} but for its line ends, so the interactions are "
                f"the same ({difference})"
            )
        elif difference:
            notes.append(
                f"{paths[file.name]} is not the published file of {dataset}, so results may not compare "
                f"with published ones ({difference})"
            )
    return hashes, notes


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
    """Return the path at which a file is there, plain or compressed, or None."""
    return next((found for ending in COMPRESSIONS if (found := path.with_name(path.name + ending)).is_file()), None)


def _not_found(dataset: str, folders: Sequence[Path], files: Sequence[SourceFile], looked_at: Sequence[Path]) -> str:
    root = folders[-1]
    lines = [f"{dataset} is not at root={root}" + ("" if root.is_dir() else " (there is no such folder)")]
    lines += ["Looked for (also with .gz and .zst):", *(f"  {path}" for path in looked_at)]
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
