"""Run the server: bind, load, answer, and stop without dropping what was accepted."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import uvicorn

from recrun.errors import ConfigError
from recrun.recommendation.recommender import AsOf
from recrun.serving.app import Access, App
from recrun.serving.http_protocol import protocol_within
from recrun.serving.limits import Limits
from recrun.serving.models import Models
from recrun.serving.monitoring import Monitoring
from recrun.serving.scorer import Scorer
from recrun.serving.served import open_served

_LAST_ANSWERS: Final = 1.0
"""Seconds in which open connections may send one more request when the server stops; then idle ones are closed."""
_INTERRUPTED: Final = 130
_BACKLOG: Final = 1024


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Args:
        path: the run, or a checkpoint; a link `latest` is followed whenever it changes.
        overrides: `KEY=VALUE` for the settings in `recrun.config.settings.OF_USE`.
        host: the address to listen at.
        port: the port; 0 for any that is free.
        as_of: which interactions are known.
        trust: whether code of the user's own that a run names may be run although it was not run here before.
        access: who may ask.
        limits: what requests may ask for.
        reload_every: seconds between two looks at whether there is another run to serve; None not to look.
    """

    path: Path
    overrides: Sequence[str] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    as_of: AsOf = "end"
    trust: bool = False
    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)
    reload_every: float | None = 5.0


@dataclass(frozen=True)
class Ready:
    """What serves where, once it does; `stop` ends it as SIGTERM would."""

    url: str
    host: str
    port: int
    run: str
    model: str
    stop: Callable[[], None]


@dataclass(frozen=True)
class Voices:
    """Where the server says what: each takes a line, or an error.

    Args:
        ready: is told once that the server answers.
        say: what happens, such as a reload.
        access: requests; None for no log of them.
        report: errors that are no fault of a request.
    """

    ready: Callable[[Ready], None]
    say: Callable[[str], None]
    access: Callable[[str], None] | None
    report: Callable[[BaseException], None]


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(settings: Settings, voices: Voices) -> int:
    """Serve until a signal ends it, and return the exit code: 0 after SIGTERM, 130 after Ctrl-C.

    The first signal lets what was accepted be answered, the second stops at once. SIGHUP opens the run anew.

    Raises:
        ConfigError: the address cannot be used.
        RecrunError: the run cannot be served.
    """
    with bind(settings.host, settings.port) as listener:
        monitoring = Monitoring()

        def open_it() -> Any:
            return open_served(settings.path, settings.overrides, as_of=settings.as_of, trust=settings.trust)

        models = Models(
            settings.path,
            open_it,
            every=settings.reload_every,
            monitoring=monitoring,
            say=voices.say,
            report=voices.report,
        )
        scorer = Scorer(models.current.n_threads, settings.limits.waiting, monitoring, voices.report)
        app = App(models, scorer, settings.limits, settings.access, monitoring, log=voices.access, report=voices.report)
        about = models.current.about
        host, port = listener.getsockname()[:2]
        url = f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"
        server = _Server(_config(app, settings.limits), app)
        ready = Ready(url, host, port, about.run, about.model, server.stop)
        server.on_ready = lambda: voices.ready(ready)
        models.start()
        try:
            with server.signals(models.reload):
                _run(server.serve(sockets=[listener]))
        except OSError as error:
            if server.started:
                raise
            raise _cannot_listen(host, port, error) from None  # another process listens there since
        finally:
            models.close()
        scorer.close()
        return _INTERRUPTED if server.signal == signal.SIGINT else 0


@contextmanager
def bind(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket with an address, so that a wrong one is found before a model is loaded; it does not listen yet.

    Raises:
        ConfigError: the address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no name of a host"
        raise ConfigError(f"--host {host}: {reason}") from None
    with listener:
        if os.name == "posix":  # on Windows it would share the port with another server
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None
        yield listener


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    reason = error.strerror or str(error)
    advice = "choose another port with --port (0 takes a free one), or another address with --host"
    return ConfigError(f"cannot listen at port {port} of {host}: {reason}; {advice}")


def _config(app: App, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        http=protocol_within(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # requests are logged here, and errors reported
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=max(1, int(limits.idle)),
        timeout_graceful_shutdown=int(2 * limits.seconds) + 1,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, with signals of our own, and a stop that closes connections after an answer, not before."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self.signal: int | None = None
        self.on_ready: Callable[[], None] = lambda: None
        self._app = app

    def stop(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @contextmanager
    def signals(self, reload: Callable[[], None]) -> Iterator[None]:
        """Handle signals; outside the main thread, where Python delivers none, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: object) -> None:
            if self.should_exit:
                os._exit(_INTERRUPTED)  # there is nothing to save
            self.signal, self.should_exit = number, True

        # Who else waits for signals would take them for its own, and end the process.
        wakeup = signal.set_wakeup_fd(-1)
        handlers: dict[int, Any] = {signal.SIGINT: stop, signal.SIGTERM: stop}
        hang_up = getattr(signal, "SIGHUP", None)
        if hang_up is not None:
            handlers[hang_up] = lambda *_: reload()
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.is_stopping = True
        for server in self.servers:
            server.close()
        until = asyncio.get_running_loop().time() + _LAST_ANSWERS
        while self.server_state.connections and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def _run(serving: Any) -> None:
    """Run a coroutine in the fastest event loop that is installed."""
    if find_spec("uvloop") is None:
        asyncio.run(serving)
        return
    loop: asyncio.AbstractEventLoop = import_module("uvloop").new_event_loop()
    try:
        loop.run_until_complete(serving)
    finally:
        with suppress(RuntimeError):
            loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
