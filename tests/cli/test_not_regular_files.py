"""A FIFO or a device under the name of a file that a command reads: one error at once, and nothing is waited for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs and links of POSIX")

SMALL = ["epochs=1", "embedding_dim=4", "monitors=[ndcg@5]", "which4best=ndcg@5", "device=cpu", "threads=1", "root=."]
MAKE: dict[str, Callable[[Path], None]] = {"fifo": os.mkfifo, "zeros": lambda path: path.symlink_to("/dev/zero")}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("train", "x.yaml"), "error: x.yaml: cannot be read: it is not a regular file"),
        (("validate", "x.yaml"), "x.yaml: cannot be read: it is not a regular file"),
        (("verify", "x.yaml"), "error: x.yaml: cannot be read: it is not a regular file"),
        (("sweep", "x.yaml", "lr=1e-3,1e-2"), "error: x.yaml: cannot be read: it is not a regular file"),
        (("show", "./x.py:X"), "error: cannot read ./x.py: it is not a regular file"),
        (("train", "bprmf", "model=./x.py:X"), "x.py: it is not a regular file"),
        (("data", "describe", "x.csv"), "error: x.csv: it is not a regular file"),
        (
            ("data", "describe", "d"),
            "error: d is a folder without one train and one test file; name a file of it: a.csv",
        ),
        (("train", "bprmf", "dataset=File", "path=x.csv", *SMALL), "x.csv (which is no regular file)"),
        (
            ("train", "bprmf", "dataset=File", "path=d", "format=csv", *SMALL),
            "d/x.csv: is neither a regular file nor a",
        ),
        (("train", "bprmf", "dataset=File", "path=d/*.csv", *SMALL), "d/x.csv: is neither a regular file nor a link"),
    ],
    ids=lambda part: " ".join(part)[:40] if isinstance(part, tuple) else "",
)
@pytest.mark.parametrize("kind", MAKE)
def test_no_command_waits_for_it(
    recrun: Callable[..., Any], tmp_path: Path, command: tuple[str, ...], message: str, kind: str
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.csv").write_text("user,item\n1,2\n", encoding="utf-8")
    for name in ("x.yaml", "x.py", "x.csv", "d/x.csv"):
        MAKE[kind](tmp_path / name)
    outcome = recrun(*command)
    assert outcome.code == 2
    assert message in outcome.err + outcome.out
    assert "debug" not in outcome.err


@pytest.mark.parametrize("kind", MAKE)
def test_a_damaged_cache_is_made_again(
    recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "cache"))
    rows = "".join(f"{number % 20},{number * 7 % 31}\n" for number in range(400))
    (tmp_path / "x.csv").write_text(f"user,item\n{rows}", encoding="utf-8")
    command = ["train", "bprmf", "dataset=File", "path=x.csv", *SMALL, "verbose=0", "--json"]
    first = json.loads(recrun(*command).out)
    entries = sorted((tmp_path / "cache/data").glob("*/*"))
    assert entries
    for entry in (entries[0], entries[-1]):
        entry.unlink()
        MAKE[kind](entry)
        again = recrun(*command)
        assert again.code == 0
        assert json.loads(again.out)["valid"] == first["valid"]
        assert entry.is_file()
        assert not entry.is_symlink()
    shutil.rmtree(tmp_path / "cache")
