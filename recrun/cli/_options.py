"""Define the options and arguments that several commands share, and print JSON results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from recrun.files import to_json

F = TypeVar("F", bound=Callable[..., Any])

debug_option = click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks of errors.")

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")

trust_option = click.option(
    "--trust", is_flag=True, help="Run Python files that the run names, although they were not run here before."
)

runs_option = click.option(
    "--runs",
    default="runs",
    show_default=True,
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Folder that holds the run folders.",
)

config_arguments = click.argument("arguments", nargs=-1, metavar="[CONFIG] [KEY=VALUE ...]")


def verbosity_options(function: F) -> F:
    """Add -q and -v, which set `verbose` to 0 and 2."""
    function = click.option("-q", "--quiet", is_flag=True, help="Print only warnings and errors.")(function)
    return click.option("-v", "--verbose", "loud", is_flag=True, help="Print more details.")(function)


def split_arguments(arguments: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """Return the config (the first argument, if it is not KEY=VALUE) and the remaining arguments."""
    if arguments and "=" not in arguments[0]:
        return arguments[0], list(arguments[1:])
    return None, list(arguments)


def with_verbosity(overrides: list[str], quiet: bool, loud: bool) -> list[str]:
    """Return the overrides with `verbose` as set by -q or -v.

    Raises:
        click.UsageError: both were given, or `verbose` is set as well.
    """
    if quiet and loud:
        raise click.UsageError("-q and -v exclude each other; give only one")
    if (quiet or loud) and any(override.startswith("verbose=") for override in overrides):
        raise click.UsageError("-q and -v set verbose; give either one of them or verbose=...")
    return overrides + (["verbose=0"] if quiet else []) + (["verbose=2"] if loud else [])


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, with unrounded numbers."""
    click.echo(to_json(document, indent=2, default=str))


def print_notes(notes: Iterable[str]) -> None:
    """Print what a user should know about the settings on stderr, a line for each note."""
    for note in notes:
        click.echo(f"note: {note}", err=True)
