"""Run the `recrun` command: find the subcommand, and turn errors into one red line each and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from pathlib import Path

import click

import recrun
from recrun.cli._hints import meant_command, of_unknown_option
from recrun.errors import ConfigError, DownloadError, RecrunError, TrainingError, nearest
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
            meant = meant_command(args)
            guess = nearest(args[0], self.list_commands(context)) if meant is None else None
            hint = f"; did you mean {guess!r}?" if guess else "." if meant is None else f"; write: {meant}."
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
    debug = "--debug" in arguments
    if "_RECRUN_COMPLETE" in os.environ:
        import recrun.cli.completion  # noqa: F401  (it registers the shells)
    try:
        code = cli.main(args=arguments, prog_name="recrun", standalone_mode=False)
    except click.NoSuchOption as error:
        _show_unknown_option(error, arguments)
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
        _say(f"{type(error).__name__}: {error}{_where(error)} (--debug shows the traceback)")
        code = EXIT_FAILED
    sys.exit(code if isinstance(code, int) else 0)


def _show_unknown_option(error: click.NoSuchOption, arguments: list[str]) -> None:
    message, context = error.format_message(), error.ctx
    if context is not None and any("KEY=" in str(parameter.metavar) for parameter in context.command.params):
        options = [name for parameter in context.command.params for name in parameter.opts]
        hint = of_unknown_option(error.option_name, arguments, options, context.info_name or "")
        if hint is not None:
            # By its letters, a setting is near to options that have nothing to do with it.
            message = f"No such option {error.option_name!r}; {hint}"
    click.UsageError(message, context).show()


def _say(line: str) -> None:
    click.secho(f"error: {line}", fg="red", err=True, color=False if "NO_COLOR" in os.environ else None)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f" [{frames[-1].filename}:{frames[-1].lineno}]" if frames else ""


if __name__ == "__main__":
    main()
