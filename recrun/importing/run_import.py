"""Import a config of another program: read it, map it, check it, and write it as configs of recrun."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

from recrun.errors import ConfigError
from recrun.importing import elliot, freerec, recbole, warprec
from recrun.importing.draft import Draft, Line
from recrun.importing.options import Found, Options
from recrun.importing.write import check, config_text, sweep_command
from recrun.importing.yaml_tree import Entry, read_tree

PROGRAMS: Final[Mapping[str, ModuleType]] = {
    "recbole": recbole,
    "freerec": freerec,
    "elliot": elliot,
    "warprec": warprec,
}
"""The programs by their names on the command line; each module has `read` and `NAME`."""
SEVERAL_FILES: Final = ("recbole", "freerec")
"""The programs that read several files, of which a later one overrides an earlier one."""


@dataclass(frozen=True)
class Imported:
    """A config that was imported.

    Args:
        model: the model, as it is called there.
        draft: the settings, and what happened to each key.
        text: the config as YAML.
        notes: what a user should know about the settings.
    """

    model: str
    draft: Draft
    text: str
    notes: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """The name of its file, without the ending."""
        return re.sub(r"[^a-z0-9]+", "_", self.model.lower()).strip("_") or "model"

    def document(self, path: str | None) -> dict[str, Any]:
        """Return what was imported, for JSON; `path` is where it was written, None if nowhere."""
        draft = self.draft
        return {
            "model": self.model,
            "config": path,
            "settings": draft.settings,
            "mapped": [line.document() for line in draft.mapped],
            "not_mapped": [line.document() for line in draft.not_mapped],
            "no_effect": [line.document() for line in draft.no_effect],
            "differences": draft.differences,
            "notes": list(self.notes),
            "sweep": sweep_command(draft, path or f"{self.stem}.yaml"),
            "text": self.text,
        }


@dataclass
class Import:
    """What became of a config.

    Args:
        program: the program that it is of.
        configs: the configs that were made.
        refused: the models that have no counterpart here.
    """

    program: str
    configs: list[Imported] = field(default_factory=list)
    refused: list[Line] = field(default_factory=list)

    @property
    def n_not_mapped(self) -> int:
        """How many keys and models have no counterpart, the other program's defaults not counted."""
        lines = [line for config in self.configs for line in config.draft.not_mapped]
        return len(self.refused) + sum(line.entry.place is not None for line in lines)


def import_configs(program: str, paths: Sequence[str], options: Options) -> Import:
    """Return the configs that a config of another program becomes; nothing is written.

    Args:
        program: one of `PROGRAMS`.
        paths: the file; of RecBole and FreeRec also several, of which a later one overrides an earlier one.
        options: what the user says besides.

    Raises:
        ConfigError: a file cannot be read, a value has the wrong type, --data has not the files, or no model has a
            counterpart.
    """
    if len(paths) > 1 and program not in SEVERAL_FILES:
        raise ConfigError(f"{PROGRAMS[program].NAME} reads one config; found {len(paths)}")
    files = [read_tree(path) for path in paths]
    source = " and ".join(os.path.basename(path) for path in paths)
    read: Callable[[Sequence[Entry], Options], Iterator[Found]] = PROGRAMS[program].read
    result = Import(PROGRAMS[program].NAME)
    for found in read(files, options):
        if found.refusal is not None:
            result.refused.append(found.refusal)
        if found.draft is not None:
            notes = check(found.draft, paths[-1])
            text = config_text(found.draft, found.model, source)
            result.configs.append(Imported(found.model, found.draft, text, tuple(notes)))
    if not result.configs:
        raise ConfigError([line.entry.key_fault(line.why) for line in result.refused])
    return result
