"""Answer a command line that cannot be understood with the one that was probably meant."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from recrun.errors import ConfigError, Fault

_OTHER_COMMANDS: Final = {
    "train": "fit run start launch learn go",
    "train --resume": "resume continue restart",
    "eval --checkpoint": "test evaluate evaluation score",
    "sweep": "search tune grid gridsearch grid_search hpo hyperopt optimize optimise hyper tuning",
    "list": "ls",
    "list runs": "runs history",
    "list configs": "config configs",
    "data fetch": "download fetch get",
    "data describe": "describe inspect explore stats",
    "data split": "split",
    "data convert": "convert",
    "show": "info describe_model doc docs",
    "validate": "lint verify_config",
    "new": "init create generate scaffold",
    "--help": "help usage",
    "--version": "version",
}
"""Commands of other programs, by what does the same here."""

_OPTIONS: Final = {
    "runs": "output output_dir out out_dir save_dir log_dir logdir results_dir checkpoint_dir folder",
    "resume": "resume_from continue restart resume_from_checkpoint",
    "checkpoint": "ckpt run model_path load",
    "jobs": "n_jobs workers parallel num_parallel",
}
"""Options of other programs, by what they are called here."""


def full_command(*words: str) -> str:
    """Return a command line of recrun that can be copied into a shell."""
    return " ".join(["recrun", *(shlex.quote(word) for word in words)])


def meant_command(words: Sequence[str]) -> str | None:
    """Return the command line that was meant by one whose first word is no command, or None.

    >>> meant_command(["fit", "bprmf"]), meant_command(["bprmf", "lr=1e-3"]), meant_command(["frobnicate"])
    ('recrun train bprmf', 'recrun train bprmf lr=1e-3', None)
    """
    first, rest = words[0].lower(), list(words[1:])
    for meant, names in _OTHER_COMMANDS.items():
        if first in names.split():
            rest = ["RUN"] if meant.endswith(("resume", "checkpoint")) and not rest else rest
            return full_command(*meant.split(), *rest)
    if first in ("predict", "recommend", "infer", "inference"):
        return f"{full_command('eval', '--checkpoint', *(rest or ['RUN']))} to score a model (none writes predictions)"
    from recrun.config.find import bundled_config
    from recrun.registry import REGISTRIES

    plural = next(
        (each for each in REGISTRIES if first in (each, each.removesuffix("s"), each.removesuffix("es"))), None
    )
    if plural is not None:
        return full_command("list", plural)
    if "=" in words[0] or words[0].endswith((".yaml", ".yml")) or bundled_config(words[0]) is not None:
        return full_command("train", *words)
    return None


def of_unknown_option(name: str, words: Sequence[str], options: Sequence[str], command: str) -> str | None:
    """Return what to write instead of an option that a command with KEY=VALUE arguments does not have.

    Args:
        name: the option as click names it: `--lr`, or `-l` of `-lr=1e-3`.
        words: the whole command line.
        options: the names of the command's options, such as `--runs`.
        command: the command's name.
    """
    from recrun.config.suggestions.keys import renamed

    word = next((each for each in words if each.startswith(name)), name)
    written, equals, value = word.lstrip("-").partition("=")
    key = written.replace("-", "_")
    if not equals:
        following = words[list(words).index(word) + 1 :] if word in words else []
        value = following[0] if following and "=" not in following[0] and not following[0].startswith("-") else "..."
    if key in ("config", "cfg", "config_file", "config_files", "c", "f", "file"):
        return f"CONFIG needs no option: recrun {command} {value}"
    for option, spellings in _OPTIONS.items():
        if key in spellings.split() and f"--{option}" in options:
            return f"the option is --{option}: recrun {command} --{option} {value}"
    if not key.isidentifier():
        return None
    known = _settings()
    key = key if key in known else renamed(key, known) or key
    return f"a setting is given as KEY=VALUE, without dashes: {shlex.quote(f'{key}={value}')}"


def of_scattered_words(words: Sequence[str]) -> str | None:
    """Return the argument that was meant by words which a shell has taken apart (`lr = 1e-3`, `[a, b]`), or None."""
    for position, word in enumerate(words):
        before, after = list(words[:position]), list(words[position + 1 :])
        if word == "=" and before and after and "=" not in before[-1]:
            return f"write no blanks around '=': {shlex.quote(f'{before[-1]}={after[0]}')}"
        if word.startswith("=") and len(word) > 1 and before and "=" not in before[-1]:
            return f"write no blanks around '=': {shlex.quote(before[-1] + word)}"
        if word.endswith("=") and word[:-1].isidentifier() and after and "=" not in after[0]:
            return f"write no blanks around '=': {shlex.quote(word + after[0])}"
        if "=" in word and word.count("[") > word.count("]") and after:
            end = next((number for number, later in enumerate(after, 1) if "]" in later), 0)
            if end:
                return f"put an argument with blanks in quotes: {shlex.quote(' '.join([word, *after[:end]]))}"
        if word.isidentifier() and after and "=" not in after[0] and not os.path.exists(word) and word in _settings():
            return f"a setting is given as KEY=VALUE: {shlex.quote(f'{word}={after[0]}')}"
    return None


def with_sweep(error: ConfigError, command: str, config: str | None, overrides: Sequence[str]) -> ConfigError:
    """Return an error whose faults of settings with several values name the sweep that tries each of them.

    Args:
        error: what is wrong.
        command: the command that was used, `train` or `sweep`.
        config: the config as named on the command line.
        overrides: the `KEY=VALUE` arguments.
    """
    from recrun.sweep.space.arguments import parse_grid

    several = {setting.key for setting in parse_grid(overrides)[0].axes} if command == "train" else set()
    listed = {each.partition("=")[0] for each in overrides if each.partition("=")[2].startswith("[")}
    wrong = {
        fault.key
        for fault in error.faults
        if (fault.file or "").startswith("argument")
        and (fault.key in several or _is_list(fault, listed))
        and not _is_one_value(fault)
    }
    if not wrong:
        return error
    arguments = []
    for each in overrides:
        key, _, text = each.partition("=")
        arguments.append(f"{key}={text[1:-1].replace(' ', '')}" if key in wrong & listed and text[-1:] == "]" else each)
    line = full_command("sweep", *([] if config is None else [config]), *arguments)

    def answered(fault: Fault) -> Fault:
        if fault.key not in wrong:
            return fault
        head = fault.message.partition(" (available:")[0]
        return replace(fault, message=f"{head}; to try each value: {line}", suggestion=None)

    return ConfigError([answered(fault) for fault in error.faults])


def _is_one_value(fault: Fault) -> bool:
    """Return whether what is suggested is one value, although there is a comma in it: a list, or a number."""
    suggestion = fault.suggestion or ""
    return "=" in suggestion or suggestion.replace(".", "", 1).isdecimal()


def _is_list(fault: Fault, listed: set[str]) -> bool:
    return fault.key in listed and fault.message.endswith("(a list)")


def _settings() -> set[str]:
    """Return the name of every setting of the run and of any registered component."""
    from recrun.config.settings import COMPONENTS, RUN, TRAINING

    own = (each.name for registry in COMPONENTS.values() for known in registry for each in known.parameters)
    return {*own, *(each.name for each in (*RUN, *TRAINING))}
