"""The command line run in this process, and in one of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from recrun.cli.main import main
from tests.own_code import PRODUCT_OF_EMBEDDINGS

TINY = [
    "n_users=60",
    "n_items=40",
    "n_interactions=900",
    "batch_size=128",
    "embedding_dim=8",
]
"""The data and the model of a run of less than a second."""

SMALL = [
    *TINY,
    "epochs=1",
    "monitors=[ndcg@5]",
    "which4best=ndcg@5",
    "device=cpu",
    "threads=1",
    "verbose=0",
]
"""A run of less than a second."""

OWN = f"""
import torch

from recrun.architectures import RecSysArch


class Own(RecSysArch):
    \"\"\"Score by the product of embeddings.\"\"\"

{PRODUCT_OF_EMBEDDINGS}"""
"""A model as a user writes it."""


def trained_run(runs: Path, *arguments: str) -> Path:
    """Run `recrun train` with arguments in this process, and return the run, which is the newest of a folder."""
    with pytest.raises(SystemExit) as exit:
        main(["train", *arguments, "--runs", str(runs)])
    assert exit.value.code in (0, None)
    return (runs / "latest").resolve()


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code, what it printed, and the folder it ran in."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def is_untouched(self) -> bool:
        """Whether the command made no file."""
        return [path.name for path in self.folder.iterdir() if path.name == "runs"] == []


@pytest.fixture
def recrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run `recrun` with arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main(list(arguments))
        printed = capsys.readouterr()
        return Outcome(int(exit.value.code or 0), printed.out, printed.err, tmp_path)

    return run


def modules_after(*arguments: str, names: tuple[str, ...]) -> list[str]:
    """Return which of some modules a command has imported when it ends."""
    code = (
        "import sys\nfrom recrun.cli.main import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\n"
        f"sys.stderr.write('\\nIMPORTED ' + ' '.join(n for n in {names!r} if n in sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return output.stderr.rpartition("IMPORTED ")[2].split()
