"""Read the command line of a script that builds its own Parser: `--config file.yaml`, `--lr 1e-3`, `--help`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, Final

from recrun.config.check_value import type_name
from recrun.config.find import find_config, read_config
from recrun.config.reading import Place, Reading
from recrun.config.yaml_reader import read_value
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError, Fault, nearest
from recrun.registry.component import REQUIRED, Parameter

TAKEN: Final = ("-h", "--help", "--config")
"""Flags that every script has."""


def read_flags(
    argv: Sequence[str],
    parameters: Mapping[str, Parameter],
    spellings: Mapping[str, Sequence[str]],
    defaults: Mapping[str, Any],
) -> Reading:
    """Read a script's arguments and the config file that they name; arguments override the file.

    Args:
        argv: the arguments, without the script's name.
        parameters: the declared settings by name.
        spellings: the flags of settings that have flags besides `--name`.
        defaults: the defaults that the script has set.
    """
    arguments, rest = _argument_parser(parameters, spellings, defaults).parse_known_args(argv)
    reading = Reading()
    known = ["--" + name.replace("_", "-") for name in (*parameters, "config")]
    strays = [argument for argument in rest if argument.startswith("--")]
    for stray in strays:
        reading.refuse(Fault("unknown option", stray, suggestion=nearest(stray.partition("=")[0], known)))
    if rest and not strays:
        reading.refuse(Fault(f"unexpected arguments: {' '.join(rest)}"))
    if arguments.config is not None:
        try:
            file = read_config(find_config(arguments.config))
        except ConfigError as error:
            file = Reading({}, error.faults, complete=False)
        reading = Reading(file.given, reading.faults + file.faults, reading.complete and file.complete)
    for name, text in vars(arguments).items():
        if name == "config":
            continue
        given, faults = read_value(text, Place("--" + name.replace("_", "-")))
        reading.faults += faults
        reading.given.pop(name, None)
        if given is not None:
            reading.given[name] = given
    return reading


def _argument_parser(
    parameters: Mapping[str, Parameter], spellings: Mapping[str, Sequence[str]], defaults: Mapping[str, Any]
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS, allow_abbrev=False)
    parser.add_argument("--config", default=None, metavar="FILE", help="YAML file with settings")
    for name, parameter in parameters.items():
        flags = dict.fromkeys([*spellings.get(name, ()), "--" + name.replace("_", "-"), "--" + name])
        default = defaults.get(name, parameter.default)
        remark = "required" if default is REQUIRED else f"default: {dump_value(default)}"
        text = f"{parameter.help} ({type_name(parameter.annotation)}; {remark})".strip().replace("%", "%%")
        if parameter.annotation is bool:
            parser.add_argument(*flags, dest=name, help=text, nargs="?", const="true", metavar="true|false")
        else:
            parser.add_argument(*flags, dest=name, help=text, metavar=name.upper())
    return parser
