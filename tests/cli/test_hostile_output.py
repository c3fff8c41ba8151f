"""Text of others reaches neither the terminal nor a pipe with what a terminal would obey."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from recrun.report.files.log import LogWriter
from recrun.report.terminal import console as consoles
from recrun.report.terminal.live import LiveReporter
from recrun.runs.folder import RunFolder

from .conftest import Outcome
from .on_terminal import on_terminal

Run = Callable[..., Outcome]
HOSTILE = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202eevil\u2066\u200f\u061c\x7f\r"
ESCAPED = r"\x1b]0;pwned\x07\x1b[2J\x9b31m\u202eevil\u2066\u200f\u061c\x7f\r"
FILE_NAME = HOSTILE.replace("/", "")
OUR_CODES = re.compile(r"\x1b\[[0-9;]*m")
"""The colours of our own output on a terminal."""


def clean(text: str) -> str:
    """Return text if nothing in it is obeyed by a terminal."""
    bad = {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert not bad, sorted(map(ascii, bad))
    return text


@pytest.fixture
def hostile_folder(recrun: Run) -> Path:
    """Return a folder with hostile runs, data, code and configs."""
    folder = recrun("--version").folder
    run = RunFolder.create(folder / "runs", {"description": "mf", "dataset": "Synthetic", "model": "bprmf", "id": "a"})
    run.update_run(status=HOSTILE, which4best=HOSTILE, cause=HOSTILE, test_evaluations=[])
    run.write_json(run.metrics_file, {"best_epoch": HOSTILE, "valid": {HOSTILE: 0.1}, "test": {HOSTILE: 0.2}})
    named = RunFolder.create(folder / "runs", {"description": "mf", "dataset": "Synthetic", "model": "ease", "id": "b"})
    os.rename(named.path, named.path.with_name(FILE_NAME))
    (folder / "runs/mf/Synthetic" / FILE_NAME / "run.json").write_text("{", encoding="utf-8")
    rows = "\n".join(f"{user},{item},{HOSTILE[:8]}" for user in range(4) for item in range(3))
    (folder / "data.csv").write_text(f'user,item,"{HOSTILE[:-1]}"\n{rows}\n', encoding="utf-8")
    (folder / FILE_NAME).write_text(f'user,item,"{HOSTILE[:-1]}"\n{rows}\n', encoding="utf-8")
    escaped = HOSTILE.encode("unicode_escape").decode()
    (folder / "mine.py").write_text(
        "from recrun.models.bprmf import BPRMF\nfrom recrun.registry import MODELS\n\n\n"
        f'class Mine(BPRMF):\n    """Model {escaped}.\n\n    Args:\n        size: {escaped}.\n    """\n\n'
        "    def __init__(self, data, *, size: int = 3) -> None:\n        super().__init__(data)\n",
        encoding="utf-8",
    )
    escape = json.dumps(HOSTILE)
    (folder / "bad.yaml").write_text(f"model: {escape}\n{escape}: 1\ndescription: {escape}\n", encoding="utf-8")
    return folder


COMMANDS = [
    ("list", "runs"),
    ("list", "runs", "--columns", f"status,{HOSTILE}"),
    ("list", "runs", f"{HOSTILE}=1"),
    ("list", "runs", "--runs", HOSTILE),
    ("list", HOSTILE),
    ("show", "./mine.py:Mine"),
    ("show", HOSTILE),
    ("validate", "bad.yaml"),
    ("validate", HOSTILE),
    ("train", "bad.yaml"),
    ("train", "bprmf", f"description={HOSTILE}", "--print-config"),
    ("train", "bprmf", f"root={HOSTILE}", "dataset=File", "path=x"),
    ("train", "--resume", HOSTILE),
    ("train", "--resume", f"runs/mf/Synthetic/{FILE_NAME}"),
    ("train", f"--{HOSTILE}"),
    (HOSTILE,),
    ("eval", "--checkpoint", HOSTILE),
    ("eval", "--checkpoint", "runs/mf/Synthetic/a", f"{HOSTILE}=1"),
    ("eval", "--checkpoint", "x", "--split", HOSTILE),
    ("reproduce", "runs/mf/Synthetic/a"),
    ("reproduce", HOSTILE),
    ("verify", HOSTILE),
    ("verify", "bprmf", "--run", "runs/mf/Synthetic/a"),
    ("check", HOSTILE),
    ("check", "bprmf", f"{HOSTILE}=1"),
    ("sweep", f"{HOSTILE}=1,2"),
    ("sweep", "bprmf", "lr=1,2", "--engine", HOSTILE),
    ("new", "model", HOSTILE),
    ("data", "describe", "data.csv"),
    ("data", "describe", FILE_NAME),
    ("data", "describe", HOSTILE + "x"),
    ("data", "fetch", HOSTILE),
    ("data", "convert", "data.csv", "--to", f"out/{FILE_NAME}"),
    ("schema", HOSTILE),
    ("--debug", "show", HOSTILE),
]


@pytest.mark.usefixtures("hostile_folder")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: ascii(" ".join(command)).replace(ascii(HOSTILE), "X"))
def test_no_command_prints_what_a_terminal_would_obey(recrun: Run, command: tuple[str, ...]) -> None:
    outcome = recrun(*command)
    assert clean(outcome.out) + clean(outcome.err)
    assert "internal" not in outcome.err
    assert "shows the traceback" not in outcome.err


def test_what_is_escaped_is_not_dropped(recrun: Run, hostile_folder: Path) -> None:
    assert ESCAPED in recrun("list", "runs").out
    assert ESCAPED[:-2] in recrun("show", "./mine.py:Mine").out
    assert ESCAPED[:-2] in recrun("data", "describe", "data.csv").out
    assert recrun("show", HOSTILE).err.startswith("error: unknown component ")
    assert hostile_folder.is_dir()


def test_a_terminal_gets_our_colours_only(hostile_folder: Path) -> None:
    for command in (("list", "runs"), ("show", "./mine.py:Mine"), ("data", "describe", FILE_NAME)):
        assert clean(OUR_CODES.sub("", on_terminal(*command, width=60, folder=hostile_folder)))
    shown = on_terminal("list", "runs", width=80, folder=hostile_folder, NO_COLOR="1", PYTHONIOENCODING="ascii")
    assert clean(shown).isascii()


def test_a_live_view_a_log_and_a_warning_are_escaped(
    recrun: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    info = {"description": HOSTILE, "dataset": HOSTILE, "model": HOSTILE, "run": HOSTILE, "notes": [HOSTILE]}
    log = LogWriter(tmp_path / "log.txt")
    view = LiveReporter(consoles.stderr_console(), 2)
    for reporter in (log, view):
        reporter.start({**info, "epochs": 2, "monitors": [HOSTILE], "which4best": HOSTILE})
        reporter.evaluated(0, HOSTILE, {HOSTILE: 0.5}, True, 0.1)
        reporter.message(HOSTILE, "warning")
        reporter.finish({"status": HOSTILE, "best_epoch": HOSTILE, "valid": {HOSTILE: 1.0}})
        reporter.close()
    assert ESCAPED in clean((tmp_path / "log.txt").read_text(encoding="utf-8"))
    assert ESCAPED in clean(capsys.readouterr().err)
