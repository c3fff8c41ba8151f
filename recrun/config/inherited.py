"""Say what becomes of settings that a config inherits from another file, or that the command line overrides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from recrun.config.find import TUNED_FOR, bundled_configs, from_here, read_config
from recrun.config.yaml_reader import Given
from recrun.errors import Fault, nearest
from recrun.registry import DATASETS
from recrun.registry.component import Component
from recrun.registry.user_files import is_file_reference

_SHOWN_CONFIGS: Final = 3


def read_tuned_for(given: Given) -> tuple[tuple[str, ...], list[Fault]]:
    """Return the data sets that a config's `tuned_for` names, and the faults of the others."""
    written = [given.value] if isinstance(given.value, str) else given.value
    if not isinstance(written, list) or not written:
        return (), [given.fault("expected a data set, or a list of them", TUNED_FOR)]
    names, faults = [], []
    for position, name in enumerate(written):
        if not isinstance(name, str):
            faults.append(given.fault(f"expected a data set, found {name!r}", TUNED_FOR, item=position))
        elif is_file_reference(name):
            names.append(from_here(name, given))
        elif name in DATASETS:
            names.append(name)
        else:
            known = DATASETS.names()
            message = f"unknown dataset {name!r} (available: {', '.join(known)})"
            faults.append(given.fault(message, TUNED_FOR, nearest(name, known), position))
    return tuple(dict.fromkeys(names)), faults


def note_of_other_data(
    given: Given, tuned_for: Sequence[str], dataset: Component, model: Component | None
) -> Iterator[str]:
    """Yield a note if the settings were chosen for other data than the run's, with the bundled configs for this data.

    Args:
        given: the config's `tuned_for`, as written.
        tuned_for: the data sets that it names.
        dataset: that of the run.
        model: that of the run.
    """
    if not tuned_for or dataset.name in tuned_for:
        return
    file = given.place.file if given.place else "the config"
    note = f"the settings of {file} were chosen for {' and '.join(tuned_for)}, not for {dataset.name}"
    there = [] if model is None else configs_tuned_for(dataset.name, model.name)
    yield f"{note}; for {dataset.name} see {', '.join(there[:_SHOWN_CONFIGS])}" if there else note


def configs_tuned_for(dataset: str, model: str | None = None) -> list[str]:
    """Return the bundled configs whose settings were chosen for a data set, those of one model or of any."""
    found = []
    for name, path in bundled_configs().items():
        reading = read_config(path)
        chosen = reading.given.get("model")
        if reading.tuned_for is not None and dataset in read_tuned_for(reading.tuned_for)[0]:
            found += [name] if model is None or (chosen is not None and chosen.value == model) else []
    return found


def tuned_for_schema() -> dict[str, Any]:
    """Return the JSON Schema of `tuned_for`."""
    name = {"type": "string"}
    return {
        "anyOf": [name, {"type": "array", "items": name, "minItems": 1}],
        "description": "data sets for which the settings were chosen; a run on another one says so",
    }
