"""TensorBoard event files, written while the run goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recrun.training.reporter import Reporter

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


_PREFIX: Final = "events.out.tfevents."


class EventWriter(Reporter):
    """Writes every value as a scalar `split/metric` ("valid/ndcg@20") at the step that is its epoch.

    Every value is on disk when the call returns. Nothing is imported or created before there is something to write.

    A resumed run goes on in a new file of the same folder. That file begins with the mark at which TensorBoard drops
    what older files hold beyond the resumed epoch (everything, if the run began anew), and a value the older files
    already hold is not written again: no step appears twice.

    Args:
        folder: where the event files lie; made when missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._writer: SummaryWriter | None = None
        self._known: set[tuple[str, int]] = set()

    def start(self, info: Mapping[str, Any]) -> None:
        if _number_old_files(self._folder):
            resumed_from = info.get("resumed_from")
            first_new = 0 if resumed_from is None else resumed_from + 1
            self._known = {(tag, step) for tag, step in _scalars(self._folder) if step < first_new}
            self._writer = _open(self._folder, purge_step=first_new)
            self._writer.flush()

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        self._add("train", epoch, values)

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        self._add(split, epoch, values)

    def close(self) -> None:
        """Close the file; a closed writer may be closed again."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, split: str, epoch: int, values: Mapping[str, float]) -> None:
        new = {f"{split}/{name}": float(value) for name, value in values.items()}
        new = {tag: value for tag, value in new.items() if (tag, epoch) not in self._known}
        if not new:
            return
        if self._writer is None:
            self._writer = _open(self._folder)
        for tag, value in new.items():
            self._known.add((tag, epoch))
            self._writer.add_scalar(tag, value, epoch)
        self._writer.flush()


def _number_old_files(folder: Path) -> int:
    """Number the files of earlier attempts 1, 2, ... where their names have the time, and return how many there are.

    TensorBoard reads a folder in the order of the names: a file that is made now must come after them, whatever the
    clock says and however many were made in one second.
    """
    old = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).split(".")[0].isdecimal()]
    for number, path in enumerate(sorted(old, key=_order), start=1):
        rest = path.name.removeprefix(_PREFIX).partition(".")[2]
        path.rename(folder / f"{_PREFIX}{number:010d}.{rest}")
    return len(old)


def _order(path: Path) -> tuple[int, int, str]:
    """Return the key that sorts event files by age: their second, the last change, the name."""
    return int(path.name.removeprefix(_PREFIX).split(".")[0]), path.stat().st_mtime_ns, path.name


def _open(folder: Path, purge_step: int | None = None) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=purge_step)


def _scalars(folder: Path) -> set[tuple[str, int]]:
    """Return (tag, step) of every value that TensorBoard shows of a folder; a file ends where a killed run tore it."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    events = EventAccumulator(str(folder), {SCALARS: 0}).Reload()
    return {(tag, event.step) for tag in events.Tags()[SCALARS] for event in events.Scalars(tag)}
