"""Check that what the server is built on is installed, before anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from recrun.errors import ConfigError

NEEDED: Final = ("starlette", "uvicorn", "httptools", "prometheus_client")


def require_packages() -> None:
    """Refuse to serve without the packages of the extra.

    Raises:
        ConfigError: some are not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(f"serving needs {', '.join(missing)}, not installed here: pip install 'recrun[serve]'")
