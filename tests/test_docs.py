"""What the documentation names exists: files, modules, names, links, commands and components."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from recrun.cli._options import split_arguments
from recrun.cli.main import cli
from recrun.config.find import bundled_configs
from recrun.config.resolve import resolve
from recrun.registry import REGISTRIES

TOP: Final = Path(__file__).resolve().parent.parent
PAGES: Final = [*sorted((TOP / "docs").glob("*.md")), TOP / "README.md", TOP / "CONTRIBUTING.md"]
FILES: Final = [*PAGES, TOP / "recrun", TOP / "models"]
COMMANDED: Final = [*PAGES, TOP / "CHANGELOG.md", *sorted((TOP / "configs").rglob("*.yaml")), TOP / "benchmarks"]
"""Files that show command lines."""
TABLES: Final = {
    "models": "models",
    "losses": "losses",
    "data sets": "datasets",
    "samplers": "samplers",
    "splits": "splits",
    "optimizers": "optimizers",
}
"""Rows of the README's table of components, and their registries."""
NOT_MODULES: Final = {
    *("recrun.yaml", "recrun.schema.json", "recrun.sent.train", "recrun.sent.valid"),
    *(f"recrun.{plural}" for plural in REGISTRIES),
}
"""Names of files, tags of tracked runs, and the groups of entry points."""
SINCE: Final = "## 0.1.0"


def _relative(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def _text(path: Path) -> str:
    """Return the text of a page, or of all sources in a folder."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _exists(dotted: str) -> bool:
    """Return whether a dotted name leads to a module, or to an attribute of one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("file", FILES, ids=_relative)
def test_every_file_that_is_named_exists(file: Path) -> None:
    text = _text(file)
    named = set(
        re.findall(r"\b(?:recrun|models|configs|docs|tests|benchmarks|examples)/[\w./-]*\w\.(?:py|md|yaml)\b", text)
    )
    assert [path for path in sorted(named) if not (TOP / path).is_file()] == []


@pytest.mark.parametrize("file", FILES, ids=_relative)
def test_every_name_of_recrun_in_backticks_exists(file: Path) -> None:
    text = _text(file)
    named = set(re.findall(r"`(recrun(?:\.\w+)+)", text)) - NOT_MODULES
    assert [name for name in sorted(named) if not _exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_every_import_in_the_docs_works(page: Path) -> None:
    imports = re.findall(r"^from (recrun[\w.]*) import ([\w, ]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    named = {f"{module}.{name.split(' as ')[0].strip()}" for module, names in imports for name in names.split(",")}
    assert [name for name in sorted(named) if not _exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_every_block_of_python_compiles_and_its_dotted_names_exist(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", _text(page), re.DOTALL | re.MULTILINE)
    for block in blocks:
        compile(block, _relative(page), "exec")
    named = set(re.findall(r"\brecrun(?:\.\w+)+", "\n".join(blocks)))
    assert [name for name in sorted(named) if not _exists(name)] == []


def _command_lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the command lines of a text, and whether each is complete; one in a sentence may only name a command."""
    text = re.sub(r"\\\n *", " ", text)
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    rest = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for line in re.findall(r"^(?:\$ )?(recrun [a-z-].*)$", blocks, re.MULTILINE):
        yield line, True
    for line in re.findall(r"^(?: {4}|# {3})(recrun [a-z-].*)$", rest, re.MULTILINE):
        yield line, True
    for line in re.findall(r"`(recrun [a-z-][^`]*)`", rest):
        yield " ".join(line.split()), False


def _parse(line: str) -> click.Context | None:
    """Parse a command line and run nothing; return None where it only names a group of commands.

    Raises:
        click.UsageError: there is no such command or option, or an argument is missing.
    """
    line = re.sub(r"\[(-[^\]]*)\]", r"\1", line).replace("--jobs N", "--jobs 1")  # a synopsis: [--json] [--jobs N]
    words = shlex.split(re.split(r" {3,}| > | \| ", line)[0], comments=True)[1:]  # without what follows the command
    # A command keeps the help option of the first context that asks for it.
    command, context = cli, click.Context(cli, **cli.context_settings)
    while isinstance(command, click.Group):
        if not words or words[0].startswith("-"):
            return None
        _, command, words = command.resolve_command(context, words)
        context = click.Context(command, parent=context)
    return command.make_context(command.name, words, parent=context.parent)


@pytest.mark.parametrize("file", COMMANDED, ids=_relative)
def test_every_command_line_is_understood(file: Path) -> None:
    faults = []
    for line, is_complete in _command_lines(_text(file)):
        try:
            _parse(line)
        except click.MissingParameter as error:
            faults += [f"{line}: {error.format_message()}"] if is_complete else []
        except click.UsageError as error:
            names_an_option = type(error) is click.BadOptionUsage and not is_complete
            faults += [] if names_an_option else [f"{line}: {error.format_message()}"]
    assert faults == []


@pytest.mark.parametrize("file", COMMANDED, ids=_relative)
def test_every_override_of_a_bundled_config_is_valid(file: Path) -> None:
    for line, is_complete in _command_lines(_text(file)):
        context = _parse(line) if is_complete else None
        if context is None or context.command.name not in ("train", "verify") or "./" in line or "[CONFIG]" in line:
            continue
        config, overrides = split_arguments(context.params["arguments"])
        name = str(config).removeprefix("configs/").removesuffix(".yaml")
        if name in bundled_configs():
            assert resolve(name, overrides).config.model, line


def test_the_readme_names_every_component() -> None:
    table = dict(re.findall(r"^\| ([a-z ]+) \| (.*) \|$", _text(TOP / "README.md"), re.MULTILINE))
    for row, kind in TABLES.items():
        assert set(table[row].split(", ")) == {component.name for component in REGISTRIES[kind]}, row


def test_the_page_of_models_names_every_trained_model_and_its_settings_exist() -> None:
    text = _text(TOP / "docs" / "models.md")
    missing = [each.name for each in REGISTRIES["models"] if not re.search(rf"\b{each.name}\b", text)]
    assert missing == ["neumf", "random"]
    for names, forms in re.findall(r"^\| ([a-z0-9, ]+) \| (.*?) \|", text, re.MULTILINE):
        models = [
            REGISTRIES["models"].describe(name) for name in names.split(", ") if name in REGISTRIES["models"].names()
        ]
        own = {parameter.name for model in models for parameter in model.parameters}
        settings = set(re.findall(r"`([a-z]+_[a-z_]+)[:`]", forms))
        elsewhere = {"sequence_rows", "rank_weight", "mean_only", "top1_max", "bpr_max", "sampled_softmax"}
        values = {"self_attention", "user_attention"}
        assert settings - own - elsewhere - values == set(), names


def test_every_new_name_in_the_changelog_exists() -> None:
    text = (TOP / "CHANGELOG.md").read_text(encoding="utf-8").partition(SINCE)[0]
    table = re.findall(r"^\| `[^|]*` \| (`[^|]*) \|$", text, re.MULTILINE)
    assert len(table) > 10
    named = re.findall(r"`(recrun(?:\.\w+)+)`", " ".join(table))
    assert [name for name in named if not _exists(name)] == []


def test_the_architecture_page_names_every_room() -> None:
    text = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = [path.name for path in (TOP / "recrun").iterdir() if (path / "__init__.py").is_file()]
    assert [room for room in rooms if f"`{room}/`" not in text] == []
