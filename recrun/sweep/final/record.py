"""Keep the record of a sweep's last step, `final.json` beside sweep.json, and repeat it in that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError
from recrun.files import atomic_write, to_json
from recrun.runs.records import read_json, read_json_if_there
from recrun.sweep.final.trials import LastStep
from recrun.sweep.points import Values, interval_of, mean_and_sd
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, PENDING, RUNNING
from recrun.sweep.storage import LEDGER, writing

FINAL: Final = "final.json"
SCHEMA: Final = 1


def read_final(folder: Path) -> dict[str, Any]:
    """Return the entries of sweep.json on the last step: `final` and `finals`; nothing if there was none.

    `finals` has one entry for each value of the axes that change the data, and `final` is the only one, or null.

    Args:
        folder: the sweep's folder.

    Raises:
        CheckpointError: the record is damaged.
    """
    return _entries(read_record(folder))


def read_record(folder: Path) -> dict[str, Any]:
    """Return the content of final.json, or an empty record.

    Raises:
        CheckpointError: it is damaged, or was written by a newer version of recrun.
    """
    file = folder / FINAL
    document = read_json_if_there(file)
    if document is None:
        return {"schema": SCHEMA, "finals": [], "earlier": []}
    for key in ("finals", "earlier"):
        found = document.get(key)
        if not isinstance(found, list) or not all(_is_final(each) for each in found):
            raise CheckpointError(f"{file} is damaged: expected a list of {key}")
    schema = document.get("schema")
    if type(schema) is not int or schema > SCHEMA:
        raise CheckpointError(
            f"{file} has schema {schema}; this version of recrun reads up to {SCHEMA}: upgrade recrun"
        )
    return document


def _is_final(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("trials"), list):
        return False
    has_types = isinstance(value.get("digest"), str) and isinstance(value.get("settings"), dict)
    means = [value.get(key) for key in ("mean", "sd", "interval", "chosen_by")]
    return has_types and all(isinstance(each, dict) for each in (*means, *value["trials"]))


def _entries(record: Mapping[str, Any]) -> dict[str, Any]:
    finals = record["finals"]
    return {"final": finals[0] if len(finals) == 1 else None, "finals": finals} if finals else {}


def write_record(folder: Path, finals: Sequence[LastStep], earlier: Sequence[Mapping[str, Any]]) -> None:
    """Write final.json, and its entries into sweep.json.

    Args:
        folder: the sweep's folder, whose lock is held.
        finals: the last steps.
        earlier: those of other choices before.
    """
    record = {
        "schema": SCHEMA,
        "sweep": str(folder),
        "finals": [document_of(each) for each in finals],
        "earlier": list(earlier),
    }
    with writing(folder, has_begun=True):
        atomic_write(folder / FINAL, to_json(record, indent=2) + "\n")
        ledger = {**read_json(folder / LEDGER), **_entries(record)}
        atomic_write(folder / LEDGER, to_json(ledger, indent=2) + "\n")


def document_of(final: LastStep) -> dict[str, Any]:
    """Return what is recorded of the last step of a choice."""
    results = [trial.test for trial in final.trials if trial.test is not None]
    states = {trial.status for trial in final.trials}
    return {
        "point": final.choice.point,
        "settings": dict(final.choice.settings),
        "chosen_by": final.choice.document(),
        "train_on": "train_valid" if final.is_trained else "train",
        "epochs": final.epochs,
        "best_epochs": [trial.best_epoch for trial in final.choice.trials],
        **({} if final.n_seeds is None else {"n_seeds": final.n_seeds}),
        "digest": final.digest,
        "at": final.at,
        "status": next((each for each in (RUNNING, PENDING, INTERRUPTED, FAILED) if each in states), DONE),
        "trials": [trial.document() for trial in final.trials],
        "n": len(results),
        **spread(results),
    }


def spread(results: Sequence[Values]) -> dict[str, dict[str, Any]]:
    """Return the mean, the standard deviation and the 95 % interval of each metric, as points of a sweep have them.

    >>> spread([{"a": 1.0}, {"a": 3.0}])["mean"]
    {'a': 2.0}
    """
    mean, sd = mean_and_sd(results)
    return {"mean": mean, "sd": sd, "interval": interval_of(mean, sd, len(results))}
