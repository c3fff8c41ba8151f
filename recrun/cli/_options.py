"""Define the options and arguments that several commands share, and print text and JSON results."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from recrun.errors import OutputError
from recrun.visible import visible

F = TypeVar("F", bound=Callable[..., Any])

debug_option = click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks of errors.")

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")

trust_option = click.option(
    "--trust", is_flag=True, help="Run Python files that the run names, although they were not run here before."
)


class Folder(click.Path):
    """A folder, which must have a name."""

    def __init__(self) -> None:
        super().__init__(file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of the folder."""
        if not str(value).strip():
            self.fail("expected the name of a folder, found nothing; write . for the working folder", param, ctx)
        return super().convert(value, param, ctx)


runs_option = click.option(
    "--runs",
    default="runs",
    show_default=True,
    metavar="DIR",
    type=Folder(),
    help="Folder that holds the run folders.",
)


def completes(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """Return how a shell completes a parameter, by a name in `recrun.cli._complete.CANDIDATES`."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
        from recrun.cli._complete import CANDIDATES

        return CANDIDATES[what](context, incomplete)

    return complete


checkpoint_option = click.option(
    "--checkpoint",
    required=True,
    metavar="RUN_OR_FILE",
    shell_complete=completes("runs"),
    help="A run folder, a checkpoint folder in it, or a checkpoint file.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print only warnings and errors.")


def as_of_option(default: str) -> Callable[[F], F]:
    """Return the option --as-of, with its default."""
    return click.option(
        "--as-of",
        type=click.Choice(["valid", "test", "end"]),
        default=default,
        show_default=True,
        help="What is known of users: what precedes valid or test, or all interactions.",
    )


config_arguments = click.argument(
    "arguments", nargs=-1, metavar="[CONFIG] [KEY=VALUE ...]", shell_complete=completes("config_and_settings")
)

_LONG = 500


def verbosity_options(function: F) -> F:
    """Add -q and -v, which set `verbose` to 0 and 2."""
    function = quiet_option(function)
    return click.option("-v", "--verbose", "loud", is_flag=True, help="Print more details.")(function)


def split_arguments(arguments: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """Return the config (the first argument, if it is not KEY=VALUE) and the remaining arguments.

    Raises:
        click.UsageError: a shell has taken an argument apart at its blanks.
    """
    from recrun.cli._hints import of_scattered_words

    hint = of_scattered_words(arguments)
    if hint is not None:
        raise click.UsageError(hint)
    if arguments and "=" not in arguments[0]:
        return arguments[0], list(arguments[1:])
    return None, list(arguments)


def shown_detail(overrides: list[str], quiet: bool, loud: bool) -> int | None:
    """Return the `verbose` that -q and -v ask of this command alone, or None: the config then says.

    Raises:
        click.UsageError: both were given, or `verbose` is set as well.
    """
    if quiet and loud:
        raise click.UsageError("-q and -v exclude each other; give only one")
    if (quiet or loud) and any(override.startswith("verbose=") for override in overrides):
        raise click.UsageError("-q and -v set verbose; give either one of them or verbose=...")
    return 0 if quiet else 2 if loud else None


def with_verbosity(overrides: list[str], quiet: bool, loud: bool) -> list[str]:
    """Return the overrides with `verbose` as set by -q or -v, for a command that stores no config.

    Raises:
        click.UsageError: as by `shown_detail`.
    """
    verbose = shown_detail(overrides, quiet, loud)
    return overrides if verbose is None else [*overrides, f"verbose={verbose}"]


def echo(text: str = "", *, err: bool = False, nl: bool = True, fg: str | None = None) -> None:
    """Print text on stdout or stderr, with what a terminal would obey or not show escaped.

    Args:
        text: what is printed.
        err: print on stderr.
        nl: whether a line break follows.
        fg: a colour, used on a terminal only, and not if NO_COLOR is set.
    """
    stream = sys.stderr if err else sys.stdout
    shown = visible(text)
    if fg is not None and "NO_COLOR" not in os.environ and stream.isatty():
        shown = click.style(shown, fg=fg)
    stream.write(shown + ("\n" if nl else ""))
    stream.flush()


def without_plots(overrides: list[str], no_plots: bool) -> list[str]:
    """Return the overrides with `plots` as set by --no-plots.

    Raises:
        click.UsageError: `plots` is set as well.
    """
    if no_plots and any(override.startswith("plots=") for override in overrides):
        raise click.UsageError("--no-plots sets plots; give either --no-plots or plots=...")
    return overrides + (["plots=false"] if no_plots else [])


def names_of_metrics(given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the metrics that --metric names.

    Raises:
        click.UsageError: it names none.
    """
    asked = tuple(name.strip() for text in given for name in text.split(",") if name.strip())
    if given and not asked:
        raise click.UsageError("--metric: expected the name of a metric, such as ndcg@20")
    return asked


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, with unrounded numbers; that of a long list has a line for each entry."""
    from recrun.files import to_json

    if isinstance(document, list) and len(document) > _LONG:  # an indented one would take several times as long
        echo("[\n" + ",\n".join(to_json(entry, default=str) for entry in document) + "\n]")
        return
    echo(to_json(document, indent=2, default=str))


def print_csv(text: str) -> None:
    """Print CSV on stdout, with the line ends of RFC 4180; those of the text are line feeds, and end a row each."""
    stream, shown = sys.stdout, visible(text)
    stream.write(shown.replace("\n", "\r\n") if os.linesep == "\n" else shown)
    stream.flush()


def print_notes(notes: Iterable[str]) -> None:
    """Print what a user should know about the settings on stderr, a line for each note."""
    for note in notes:
        echo(f"note: {note}", err=True)


@contextmanager
def work_done(text: str) -> Iterator[None]:
    """Have the error of a result that cannot be printed say what is done all the same.

    Raises:
        OutputError: the result cannot be printed.
    """
    try:
        yield
    except OutputError as error:
        raise OutputError(error.reason, text) from None
