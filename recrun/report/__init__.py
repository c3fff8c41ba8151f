"""What a run shows and leaves behind: the live view, the log, the metrics file, event files, and the summary.

Nothing is imported before it is asked for: rich, matplotlib and tensorboard each take a noticeable time to load.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recrun.report.console import stderr_console, stdout_console
    from recrun.report.events import EventWriter
    from recrun.report.live import LiveReporter
    from recrun.report.log import LogWriter
    from recrun.report.metrics_file import MetricsWriter
    from recrun.report.summary import write_summary
    from recrun.report.tables import component_table, parameter_table, result_table, table

_PLACES = {
    "stderr_console": "console",
    "stdout_console": "console",
    "EventWriter": "events",
    "LiveReporter": "live",
    "LogWriter": "log",
    "MetricsWriter": "metrics_file",
    "write_summary": "summary",
    "component_table": "tables",
    "parameter_table": "tables",
    "result_table": "tables",
    "table": "tables",
}

__all__ = [
    "EventWriter",
    "LiveReporter",
    "LogWriter",
    "MetricsWriter",
    "component_table",
    "parameter_table",
    "result_table",
    "stderr_console",
    "stdout_console",
    "table",
    "write_summary",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
