"""Who is notified of how a run goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any


class Reporter:
    """Someone who is told how a run goes; every method does nothing unless overridden.

    An epoch number is the number of epochs the model has been trained: 0 is the untrained model.
    """

    def start(self, info: Mapping[str, Any]) -> None:
        """The run begins; `info` describes it (model, dataset, epochs, n_steps, device, run, monitors ...)."""

    def step(self, epoch: int, step: int, n_steps: int | None, loss: float | None = None) -> None:
        """A training step of the current epoch is done (called some ten times a second at most).

        `loss` is the mean over the epoch so far, None before it was first looked at.
        """

    def evaluating(self, epoch: int, split: str, done: int, total: int) -> None:
        """`done` of `total` users are ranked."""

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """An epoch of training is over."""

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        """An evaluation is over."""

    def message(self, text: str, level: str = "info") -> None:
        """Something to tell the user; level is "debug", "info", "warning" or "error"."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """The run is done; `result` is the content of metrics.json."""

    def close(self) -> None:
        """The run is over, whether it went well or not."""


class Reporters(Reporter):
    """Passes everything on to several reporters, in their order; `close` reaches all of them, whatever one raises."""

    def __init__(self, reporters: Iterable[Reporter]) -> None:
        self._reporters = list(reporters)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name not in vars(Reporter):
            return super().__getattribute__(name)
        methods: list[Callable[..., None]] = [getattr(reporter, name) for reporter in self._reporters]

        def call_all(*args: Any, **kwargs: Any) -> None:
            with ExitStack() as stack:
                for method in reversed(methods) if name == "close" else ():
                    stack.callback(method)
                for method in () if name == "close" else methods:
                    method(*args, **kwargs)

        return call_all
