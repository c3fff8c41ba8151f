"""Choose the number of threads of a run with `threads: auto`: time training steps with one thread and with all."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median
from time import monotonic
from typing import Any, Final

import torch

from recrun.config.resolve import Resolved
from recrun.config.settings import AUTO
from recrun.errors import RecrunError
from recrun.report.terminal.lines import duration
from recrun.runs.folder import RunFolder
from recrun.training.coach import Coach
from recrun.training.loader import Loader
from recrun.training.stopwatch import timed_batches
from recrun.training.torch_workarounds import all_threads

ENTRY: Final = "threads"
"""The entry of run.json that holds the number and what was measured."""
_ROUNDS: Final = (3, 25)
"""How many steps are timed with each number, at least and at most."""
_SECONDS: Final = 2.0
"""No further round begins after so long."""
_MOST: Final = 1 << 12
_WAKING: Final = 1 << 20
"""Numbers of an operation that all threads of torch take part in."""


@dataclass(frozen=True)
class Threads:
    """The number of threads of a run with `threads: auto`.

    Args:
        number: how many.
        why: the reason, as a clause.
        seconds: the median time of a training step, by number of threads; empty if none was measured.
    """

    number: int
    why: str
    seconds: Mapping[int, float]

    def __str__(self) -> str:
        return f"threads: {self.number}, {self.why}"

    def entry(self) -> dict[str, Any]:
        """Return what run.json holds of it."""
        return {"number": self.number, "why": self.why, "step_seconds": {str(n): s for n, s in self.seconds.items()}}


def choose_threads(resolved: Resolved, build: Callable[[Resolved], Coach]) -> Threads:
    """Return how many threads a new run computes with, by a model and data that are built for this and dropped.

    The run is built anew afterwards, so that it is the same as one that was given the number.

    Args:
        resolved: its config, with a seed that is drawn.
        build: builds a Coach from a config.

    Raises:
        ConfigError, DataError: it cannot be built.
    """
    n_all = all_threads()
    if n_all == 1:
        return Threads(1, "as there are no more here", {})
    if not resolved.trains:
        return Threads(n_all, "which is all, as a model in closed form has no training steps to time", {})
    coach = build(with_threads(resolved, n_all))
    coach.check(resolved.config, resolved.config.monitors)
    try:
        seconds = _step_seconds(coach, (1, n_all))
    except RecrunError:
        raise
    except Exception as error:  # the run fails in the same way, and says how far it came
        return Threads(n_all, f"which is all, as no training step could be timed: {type(error).__name__}", {})
    finally:
        torch.set_num_threads(n_all)
        on_gpu = coach.device.type == "cuda"
        del coach
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()
    number = min(seconds, key=lambda n: seconds[n])
    times = " and ".join(f"{_short(seconds[n])} with {n}" for n in seconds)
    return Threads(number, f"by the time of a training step: {times}", seconds)


def threads_of(run: RunFolder | None) -> int | None:
    """Return the number of threads that a run with `threads: auto` was begun with; None if no record says it."""
    record: Mapping[str, Any] = {} if run is None else run.read_run()
    for entry, name in ((record.get(ENTRY), "number"), (record.get("hardware"), "threads")):
        number = entry.get(name) if isinstance(entry, Mapping) else None
        if type(number) is int and 1 <= number <= _MOST:
            return number
    return None


def with_threads(resolved: Resolved, number: int | None) -> Resolved:
    """Return a config with a number of threads."""
    return replace(resolved, config=resolved.config.replace(threads=number))


def with_threads_of(resolved: Resolved, run: RunFolder | None) -> Resolved:
    """Return a config in which `threads: auto` is replaced by the number that a run has; by null if it has none."""
    return with_threads(resolved, threads_of(run)) if resolved.config.threads == AUTO else resolved


def _step_seconds(coach: Coach, numbers: tuple[int, ...]) -> dict[int, float]:
    """Return the median seconds of an optimizer step by number of threads, each tried in turn on the first batches."""
    found: dict[int, list[float]] = {number: [] for number in numbers}
    n_batches = coach.cfg.get("accumulate", 1)
    # The first step with each number is not counted; then the order is turned in every round.
    order = [*numbers, *(numbers + numbers[::-1]) * (_ROUNDS[1] // 2 + 1)]
    n_timed, begun = -len(numbers), monotonic()
    parts: list[float] = []

    def before() -> None:
        if not parts:
            torch.set_num_threads(order[n_timed + len(numbers)])
            torch.zeros(_WAKING).add_(1)  # torch starts threads when they are first needed

    def after(seconds: float) -> bool:
        nonlocal n_timed
        parts.append(seconds)
        if len(parts) < n_batches:
            return True
        if n_timed >= 0:
            found[order[n_timed + len(numbers)]].append(sum(parts))
        parts.clear()
        n_timed += 1
        n_rounds, is_round = divmod(n_timed, len(numbers))
        if n_timed < 0 or is_round:
            return True
        is_late = monotonic() - begun > _SECONDS
        return n_rounds < _ROUNDS[0] or (n_rounds < _ROUNDS[1] and not is_late)

    coach.model.train()
    coach.dataloader = timed_batches(_batches(coach), coach.device, after, before=before)
    coach.train_per_epoch()
    return {number: median(times) for number, times in found.items()}


def _batches(coach: Coach) -> Iterator[Any]:
    """Yield the batches of a run from its first epoch on, without end."""
    cfg, epoch = coach.cfg, 0
    while True:
        ahead = cfg.get("num_workers", 0) > 0
        given = {"mode": "train", "seed": cfg["seed"], "epoch": epoch, "device": coach.device}
        n_drawn = 0
        for batch in Loader(coach.dataset, ahead=ahead, **given):
            n_drawn += 1
            yield batch
        if not n_drawn:
            return
        epoch += 1


def _short(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else duration(seconds)
