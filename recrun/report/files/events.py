"""TensorBoard event files, written while the run goes."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from recrun.training.reporter import Reporter

_PREFIX = "events.out.tfevents."


class EventWriter(Reporter):
    """Writes every value as a scalar `split/metric` ("valid/ndcg@20") at the step that is its epoch.

    The records are written by tensorboard's own `RecordWriter`, at once and in this thread; neither torch nor
    TensorFlow is imported for it. Nothing is imported or created before there is something to write.

    A resumed run goes on in a new file of the same folder. That file begins with the mark at which TensorBoard drops
    what older files hold beyond the resumed epoch (everything, if the run began anew), and a value the older files
    already hold is not written again: no step appears twice.

    Args:
        folder: where the event files lie; made when missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._file: BinaryIO | None = None
        self._records: Any = None
        self._known: set[tuple[str, int]] = set()

    def start(self, info: Mapping[str, Any]) -> None:
        old_files = self._old_files()
        if not old_files:
            return
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        resumed_from = info.get("resumed_from")
        first_new = 0 if resumed_from is None else resumed_from + 1
        old = {(tag, step) for path in old_files for tag, step in _scalars(path)}
        self._known = {(tag, step) for tag, step in old if step < first_new}
        self._open()
        mark = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=first_new, session_log=mark))
        self._flush()

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        self._add("train", epoch, values)

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        self._add(split, epoch, values)

    def close(self) -> None:
        """Close the file; a closed writer may be closed again."""
        if self._file is not None:
            self._file.close()
            self._file = self._records = None

    def _add(self, split: str, epoch: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        new = {f"{split}/{name}": float(value) for name, value in values.items()}
        new = {tag: value for tag, value in new.items() if (tag, epoch) not in self._known}
        if not new:
            return
        if self._file is None:
            self._open()
        self._known.update((tag, epoch) for tag in new)
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in new.items()]
        self._write(Event(wall_time=time.time(), step=epoch, summary=Summary(value=scalars)))
        self._flush()

    def _open(self) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names: a new one must come last, whatever the
        # clock says.
        newest = max((int(path.name.removeprefix(_PREFIX).split(".")[0]) for path in self._old_files()), default=0)
        stamp = max(int(time.time()), newest + 1)
        self._file = open(self._folder / f"{_PREFIX}{stamp:010d}.{os.getpid()}", "xb")  # noqa: SIM115 - closed by close()
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())

    def _flush(self) -> None:
        self._records.flush()

    def _old_files(self) -> list[Path]:
        files = self._folder.glob(f"{_PREFIX}*")
        return sorted(path for path in files if path.name.removeprefix(_PREFIX).split(".")[0].isdecimal())


def _scalars(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (tag, step) of an event file, up to its end or to where a killed run left it torn."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    data = memoryview(path.read_bytes())
    at = 0
    # A record is its length (8 bytes), a checksum of that (4), the event, and a checksum of it (4).
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        body = bytes(data[at + 12 : at + 12 + length])
        if bytes(data[at + 12 + length : at + 16 + length]) != struct.pack("<I", masked_crc32c(body)):
            return
        event = Event.FromString(body)
        for value in event.summary.value:
            yield value.tag, event.step
        at += length + 16
