"""Write and read metrics.jsonl: a line of JSON for each epoch and split, readable while the run goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recrun.files import atomic_write, from_json, to_json
from recrun.metrics.undefined import from_nulls, reasons
from recrun.training.reporter import Reporter


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics.jsonl in order; null values are returned as `Undefined`.

    Truncated and invalid lines are skipped; a missing file has no lines.
    """
    lines = [parsed for _, parsed in _lines(Path(path))]
    for line in lines:
        why = line.get("undefined")
        line["values"] = from_nulls(line["values"], why if isinstance(why, dict) else {})
    return lines


class MetricsWriter(Reporter):
    """Appends `{"epoch": e, "split": s, "values": {...}, "seconds": t, "best": b}` for each epoch and split.

    An undefined metric is null, and `"undefined": {metric: reason}` follows. Other values that are not finite are null
    as well, since JSON cannot represent them. An epoch and split appear once: a second measurement replaces the first.
    A resumed run drops the lines of the epochs that it repeats, and those of test, which it evaluates again at its end.

    Args:
        path: the file; its folder must exist.
        resumed_from: the epoch from which the run continues; None keeps all lines.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: str | Path, resumed_from: int | None = None) -> None:
        self._path = Path(path)
        self._written: set[tuple[int, str]] = set()
        self._keep(lambda line: resumed_from is None or _stays(line, resumed_from))

    def start(self, info: Mapping[str, Any]) -> None:
        resumed_from = info.get("resumed_from")
        if resumed_from is not None:
            self._keep(lambda line: _stays(line, resumed_from))

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        self._append(epoch, "train", values, False, seconds)

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        self._append(epoch, split, values, is_best, seconds)

    def _append(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        if (epoch, split) in self._written:
            self._keep(lambda line: (line["epoch"], line["split"]) != (epoch, split))
        line = {
            "epoch": epoch,
            "split": split,
            "values": {name: _finite(value) for name, value in values.items()},
            "seconds": seconds,
            "best": bool(is_best),
        }
        if reasons(values):
            line["undefined"] = reasons(values)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(to_json(line) + "\n")
        self._written.add((epoch, split))

    def _keep(self, wanted: Callable[[Mapping[str, Any]], bool]) -> None:
        """Drop the lines that are not wanted, and truncated or invalid ones."""
        lines = [(text, line) for text, line in _lines(self._path) if wanted(line)]
        self._written = {(line["epoch"], line["split"]) for _, line in lines}
        kept = "".join(f"{text}\n" for text, _ in lines)
        if self._path.exists() and kept != self._path.read_text(encoding="utf-8", errors="replace"):
            atomic_write(self._path, kept)


def _lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return [(text, line) for text in texts if (line := _parse(text)) is not None]


def _stays(line: Mapping[str, Any], resumed_from: int) -> bool:
    """Return whether a line stays valid when a run is resumed from an epoch."""
    return bool(line["epoch"] <= resumed_from and line["split"] != "test")


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _parse(text: str) -> dict[str, Any] | None:
    try:
        line = from_json(text)
    except ValueError:
        return None
    is_line = isinstance(line, dict) and {"epoch", "split", "values"} <= line.keys()
    return line if is_line and isinstance(line["values"], dict) else None
