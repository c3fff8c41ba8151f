"""Free memory, and what is refused because it does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun import memory
from recrun.errors import ConfigError


def _group(folder: Path, limit: str, used: int, file_pages: int) -> tuple[str, str, str, str]:
    (folder / "limit").write_text(f"{limit}\n")
    (folder / "used").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {file_pages}\n")
    return str(folder), "limit", "used", "inactive_file"


def test_the_memory_of_this_machine_is_found() -> None:
    free = memory.available_memory()
    assert free is None or free > 1 << 20


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_free_of_machine", lambda: 10_000)
    monkeypatch.setattr(memory, "_GROUPS", [_group(tmp_path, "5000", used=3000, file_pages=500)])
    assert memory.available_memory() == 2500
    monkeypatch.setattr(memory, "_GROUPS", [_group(tmp_path, "max", used=3000, file_pages=500)])
    assert memory.available_memory() == 10_000
    monkeypatch.setattr(memory, "_GROUPS", [("/nowhere", "limit", "used", "inactive_file")])
    assert memory.available_memory() == 10_000


def test_what_does_not_fit_is_refused_with_what_it_needs_and_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 2_000_000_000)
    memory.require_memory(1_900_000_000, "this", "do that")
    with pytest.raises(
        ConfigError, match=r"^model: this needs about 2\.1 GB of memory, and 2\.0 GB are free; do that$"
    ):
        memory.require_memory(2_100_000_000, "this", "do that")


def test_a_limit_that_is_set_counts_instead_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 1)
    memory.require_memory(1_900_000_000, "this", "do that", limit=2.0)
    with pytest.raises(ConfigError, match=r"and 1\.0 GB are allowed by max_memory"):
        memory.require_memory(1_900_000_000, "this", "do that", limit=1.0)


def test_nothing_is_refused_if_the_system_does_not_report_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    memory.require_memory(1 << 60, "this", "do that")
