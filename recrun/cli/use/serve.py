"""`recrun serve`: answer requests for recommendations over HTTP."""

from __future__ import annotations

import json
import os
import time
import traceback
from typing import TYPE_CHECKING, Any, Literal

import click

from recrun.cli._options import F, as_of_option, completes, echo, split_arguments, trust_option
from recrun.errors import ConfigError
from recrun.serving.limits import Limits
from recrun.visible import on_one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from recrun.serving.server import Ready


def _limit(name: str, help: str, *, least: int = 1) -> Callable[[F], F]:
    """Return the option --max-NAME of a limit, with its default."""
    default = getattr(Limits, name)
    return click.option(
        f"--max-{name}", name, type=click.IntRange(least), default=default, show_default=True, help=help
    )


@click.command("serve")
@click.argument("arguments", nargs=-1, required=True, metavar="RUN [KEY=VALUE ...]", shell_complete=completes("runs"))
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen at; 0 for a free one.",
)
@as_of_option("end")
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(),
    help="File with the token that requests must carry.  [default: RECRUN_TOKEN, if it is set]",
)
@click.option("--no-token", is_flag=True, help="Let everyone ask who reaches an address that is not of this machine.")
@click.option("--open-metrics", is_flag=True, help="Let /metrics be read without the token.")
@click.option(
    "--reload-every",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look whether RUN leads to another finished run; 0 for never.",
)
@_limit("k", "Most items of a list.")
@_limit("users", "Most users of a request.")
@_limit("history", "Most items of a history.")
@_limit("body", "Most bytes of a request's body.", least=64)
@_limit("waiting", "Most lists that wait to be computed.")
@_limit("connections", "Most connections at a time.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(min=0.1),
    default=Limits.seconds,
    show_default=True,
    metavar="SECONDS",
    help="How long a request may be sent, and how long its answer may be computed.",
)
@click.option("--access-log/--no-access-log", default=True, help="Log each request.  [default: access-log]")
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print the address as one line of JSON.")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def command(
    arguments: tuple[str, ...],
    host: str,
    port: int,
    as_of: Literal["valid", "test", "end"],
    token_file: str | None,
    no_token: bool,
    open_metrics: bool,
    reload_every: float,
    access_log: bool,
    trust: bool,
    as_json: bool,
    debug: bool,
    **limits: Any,
) -> int:
    """Serve a trained model over HTTP.

    POST /recommend answers with items for users of the data, or for a new user by a history of items; GET /similar with
    similar items or users; GET /health and GET /metrics say how the server is. RUN is a run folder or a checkpoint;
    where it is runs/latest, a newer run is served as soon as it is finished, or on SIGHUP. KEY=VALUE changes where the
    data is and how lists are computed: root, device, threads, eval_memory.

    SIGTERM and Ctrl-C let the requests that were accepted be answered; a second one stops at once. Needs the extra:
    pip install 'recrun[serve]'.

    \b
    Example:
        recrun serve runs/latest --port 8000
    """
    path, overrides = split_arguments(arguments)
    if path is None:
        raise click.UsageError("expected a run folder or a checkpoint before KEY=VALUE")
    from recrun.serving.packages import require_packages

    require_packages()
    from pathlib import Path

    from recrun.serving.token import VARIABLE, read_token

    token = read_token(None if token_file is None else Path(token_file), os.environ)
    from recrun.serving.app import Access
    from recrun.serving.server import Settings, Voices, is_loopback, serve

    if token is None and not no_token and not is_loopback(host):
        raise ConfigError(
            f"--host {host}: other machines may reach it; give a token (--token-file FILE, or {VARIABLE}), or "
            "--no-token to let everyone ask"
        )

    settings = Settings(
        path=Path(path),
        overrides=overrides,
        host=host,
        port=port,
        as_of=as_of,
        trust=trust,
        access=Access(token, open_metrics),
        limits=Limits(**limits),
        reload_every=reload_every or None,
    )
    debug = debug or click.get_current_context().find_root().obj["debug"]
    voices = Voices(
        ready=lambda ready: _announce(ready, as_json=as_json),
        say=_say,
        access=_say if access_log else None,
        report=lambda error: _report(error, with_traceback=debug),
    )
    return serve(settings, voices)


def _announce(ready: Ready, *, as_json: bool) -> None:
    """Print where the server answers."""
    if as_json:
        where = {"url": ready.url, "host": ready.host, "port": ready.port, "run": ready.run, "pid": os.getpid()}
        echo(json.dumps(where))
    else:
        echo(f"serving {ready.model} of the run {ready.run} at {ready.url}")


def _say(line: str) -> None:
    echo(on_one_line(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}"), err=True)


def _report(error: BaseException, *, with_traceback: bool) -> None:
    _say(f"error: {type(error).__name__}: {error}")
    if with_traceback:
        echo("".join(traceback.format_exception(error)), err=True, nl=False)
