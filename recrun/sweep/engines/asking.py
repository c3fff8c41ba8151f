"""Call an engine, which may be a user's own, and name it in the error if it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from recrun.errors import RecrunError, TrainingError
from recrun.sweep.engines.engine import Engine, Outcome

T = TypeVar("T")


def asked(method: Callable[..., T], *arguments: Any) -> T:
    """Return what a method of an engine returns.

    Raises:
        RecrunError: the engine's own error of this kind.
        TrainingError: the engine failed in another way.
    """
    try:
        return method(*arguments)
    except RecrunError:
        raise
    except Exception as error:
        engine = type(getattr(method, "__self__", None)).__name__
        what = f"{type(error).__name__}: {error}"
        raise TrainingError(f"the engine {engine} failed in {method.__name__}(): {what}") from error


def take_ended(engine: Engine, running: dict[int, T]) -> Iterator[tuple[T, Outcome]]:
    """Yield what has ended with its outcome, and remove it from what runs.

    Args:
        engine: what runs it.
        running: what runs, by the numbers of its jobs.

    Raises:
        TrainingError: the engine failed, or returned what is no outcome of these.
    """
    for outcome in asked(engine.poll):
        ended = running.pop(outcome.index, None) if isinstance(outcome, Outcome) else None
        if ended is None:
            name = type(engine).__name__
            raise TrainingError(
                f"the engine {name} returned from poll() what is no outcome of a running trial: {outcome}"
            )
        yield ended, outcome
