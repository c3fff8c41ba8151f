"""The complete examples of docs/extending.md and the README run as they are printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from recrun.cli.main import main

TOP = Path(__file__).resolve().parent.parent
SMALL = ("n_users=60", "n_items=40", "n_interactions=600", "epochs=1")
NEEDED = {
    "docs/extending.md": {"mymf.py", "mylosses.py", "mymetrics.py", "mysamplers.py", "diversity.py", "groups.py"},
    "README.md": {"mymf.py"},
}
"""The files that commands below them use."""


def _files(page: Path) -> dict[str, str]:
    """Return the Python files of a page, by the name in their first line; of two with one name, the last."""
    blocks = re.findall(
        r"^```python\n# (\w+\.py)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return dict(blocks)


def _commands(page: Path, files: dict[str, str]) -> Iterator[list[str]]:
    text = re.sub(r"^```python\n.*?^```\n", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for block in re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in re.findall(r"^recrun (?:train|show) .*$", block, re.MULTILINE):
            if set(re.findall(r"\./(\w+\.py):", line)) & set(files):
                yield shlex.split(line, comments=True)[1:]


@pytest.mark.parametrize("page", ["docs/extending.md", "README.md"])
def test_every_example_trains_by_the_command_below_it(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = _files(TOP / page)
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    commands = [each for each in _commands(TOP / page, files) if "./tracker.py:Post" not in str(each)]  # needs a server
    used = set(re.findall(r"(\w+\.py):", str(commands)))
    assert used >= NEEDED[page]
    for command in commands:
        given = [each for each in command if not each.startswith("epochs=")]
        with pytest.raises(SystemExit) as exit:
            main([*given, *SMALL, "-q"] if command[0] == "train" else command)
        assert not exit.value.code, command


@pytest.mark.slow
def test_the_page_on_notebooks_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (TOP / "docs" / "python.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        exec(compile(block, "docs/python.md", "exec"), names)
    [printed] = re.findall(r"^    print\(error\)\n```\n\n```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert capsys.readouterr().out == printed
