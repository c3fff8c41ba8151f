"""Define reporters, the objects that are notified of a run's progress, and create those of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from recrun.config.settings import USUAL_REPORTERS
from recrun.errors import ConfigError, Fault
from recrun.registry import REPORTERS
from recrun.registry.user_files import checked

if TYPE_CHECKING:
    from recrun.runs.folder import RunFolder


class Reporter:
    """Base class of objects that are notified of a run's progress; every method does nothing unless overridden.

    An epoch number is the number of epochs the model has been trained: 0 is the untrained model.

    One with an attribute `others` is given all reporters of its run there; what it has to tell the user goes through
    their `message`.
    """

    def start(self, info: Mapping[str, Any]) -> None:
        """The run begins; `info` describes it (model, dataset, epochs, n_steps, device, run, monitors ...)."""

    def step(self, epoch: int, step: int, n_steps: int | None, loss: float | None = None) -> None:
        """A training step of the current epoch is done (called at most about ten times a second).

        `loss` is the mean over the epoch so far, None before its first check.
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

    def settle(self) -> None:
        """The run has ended, successfully or not, and that is recorded; messages are still shown."""

    def close(self) -> None:
        """The run has ended, and all reporters have settled."""


class Reporters(Reporter):
    """Notifies several reporters in order; `close` settles and closes all of them, even if one raises an error."""

    def __init__(self, reporters: Iterable[Reporter] = ()) -> None:
        self.reporters = list(reporters)

    def start(self, info: Mapping[str, Any]) -> None:
        for reporter in self.reporters:
            reporter.start(info)

    def step(self, epoch: int, step: int, n_steps: int | None, loss: float | None = None) -> None:
        for reporter in self.reporters:
            reporter.step(epoch, step, n_steps, loss)

    def evaluating(self, epoch: int, split: str, done: int, total: int) -> None:
        for reporter in self.reporters:
            reporter.evaluating(epoch, split, done, total)

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        for reporter in self.reporters:
            reporter.trained(epoch, values, seconds)

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        for reporter in self.reporters:
            reporter.evaluated(epoch, split, values, is_best, seconds)

    def message(self, text: str, level: str = "info") -> None:
        for reporter in self.reporters:
            reporter.message(text, level)

    def finish(self, result: Mapping[str, Any]) -> None:
        for reporter in self.reporters:
            reporter.finish(result)

    def settle(self) -> None:
        with ExitStack() as stack:  # all are settled, even if one raises an error
            for reporter in reversed(self.reporters):
                if hasattr(reporter, "settle"):  # a user's own that does not derive from Reporter may lack it
                    stack.callback(reporter.settle)

    def close(self) -> None:
        with ExitStack() as stack:
            for reporter in reversed(self.reporters):
                stack.callback(reporter.close)
            stack.callback(self.settle)


def make_reporters(
    run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None = None, *, live: Reporter | None = None
) -> list[Reporter]:
    """Return the usual reporters of a run, followed by those that `track` names.

    Each is created by its registered `factory(run, settings, resumed_from, **its own settings)`.

    Args:
        run: the run folder.
        settings: the resolved config.
        resumed_from: the epoch from which the run continues; None for a new run.
        live: shows the progress in place of the usual `live`.

    Raises:
        RegistryError: there is no such tracker, it cannot be imported, or it is no reporter.
        OSError: a file cannot be written.
    """
    made: list[Reporter] = []
    with ExitStack() as stack:
        for name in (*USUAL_REPORTERS, *settings.get("track", ())):
            if name == "live" and live is not None:
                made.append(live)
                stack.callback(live.close)
                continue
            names = [parameter.name for parameter in REPORTERS.describe(name).parameters]
            own = {key: settings[key] for key in names if key in settings}
            made.append(checked("track", name, REPORTERS.get(name)(run, settings, resumed_from, **own)))
            stack.callback(made[-1].close)
        refuse_one_name(made)
        everyone = Reporters(made)
        for each in made:
            if hasattr(each, "others"):
                each.others = everyone
        stack.pop_all()  # all are created; the caller closes them
    return made


def refuse_one_name(reporters: Iterable[Reporter]) -> None:
    """Refuse trackers that would keep their records in one file; some file systems do not tell cases apart.

    Raises:
        ConfigError: there are two of one name.
    """
    taken: set[str] = set()
    for name in filter(None, (getattr(each, "record_name", None) for each in reporters)):
        if name.casefold() in taken:
            message = f"two trackers have the name {name!r}, under which the run keeps what was sent; rename one"
            raise ConfigError(Fault(message, key="track"))
        taken.add(name.casefold())
