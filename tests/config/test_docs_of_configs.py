"""docs/config.md and docs/commands.md say what the program does."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import click
import pytest

from recrun.cli.main import cli
from recrun.config.check_value import type_name
from recrun.config.find import read_config
from recrun.config.resolve import resolve
from recrun.config.settings import COMPONENTS, RUN, TRAINING
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError


def _leaves(group: click.Group, above: str = "") -> dict[str, click.Command]:
    """Return every command by its words (`data fetch`), those of groups instead of the groups themselves."""
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = f"{above}{name}"
        found |= _leaves(command, f"{path} ") if isinstance(command, click.Group) else {path: command}
    return found


COMMANDS = _leaves(cli)


@pytest.fixture(scope="module")
def config_page(repository: Path) -> str:
    """The page on configs."""
    return (repository / "docs" / "config.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def commands_page(repository: Path) -> str:
    """The page on commands."""
    return (repository / "docs" / "commands.md").read_text(encoding="utf-8")


def _section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _table(section: str) -> list[str]:
    return [line for line in section.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize(("title", "parameters"), [("Settings of every run", RUN), ("Settings of training", TRAINING)])
def test_the_tables_of_settings_are_complete(config_page: str, title: str, parameters: tuple) -> None:  # type: ignore[type-arg]
    assert _table(_section(config_page, title)) == [
        f"| `{each.name}` | {type_name(each.annotation)} | `{dump_value(each.default)}` | {each.help} |"
        for each in parameters
    ]


def test_the_table_of_components_settings_is_complete(config_page: str) -> None:
    rows = []
    for setting in ("optimizer", "lr_scheduler", "sampler", "loss"):
        owners: dict[str, list[str]] = defaultdict(list)
        types = {}
        for component in COMPONENTS[setting]:
            for parameter in component.parameters:
                owners[parameter.name].append(component.name)
                types.setdefault(parameter.name, type_name(parameter.annotation))
        rows += [f"| `{key}` | {setting} {', '.join(names)} | {types[key]} |" for key, names in owners.items()]
    assert _table(_section(config_page, "Settings of components")) == rows


def test_the_example_of_faults_is_what_is_printed(
    config_page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = _section(config_page, "Faults")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(re.findall(r"```yaml\n(.*?)```", section, flags=re.DOTALL)[0])
    command, *printed = re.findall(r"```\n\$ (.*?)```", section, flags=re.DOTALL)[0].splitlines()
    with pytest.raises(ConfigError) as caught:
        resolve("mine.yaml", shlex.split(command)[3:])

    def without_names(line: str) -> str:
        return re.sub(r"\(available: [^)]*\)", "(available: ...)", line)

    faults = [f"error: {fault}" for fault in caught.value.faults]
    assert list(map(without_names, printed)) == list(map(without_names, faults))


def test_the_example_of_a_config_is_one(config_page: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(re.findall(r"```yaml\n(.*?)```", config_page, flags=re.DOTALL)[0], encoding="utf-8")
    assert read_config(file).faults == []
    assert resolve(file).config.dataset == "MovieLensLatestSmall"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_named_with_an_example(commands_page: str, name: str) -> None:
    section = _section(commands_page, name.split()[0])
    examples = re.findall(r"```\n(.*?)```", section, flags=re.DOTALL)
    assert any(line.startswith(f"recrun {name}") for example in examples for line in example.splitlines())
    shared = _section("\n## all\n" + commands_page, "all")
    for parameter in COMMANDS[name].params:
        for flag in parameter.opts if isinstance(parameter, click.Option) and not parameter.hidden else ():
            assert re.search(rf"`{re.escape(flag)}\b", section) or f"`{flag}`" in shared, f"{name} {flag}"


def test_every_option_of_the_program_itself_is_named(commands_page: str) -> None:
    for parameter in cli.params:
        for flag in parameter.opts:
            assert flag in commands_page, flag


@pytest.mark.parametrize("word", sorted({name.split()[0] for name in COMMANDS}))
def test_no_option_is_named_that_a_command_does_not_have(commands_page: str, word: str) -> None:
    known = {"-h", "--help"}
    for name, command in COMMANDS.items():
        if name.split()[0] == word:
            known |= {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
    section = _section(commands_page, word)
    assert {flag for row in _table(section) for flag in re.findall(r"`(-{1,2}[a-z-]+)", row)} <= known
    for example in re.findall(rf"^recrun {word} .*$", section, flags=re.MULTILINE):
        words = shlex.split(example, comments=True)
        flags = {word for before, word in pairwise(words) if word.startswith("-") and before != "--sort"}
        assert flags <= known, example


def test_every_kind_that_can_be_listed_is_named(commands_page: str) -> None:
    from recrun.registry import REGISTRIES

    section = _section(commands_page, "list")
    assert all(f"`{kind}`" in section for kind in (*REGISTRIES, "configs", "runs"))
