"""Make the folder of a run all at once, remove it when its start fails, and keep the link to the latest run."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from recrun.errors import CheckpointError
from recrun.files import HeldError, hold, read_regular
from recrun.runs.contents import is_set_aside, remove_own
from recrun.runs.scan import LATEST, find_folders

_BUILDING: Final = ".building-"
_NEW_RUN: Final = re.compile(r"\.building-[0-9a-f]{8}")
_NEW_LATEST: Final = re.compile(rf"\.building-{LATEST}-[0-9a-f]{{8}}")
_FILES: Final = ("config.yaml", "run.json", ".lock", ".record-lock", "log.txt", "metrics.jsonl", "ids.safetensors")
_FOLDERS: Final = ("checkpoints/last", "checkpoints/best", "checkpoints", "per_user", "summary", ".")
_PATIENCE: Final = 60.0
"""Seconds to wait for other processes, each of which makes its folder within a moment."""
_MAX_PATH: Final = 1 << 14


def build_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder under another name, fill it, and rename it, so that it is there with all its content or not at all.

    The folder above is locked meanwhile, so what others find there unlocked under such a name was left by a process
    that was killed.

    Raises:
        OSError: it cannot be made, or exists already.
    """
    building = path.parent / f"{_BUILDING}{secrets.token_hex(4)}"
    try:
        with _held(path.parent):
            if os.path.lexists(path):
                raise FileExistsError(str(path))
            fill(building)
            building.rename(path)
    except HeldError:
        raise OSError(0, f"{path.parent} is locked by another process") from None
    except BaseException:
        remove_new(building)
        raise


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder.

    Some file systems, as NFS, cannot lock folders; there the work is done without, and nothing is found abandoned.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(hold(folder, patience=_PATIENCE))
        yield


def remove_abandoned(root: Path, parent: Path) -> None:
    """Remove at once what killed processes were making or removing.

    That is runs in the folders for one data set, sweeps in theirs, and links `latest`. What bears such a name but holds
    anything else is the user's own.
    """
    folders = {parent}
    for description in _folders(root):
        _remove_all(description, is_set_aside, lambda entry: remove_own(entry.path))
        folders.update(_folders(description))
    for folder in folders:
        _remove_all(folder, _is_left, _remove_left)
    _remove_all(root, _is_new_latest, lambda entry: os.unlink(entry.path))


def _remove_all(
    folder: Path, takes: Callable[[os.DirEntry[str]], bool], remove: Callable[[os.DirEntry[str]], None]
) -> None:
    if any(map(takes, _entries(folder))):
        with suppress(HeldError, OSError), hold(folder, patience=0.0):
            for entry in filter(takes, _entries(folder)):
                remove(entry)


def _is_left(entry: os.DirEntry[str]) -> bool:
    return _is_new_run(entry) or is_set_aside(entry)


def _remove_left(entry: os.DirEntry[str]) -> None:
    if _is_new_run(entry):
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        remove_own(entry.path)


def _is_new_run(entry: os.DirEntry[str]) -> bool:
    if _NEW_RUN.fullmatch(entry.name) is None or not entry.is_dir(follow_symlinks=False):
        return False
    names = {inner.name for inner in _entries(Path(entry.path))}
    return all(name in (*_FILES, *_FOLDERS) or (name[0] == "." and name.endswith(".tmp")) for name in names)


def _is_new_latest(entry: os.DirEntry[str]) -> bool:
    is_own = entry.is_symlink() or (entry.is_file() and entry.stat().st_size <= _MAX_PATH)
    return _NEW_LATEST.fullmatch(entry.name) is not None and is_own


def remove_new(path: Path) -> None:
    """Remove the folder of a run that has not begun, as far as possible, without an error."""
    # By path first: rmtree opens folders, which fails where the process may open no more files.
    for name in _FILES:
        with suppress(OSError):
            os.unlink(path / name)
    for name in _FOLDERS:
        with suppress(OSError):
            os.rmdir(os.path.normpath(path / name))
    if os.path.lexists(path):
        shutil.rmtree(path, ignore_errors=True)


def _point_latest(root: Path, path: Path) -> None:
    """Point `latest` in the folder of all runs at one of them.

    Raises:
        OSError: that is not possible, as where `latest` is a folder.
    """
    temporary = root / f"{_BUILDING}{LATEST}-{secrets.token_hex(4)}"
    try:
        with _held(root):
            _write_link(temporary, path.relative_to(root))
            os.replace(temporary, root / LATEST)
    except HeldError:
        raise OSError(0, "it is locked by another process") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def have_latest_follow(path: Path, *, is_new: bool) -> str | None:
    """Point `latest` at a run that is trained; return why that is not possible, or None.

    A run that was copied elsewhere may be continued there, where `latest` is none of recrun's business.

    Args:
        path: the folder of the run.
        is_new: whether the run was made just now, so that the folder three levels above is that of all runs.
    """
    root = path.parents[2] if len(path.parents) > 2 else path.parent
    if is_new or _points_at_runs(root):
        try:
            _point_latest(root, path)
        except OSError as error:
            return f"{root / LATEST} does not point at this run: {error.strerror}"
    return None


def repair_latest(root: Path) -> Path | None:
    """Point a `latest` whose run is gone at the newest run that is left, or remove it; return that run, if any.

    Raises:
        OSError: that is not possible.
    """
    if not _points_at_runs(root) or follow_latest(root / LATEST).exists():
        return None
    left = find_folders(root)
    if left:
        _point_latest(root, Path(left[-1]))
        return Path(left[-1])
    (root / LATEST).unlink(missing_ok=True)
    return None


def _points_at_runs(root: Path) -> bool:
    """Return whether a folder has a `latest` that names a run in it, as only the folder of all runs has."""
    try:
        target = Path(os.readlink(root / LATEST) if (root / LATEST).is_symlink() else _named(root / LATEST))
    except (OSError, UnicodeDecodeError):
        return False
    return len(target.parts) == 3 and not target.is_absolute() and ".." not in target.parts


def follow_latest(path: Path) -> Path:
    """Return the run folder named in a file called `latest`; any other path is returned unchanged.

    Raises:
        CheckpointError: the file cannot be read, or is not one that recrun wrote.
    """
    if path.name != LATEST or not os.path.isfile(path):
        return path
    try:
        return path.parent / _named(path)
    except UnicodeDecodeError:
        raise CheckpointError(f"{path} is damaged: it does not name a run") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None


def _named(file: Path) -> str:
    return read_regular(file, limit=_MAX_PATH).decode("utf-8").strip()


def _write_link(link: Path, target: Path) -> None:
    """Create a symbolic link or, where that fails, a file that holds the path; `follow_latest` follows both."""
    if os.name != "nt":  # Windows seldom allows links, and a rename cannot replace a link to a folder there
        with suppress(OSError):
            link.symlink_to(target, target_is_directory=True)
            return
    link.write_text(f"{target.as_posix()}\n", encoding="utf-8")


def _folders(parent: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(parent) if entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
