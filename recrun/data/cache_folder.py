"""Say where prepared data is cached."""

from __future__ import annotations

import os
from pathlib import Path

from recrun.errors import DataError


def cache_folder() -> Path:
    """Return the folder of cached data: $RECRUN_CACHE, else $XDG_CACHE_HOME/recrun, else ~/.cache/recrun.

    Raises:
        DataError: there is no such home folder.
    """
    if os.environ.get("RECRUN_CACHE"):
        return _home_of("RECRUN_CACHE", os.environ["RECRUN_CACHE"])
    if os.environ.get("XDG_CACHE_HOME"):
        return _home_of("XDG_CACHE_HOME", os.environ["XDG_CACHE_HOME"]) / "recrun"
    folder = _home_of("HOME", "~/.cache")
    if not folder.is_absolute() or os.environ.get("HOME") == "":
        raise DataError(f"HOME is no absolute path ({os.environ.get('HOME')!r}); correct it, or set RECRUN_CACHE")
    return folder / "recrun"


def _home_of(variable: str, path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DataError(f"{variable}: there is no home folder for {path!r}; set RECRUN_CACHE to a folder") from None
