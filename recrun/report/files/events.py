"""Write TensorBoard event files while a run goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recrun.metrics.undefined import Undefined
from recrun.runs.history import Part
from recrun.training.reporter import Reporter

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


_PREFIX: Final = "events.out.tfevents."
_TEST: Final = ".test"
"""The ending of the file with the values of test."""
HPARAMS: Final = ".hparams"
"""The ending of the file with settings and final metrics, if there is one."""


class EventWriter(Reporter):
    """Writes every value as a scalar `split/metric` ("valid/ndcg@20"), with its epoch as the step; no undefined one.

    Every value is flushed to disk before the call returns. TensorBoard is imported, and the file created, only when
    there is something to write.

    A resumed run continues in a new file of the same folder. That file begins with a purge step, which makes
    TensorBoard discard the values of older files from the resumed epoch on (all of them, if the run starts over). What
    was measured at that epoch before the checkpoint is written again. The values of test are in a file of their own,
    written at the end of the run and removed when it goes on: they belong to the best epoch, which may come before the
    resumed one.

    Args:
        folder: the folder of the event files; created if missing.
        past: the end of the history before a resume, as `recent_history` returns it.
    """

    def __init__(self, folder: str | Path, past: Iterable[Part] = ()) -> None:
        self._folder = Path(folder)
        self._past = [line for part in past for line in part.lines]
        self._writer: SummaryWriter | None = None

    def start(self, info: Mapping[str, Any]) -> None:
        for ending in (_TEST, HPARAMS):
            for file in self._folder.glob(f"{_PREFIX}*{ending}"):
                file.unlink()
        if number_old_files(self._folder):
            resumed_from = info.get("resumed_from") or 0
            self._writer = open_events(self._folder, purge_step=resumed_from)
            self._writer.flush()
            for line in self._past:
                if line["epoch"] == resumed_from and line["split"] != "test":
                    self._add(line["split"], line["epoch"], line["values"])

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        self._add("train", epoch, values)

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        if split != "test":
            self._add(split, epoch, values)

    def finish(self, result: Mapping[str, Any]) -> None:
        test = {name: value for name, value in (result.get("test") or {}).items() if value is not None}
        if test:
            self.close()
            number_old_files(self._folder)
            writer = open_events(self._folder, suffix=_TEST)
            for name, value in test.items():
                writer.add_scalar(f"test/{name}", value, result["best_epoch"])
            writer.close()

    def close(self) -> None:
        """Close the file; closing again has no effect."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, split: str, epoch: int, values: Mapping[str, float]) -> None:
        new = {f"{split}/{name}": float(value) for name, value in values.items() if not isinstance(value, Undefined)}
        if not new:
            return
        if self._writer is None:
            self._writer = open_events(self._folder)
        for tag, value in new.items():
            self._writer.add_scalar(tag, value, epoch)
        self._writer.flush()


def number_old_files(folder: Path) -> int:
    """Replace the timestamps in the names of older event files by 1, 2, ..., and return how many files there are.

    TensorBoard reads the files of a folder in the order of their names: a new file must come last, whatever the clock
    says and however many files were created within one second.
    """
    old = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).split(".")[0].isdecimal()]
    for number, path in enumerate(sorted(old, key=_order), start=1):
        rest = path.name.removeprefix(_PREFIX).partition(".")[2]
        path.rename(folder / f"{_PREFIX}{number:010d}.{rest}")
    return len(old)


def _order(path: Path) -> tuple[int, int, str]:
    """Return the key that sorts event files by age: timestamp in the name, modification time, name."""
    return int(path.name.removeprefix(_PREFIX).split(".")[0]), path.stat().st_mtime_ns, path.name


def open_events(folder: Path, purge_step: int | None = None, suffix: str = "") -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=suffix)
