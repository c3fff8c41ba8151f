"""Import a user's own Python file, named in a config as `path/to/file.py:Name`."""

from __future__ import annotations

import importlib.util
import sys
import zlib
from pathlib import Path
from typing import Any

from recrun.errors import RegistryError, unknown


def is_file_reference(name: str) -> bool:
    """Return whether a name has the form `path/to/file.py:Name`."""
    path, colon, attribute = name.rpartition(":")
    return bool(colon) and path.endswith(".py") and attribute.isidentifier()


def short_name(monitor: str) -> str:
    """Return a monitor as tables and pictures show it: that of a user's own file without the path.

    >>> short_name("/home/me/mine.py:diversity@10")
    'diversity@10'
    """
    return monitor.rpartition(":")[2] if ".py:" in monitor else monitor


def load_reference(reference: str) -> Any:
    """Import the file of `path/to/file.py:Name` and return its `Name`.

    Raises:
        RegistryError: there is no such file or name, or the file fails while it is imported.
    """
    path, _, attribute = reference.rpartition(":")
    module = load_file(path)
    if not hasattr(module, attribute):
        raise RegistryError(f"{reference}: {unknown('name', attribute, [n for n in vars(module) if n[0] != '_'])}")
    return getattr(module, attribute)


def load_file(path: str | Path) -> Any:
    """Import a user's own Python file as a separate module, once per process.

    Raises:
        RegistryError: there is no such file, or it fails while it is imported.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise RegistryError(f"there is no file {str(path)!r}")
    # The module's name is the same in every process.
    name = f"recrun_user_{zlib.crc32(str(file).encode()):08x}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise RegistryError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # The file can import its neighbours, as a script can; installed packages take precedence.
    sys.path.append(str(file.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise RegistryError(f"{path} cannot be imported: {cause(error)}") from error
    finally:
        sys.path.remove(str(file.parent))
    return module


def cause(error: BaseException) -> str:
    """Return the type and the first line of an error raised by code outside recrun."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
