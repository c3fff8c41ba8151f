"""Format a run as plain text: numbers, durations, and a line for each event."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from recrun.metrics.undefined import Undefined, undefined_text
from recrun.registry.user_files import short_name


def number(value: Any) -> str:
    """Format a value for a table: four decimals; four significant digits for very small and large numbers.

    >>> [number(x) for x in (0.15537, 2e-7, 1234.5678, float("nan"), 29858, None)]
    ['0.1554', '2e-07', '1235', 'nan', '29,858', '-']
    """
    if value is None or isinstance(value, Undefined):
        return "-"
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    real = float(value) + 0.0  # turns -0.0 into 0.0
    if not math.isfinite(real):
        return str(real)
    return f"{real:.4f}" if real == 0 or 1e-3 <= abs(real) < 100 else f"{real:.4g}"


def counted(n: int, what: str) -> str:
    """Format a number of things.

    >>> counted(1, "run"), counted(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def size(count: float) -> str:
    """Format a number of bytes.

    >>> size(999), size(12_345), size(2.5e9)
    ('999 bytes', '12.3 kB', '2.5 GB')
    """
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:,.1f} TB"


def clock(seconds: float | None) -> str:
    """Format a time as h:mm:ss.

    >>> clock(3723.9), clock(None)
    ('1:02:03', '-:--:--')
    """
    if seconds is None or not math.isfinite(seconds):
        return "-:--:--"
    whole = max(int(seconds), 0)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def duration(seconds: float | None) -> str:
    """Format a time with its units.

    >>> duration(0.01234), duration(12.34), duration(185), duration(7500)
    ('0.01 s', '12.3 s', '3 min 05 s', '2 h 05 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"


def values_text(values: Mapping[str, Any]) -> str:
    """Format metrics and their values on one line.

    >>> values_text({"recall@20": 0.15537, "ndcg@20": 0.131})
    'recall@20 0.1554  ndcg@20 0.1310'
    """
    return "  ".join(f"{short_name(name)} {number(value)}" for name, value in values.items())


def statistics_text(statistics: Mapping[str, Any]) -> str:
    """Format the counts and the density of a data set on one line; nested mappings are flattened.

    >>> statistics_text({"n_users": 943, "n_items": 1682, "rows": {"train": 80000, "test": 20000}, "density": 0.063})
    '943 users, 1,682 items, 80,000 train, 20,000 test, density 0.063'
    """
    parts = [f"{value:,} {_name(key)}" for key, value in _flat(statistics) if type(value) is int]
    if isinstance(statistics.get("density"), float):
        parts.append(f"density {statistics['density']:.3g}")
    return ", ".join(parts)


def _more_statistics_text(statistics: Mapping[str, Any]) -> str:
    values = [(key, value) for key, value in _flat(statistics) if isinstance(value, float) and key != "density"]
    return ", ".join(f"{_name(key)} {value:.3g}" for key, value in values)


def facts(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts shown when a run starts, as (label, text).

    Args:
        info: the `info` of `Reporter.start`; keys that are missing or None are left out.
    """
    found = []
    model = _present(info, "model")
    if info.get("n_parameters") is not None:
        model += f", {info['n_parameters']:,} parameters"
    if info.get("device") is not None:
        model += f", on {info['device']}"
    if model:
        found.append(("model", model.removeprefix(", ")))
    data = ": ".join(filter(None, [_present(info, "dataset"), statistics_text(info.get("statistics") or {})]))
    if data:
        found.append(("data", data))
    if info.get("run") is not None:
        found.append(("run", str(info["run"])))
    if info.get("resumed_from") is not None:
        found.append(("resumed", f"after epoch {info['resumed_from']}"))
    return found + [("note", str(note)) for note in info.get("notes") or ()]


def more_facts(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts shown in addition when the user asks for more details."""
    found = []
    more = _more_statistics_text(info.get("statistics") or {})
    if more:
        found.append(("more", more))
    if info.get("epochs") is not None:
        steps = f", {info['n_steps']:,} steps each" if info.get("n_steps") else ""
        found.append(("epochs", f"{info['epochs']:,}{steps}"))
    if info.get("monitors"):
        found.append(("metrics", ", ".join(short_name(str(name)) for name in info["monitors"])))
    if info.get("which4best"):
        found.append(("best", f"by {short_name(info['which4best'])}"))
    return found


def epoch_label(epoch: int, epochs: int | None) -> str:
    """Return "epoch 5/500", padded so that the lines of a run align."""
    return f"epoch {epoch}" if not epochs else f"epoch {epoch:>{len(str(epochs))}}/{epochs}"


def trained_line(epoch: int, epochs: int | None, values: Mapping[str, Any], seconds: float) -> str:
    """Return the line of an epoch of training."""
    return f"{epoch_label(epoch, epochs)}  train  {values_text(values)}  [{duration(seconds)}]"


def chosen_text(result: Mapping[str, Any]) -> str:
    """Return which epoch the numbers of a result belong to, and the criterion that selected it."""
    epoch = result.get("best_epoch")
    where = "" if epoch is None else f"at epoch {epoch}"
    if result.get("valid") is None:
        return f"{where}, without validation".removeprefix(", ")
    criterion = result.get("which4best")
    return f"{where}, best by valid {short_name(criterion)}".removeprefix(", ") if criterion else where


def scored_text(result: Mapping[str, Any]) -> str:
    """Return how many users were ranked and how many skipped, or how many rows were scored; "" if unknown.

    >>> scored_text({"users": {"valid": 900, "test": 943, "skipped": 12}})
    'users ranked: 900 valid, 943 test; 12 skipped (nothing to find)'
    >>> scored_text({"users": {"valid": 200, "test": 200, "skipped": 0}, "rows": {"valid": 4000, "test": 4100}})
    'rows scored: 4,000 valid, 4,100 test'
    """
    users, rows = result.get("users"), result.get("rows")
    if rows:
        return f"rows scored: {_counts(rows)}"
    if not users:
        return ""
    ranked = _counts({split: count for split, count in users.items() if split != "skipped" and count is not None})
    skipped = "" if users.get("skipped") is None else f"{users['skipped']:,} skipped (nothing to find)"
    return "; ".join(filter(None, [ranked and f"users ranked: {ranked}", skipped]))


def _counts(by_split: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in by_split.items())


def seconds_text(seconds: Mapping[str, Any] | None) -> str:
    """Return the time a run spent on each activity, or "" if unknown.

    >>> seconds_text({"train": 100.0, "evaluate": 20.0, "total": 125.0})
    'time: train 1 min 40 s, evaluate 20.0 s, total 2 min 05 s'
    """
    return "time: " + ", ".join(f"{part} {duration(value)}" for part, value in seconds.items()) if seconds else ""


def result_lines(result: Mapping[str, Any]) -> list[str]:
    """Return the last lines of a log: the status and the final numbers."""
    head = f"{result.get('status', 'done')} {chosen_text(result)}".strip()
    lines = [f"{split:<5}  {values_text(result[split])}" for split in ("valid", "test") if result.get(split)]
    lines += undefined_text(result.get("undefined") or {})
    return [head, *lines, *filter(None, [scored_text(result), seconds_text(result.get("seconds"))])]


def _present(info: Mapping[str, Any], key: str) -> str:
    return "" if info.get(key) is None else str(info[key])


def _name(key: str) -> str:
    return key.removeprefix("n_").replace("_", " ")


def _flat(mapping: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield str(key), value
