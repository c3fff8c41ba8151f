"""Check that what the server is built on is installed, before anything is loaded."""

from __future__ import annotations

from typing import Final

from recrun.config.trackers import is_installed
from recrun.errors import ConfigError

NEEDED: Final = ("starlette", "uvicorn", "httptools", "prometheus_client")


def require_packages() -> None:
    """Refuse to serve without the packages of the extra.

    Raises:
        ConfigError: some are not installed.
    """
    missing = [name for name in NEEDED if not is_installed(name)]
    if missing:
        raise ConfigError(f"serving needs {', '.join(missing)}, not installed here: pip install 'recrun[serve]'")
