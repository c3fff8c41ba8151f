"""Read `KEY=VALUE` arguments, and Python values by key, that override the settings of a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from recrun.config.find import EXPECTED, EXTENDS, SWEEP, TUNED_FOR
from recrun.config.given.python_values import KEYWORD, read_keywords
from recrun.config.reading import Given, Place, Reading
from recrun.config.yaml_reader import read_value
from recrun.config.yaml_writer import dump_value
from recrun.errors import Fault
from recrun.registry import REGISTRIES

Overrides: TypeAlias = Sequence[str] | Mapping[str, Any]
"""Settings that override those of a config: `KEY=VALUE` arguments, or Python values by key."""

_IN_FILES_ONLY: Final = {
    EXTENDS: "here, name the config itself",
    EXPECTED: "expected values hold for a whole config",
    TUNED_FOR: "it says for which data sets the settings there were chosen",
    SWEEP: "here, vary a setting with recrun sweep KEY=V1,V2",
}
"""The keys that are not settings, and why arguments cannot set them."""


def read_arguments(arguments: Overrides) -> Reading:
    """Read `KEY=VALUE` arguments, with values written as in YAML, or Python values by key."""
    if isinstance(arguments, Mapping):
        return _read_keywords(arguments)
    reading = Reading()
    for position, argument in enumerate(arguments, start=1):
        file = f"argument {position}"
        key, equals, text = argument.partition("=")
        key_place, place = Place(file, None, 1), Place(file, None, len(key) + 2)
        if not equals or not key.strip():
            hint = ", without spaces around '='" if argument == "=" or argument.startswith("=") else ""
            hint = f" ({argument[1:80]}=null unsets what is inherited)" if argument.startswith("~") else hint
            reading.faults.append(
                Fault(f"expected KEY=VALUE{hint}, found {argument[:80]!r}", file=file, suggestion=_choice_of(argument))
            )
        elif key in reading.given:
            reading.faults.append(key_place.fault("is set twice", key))
        elif key in _IN_FILES_ONLY:
            reading.faults.append(key_place.fault(f"belongs in a config file; {_IN_FILES_ONLY[key]}", key))
        else:
            given, faults = read_value(dump_value(text) if _is_plain_text(text) else text, place)
            reading.faults += [replace(fault, key=key) for fault in faults]
            if given is not None:
                reading.given[key] = replace(given, key_place=key_place)
    return reading


def _read_keywords(settings: Mapping[str, Any]) -> Reading:
    reading = read_keywords(settings)
    for key in [key for key in reading.given if key in _IN_FILES_ONLY]:
        del reading.given[key]
        reading.faults.append(KEYWORD.fault(f"belongs in a config; {_IN_FILES_ONLY[key]}", key))
    return reading


def _choice_of(name: str) -> str | None:
    """Return the `KEY=VALUE` that chooses what a name names, or None."""
    if name in {parameter.name for optimizer in REGISTRIES["optimizers"] for parameter in optimizer.parameters}:
        return None  # `lr` is a model, but who writes it alone means the learning rate.
    kinds = {
        "model": "models",
        "dataset": "datasets",
        "loss": "losses",
        "optimizer": "optimizers",
        "sampler": "samplers",
    }
    return next((f"{key}={name}" for key, plural in kinds.items() if name in REGISTRIES[plural]), None)


def _is_plain_text(text: str) -> bool:
    """Return whether a value is text, though not in YAML.

    No YAML begins with a percent sign, but a format of dates does (%d/%m/%Y). Marks alone, of which a shell has taken
    the quotes, are separators of columns (`separator=','`); in YAML they are errors, or empty blocks.
    """
    return text.startswith("%") or (bool(text) and not text.strip(",|:;&*!>@#?`- \t"))


def read_overrides(arguments: Overrides) -> dict[str, Given]:
    """Read `KEY=VALUE` arguments, or Python values by key.

    Raises:
        ConfigError: arguments that are not `KEY=VALUE`, repeat a key, or hold no YAML value; all of them are listed.
    """
    return read_arguments(arguments).checked()
