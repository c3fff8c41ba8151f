"""Pause a run after an evaluation, with its state saved: at an epoch, or when its best value is below a floor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

from recrun.errors import ConfigError, RecrunError
from recrun.files import from_json, read_regular
from recrun.metrics.undefined import as_nulls
from recrun.training.stop_signals import Interrupted

if TYPE_CHECKING:
    from recrun.runs.folder import RunFolder
    from recrun.training.loop_state import TrainingState
    from recrun.training.run_settings import RunSettings

_MOST_BYTES: Final = 1 << 20


class Paused(Interrupted):
    """The run has paused as it was asked to, and has saved its state.

    Args:
        run: the run.
        settings: its settings.
        state: its state.
        reason: what `Pause.reason` returned.
        how_to_continue: the command that continues it.

    Attributes:
        reason: why it paused, for run.json.
        result: the run, its epoch, and the best evaluation so far.
    """

    def __init__(
        self,
        run: RunFolder,
        settings: RunSettings,
        state: TrainingState,
        reason: Mapping[str, float],
        how_to_continue: str,
    ) -> None:
        text = f"paused after the evaluation at epoch {state.epoch} of {settings.epochs}"
        best = state.best
        if "floor" in reason and best is not None and best.value is not None:
            floor = settings.goodness(reason["floor"])
            text += f", as its best {settings.which4best}, {best.value:.6g}, is worse than {floor:.6g}"
        super().__init__(f"{text}; continue with: {how_to_continue}")
        self.reason = {"epoch": state.epoch, **reason}
        self.result: dict[str, Any] = {
            "run": str(run.path),
            "status": "paused",
            "epoch": state.epoch,
            "epochs": settings.epochs,
            "which4best": str(settings.which4best),
            "best_epoch": None if best is None else best.epoch,
            "valid": None if best is None or best.value is None else as_nulls(best.values),
        }


@dataclass(frozen=True)
class Pause:
    """When a run pauses. It evaluates no more often for that, so it has the same numbers as one that runs through.

    Args:
        until: the run pauses after its first evaluation at this epoch or a later one; None to train to the end.
        floors: values of `which4best` by epoch, negated where smaller is better: the run pauses after its evaluation at
            such an epoch if its best value so far is lower.
    """

    until: int | None = None
    floors: Mapping[int, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.until is not None or bool(self.floors)

    def reason(self, epoch: int, settings: RunSettings, state: TrainingState) -> dict[str, float] | None:
        """Return why a run pauses now, after its evaluation at `epoch` if one was due; None if it goes on.

        A model that is fitted in closed form has no pauses.

        Returns:
            {"floor": the value that its best one misses, negated where smaller is better}, or {"until": the epoch}.
        """
        if settings.closed_form or not settings.evaluates_after(epoch):
            return None
        best, floor = None if state.best is None else state.best.value, self.floors.get(epoch, -math.inf)
        if best is not None and settings.goodness(best) < floor:
            return {"floor": floor}
        return {"until": self.until} if self.until is not None and epoch >= self.until else None

    def refuse_done(self, run: RunFolder, epochs: int) -> None:
        """Check that a run that has ended is not asked to pause.

        Raises:
            ConfigError: it is.
        """
        if self:
            done = f"the run {run.path} is done after {epochs} epochs and cannot pause"
            raise ConfigError(f"{done}; remove --until, or give it more epochs")

    @classmethod
    def read(cls, until: int | None, floors: str | Path | None = None) -> Pause:
        """Return when a run pauses, from the options of a command.

        Args:
            until: an epoch, or None.
            floors: a file of JSON with a number for each epoch, `{"5": 0.1, "10": 0.2}`, or None.

        Raises:
            ConfigError: the epoch is not positive, or the file is not such a file.
        """
        if until is not None and not _is_positive(until):
            raise ConfigError(f"--until must be an epoch, 1 or later, found {until!r}")
        return cls(None if until is None else int(until), {} if floors is None else _read_floors(Path(floors)))


def _read_floors(file: Path) -> dict[int, float]:
    try:
        document = from_json(read_regular(file, limit=_MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"--floors: cannot read {file}: {error.strerror or error}") from None
    except (ValueError, RecursionError, RecrunError) as error:
        raise ConfigError(f"--floors: {file} is not JSON: {error}") from None
    if not isinstance(document, dict) or not document:
        raise ConfigError(f'--floors: expected {file} to hold a value for each epoch, as in {{"5": 0.1}}')
    wrong = [name for name, value in document.items() if not (_is_epoch(name) and _is_finite(value))]
    if wrong:
        found = ", ".join(f"{name!r}: {document[name]!r}" for name in wrong[:3])
        raise ConfigError(f"--floors: expected a number for each epoch in {file}, found {found}")
    return {int(name): float(value) for name, value in document.items()}


def _is_positive(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, SupportsIndex) and index(value) >= 1  # numpy's too


def _is_epoch(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf
