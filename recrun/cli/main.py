"""Run the `recrun` command: find the subcommand, and turn errors into one red line each and an exit code."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from recrun.cli._options import echo
from recrun.errors import ConfigError, DownloadError, ExportError, OutputError, RecrunError, TrainingError, nearest
from recrun.registry.user_files import raised_by_user, where_raised
from recrun.report.terminal.streams import guarded_streams
from recrun.training.stop_signals import Interrupts
from recrun.training.torch_workarounds import let_threads_sleep
from recrun.version import __version__
from recrun.visible import on_one_line, visible

_NOT_COMMANDS = {"main"}

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Commands(click.Group):
    """Loads subcommands from the modules of this package and its folders; each is imported only when it is used."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        return sorted(_modules())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import and return a subcommand."""
        if name not in _modules():
            return None
        module = import_module(_modules()[name])
        command: click.Command = module.command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; if there is none, suggest the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(context):
            from recrun.cli._hints import meant_command

            meant = meant_command(args)
            guess = nearest(args[0], self.list_commands(context)) if meant is None else None
            hint = f"; did you mean {guess!r}?" if guess else "." if meant is None else f"; write: {meant}."
            context.fail(f"no command {args[0]!r}{hint} Commands: {', '.join(self.list_commands(context))}")
        return super().resolve_command(context, args)


@cache
def _modules() -> dict[str, str]:
    """Return the module of each subcommand."""
    here = Path(__file__).parent
    files = [file.relative_to(here) for pattern in ("[!_]*.py", "[!_]*/[!_]*.py") for file in here.glob(pattern)]
    found = {file.stem: ".".join(("recrun", "cli", *file.with_suffix("").parts)) for file in files}
    return {name: module for name, module in found.items() if name not in _NOT_COMMANDS}


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="recrun %(version)s")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Train, evaluate, sweep and compare recommenders from YAML configs.

    \b
    Example:
        recrun train bprmf lr=1e-3
    """
    context.obj = {"debug": debug}
    try:
        os.getcwd()
    except FileNotFoundError:  # torch cannot be loaded there, and relative paths mean nothing
        raise RecrunError("the working folder was removed; change to another") from None


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 usage error, 3 trials not done, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    let_threads_sleep()
    if "_RECRUN_COMPLETE" in os.environ:
        import recrun.cli.completion  # noqa: F401  (it registers the shells)
    code = EXIT_INTERRUPTED
    # Training and sweeps, which have something to save, catch signals themselves.
    with guarded_streams(), _escaped_messages(), Interrupts(at_once=True) as interrupts, suppress(KeyboardInterrupt):
        code = _run(arguments, interrupts, debug="--debug" in arguments)
    sys.exit(code)


def _run(arguments: list[str], interrupts: Interrupts, debug: bool) -> int:
    """Run a command and return its exit code; every error is printed as a line."""
    try:
        code = cli.main(args=arguments, prog_name="recrun", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as exit:
        if raised_by_user(exit):
            _say(on_one_line(f"SystemExit: {exit.code}{_where(exit)}: code of your own must not end the process"))
            return EXIT_FAILED
        return exit.code if isinstance(exit.code, int) else 0
    except click.ClickException as error:
        _show_usage_error(error, arguments)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        # click raises its Abort from the KeyboardInterrupt, whose text says how to continue.
        text = str(error) or str(error.__cause__ or "")
        failure = None if text else _failure_behind(error)
        if failure is not None:
            return _tell(failure, interrupts, debug)
        _say(text or "interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has gone (`recrun list models | head`), so nothing more can be printed.
        return 0
    except RecrunError as error:
        return _tell(error, interrupts, debug)
    except PermissionError as error:
        # What a command was given; what cannot be written once it runs is told by the command.
        if debug:
            echo(traceback.format_exc(), err=True, nl=False)
        _say(on_one_line(f"{error.filename}: {error.strerror}" if error.filename else str(error)))
        return EXIT_USAGE
    except BaseException as error:  # code of a user's own may raise what is no Exception
        if debug:
            echo(traceback.format_exc(), err=True, nl=False)
        if interrupts.requested:  # a module that was being imported may have turned the interrupt into its own error
            _say("interrupted")
            return EXIT_INTERRUPTED
        _say(on_one_line(f"{type(error).__name__}: {error}{_where(error)} (--debug shows the traceback)"))
        return EXIT_FAILED


def _tell(error: RecrunError, interrupts: Interrupts, debug: bool) -> int:
    """Print an error, and return the exit code; a request to stop no longer keeps it from being told."""
    interrupts.at_once = False
    if debug:
        echo("".join(traceback.format_exception(error)), err=True, nl=False)
    for line in map(str, error.faults) if isinstance(error, ConfigError) else [str(error)]:
        _say(line)
    return EXIT_FAILED if isinstance(error, (TrainingError, ExportError, DownloadError, OutputError)) else EXIT_USAGE


def _failure_behind(error: BaseException) -> TrainingError | None:
    """Return the failure of a run that was about to be told when a request to stop came, or None."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, TrainingError):
        behind = behind.__cause__ or behind.__context__
    return behind


def _show_usage_error(error: click.ClickException, arguments: list[str]) -> None:
    """Print an error of click as click does, but on one line and without what a terminal would obey."""
    message = error.format_message()
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # of click 8.2; before, it just printed
        echo(message, err=True)
        return
    if isinstance(error, click.MissingParameter):
        message = " ".join(message.split())  # click lists choices on lines of their own
    context = error.ctx if isinstance(error, click.UsageError) else None
    takes_settings = context is not None and any("KEY=" in str(each.metavar) for each in context.command.params)
    if isinstance(error, click.NoSuchOption) and context is not None and takes_settings:
        from recrun.cli._hints import of_unknown_option

        options = [name for parameter in context.command.params for name in parameter.opts]
        hint = of_unknown_option(error.option_name, arguments, options, context.info_name or "")
        if hint is not None:
            # By its letters, a setting is near to options that have nothing to do with it.
            message = f"No such option {error.option_name!r}; {hint}"
    if context is not None:
        echo(context.get_usage(), err=True)
        echo(f"Try '{context.command_path} {context.help_option_names[-1]}' for help.\n", err=True)
    echo(f"Error: {on_one_line(message)}", err=True)


@contextmanager
def _escaped_messages() -> Iterator[None]:
    """Have warnings of Python, errors of threads, and what is logged, escaped as all other output."""
    before, before_of_threads = warnings.formatwarning, threading.excepthook

    def formatted(*args: Any, **options: Any) -> str:
        return visible(before(*args, **options))

    class Lines(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return visible(super().format(record))

    def ended(found: threading.ExceptHookArgs) -> None:
        # TensorBoard raises the errors of its thread again, where something is written.
        if not type(found.thread).__module__.startswith("tensorboard."):
            echo(on_one_line(f"warning: a thread ended: {found.exc_type.__name__}: {found.exc_value}"), err=True)

    warnings.formatwarning, threading.excepthook = formatted, ended
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Lines("%(message)s"))
    try:
        yield
    finally:
        warnings.formatwarning, threading.excepthook = before, before_of_threads
        if logging.lastResort is not None:
            logging.lastResort.setFormatter(None)


def _say(line: str) -> None:
    echo(f"error: {line}", err=True, fg="red")


def _where(error: BaseException) -> str:
    where = where_raised(error)
    return f" [{where}]" if where else ""


if __name__ == "__main__":
    main()
