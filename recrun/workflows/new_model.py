"""Write files to start from: a small working model, its config and its test."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError

_TEMPLATES: Final = {"{name}.py": "model.py.txt", "{name}.yaml": "config.yaml.txt", "test_{name}.py": "test.py.txt"}
"""The files to write, and the template of each in the folder `templates`; both are formatted with name and title."""


def new_model(name: str, folder: str | Path = ".") -> list[Path]:
    """Write NAME.py, NAME.yaml and test_NAME.py, and return their paths.

    Args:
        name: lower-case letters, digits and underscores, beginning with a letter.
        folder: the folder they are written into.

    Raises:
        ConfigError: the name is not valid for a module, or one of the files already exists; no file is written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"expected a name of lower-case letters, digits and underscores, such as my_mf; found {name!r}"
        )
    title = "".join(part.capitalize() for part in name.split("_"))
    templates = resources.files("recrun.workflows") / "templates"
    files = {
        Path(folder) / file.format(name=name): (templates / template)
        .read_text(encoding="utf-8")
        .format(name=name, title=title)
        for file, template in _TEMPLATES.items()
    }
    present = [str(file) for file in files if file.exists() or file.is_symlink()]
    if present:
        exists = "file exists" if len(present) == 1 else "files exist"
        raise ConfigError(f"{exists}: {', '.join(present)}; choose another name")
    if find_spec(name) is not None:
        raise ConfigError(f"{name}.py would hide the installed module {name!r}; choose another name")
    written: list[Path] = []
    try:
        for file, text in files.items():
            with file.open("x", encoding="utf-8") as stream:
                written.append(file)
                stream.write(text)
    except OSError as error:
        for file in written:
            file.unlink(missing_ok=True)
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from error
    return written
