"""Check values from YAML and the command line against declared settings, and compile them into one read-only Config.

Precedence: component default < `set_defaults` < YAML < command line. All faults are reported together, before anything
starts, each with its position. The `recrun` command and scripts use the same Parser: the command declares the settings
of the components that a config names, a script declares its own with `add_argument`.
"""

from __future__ import annotations

import argparse
import copy
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn

from recrun.config.check_value import Misfit, find_registered, fit, shown, type_name
from recrun.config.config import Config
from recrun.config.find import from_here
from recrun.config.given.script_flags import TAKEN, read_flags
from recrun.config.reading import Given
from recrun.config.settings import RUN, TRAINING
from recrun.config.suggestions.keys import meant_setting
from recrun.config.suggestions.values import meant_value
from recrun.errors import ConfigError, Fault, RegistryError, reading_order
from recrun.registry import OPTIMIZERS, REGISTRIES
from recrun.registry.component import REQUIRED, Parameter
from recrun.registry.conditions import conditions_of_both
from recrun.registry.user_files import is_file_reference
from recrun.types import EmptyIsText


class Parser:
    """The declared settings, and the values given for them.

    A script uses it like `argparse`: `add_argument`, `set_defaults`, `compile`. Afterwards the compiled values are
    attributes of the parser itself (`cfg.lr`), and the read-only `Config` is `cfg.config`.

    Args:
        settings: the settings declared from the start; by default those of every run and of every optimizer.
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
            ConfigError: `compile` has not been called yet.
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
        """Add settings; if one is declared already, its first default is kept.

        Raises:
            ConfigError: a name is declared twice with different types, or is reserved.
        """
        faults = []
        for parameter in parameters:
            known = self._parameters.get(parameter.name)
            if parameter.name in _RESERVED:
                message = f"{parameter.owner} cannot have a setting of this name, which is reserved; choose another"
                faults.append(Fault(message, parameter.name))
            elif known is None:
                self._parameters[parameter.name] = parameter
            elif known.annotation != parameter.annotation:
                types = f"{type_name(known.annotation)}, {parameter.owner} as {type_name(parameter.annotation)}"
                message = f"{known.owner} declares it as {types}; they cannot be used together"
                faults.append(Fault(message, parameter.name))
            elif known.conditions != parameter.conditions:
                self._parameters[parameter.name] = replace(known, conditions=conditions_of_both(known, parameter))
        if faults:
            raise ConfigError(faults)

    def add_argument(
        self,
        *flags: str,
        type: Any = str,
        default: Any = None,
        choices: Sequence[Any] | None = None,
        help: str = "",
        action: str | None = None,
        required: bool = False,
    ) -> None:
        """Declare a script's own setting, as with `argparse`; it becomes a YAML key as well.

        Args:
            flags: a long flag (`--embedding-dim`), which names the key (`embedding_dim`), and any short ones.
            type: a type that a setting can have (int, float, str, bool, list[int], those of `recrun.types`), or a
                callable that converts text into the value.
            default: the value if none is given.
            choices: the allowed values.
            help: one sentence for `--help`.
            action: "store_true" or "store_false" for a switch.
            required: whether a value must be given.

        Raises:
            ConfigError: there is no long flag, a flag or name is already in use, the default does not fit the type, or
                the action is unknown.
        """
        name = self._name_of(flags)
        if action in ("store_true", "store_false"):
            type, default = bool, action == "store_false"
        elif action not in (None, "store"):
            raise ConfigError(Fault(f"expected the action store, store_true or store_false, found {action!r}", name))
        is_type = type in (int, float, str, bool, list, dict) or typing.get_origin(type) is not None
        annotation: Any = typing.Literal[tuple(choices)] if choices is not None else type if is_type else Any
        if default is None and annotation is not Any and not required:
            annotation = annotation | None
        self.declare([Parameter(name, annotation, REQUIRED if required else default, help, "script")])
        self._flags[name] = flags
        if annotation is Any:
            self._converters[name] = type
        if default is not None:
            self.set_defaults(**{name: default})

    def _name_of(self, flags: Sequence[str]) -> str:
        """Return the key that flags declare; refuse flags that are already in use."""
        long = [flag for flag in flags if flag.startswith("--")]
        name = long[0].lstrip("-").replace("-", "_") if long else ""
        if not name.isidentifier():
            raise ConfigError(f"add_argument needs a long flag such as '--embedding-dim', found {', '.join(flags)!r}")
        taken = {*TAKEN, *(flag for known in self._flags.values() for flag in known)}
        doubles = [flag for flag in flags if flag in taken]
        if doubles:
            raise ConfigError(Fault(f"the flag {doubles[0]} is already in use; choose another", name))
        if name in self._parameters:
            owner = self._parameters[name].owner
            message = f"is already a setting of {owner}; change its default with set_defaults({name}=...)"
            raise ConfigError(Fault(message, name))
        return name

    def set_defaults(self, **values: Any) -> None:
        """Set defaults, which YAML and the command line override.

        Raises:
            ConfigError: a key is not declared, or its value has the wrong type.
        """
        faults: list[Fault] = []
        for key, value in values.items():
            if key not in self._parameters:
                faults.append(Fault("unknown setting", key=key, suggestion=meant_setting(key, self._parameters)))
            else:
                checked, fault = self._check(key, Given(value))
                faults += [fault] if fault else []
                self._defaults[key] = checked
        if faults:
            raise ConfigError(faults)

    def compile(self, argv: Sequence[str] | None = None) -> Config:
        """Read a script's command line (`--config file.yaml`, `--lr 1e-3`), seed the generators, and return the Config.

        If there are faults, all of them are printed, and the script ends with exit code 2.

        Args:
            argv: the arguments; those of the script if None.
        """
        arguments = sys.argv[1:] if argv is None else list(argv)
        reading = read_flags(arguments, self._parameters, self._flags, self._defaults)
        values, faults = self.check(reading.given, complete=reading.complete)
        faults += [*reading.faults, *self._unknown(reading.given)]
        if faults:
            _exit_with(faults)
        # Imported late: `--help` should not have to wait for torch.
        from recrun.randomness import draw_seed, seed_everything

        if values.get("seed") == -1:
            values["seed"] = draw_seed()
        self._config = Config(values)
        if "seed" in values:
            seed_everything(values["seed"])
        return self._config

    def resolve(self, given: Mapping[str, Given]) -> dict[str, Any]:
        """Return a value for every declared setting.

        Args:
            given: the settings in YAML and on the command line.

        Raises:
            ConfigError: there are unknown keys or wrong values; it holds all of them.
        """
        values, faults = self.check(given)
        faults += self._unknown(given)
        if faults:
            raise ConfigError(sorted(faults, key=reading_order))
        return values

    def check(self, given: Mapping[str, Given], *, complete: bool = True) -> tuple[dict[str, Any], list[Fault]]:
        """Return the value of every declared setting that has a valid one, and the faults of the others.

        Args:
            given: the settings in YAML and on the command line; undeclared keys are ignored.
            complete: whether `given` holds everything that was written; if not, a missing required setting is no fault.
        """
        faults: list[Fault] = []
        values: dict[str, Any] = {}
        for key, parameter in self._parameters.items():
            if key in given:
                value, fault = self._check(key, given[key])
                if fault is None:
                    values[key] = value
                else:
                    faults.append(fault)
                continue
            default = self._defaults.get(key, parameter.default)
            if default is not REQUIRED:
                # A copy: two parsers never share a list that can be changed.
                values[key] = copy.deepcopy(default)
            elif complete:
                faults.append(Fault(f"must be set: {parameter.owner} needs {type_name(parameter.annotation)}", key))
        return values, faults

    def _unknown(self, given: Mapping[str, Given]) -> list[Fault]:
        return [
            value.key_fault("unknown setting", key, meant_setting(key, self._parameters))
            for key, value in given.items()
            if key not in self._parameters
        ]

    def _check(self, key: str, given: Given) -> tuple[Any, Fault | None]:
        """Return the checked value of a setting, or its fault."""
        annotation = self._parameters[key].annotation
        if key in self._converters:
            return self._convert(key, given)
        misfit = Misfit()
        # Text may be written without quotes where it looks like something else: `id: 007`.
        candidates = [given.value] if given.value is None or given.text is None else [given.value, given.text]
        if given.is_bare_argument and EmptyIsText() in getattr(annotation, "__metadata__", ()):
            candidates = [""]
        for candidate in candidates:
            try:
                return self._found(annotation, fit(annotation, candidate), given), None
            except RegistryError as error:
                return None, given.fault(str(error), key)
            except Misfit as error:
                misfit = error if misfit.position is None else misfit
        expected, position = f"expected {type_name(annotation)}", misfit.position
        if position is not None:
            message = f"{expected}; element {position + 1} is {shown(given.value[position])}"
            return None, given.fault(message, key, item=position)
        message = f"{expected}, found {shown(given.value, given.text)}"
        if isinstance(given.value, dict) and given.text is None:
            message += "; text that holds ': ' must be in quotes"
        return None, given.fault(message, key, meant_value(key, annotation, given))

    @staticmethod
    def _found(annotation: Any, value: Any, given: Given) -> Any:
        """Return a value; if it names something in a user's file, check that it exists and make the path absolute.

        Raises:
            RegistryError: there is no such file or name.
        """
        registered = find_registered(annotation)
        if registered is None or value is None or not is_file_reference(value):
            return value
        reference = from_here(value, given)
        described = REGISTRIES[registered.kinds].describe(reference)
        if registered.kinds == "splits":
            described.check_call(("rows",))
            if described.parameters:
                raise RegistryError(f"{reference}: a split has no settings; remove {described.parameters[0].name!r}")
        return reference

    def _convert(self, key: str, given: Given) -> tuple[Any, Fault | None]:
        text = given.text if given.text is not None else given.value
        if not isinstance(text, str):
            return given.value, None
        try:
            return self._converters[key](text), None
        except (TypeError, ValueError, argparse.ArgumentTypeError) as error:
            return None, given.fault(f"cannot convert {text!r}: {error}", key)


def _script_settings() -> list[Parameter]:
    settings = {parameter.name: parameter for parameter in (*RUN, *TRAINING)}
    for optimizer in OPTIMIZERS:
        for parameter in optimizer.parameters:
            settings.setdefault(parameter.name, replace(parameter, owner="optimizer"))
    return list(settings.values())


def _exit_with(faults: Iterable[Fault]) -> NoReturn:
    for fault in sorted(faults, key=reading_order):
        sys.stderr.write(f"error: {fault}\n")
    raise SystemExit(2)


_RESERVED: Final = frozenset(
    [*dir(Config), *dir(Parser), "extends", "expected", "tuned_for", "sweep", "help"],
)
"""Names that a setting cannot have, because they mean something else as an attribute, a key or a flag."""
