"""Write files to start from: a small working model, loss, metric, data set or sampler, its config and its test."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError, unknown

KINDS: Final = ("model", "loss", "metric", "dataset", "sampler")
"""What can be started; each has three templates in the folder `templates`, formatted with name and title."""

_FILES: Final = {"{name}.py": "{kind}.py.txt", "{name}.yaml": "{kind}.yaml.txt", "test_{name}.py": "{kind}_test.py.txt"}


def write_new(kind: str, name: str, folder: str | Path = ".") -> list[Path]:
    """Write NAME.py, NAME.yaml and test_NAME.py (for a data set NAME.txt too), and return their paths.

    Args:
        kind: one of `KINDS`.
        name: lower-case letters, digits and underscores, beginning with a letter.
        folder: the folder they are written into.

    Raises:
        ConfigError: the name is not valid for a module, one of the files already exists, or the folder cannot be
            written to; no file is written.
    """
    if kind not in KINDS:
        raise ConfigError(unknown("kind of file", kind, KINDS))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"expected a name of lower-case letters, digits and underscores, such as my_mf; found {name!r}"
        )
    templates = resources.files("recrun.workflows") / "templates"
    files = {
        Path(folder) / file.format(name=name): (templates / template.format(kind=kind))
        .read_text(encoding="utf-8")
        .format(name=name, title=title_of(name))
        for file, template in _FILES.items()
    }
    if kind == "dataset":
        files[Path(folder) / f"{name}.txt"] = "".join(f"{line}\n" for line in _visits())
    present = [str(file) for file in files if file.exists() or file.is_symlink()]
    if present:
        exists = "file exists" if len(present) == 1 else "files exist"
        raise ConfigError(f"{exists}: {', '.join(present)}; choose another name")
    if find_spec(name) is not None:
        raise ConfigError(f"{name}.py would hide the installed module {name!r}; choose another name")
    _write(files)
    return list(files)


def title_of(name: str) -> str:
    """Return the name of the class in a file: MyMf for my_mf."""
    return "".join(part.capitalize() for part in name.split("_"))


def next_commands(kind: str, name: str) -> list[str]:
    """Return the commands that use the files as they are."""
    check = [f"recrun check ./{name}.py:{title_of(name)}"] if kind == "model" else []
    described = name if kind == "metric" else title_of(name)
    look = [] if kind == "model" else [f"recrun show ./{name}.py:{described}"]
    return [f"recrun train ./{name}.yaml", *check, *look, f"pytest test_{name}.py"]


def _visits() -> list[str]:
    """Return lines for the data set: 200 users visit 20 of 80 places each, most of them of two tastes."""
    lines = []
    for user in range(200):
        tastes = (user % 8, (user * 3 + 1) % 8)
        for step in range(20):
            taste = tastes[step % 2] if step % 5 else (user + step) % 8
            place = 8 * ((user * 7 + step * 3) % 10) + taste
            lines.append(
                f"{user}|{place}|{1 + (user + step * step) % 5}|{1_700_000_000 + user * 3_600 + step * 86_400}"
            )
    return lines


def _write(files: dict[Path, str]) -> None:
    written: list[Path] = []
    for file, text in files.items():
        try:
            with file.open("x", encoding="utf-8") as stream:
                written.append(file)
                stream.write(text)
        except OSError as error:
            for each in written:
                each.unlink(missing_ok=True)
            # An error of writing, such as a full disk, has no file name.
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
