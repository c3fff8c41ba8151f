"""Keep the history of a run in metrics.jsonl: a line of JSON for each epoch and split, appended as the run goes on.

A checkpoint holds how long this file is and its digest, not what is in it. So a checkpoint costs the same after ten
epochs and after a hundred thousand, and a resumed run knows which lines it repeats.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from recrun.errors import CheckpointError
from recrun.files import atomic_write, from_json, open_regular, to_json
from recrun.metrics.undefined import from_nulls, reasons
from recrun.runs.records import MAX_LINES

_MAX_LINE: Final = 1 << 20
_BLOCK: Final = 1 << 20
_BEST: Final = b'"best": true'


class History:
    """The file of a run's measured values.

    A line is `{"epoch": e, "split": s, "values": {...}, "seconds": t, "best": b}`. An undefined metric is null, and
    `"undefined": {metric: reason}` follows; other values that are not finite are null too, as JSON has none.

    Args:
        path: the file; its folder must exist.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._n_bytes = self._n_synced = 0
        self._digest = hashlib.sha256()

    def append(self, epoch: int, split: str, values: Mapping[str, float], seconds: float, best: bool = False) -> None:
        """Add a line; it is in the file when the call returns.

        Raises:
            OSError: the file cannot be written.
        """
        line: dict[str, Any] = {
            "epoch": epoch,
            "split": split,
            "values": {name: float(value) if math.isfinite(value) else None for name, value in values.items()},
            "seconds": seconds,
            "best": bool(best),
        }
        if reasons(values):
            line["undefined"] = reasons(values)
        text = f"{to_json(line)}\n".encode()
        with open(self._path, "ab") as file:
            file.write(text)
        self._took(text)

    def position(self) -> dict[str, Any]:
        """Return the length of the file in bytes and its digest, for a checkpoint; what they count is on disk.

        Raises:
            OSError: the file cannot be flushed to disk.
        """
        if self._n_synced < self._n_bytes:
            with open(self._path, "rb+") as file:
                os.fsync(file.fileno())
            self._n_synced = self._n_bytes
        return {"bytes": self._n_bytes, "digest": self._digest.hexdigest()}

    def go_back_to(self, position: Mapping[str, Any] | None, epoch: int) -> bool:
        """Drop the lines that were written after a checkpoint.

        Args:
            position: what `position` returned when the checkpoint was written; None, for a run that begins (again) from
                nothing, removes the file.
            epoch: the epochs trained by then.

        Returns:
            Whether the file holds all that was written before. If it was changed or cut off since, the lines that can
            still be read of epochs up to `epoch` are kept.

        Raises:
            CheckpointError: the file cannot be read or written.
        """
        self._n_bytes = self._n_synced = 0
        self._digest = hashlib.sha256()
        try:
            if position is None:
                self._path.unlink(missing_ok=True)
                return True
            is_whole = self._read_to(position)
            if self._path.exists() and is_whole:
                os.truncate(self._path, self._n_bytes)
            elif self._path.exists():
                self._keep_to(epoch)
        except OSError as error:
            raise CheckpointError(f"cannot continue {self._path}: {error.strerror}") from None
        self._n_synced = self._n_bytes
        return is_whole

    def _read_to(self, position: Mapping[str, Any]) -> bool:
        """Read up to a position, and return whether the content is what it was."""
        with suppress(FileNotFoundError), open_regular(self._path, limit=MAX_LINES, follow=False) as file:
            while block := file.read(min(_BLOCK, position["bytes"] - self._n_bytes)):
                self._took(block)
        return {"bytes": self._n_bytes, "digest": self._digest.hexdigest()} == dict(position)

    def _keep_to(self, epoch: int) -> None:
        """Write the file anew with its readable lines up to an epoch, without those of test."""
        self._n_bytes, self._digest = 0, hashlib.sha256()
        with open_regular(self._path, limit=MAX_LINES, follow=False) as file:
            atomic_write(self._path, self._kept(file, epoch))

    def _kept(self, file: BinaryIO, epoch: int) -> Iterator[bytes]:
        for text in _texts(file):
            line = _parse(text)
            if line is not None and line["epoch"] <= epoch and line["split"] != "test":
                kept = text.rstrip(b"\n") + b"\n"
                self._took(kept)
                yield kept

    def _took(self, content: bytes) -> None:
        self._n_bytes += len(content)
        self._digest.update(content)


class Part(NamedTuple):
    """Consecutive lines of a history.

    Args:
        lines: the lines, oldest first.
        is_first: whether no line comes before them.
    """

    lines: list[dict[str, Any]]
    is_first: bool


def read_history(path: str | Path, *, strict: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the lines of a metrics.jsonl in order; null values are returned as `Undefined`.

    Args:
        path: the file.
        strict: whether a missing file, and a torn or invalid line, is an error; else they are skipped.

    Raises:
        CheckpointError: the file is not a regular one, cannot be read, or is damaged.
    """
    try:
        with open_regular(path, limit=MAX_LINES, follow=False) as file:
            for number, text in enumerate(_texts(file), start=1):
                line = _parse(text)
                if line is not None:
                    yield line
                elif strict:
                    raise CheckpointError(f"{path} is damaged: line {number} cannot be read")
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not strict:
            return
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None


def recent_history(path: str | Path, n_lines: int) -> list[Part]:
    """Return the last lines of a metrics.jsonl, and before them those that end with its best evaluation.

    The time that this takes does not depend on the number of lines between the two.

    Args:
        path: the file; a missing one has no lines.
        n_lines: how many lines each part has at most.

    Raises:
        CheckpointError: the file is not a regular one, or cannot be read.
    """
    try:
        with open_regular(path, limit=MAX_LINES, follow=False) as file:
            end = file.seek(0, os.SEEK_END)
            last, start = _before(file, end, n_lines)
            if any(line.get("best") is True for line in last.lines):
                return [last]
            best = _end_of_last(file, _BEST, start)
            return [last] if best is None else [_before(file, best, n_lines)[0], last]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None


def lines_after(path: str | Path, offset: int, n_lines: int) -> tuple[list[dict[str, Any]], int]:
    """Return the lines of a metrics.jsonl from an offset on, while it is written, and the offset behind them.

    A last line that is not whole yet is left for the next call; others that cannot be read are skipped.

    Args:
        path: the file; a missing one has no lines.
        offset: where to begin, in bytes.
        n_lines: how many lines are read at most.

    Raises:
        CheckpointError: the file is not a regular one, or cannot be read.
    """
    lines = []
    try:
        with open_regular(path, limit=MAX_LINES, follow=False) as file:
            file.seek(offset)
            for _ in range(n_lines):
                text = file.readline(_MAX_LINE)
                if not text.endswith(b"\n") and len(text) < _MAX_LINE:
                    break
                offset += len(text)
                lines.append(_parse(text))
    except FileNotFoundError:
        return [], offset
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    return [line for line in lines if line is not None], offset


def _before(file: BinaryIO, end: int, n_lines: int) -> tuple[Part, int]:
    """Return up to `n_lines` whole lines before an offset, and the offset at which they begin."""
    start, tail = end, b""
    while start > 0 and tail.count(b"\n") <= n_lines and len(tail) <= _MAX_LINE * 4:
        step = min(_BLOCK >> 4, start)
        start -= step
        file.seek(start)
        tail = file.read(step) + tail
    texts = tail.splitlines(keepends=True)
    if start > 0:  # the first one may lack its beginning
        start += len(texts[0])
        texts = texts[1:]
    skipped = texts[:-n_lines]
    start += sum(map(len, skipped))
    return Part([line for line in map(_parse, texts[-n_lines:]) if line is not None], start == 0), start


def _end_of_last(file: BinaryIO, pattern: bytes, end: int) -> int | None:
    """Return the offset after the last line before `end` that holds a pattern, or None if there is none."""
    rest = b""
    while end > 0:
        step = min(_BLOCK, end)
        end -= step
        file.seek(end)
        block = file.read(step) + rest
        place = block.rfind(pattern)
        if place >= 0:
            file.seek(end + place)
            return end + place + len(file.readline(_MAX_LINE))
        rest = block[: len(pattern) - 1]
    return None


def _texts(file: BinaryIO) -> Iterator[bytes]:
    while text := file.readline(_MAX_LINE):
        yield text


def _parse(text: bytes) -> dict[str, Any] | None:
    """Return a line with its undefined values, or None if it is none."""
    try:
        line = from_json(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not {"epoch", "split", "values", "seconds", "best"} <= line.keys():
        return None
    is_typed = type(line["epoch"]) is int and isinstance(line["split"], str) and isinstance(line["values"], dict)
    if not is_typed or type(line["seconds"]) not in (int, float):
        return None
    if any(value is not None and type(value) not in (int, float) for value in line["values"].values()):
        return None
    why = line.get("undefined")
    line["values"] = from_nulls(line["values"], why if isinstance(why, dict) else {})
    return line
