"""Make the folder of an export: it appears whole or not at all, and replaces nothing but an earlier export."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from recrun.errors import ConfigError
from recrun.files import from_json, read_regular, sha256_file, sync_folder

MANIFEST: Final = "manifest.json"
SCHEMA: Final = 1
_LARGEST: Final = 1 << 24


def refuse_folder(target: Path, *, force: bool) -> None:
    """Refuse a folder that cannot be written, or that holds something which is not to be replaced.

    Args:
        target: the folder; missing or empty, unless `force`.
        force: whether an earlier export may be replaced.

    Raises:
        ConfigError: it is refused; the message says why, and what to do.
    """
    if not target.name:
        raise ConfigError(f"--to {target}: expected the name of a new folder")
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        _refuse_parent(target)
        return
    except OSError as error:
        raise ConfigError(f"--to {target}: {error.strerror}") from None
    if stat.S_ISLNK(mode):
        raise ConfigError(f"--to {target}: it is a symbolic link; name the folder itself")
    if not stat.S_ISDIR(mode):
        raise ConfigError(f"--to {target}: it is not a folder")
    _refuse_parent(target)
    found = sorted(os.listdir(target))
    if not found:
        return
    own = _files_of_export(target)
    if own is None:
        raise ConfigError(f"--to {target}: the folder holds files, and no export; choose a new folder")
    strange = [name for name in found if name not in own]
    if strange:
        raise ConfigError(
            f"--to {target}: besides an export the folder holds {strange[0]}; move it away, or choose a new folder"
        )
    if not force:
        raise ConfigError(f"--to {target}: the folder holds an export; replace it with --force, or choose a new folder")


@contextmanager
def made_whole(target: Path, *, force: bool) -> Iterator[Path]:
    """Make a hidden folder beside the target, which takes its place in the end; where something fails, it is removed.

    Args:
        target: the folder, which `refuse_folder` accepts now and in the end.
        force: whether an earlier export may be replaced.

    Raises:
        ConfigError: it cannot be written, or something was put in its place meanwhile.
    """
    building = target.parent / f".{target.name}.{secrets.token_hex(4)}.tmp"
    missing = [each for each in building.parents if not each.exists()]
    try:
        building.mkdir(parents=True)
        yield building
        _flush(building)
        refuse_folder(target, force=force)
        _put(building, target)
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)
        with suppress(OSError):
            for each in missing:
                each.rmdir()
        if isinstance(error, OSError):
            raise ConfigError(f"--to {target}: it cannot be written: {error.strerror or error}") from error
        raise


def file_entries(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Return the size and the SHA-256 of files, by name."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)} for name in sorted(names)
    }


def _refuse_parent(target: Path) -> None:
    above = target.parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise ConfigError(f"--to {target}: {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"--to {target}: the folder {above} cannot be written")


def _files_of_export(target: Path) -> set[str] | None:
    """Return the names of an export's files; None if there is no export."""
    try:
        document = from_json(read_regular(target / MANIFEST, limit=_LARGEST, follow=False).decode("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("export_schema"), int):
        return None
    files = document.get("files")
    return {MANIFEST, *(str(name) for name in files)} if isinstance(files, dict) else None


def _flush(folder: Path) -> None:
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put(building: Path, target: Path) -> None:
    """Rename the new folder to its name; an earlier export steps aside first, and comes back if that fails."""
    aside = target.parent / f".{target.name}.{secrets.token_hex(4)}.old"
    replaces = os.path.lexists(target)
    if replaces:
        os.rename(target, aside)
    try:
        os.rename(building, target)
    except BaseException:
        if replaces:
            os.rename(aside, target)
        raise
    if replaces:
        shutil.rmtree(aside, ignore_errors=True)
    with suppress(OSError):
        sync_folder(target.parent)
