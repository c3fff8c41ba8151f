"""Describe a registered component without importing it: its settings, docstring, base classes and traits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from recrun.errors import RegistryError
from recrun.registry.traits import Traits
from recrun.types import AppliesIf, Where


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()
"""The default of a parameter that has none."""


@dataclass(frozen=True)
class Parameter:
    """One setting: a key of the configuration.

    Args:
        name: the key.
        annotation: its type: `int`, `PositiveFloat`, `list[int]`, `Literal["a", "b"]`, `str | None` and the like.
        default: the value if none is given, or `REQUIRED`.
        help: one sentence for the user.
        owner: what declares it, as named in messages ("run", "training", "model bprmf").
        conditions: on this setting and others.
    """

    name: str
    annotation: Any
    default: Any = REQUIRED
    help: str = ""
    owner: str = "run"
    conditions: tuple[Where | AppliesIf, ...] = ()


@dataclass(frozen=True)
class Component:
    """A registered class or function, described without importing it.

    Args:
        kind: "model", "loss", ...
        name: its name in the registry.
        target: `module:qualified.name`, or `path.py:Name` for a user's own file.
        parameters: its settings, in the order of the signature.
        doc: its docstring and that of its constructor.
        bases: the names of a class's base classes, as written, nearest first; none of a function.
        traits: what the config layer must know about it; an instance of its kind's class in `recrun.registry.traits`.
        positional: how many arguments by position it needs at least, and takes at most; None if that is not known.
    """

    kind: str
    name: str
    target: str
    parameters: tuple[Parameter, ...] = ()
    doc: str = ""
    bases: tuple[str, ...] = ()
    traits: Any = field(default_factory=Traits)
    positional: tuple[int, float] | None = None

    def check_call(self, handed: Sequence[str]) -> None:
        """Check that it can be called with these arguments by position.

        Raises:
            RegistryError: it cannot.
        """
        least, most = self.positional or (0, len(handed))
        if not least <= len(handed) <= most:
            count = f"needs {least}" if least > len(handed) else f"takes {most}"
            wanted = ", ".join([*(("self",) if self.bases else ()), *handed, "*", "setting: type = default"])
            message = f"{self.name} {count} arguments by position, but is given {len(handed)}"
            raise RegistryError(f"{message}; write it as ({wanted})")

    @property
    def summary(self) -> str:
        """The first sentence of the docstring, on one line."""
        return " ".join(self.doc.strip().split("\n\n", maxsplit=1)[0].split())

    @property
    def source(self) -> str:
        """The paper or definition cited after *Source:* in the docstring, or ""."""
        match = re.search(r"\*?Source:?\*?:?\s*(.+?)(?:\n\s*\n|\Z)", self.doc, flags=re.DOTALL)
        return " ".join(match.group(1).split()) if match else ""
