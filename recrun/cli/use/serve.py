"""`recrun serve`: answer requests for recommendations over HTTP."""

from __future__ import annotations

import os
import time
import traceback
from typing import Any, Literal

import click

from recrun.cli._options import completes, echo, split_arguments, trust_option
from recrun.errors import ConfigError
from recrun.visible import on_one_line


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
@click.option(
    "--as-of",
    type=click.Choice(["valid", "test", "end"]),
    default="end",
    show_default=True,
    help="What is known of users: what precedes valid or test, or all interactions.",
)
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
@click.option("--max-k", type=click.IntRange(1), default=1000, show_default=True, help="Most items of a list.")
@click.option("--max-users", type=click.IntRange(1), default=100, show_default=True, help="Most users of a request.")
@click.option("--max-history", type=click.IntRange(1), default=1000, show_default=True, help="Most items of a history.")
@click.option(
    "--max-body", type=click.IntRange(64), default=1 << 18, show_default=True, help="Most bytes of a request's body."
)
@click.option(
    "--max-waiting",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Most lists that wait to be computed.",
)
@click.option(
    "--max-connections", type=click.IntRange(1), default=500, show_default=True, help="Most connections at a time."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=10.0,
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

    from recrun.serving.limits import Limits
    from recrun.serving.token import VARIABLE, read_token

    token = read_token(None if token_file is None else Path(token_file), os.environ)
    from recrun.serving.app import Access
    from recrun.serving.server import Ready, Settings, Voices, is_loopback, serve

    if token is None and not no_token and not is_loopback(host):
        raise ConfigError(
            f"--host {host}: other machines may reach it; give a token (--token-file FILE, or {VARIABLE}), or "
            "--no-token to let everyone ask"
        )

    def ready(at: Ready) -> None:
        if as_json:
            from recrun.files import to_json

            echo(to_json({"url": at.url, "host": at.host, "port": at.port, "run": at.run, "pid": os.getpid()}))
        else:
            echo(f"serving {at.model} of the run {at.run} at {at.url}")

    def say(line: str) -> None:
        echo(on_one_line(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}"), err=True)

    def report(error: BaseException) -> None:
        say(f"error: {type(error).__name__}: {error}")
        if debug or click.get_current_context().find_root().obj["debug"]:
            echo("".join(traceback.format_exception(error)), err=True, nl=False)

    settings = Settings(
        path=Path(path),
        overrides=overrides,
        host=host,
        port=port,
        as_of=as_of,
        trust=trust,
        access=Access(token, open_metrics),
        limits=Limits(
            k=limits["max_k"],
            users=limits["max_users"],
            history=limits["max_history"],
            body=limits["max_body"],
            waiting=limits["max_waiting"],
            connections=limits["max_connections"],
            seconds=limits["timeout"],
        ),
        reload_every=reload_every or None,
    )
    return serve(settings, Voices(ready, say, say if access_log else None, report))
