"""Show the last step of a sweep: what was chosen, and its metrics on test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from recrun.registry.user_files import short_name
from recrun.report.terminal.columns import Field
from recrun.report.terminal.lines import counted, number
from recrun.report.terminal.tables import Prose, TextTable, table
from recrun.sweep.document import as_text
from recrun.sweep.row import DONE


def final_lines(final: Mapping[str, Any]) -> Iterator[Prose | TextTable]:
    """Yield what is printed of a last step.

    Args:
        final: an entry of `final.json`.
    """
    chosen, trials = final["chosen_by"], final["trials"]
    values = " ".join(f"{key}={as_text(value)}" for key, value in final["settings"].items())
    yield Prose(f"test of point {final['point']}{f': {values}' if values else ''}", "bold")
    by = "named by the user" if chosen.get("by") == "user" else "the best"
    mean, n = number(chosen.get("mean")), counted(chosen.get("n", 0), "run")
    yield Prose(
        f"{by} of {counted(chosen.get('points', 0), 'point')} ({counted(chosen.get('trials', 0), 'trial')}): "
        f"{short_name(str(chosen.get('metric')))} {mean} on valid, {n}"
    )
    yield Prose(_trained(final))
    intervals = [final["interval"].get(name) for name in final["mean"]]
    cells = [
        [
            short_name(name),
            value,
            final["sd"].get(name),
            f"{number(interval[0])} to {number(interval[1])}" if interval else None,
            str(final["n"]),
        ]
        for (name, value), interval in zip(final["mean"].items(), intervals, strict=True)
    ]
    if cells:
        yield table(None, ["metric", "mean", "sd", Field("95 % interval", 1), Field("n", 2)], cells)
    for trial in trials:
        if trial.get("status") != DONE:
            yield Prose(f"seed {trial.get('seed')} {trial.get('status')}: {trial.get('cause') or 'not begun'}")


def _trained(final: Mapping[str, Any]) -> str:
    if final.get("train_on") != "train_valid":
        return "its runs of the sweep, which were trained on train, were scored as they are"
    epochs = final.get("epochs")
    for_epochs = "" if epochs is None else f" for {counted(epochs, 'epoch')}, the median of the best ones"
    return f"trained on train and valid{for_epochs}"
