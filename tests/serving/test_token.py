"""The token comes from a file or from the environment, and is one that a header can carry."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.errors import ConfigError
from recrun.serving.token import read_token


def test_a_file_goes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"  {'f' * 16}\n", encoding="utf-8")
    environment = {"RECRUN_TOKEN": "e" * 16}
    assert read_token(file, environment) == b"f" * 16
    assert read_token(None, environment) == b"e" * 16
    assert read_token(None, {}) is None


@pytest.mark.parametrize("token", ["", "x" * 15, "x" * 5000, "x" * 20 + " y", "é" * 20, "x" * 20 + "\udcff"])
def test_what_no_header_carries_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="the token in RECRUN_TOKEN: expected 16 or more"):
        read_token(None, {"RECRUN_TOKEN": token})


def test_a_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--token-file"):
        read_token(tmp_path, {})
