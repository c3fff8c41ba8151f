"""Parser: declared arguments + YAML + overrides -> one typed, read-only Config.

One precedence: component default < `set_defaults` < YAML < command line. Every fault is found before anything starts,
all of them together, each with its place. The command line of recrun and a script that builds its own Parser go through
the same object; the first adds the settings of the components it resolves, the second whatever `add_argument` declares.
"""

from __future__ import annotations

import argparse
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recrun.dict2obj import Config
from recrun.errors import ConfigError, Fault, nearest
from recrun.registry import OPTIMIZERS
from recrun.settings import RUN, TRAINING
from recrun.signature import REQUIRED, Parameter, type_name
from recrun.yamlfile import Given, Place, read_mapping, read_value

COMMAND_LINE = "command line"


class Parser:
    """Declared settings, and the values that were given for them.

    A script uses it as it would `argparse`: `add_argument`, `set_defaults`, `compile`; afterwards the compiled values
    are attributes of the parser itself (`cfg.lr`) and the read-only `Config` is `cfg.config`.

    Args:
        settings: what is declared from the start; by default all settings of a run and of every optimizer.
    """

    def __init__(self, settings: Iterable[Parameter] | None = None) -> None:
        self._parameters: dict[str, Parameter] = {}
        self._flags: dict[str, tuple[str, ...]] = {}
        self._converters: dict[str, Callable[[str], Any]] = {}
        self._defaults: dict[str, Any] = {}
        self._config: Config | None = None
        self.declare(_script_settings() if settings is None else settings)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The declared settings by name."""
        return self._parameters

    @property
    def config(self) -> Config:
        """The compiled Config.

        Raises:
            ConfigError: `compile` was not called yet.
        """
        if self._config is None:
            raise ConfigError("the parser is not compiled yet; call compile() first")
        return self._config

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._config is None:
            raise AttributeError(f"no attribute {name!r}; settings can be read after compile()")
        return getattr(self._config, name)

    def declare(self, parameters: Iterable[Parameter]) -> None:
        """Add settings.

        Raises:
            ConfigError: a name is declared twice with different types.
        """
        for parameter in parameters:
            known = self._parameters.get(parameter.name)
            if known is not None and known.annotation != parameter.annotation:
                raise ConfigError(
                    Fault(
                        f"{known.owner} declares it as {type_name(known.annotation)}, "
                        f"{parameter.owner} as {type_name(parameter.annotation)}; they cannot be used together",
                        key=parameter.name,
                    )
                )
            if known is None:
                self._parameters[parameter.name] = parameter

    def add_argument(
        self,
        *flags: str,
        type: Callable[[str], Any] = str,
        default: Any = None,
        choices: Sequence[Any] | None = None,
        help: str = "",
        action: str | None = None,
    ) -> None:
        """Declare a script's own setting, as `argparse` does; it becomes a key of YAML as well.

        Args:
            flags: `--embedding-dim`, with short forms beside it; the long one names the key (`embedding_dim`).
            type: int, float, str, bool, or any callable that makes the value from text.
            default: the value when nobody sets it.
            choices: the values allowed.
            help: one sentence for `--help`.
            action: "store_true" or "store_false" for a switch.

        Raises:
            ConfigError: no long flag, a name taken with another type, or an action that is not known.
        """
        long = [flag for flag in flags if flag.startswith("--")]
        if not long:
            raise ConfigError(f"add_argument needs a long flag such as '--embedding-dim', found {', '.join(flags)!r}")
        name = long[0].lstrip("-").replace("-", "_")
        annotation: Any = type if type in (int, float, str, bool) else Any
        if action in ("store_true", "store_false"):
            annotation, default = bool, action == "store_false"
        elif action not in (None, "store"):
            raise ConfigError(f"add_argument takes the actions store, store_true and store_false, found {action!r}")
        if choices is not None:
            annotation = typing.Literal[tuple(choices)]
        elif default is None and annotation is not Any:
            annotation = annotation | None
        self.declare([Parameter(name, annotation, default, help, "script")])
        self._flags[name] = flags
        if annotation is Any:
            self._converters[name] = type

    def set_defaults(self, **values: Any) -> None:
        """Set defaults that YAML and the command line override.

        Raises:
            ConfigError: a key is not declared, or its value has the wrong type.
        """
        faults: list[Fault] = []
        for key, value in values.items():
            if key not in self._parameters:
                faults.append(Fault("unknown setting", key=key, suggestion=nearest(key, self._parameters)))
            else:
                checked, fault = self._check(key, Given(value))
                faults += [fault] if fault else []
                self._defaults[key] = checked
        if faults:
            raise ConfigError(faults)

    def compile(self, argv: Sequence[str] | None = None) -> Config:
        """Read a script's command line (`--config file.yaml`, `--lr 1e-3`), seed the generators, and return the Config.

        Faults are printed as `argparse` prints its own, and the script ends with exit code 2.

        Args:
            argv: the arguments; those of the script when None.
        """
        from recrun.utils import draw_seed, seed_everything

        arguments = self._argument_parser().parse_args(sys.argv[1:] if argv is None else list(argv))
        try:
            given = read_config(arguments.config) if arguments.config else {}
            given |= self._given_by_flags(vars(arguments))
            values = self.resolve(given)
        except ConfigError as error:
            sys.stderr.write("".join(f"error: {fault}\n" for fault in error.faults))
            raise SystemExit(2) from None
        if values.get("seed") == -1:
            values["seed"] = draw_seed()
        self._config = Config(values)
        seed_everything(self._config.seed)
        return self._config

    def resolve(self, given: Mapping[str, Given]) -> dict[str, Any]:
        """Return a value for every declared setting.

        Args:
            given: what YAML and the command line set.

        Raises:
            ConfigError: unknown keys and wrong values, all of them.
        """
        faults: list[Fault] = []
        values: dict[str, Any] = {}
        for key in given:
            if key not in self._parameters:
                faults.append(given[key].fault("unknown setting", key, nearest(key, self._parameters)))
        for key, parameter in self._parameters.items():
            if key in given:
                values[key], fault = self._check(key, given[key])
                faults += [fault] if fault else []
                continue
            # A list default is copied: two parsers never share one that can be changed.
            default = self._defaults.get(key, parameter.default)
            values[key] = list(default) if isinstance(default, list) else default
            if default is REQUIRED:
                faults.append(Fault(f"must be set: {parameter.owner} needs {type_name(parameter.annotation)}", key=key))
        if faults:
            raise ConfigError(faults)
        return values

    def _check(self, key: str, given: Given) -> tuple[Any, Fault | None]:
        """Return the value a setting takes from what was given, or the fault."""
        annotation = self._parameters[key].annotation
        if key in self._converters and isinstance(given.value, str):
            try:
                return self._converters[key](given.value), None
            except (TypeError, ValueError) as error:
                return None, given.fault(f"cannot be made from {given.value!r}: {error}", key)
        candidates = [given.value]
        if given.text is not None and not isinstance(given.value, str) and given.value is not None:
            candidates.append(given.text)
        for candidate in candidates:
            try:
                return _adapter(annotation).validate_python(candidate), None
            except ValueError:
                continue
        return None, given.fault(f"expected {type_name(annotation)}, found {found(given.value)}", key)

    def _argument_parser(self) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS, allow_abbrev=False)
        parser.add_argument("--config", default=None, metavar="FILE", help="YAML file with settings")
        for name, parameter in self._parameters.items():
            flags = self._flags.get(name, ("--" + name.replace("_", "-"),))
            spellings = dict.fromkeys([*flags, "--" + name.replace("_", "-"), "--" + name])
            text = f"{parameter.help} ({type_name(parameter.annotation)}; default: {parameter.default})".replace("%", "%%")
            if parameter.annotation is bool:
                parser.add_argument(*spellings, dest=name, help=text, nargs="?", const="true", metavar="true|false")
            else:
                parser.add_argument(*spellings, dest=name, help=text, metavar=name.upper())
        return parser

    def _given_by_flags(self, arguments: Mapping[str, Any]) -> dict[str, Given]:
        given = {}
        for name, text in arguments.items():
            if name != "config":
                given[name] = read_value(text, Place("--" + name.replace("_", "-")))
        return given


def read_config(path: str | Path) -> dict[str, Given]:
    """Read a YAML config and what it `extends`, nearest file first.

    Raises:
        ConfigError: a file cannot be read or is faulty, or the files extend each other in a circle.
    """
    return _read_chain(Path(path), ())


def read_overrides(arguments: Sequence[str]) -> dict[str, Given]:
    """Read `KEY=VALUE` arguments; values are written as in YAML.

    Raises:
        ConfigError: with every argument that is not `KEY=VALUE`, repeats a key, or holds no YAML value.
    """
    faults: list[Fault] = []
    given: dict[str, Given] = {}
    for position, argument in enumerate(arguments, start=1):
        key, equals, text = argument.partition("=")
        place = Place(f"argument {position}", column=len(key) + 2)
        if not equals or not key.isidentifier():
            faults.append(Fault(f"expected KEY=VALUE, found {argument!r}", file=f"argument {position}"))
        elif key in given:
            faults.append(place.fault("the key is set twice", key))
        else:
            try:
                given[key] = read_value(text, place)
            except ConfigError as error:
                faults += [replace(fault, key=key) for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    return given


def found(value: Any) -> str:
    """Return how a wrong value is shown in a message."""
    kind = {bool: "true or false", int: "an integer", float: "a number", str: "text", list: "a list", dict: "a mapping"}
    if value is None:
        return "null"
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{shown} ({kind.get(type(value), type(value).__name__)})"


def _read_chain(path: Path, seen: tuple[Path, ...]) -> dict[str, Given]:
    given = read_mapping(path)
    base = given.pop("extends", None)
    if base is None:
        return given
    if not isinstance(base.value, str):
        raise ConfigError(base.fault("expected the path of a YAML file", "extends"))
    target = path.parent / base.value
    here = (*seen, path.resolve())
    if target.resolve() in here:
        raise ConfigError(base.fault(f"{base.value} extends this file in turn", "extends"))
    if not target.exists():
        raise ConfigError(base.fault(f"there is no file {str(target)!r}", "extends"))
    return _read_chain(target, here) | given


def _script_settings() -> list[Parameter]:
    settings = {parameter.name: parameter for parameter in (*RUN, *TRAINING)}
    for optimizer in OPTIMIZERS:
        for parameter in optimizer.parameters:
            settings.setdefault(parameter.name, replace(parameter, owner="optimizer"))
    return list(settings.values())


def _adapter(annotation: Any) -> Any:
    # pydantic takes a tenth of a second to import: only when there is something to check.
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
