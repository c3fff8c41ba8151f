"""Find a config, and read it with the configs it extends.

Only the syntax is checked here; `recrun.config.parser` checks each setting, `recrun.config.resolve` the combination.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from shlex import quote
from typing import Any, Final

from recrun.config.given.python_values import read_keywords
from recrun.config.reading import Given, Reading, overlay
from recrun.config.same_settings import decides
from recrun.config.suggestions.own_files import named_in
from recrun.config.sweep_section import merge_sections
from recrun.config.yaml_reader import read_mapping
from recrun.errors import ConfigError, Fault, nearest
from recrun.registry.user_files import is_file_reference

CONFIG_IN_FOLDER: Final = "recrun.yaml"
DEFAULT_CONFIG: Final = "bprmf"
EXTENDS: Final = "extends"
EXPECTED: Final = "expected"
TUNED_FOR: Final = "tuned_for"
SWEEP: Final = "sweep"

MAX_LAYERS: Final = 100
"""From more files, a config inherits nothing."""


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
        return here if here.exists() else _bundled_folder() / f"{DEFAULT_CONFIG}.yaml"
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
    name = str(config).removesuffix(".yaml").removeprefix("configs/")
    beside, bundled = str(config) + ".yaml", bundled_config(name)
    is_another = str(config).startswith("configs/") and bundled is not None and os.path.isfile(beside)
    if bundled is not None and is_another and not os.path.samefile(beside, bundled):
        raise ConfigError(f"there is no file {str(config)!r}, but {beside!r}; write the whole path, or {name!r}")
    # A folder that happens to have the name of a bundled config does not hide it.
    if bundled is not None:
        return bundled
    if is_there:
        inside = _config_nearby(str(config))
        raise ConfigError(Fault("is a folder; expected a YAML file", file=str(config), suggestion=inside))
    message = f"there is no file {str(config)!r}, and no bundled config of that name"
    if "=" in name:
        raise ConfigError(f"{message}; expected a config, not KEY=VALUE")
    if is_file_reference(name):
        raise ConfigError(f"{message}; a model of your own is named by a setting: model={name}")
    raise ConfigError(
        Fault(
            f"{message} (see recrun list configs)",
            suggestion=_config_nearby(str(config)) or nearest(name, bundled_configs()),
        )
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
    folder = _bundled_folder()
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def bundled_config(name: str) -> Path | None:
    """Return the path of a bundled config, or None if there is none of that name; without looking at the others."""
    if not re.fullmatch(r"\w[\w.-]*(?:/\w[\w.-]*)*", name):
        return None
    path = _bundled_folder() / f"{name}.yaml"
    return path if os.path.isfile(path) else None


def _bundled_folder() -> Path:
    return Path(next(iter(import_module("recrun.configs").__path__)))


def read_config(path: str | Path) -> Reading:
    """Read a YAML config and the configs it `extends`; the extending file's values win."""
    return _read_chain(Path(path), ())


def read_settings(settings: Mapping[str, Any]) -> Reading:
    """Read a config given as a mapping of Python values, and the configs it `extends`, from the working folder."""
    return _with_base(read_keywords(settings), Path(), ())


def _read_chain(path: Path, above: tuple[str, ...], known: dict[str, Reading] | None = None) -> Reading:
    """Read a file and all that it extends.

    Args:
        path: the file.
        above: the files that led to it.
        known: what was read already, by file: several files may extend the same one.
    """
    known = {} if known is None else known
    here = os.path.realpath(path)
    if here not in known:
        known[here] = _with_base(read_mapping(path), path, (*above, here), known)
    return known[here]


def _with_base(reading: Reading, path: Path, here: tuple[str, ...], known: dict[str, Reading] | None = None) -> Reading:
    """Return what was read together with what it extends.

    Args:
        reading: what was read.
        path: its file, or the working folder for what is in none.
        here: the files that led here, this one included.
        known: what was read already, by file.
    """
    known = {} if known is None else known
    reading.expected = reading.given.pop(EXPECTED, None)
    reading.tuned_for = reading.given.pop(TUNED_FOR, None)
    reading.sweep = reading.given.pop(SWEEP, None)
    base = reading.given.pop(EXTENDS, None)
    if base is None:
        return reading
    targets, faults = _bases(path, base, here)
    for fault in faults:
        reading.refuse(fault)
    bases = [_read_chain(target, here, known) for target in targets]
    n_layers = sum(1 + max((each.layer for each in below.given.values()), default=0) for below in bases)
    if n_layers > MAX_LAYERS:
        message = (
            f"inherits from {n_layers} files, counted as often as they are extended; at most {MAX_LAYERS} are read"
        )
        reading.refuse(base.fault(message, EXTENDS))
        bases = []
    return _stacked(bases, reading)


def _stacked(bases: Sequence[Reading], own: Reading) -> Reading:
    """Return a reading together with those that it extends, of which later ones win.

    Expected values hold only for the settings in the same file, so they are inherited of the last base that by itself
    computes the same as the whole.
    """
    found = Reading()
    for above in (*bases, own):
        found = Reading(
            overlay(found.given, above.given),
            list(dict.fromkeys([*above.faults, *found.faults])),
            found.complete and above.complete,
            tuned_for=above.tuned_for or found.tuned_for,
            sweep=merge_sections(found.sweep, above.sweep),
        )
    agreeing = [each for each in bases if each.expected is not None and not decides(found.given, each.given)]
    found.expected = own.expected or (agreeing[-1].expected if agreeing else None)
    return found


def _bases(path: Path, base: Given, above: tuple[str, ...]) -> tuple[list[Path], list[Fault]]:
    """Return the files that a config extends, the weakest first, and the faults of the names that it gives."""
    names = base.value if isinstance(base.value, list) else [base.value]
    targets: dict[str, Path] = {}
    faults = [] if names else [base.fault("names nothing; expected a config, or several", EXTENDS)]
    for position, name in enumerate(names):
        item = position if isinstance(base.value, list) else None
        target, fault = _base(path, base, name, item, above)
        if target is not None and os.path.realpath(target) in targets:
            fault = base.fault(f"{name!r} is listed twice; list it once", EXTENDS, item=item)
        if fault is not None:
            faults.append(fault)
        elif target is not None:
            targets[os.path.realpath(target)] = target
    return list(targets.values()), faults


def _base(
    path: Path, base: Given, name: Any, item: int | None, above: tuple[str, ...]
) -> tuple[Path | None, Fault | None]:
    """Return the file that a config extends under a name, or the fault of the name."""
    if not isinstance(name, str):
        message = "expected the path of a YAML file, or the name of a bundled config"
        return None, base.fault(message, EXTENDS, item=item)
    target = path.parent / name
    if not os.path.exists(target):
        bundled = bundled_config(name)
        if bundled is None:
            message = f"there is no file {str(target)!r}, and no bundled config {name!r}"
            return None, base.fault(message, EXTENDS, nearest(name, bundled_configs()), item)
        target = bundled
    if os.path.isdir(target):
        return None, base.fault(f"{name!r} is a folder; expected a YAML file", EXTENDS, item=item)
    shorter = Path(os.path.normpath(target))  # without "a/../", unless a is a link
    target = shorter if os.path.realpath(shorter) == os.path.realpath(target) else target
    if os.path.realpath(target) in above:
        return None, base.fault(f"is circular: {name} extends this file in turn", EXTENDS, item=item)
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
