"""Guard stdout and stderr: a result that is lost is an error, progress that is lost is none."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from recrun.errors import OutputError


class _Guarded:
    """A stream of text with the attributes of another one."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            # A name that the terminal cannot encode must not end the run.
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class ResultStream(_Guarded):
    """Writes results.

    Raises:
        OutputError: they cannot be written, because the disk is full or the stream is closed.
        BrokenPipeError: the reader has gone.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        return int(self._guard(self.stream.write, text))

    def flush(self) -> None:
        self._guard(self.stream.flush)

    def _guard(self, act: Callable[..., Any], *arguments: str) -> Any:
        try:
            if self._error is None:
                return act(*arguments)
        except OSError as error:
            # Kept, because click tries a stream before it writes, and thinks nothing of an error then.
            self._error = error
            _discard(self.stream)
        if isinstance(self._error, BrokenPipeError):
            raise self._error
        raise OutputError(self._error.strerror or str(self._error)) from None


class ProgressStream(_Guarded):
    """Writes progress and messages; what cannot be written is lost, and the work goes on.

    A disk may be full and a terminal may be closed while a model is trained.
    """

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self.stream.flush()


class _Closed(io.TextIOBase):
    """Stands for a stream that was closed before the program began."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        raise OSError("it is closed")


def result_stream() -> ResultStream:
    """Return stdout, guarded."""
    return sys.stdout if isinstance(sys.stdout, ResultStream) else ResultStream(sys.stdout or cast("TextIO", _Closed()))


def progress_stream() -> ProgressStream:
    """Return stderr, guarded."""
    return (
        sys.stderr
        if isinstance(sys.stderr, ProgressStream)
        else ProgressStream(sys.stderr or cast("TextIO", _Closed()))
    )


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guard `sys.stdout` and `sys.stderr` as long as the context is entered."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file that is opened, perhaps one of the run, would take the place of the closed stream.
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = result_stream(), progress_stream()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
        except (OSError, ValueError):
            _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, so that the interpreter does not complain when it ends."""
    with suppress(OSError, ValueError):
        target = os.open(os.devnull, os.O_WRONLY)
        os.dup2(target, stream.fileno())
        os.close(target)
