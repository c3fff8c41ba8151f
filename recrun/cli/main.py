"""Run the `recrun` command: find the subcommand, and turn errors into one red line each and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click

import recrun
from recrun.errors import ConfigError, DownloadError, RecrunError, TrainingError, nearest
from recrun.training.stop_signals import Interrupts
from recrun.training.torch_workarounds import let_threads_sleep

_NOT_COMMANDS = {"main"}

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Commands(click.Group):
    """Loads subcommands from the modules of this package; each is imported only when it is used."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        return sorted({path.stem for path in Path(__file__).parent.glob("[!_]*.py")} - _NOT_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import and return a subcommand."""
        if name not in self.list_commands(context):
            return None
        module = import_module(f"recrun.cli.{name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; if there is none, suggest the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(context):
            guess = nearest(args[0], self.list_commands(context))
            hint = f"; did you mean {guess!r}?" if guess else "."
            context.fail(f"no command {args[0]!r}{hint} Commands: {', '.join(self.list_commands(context))}")
        return super().resolve_command(context, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(recrun.__version__, message="recrun %(version)s")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Train, evaluate, sweep and compare recommenders from YAML configs.

    \b
    Example:
        recrun train bprmf lr=1e-3
    """
    context.obj = {"debug": debug}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 usage error, 3 trials not done, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    let_threads_sleep()
    code = EXIT_INTERRUPTED
    # Training and sweeps, which have something to save, catch signals themselves.
    with Interrupts(at_once=True) as interrupts, suppress(KeyboardInterrupt):
        code = _run(arguments, interrupts)
    sys.exit(code)


def _run(arguments: list[str], interrupts: Interrupts) -> int:
    debug = "--debug" in arguments
    try:
        code = cli.main(args=arguments, prog_name="recrun", standalone_mode=False)
    except click.NoSuchOption as error:
        _show_unknown_option(error)
        code = EXIT_USAGE
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        # click raises its Abort from the KeyboardInterrupt, whose text says how to continue.
        _say(str(error) or str(error.__cause__ or "") or "interrupted")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of the output has gone (`recrun list models | head`), so nothing more can be printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except RecrunError as error:
        if debug:
            traceback.print_exc()
        for line in map(str, error.faults) if isinstance(error, ConfigError) else [str(error)]:
            _say(line)
        code = EXIT_FAILED if isinstance(error, (TrainingError, DownloadError)) else EXIT_USAGE
    except Exception as error:
        if debug:
            traceback.print_exc()
        if interrupts.requested:  # a module that was being imported may have turned the interrupt into its own error
            _say("interrupted")
            return EXIT_INTERRUPTED
        _say(f"{type(error).__name__}: {error}{_where(error)} (--debug shows the traceback)")
        code = EXIT_FAILED
    return code if isinstance(code, int) else 0


def _show_unknown_option(error: click.NoSuchOption) -> None:
    message, context = error.format_message(), error.ctx
    if context is not None and any("KEY=" in str(parameter.metavar) for parameter in context.command.params):
        setting = error.option_name.lstrip("-").replace("-", "_")
        # Older versions of click end their message without a full stop.
        message = f"{message.rstrip('.')}. A setting is given as KEY=VALUE, without dashes: {setting}=..."
    click.UsageError(message, context).show()


def _say(line: str) -> None:
    click.secho(f"error: {line}", fg="red", err=True, color=False if "NO_COLOR" in os.environ else None)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" [{frames[-1].filename}:{frames[-1].lineno}]" if frames else ""


if __name__ == "__main__":
    main()
