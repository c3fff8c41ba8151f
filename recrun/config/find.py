"""Find a config, and read it with the configs it extends and the `KEY=VALUE` arguments.

Only the syntax is checked here; `recrun.config.parser` checks each setting, `recrun.config.resolve` the combination.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from shlex import quote
from typing import Any, Final, TypeAlias

from recrun.config.given.python_values import KEYWORD, read_keywords
from recrun.config.same_settings import decides
from recrun.config.suggestions.own_files import named_in
from recrun.config.yaml_reader import Given, Place, Reading, overlay, read_mapping, read_value
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError, Fault, nearest
from recrun.registry import REGISTRIES
from recrun.registry.user_files import is_file_reference

CONFIG_IN_FOLDER: Final = "recrun.yaml"
DEFAULT_CONFIG: Final = "bprmf"
EXTENDS: Final = "extends"
EXPECTED: Final = "expected"
TUNED_FOR: Final = "tuned_for"

Overrides: TypeAlias = Sequence[str] | Mapping[str, Any]
"""Settings that override those of a config: `KEY=VALUE` arguments, or Python values by key."""

_IN_FILES_ONLY: Final = {
    EXTENDS: "here, name the config itself",
    EXPECTED: "expected values hold for a whole config",
    TUNED_FOR: "it says for which data sets the settings there were chosen",
}
"""The keys that are not settings, and why arguments cannot set them."""


def find_config(config: str | Path | None) -> Path:
    """Return the path of a config: an existing file, else the bundled config of that name.

    Args:
        config: a path or a name (`bprmf`, `gowalla/bprmf`); None for `recrun.yaml` in the working folder, else the
            bundled `bprmf`.

    Raises:
        ConfigError: there is no such file and no such bundled config.
    """
    if config is None:
        here = Path(CONFIG_IN_FOLDER)
        return here if here.exists() else bundled_configs()[DEFAULT_CONFIG]
    # Unlike Path.exists, os.path.exists returns False for text that cannot be a path.
    is_there, is_folder = os.path.exists(config), os.path.isdir(config)
    if not is_there and _is_denied(str(config)):
        raise ConfigError(Fault("cannot be read: Permission denied", file=str(config)))
    if str(config).endswith(".py"):
        named = [(kind, reference) for kind, reference in named_in(str(config)) if kind in ("model", "dataset")]
        written = " or ".join(f"{kind}={quote(reference)}" for kind, reference in named)
        raise ConfigError(
            f"{str(config)!r} is no config; a model of your own is named by a setting: "
            + (written or f"model={config}:Name")
        )
    if is_there and not is_folder:
        return Path(config)
    if os.path.isfile(os.path.join(config, "config.yaml")) and os.path.isfile(os.path.join(config, "run.json")):
        raise ConfigError(
            f"is the folder of a run; continue it with --resume {quote(str(config))}, "
            f"or train anew by its config: {os.path.join(config, 'config.yaml')}"
        )
    bundled = bundled_configs()
    name = str(config).removesuffix(".yaml").removeprefix("configs/")
    beside = str(config) + ".yaml"
    is_another = str(config).startswith("configs/") and name in bundled and os.path.isfile(beside)
    if is_another and not os.path.samefile(beside, bundled[name]):
        raise ConfigError(f"there is no file {str(config)!r}, but {beside!r}; write the whole path, or {name!r}")
    # A folder that happens to have the name of a bundled config does not hide it.
    if name in bundled:
        return bundled[name]
    if is_there:
        inside = _config_nearby(str(config))
        raise ConfigError(Fault("is a folder; expected a YAML file", file=str(config), suggestion=inside))
    message = f"there is no file {str(config)!r}, and no bundled config of that name"
    if "=" in name:
        raise ConfigError(f"{message}; expected a config, not KEY=VALUE")
    if is_file_reference(name):
        raise ConfigError(f"{message}; a model of your own is named by a setting: model={name}")
    raise ConfigError(
        Fault(f"{message} (see recrun list configs)", suggestion=_config_nearby(str(config)) or nearest(name, bundled))
    )


def _is_denied(path: str) -> bool:
    """Return whether a folder on the way to a path may not be entered."""
    try:
        os.stat(path)
    except PermissionError:
        return True
    except (OSError, ValueError):
        pass
    return False


def _config_nearby(path: str) -> str | None:
    """Return the config that was meant by a path which is none: with its ending, or the only one in the folder."""
    stem = path.removesuffix(".yaml").removesuffix(".yml")
    for ending in (".yaml", ".yml"):
        for name in (stem, stem.replace("-", "_"), stem.lower(), os.path.join("configs", stem)):
            if name + ending != path and os.path.isfile(name + ending):
                return name + ending
    inside = sorted(Path(path).glob("*.y*ml")) if os.path.isdir(path) else []
    return str(inside[0]) if len(inside) == 1 else None


def bundled_configs() -> dict[str, Path]:
    """Return the paths of the configs that come with recrun, by name (`bprmf`, `gowalla/bprmf`)."""
    folder = Path(next(iter(import_module("recrun.configs").__path__)))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def read_config(path: str | Path) -> Reading:
    """Read a YAML config and the configs it `extends`; the extending file's values win."""
    return _read_chain(Path(path), ())


def read_settings(settings: Mapping[str, Any]) -> Reading:
    """Read a config given as a mapping of Python values, and the configs it `extends`, from the working folder."""
    return _with_base(read_keywords(settings), Path(), ())


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


def _read_chain(path: Path, above: tuple[str, ...]) -> Reading:
    return _with_base(read_mapping(path), path, (*above, os.path.realpath(path)))


def _with_base(reading: Reading, path: Path, here: tuple[str, ...]) -> Reading:
    """Return what was read together with what it extends.

    Args:
        reading: what was read.
        path: its file, or the working folder for what is in none.
        here: the files that led here, this one included.
    """
    reading.expected = reading.given.pop(EXPECTED, None)
    reading.tuned_for = reading.given.pop(TUNED_FOR, None)
    base = reading.given.pop(EXTENDS, None)
    if base is None:
        return reading
    target, fault = _base(path, base, here)
    if target is None or fault is not None:
        reading.refuse(fault or base.fault("cannot be found", EXTENDS))
        return reading
    inherited = _read_chain(target, here)
    return Reading(
        overlay(inherited.given, reading.given),
        [*reading.faults, *inherited.faults],
        reading.complete and inherited.complete,
        reading.expected or (None if decides(reading.given, inherited.given) else inherited.expected),
        reading.tuned_for or inherited.tuned_for,
    )


def _base(path: Path, base: Given, above: tuple[str, ...]) -> tuple[Path | None, Fault | None]:
    """Return the file that a config extends, or the fault of the name it gives."""
    if not isinstance(base.value, str):
        return None, base.fault("expected the path of a YAML file, or the name of a bundled config", EXTENDS)
    target = path.parent / base.value
    if not os.path.exists(target):
        bundled = bundled_configs()
        if base.value not in bundled:
            message = f"there is no file {str(target)!r}, and no bundled config {base.value!r}"
            return None, base.fault(message, EXTENDS, nearest(base.value, bundled))
        target = bundled[base.value]
    if os.path.isdir(target):
        return None, base.fault(f"{base.value!r} is a folder; expected a YAML file", EXTENDS)
    shorter = Path(os.path.normpath(target))  # without "a/../", unless a is a link
    target = shorter if os.path.realpath(shorter) == os.path.realpath(target) else target
    if os.path.realpath(target) in above:
        return None, base.fault(f"is circular: {base.value} extends this file in turn", EXTENDS)
    return target, None


def from_here(name: str, given: Given) -> str:
    """Return a component's name, with the path of a user's file made absolute.

    A path in a config is relative to the config's folder, one on the command line to the working folder.
    """
    if not is_file_reference(name):
        return name
    path, _, attribute = name.rpartition(":")
    return f"{os.path.abspath(located(path, given))}:{attribute}"


def located(path: str, given: Given) -> str:
    """Return where a path leads that was given as, or in, a value: from the folder of its config, or from here."""
    is_in_file = given.place is not None and given.place.line is not None
    folder = os.path.dirname(given.place.file) if given.place is not None and is_in_file else ""
    return os.path.join(folder, os.path.expanduser(path))
