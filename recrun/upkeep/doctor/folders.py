"""Check the folders that recrun reads and writes: room, permissions, locks, and what recrun trusts."""

from __future__ import annotations

import errno
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from recrun.data.cache_folder import cache_folder
from recrun.errors import RecrunError
from recrun.files import HeldError, hold
from recrun.registry.user_files import trusted_folder
from recrun.report.terminal.lines import size
from recrun.upkeep.doctor.finding import Finding, Level
from recrun.visible import on_one_line

_LITTLE: Final = 1e9
"""Bytes: with less, the checkpoints of a larger model do not fit."""
_FULL: Final = 1e7
_MAX_FILES: Final = 100_000
_IS_HELD: Final = (
    "import sys\nfrom pathlib import Path\nfrom recrun.files import is_held\nsys.exit(is_held(Path(sys.argv[1])))"
)


def check_folders(runs: Path, root: Path) -> Iterator[Finding]:
    """Yield whether runs can be written, and where data is read.

    Args:
        runs: the folder of all runs.
        root: the folder of the data sets, as in a config.
    """
    yield from _writable("runs", runs, is_needed=True)
    if not root.is_dir():
        text = f"{root} is not there; data sets are looked for in it unless a config sets root"
        yield Finding("folders", "data", on_one_line(text), "ok")
    else:
        is_readable = os.access(root, os.R_OK | os.X_OK)
        remedy = "" if is_readable else f"make {root} readable, or set root= to another folder"
        shown = f"{root} ({'readable' if is_readable else 'cannot be read'})"
        yield Finding("folders", "data", on_one_line(shown), "ok" if is_readable else "problem", on_one_line(remedy))


def check_cache() -> Iterator[Finding]:
    """Yield where prepared data is kept, how large it is, and whether it can be written."""
    try:
        folder = cache_folder()
    except RecrunError as error:
        yield Finding("folders", "cache", str(error), "problem", "export RECRUN_CACHE=DIR")
        return
    yield from _writable("cache", folder, is_needed=False, remedy="export RECRUN_CACHE=DIR, where DIR can be written")
    if folder.is_dir():
        n_files, n_bytes = _measure(folder)
        more = "or more " if n_files == _MAX_FILES else ""
        text = f"{n_files:,} {more}files, {size(n_bytes)}; it may be deleted at any time"
        yield Finding("folders", "cache holds", text)


def check_temporary() -> Iterator[Finding]:
    """Yield the folder of temporary files."""
    told = os.environ.get("TMPDIR")
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        remedy = "export TMPDIR=DIR, where DIR can be written"
        yield Finding("folders", "TMPDIR", on_one_line(str(error.strerror or error)), "problem", remedy)
        return
    if told and os.path.realpath(told) != os.path.realpath(folder):
        text = f"{told} cannot be written, so {folder} is used"
        yield Finding("folders", "TMPDIR", on_one_line(text), "note", "make it writable, or unset TMPDIR")
        return
    yield from _writable("TMPDIR", Path(folder), is_needed=True)


def check_locks(runs: Path) -> Iterator[Finding]:
    """Yield whether a lock in the folder of runs is seen by another process, and whether folders can be locked."""
    parent = _existing(runs)
    try:
        with tempfile.TemporaryDirectory(prefix=".recrun-doctor-", dir=parent) as folder:
            lock = Path(folder, "lock")
            with hold(lock, patience=0.0):
                seen = subprocess.run([sys.executable, "-c", _IS_HELD, str(lock)], timeout=60, check=False).returncode
            if seen != 1:
                yield _unlocked(parent, "a lock is not seen by other processes", "problem")
                return
            try:
                with hold(Path(folder), patience=0.0):
                    pass
            except (OSError, HeldError):
                yield _unlocked(parent, "files can be locked, but no folders: what killed runs leave stays", "note")
                return
    except OSError as error:
        yield _unlocked(parent, f"cannot be tried: {error.strerror or error}", "problem")
        return
    yield Finding("folders", "locks", on_one_line(f"work in {parent.absolute()}"))


def _unlocked(folder: Path, text: str, level: Level) -> Finding:
    remedy = "put runs on a local file system (--runs DIR): two processes could train the same run"
    return Finding("folders", "locks", on_one_line(f"{folder.absolute()}: {text}"), level, remedy)


def check_trust() -> Iterator[Finding]:
    """Yield where recrun remembers which code was run here, and the certificates that downloads are checked with."""
    folder = trusted_folder()
    if folder is None:
        remedy = "export XDG_STATE_HOME=DIR; until then runs that name code of your own need --trust"
        yield Finding("trust", "code run here", "there is no home folder to remember it in", "note", remedy)
    elif folder.is_dir():
        n_files = len(os.listdir(folder))
        is_writable = os.access(folder, os.W_OK)
        text = f"{n_files:,} files, in {folder}" + ("" if is_writable else ", which cannot be written")
        remedy = "" if is_writable else f"make {folder} writable; until then --trust is asked for again"
        yield Finding("trust", "code run here", on_one_line(text), "ok" if is_writable else "note", on_one_line(remedy))
    elif not (above := _existing(folder)).is_dir() or not os.access(above, os.W_OK):
        text = f"none, and it cannot be remembered in {folder}: {above} is no folder that can be written"
        remedy = "export XDG_STATE_HOME=DIR; until then --trust is asked for again"
        yield Finding("trust", "code run here", on_one_line(text), "note", remedy)
    else:
        yield Finding("trust", "code run here", on_one_line(f"none yet; it will be remembered in {folder}"))
    context = ssl.create_default_context()
    places = ssl.get_default_verify_paths()
    n_certificates = context.cert_store_stats()["x509_ca"]
    if n_certificates or (places.capath and any(os.scandir(places.capath))):
        where = places.cafile or places.capath or "the system's store"
        yield Finding("trust", "certificates", on_one_line(f"{n_certificates or 'some'}, from {where}"))
    else:
        remedy = "install your system's ca-certificates, or export SSL_CERT_FILE=FILE; downloads fail until then"
        yield Finding("trust", "certificates", "none", "note", remedy)


def _writable(name: str, folder: Path, *, is_needed: bool, remedy: str = "") -> Iterator[Finding]:
    """Yield whether files can be made in a folder, or where it would be made, and the room that is free there."""
    parent = _existing(folder)
    shown = str(folder) if parent == folder else f"{folder}, to be made in {parent.absolute()}"
    remedy = remedy or "choose another folder, or make this one writable"
    bad: Level = "problem" if is_needed else "note"
    try:
        if not parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{parent} is not a folder")
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        text = f"{shown}: cannot be written ({error.strerror})"
        yield Finding("folders", name, on_one_line(text), bad, remedy)
        return
    free = shutil.disk_usage(parent).free
    text = f"{shown}: writable, {size(free)} free"
    level: Level = "ok" if free >= _LITTLE else "note" if free >= _FULL else bad
    advice = "" if level == "ok" else "make room, or choose a folder on another disk"
    yield Finding("folders", name, on_one_line(text), level, advice)


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest thing above it that exists."""
    found = folder
    while not os.path.lexists(found) and found != found.parent:
        found = found.parent
    return found


def _measure(folder: Path) -> tuple[int, int]:
    """Return how many files a folder holds, at most `_MAX_FILES`, and their bytes."""
    n_files = n_bytes = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                n_bytes += os.lstat(os.path.join(where, name)).st_size
            except OSError:  # removed meanwhile
                continue
            n_files += 1
            if n_files == _MAX_FILES:
                return n_files, n_bytes
    return n_files, n_bytes
