"""Read the token that requests must carry: from a file or from the environment, where other users do not see it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError
from recrun.files import read_regular

VARIABLE: Final = "RECRUN_TOKEN"

_LONGEST: Final = 4096
_SHORTEST: Final = 16


def read_token(file: Path | None, environment: Mapping[str, str]) -> bytes | None:
    """Return the token in a file or, without one, in the environment variable RECRUN_TOKEN; None if there is neither.

    Raises:
        ConfigError: the file cannot be read, or the token is short or holds what no header can.
    """
    if file is not None:
        try:
            token = read_regular(file, limit=_LONGEST).strip()
        except OSError as error:
            raise ConfigError(f"--token-file {file}: {error.strerror}") from None
        where = str(file)
    elif VARIABLE in environment:
        token, where = environment[VARIABLE].strip().encode("utf-8", "surrogateescape"), VARIABLE
    else:
        return None
    if not (_SHORTEST <= len(token) <= _LONGEST and all(0x21 <= byte <= 0x7E for byte in token)):
        raise ConfigError(
            f"the token in {where}: expected {_SHORTEST} or more letters, digits and signs of ASCII, without blanks; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token
