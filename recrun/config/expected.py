"""Read what a config says besides its settings: the `expected:` values, and for which data it was `tuned_for`.

Neither affects a run. The expected values, which `recrun verify` compares with those of a run, hold only for the
settings in the same file: a config that extends it and changes what is computed does not inherit them, and an override
that changes what is computed drops them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from recrun.config.check_value import Misfit, fit, json_schema, shown, type_name
from recrun.config.draft import Facts
from recrun.config.find import TUNED_FOR, bundled_configs, from_here, read_config
from recrun.config.monitor_names import LOSS, MetricName, parse_monitor
from recrun.config.reading import Given
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError, Fault, nearest
from recrun.registry import DATASETS
from recrun.registry.component import REQUIRED, Component, Parameter
from recrun.registry.user_files import is_file_reference
from recrun.types import Literal, NonNegativeFloat

KEY: Final = "expected"
_SHOWN_CONFIGS: Final = 3


@dataclass(frozen=True)
class Expected:
    """The expected value of one metric.

    Args:
        metric: the monitor, such as "ndcg@20".
        value: the expected value.
        split: "test" or "valid".
        origin: "ours", measured by recrun with these settings, or "published".
        tolerance: the largest difference allowed; None for a published value that is only shown.
        source: where a published value appeared.
        protocol: how it was measured, where that could be misunderstood.
    """

    metric: str
    value: float
    split: str = "test"
    origin: str = "ours"
    tolerance: float | None = None
    source: str | None = None
    protocol: str | None = None


def _entry(name: str, annotation: object, default: object, help: str) -> Parameter:
    return Parameter(name, annotation, default, help, KEY)


ENTRY: Final = (
    _entry("metric", str, REQUIRED, "a monitor of this config"),
    _entry("value", float, REQUIRED, "the expected value"),
    _entry("split", Literal["test", "valid"], "test", "the split it is measured on"),
    _entry("from", Literal["ours", "published"], "ours", "measured by recrun with these settings, or published"),
    _entry("tolerance", NonNegativeFloat | None, None, "the largest difference allowed; needed for ours"),
    _entry("source", str | None, None, "where it was published; needed for published"),
    _entry("protocol", str | None, None, "how it was measured"),
)
"""The keys of an entry of `expected`."""


def read_expected(given: Given) -> tuple[dict[int, Expected], list[Fault]]:
    """Return the valid entries of a config's `expected` by position, and the faults of the others."""
    if not isinstance(given.value, list):
        return {}, [given.fault(f"expected a list of mappings, found {shown(given.value, given.text)}", KEY)]
    entries: dict[int, Expected] = {}
    faults: list[Fault] = []
    for position, written in enumerate(given.value):
        found = list(_faults_of(given, position, written))
        if found:
            faults += found
            continue
        values = {("origin" if key == "from" else key): _fitted(key, value) for key, value in written.items()}
        entry = Expected(**{**values, "metric": str(_parse_metric(given, position, values["metric"]))})
        same = (entry.metric, entry.split, entry.origin, entry.source)
        if same in [(each.metric, each.split, each.origin, each.source) for each in entries.values()]:
            faults.append(given.fault(f"{entry.split} {entry.metric} is listed twice", KEY, item=position))
        else:
            entries[position] = entry
    return entries, faults


def unmeasured(entries: Mapping[int, Expected], facts: Facts, given: Given) -> Iterator[Fault]:
    """Yield a fault for each expected value that a run with these settings does not measure."""
    monitors = facts.values.get("monitors")
    for position, entry in entries.items():
        if monitors is not None and entry.metric not in monitors:
            message = f"{entry.metric} is not among the monitors ({', '.join(monitors)})"
            yield _at(given, position, "metric", message, nearest(entry.metric, monitors))
        if entry.split == "test" and facts.values.get("eval_test") is False:
            yield _at(given, position, "split", "no test metrics are computed with eval_test: false")
        if entry.split == "valid" and facts.without_validation:
            yield _at(given, position, "split", f"no validation metrics are computed with {facts.without_validation}")


def dump_expected(entries: Sequence[Expected]) -> str:
    """Return entries as YAML, in the form that `read_expected` reads; "" if there are none."""
    if not entries:
        return ""
    lines = []
    for entry in entries:
        values = {parameter.name: getattr(entry, _attribute(parameter.name)) for parameter in ENTRY}
        defaults = {parameter.name: parameter.default for parameter in ENTRY}
        lines.append(f"  - {dump_value({key: value for key, value in values.items() if value != defaults[key]})}\n")
    return f"{KEY}:\n{''.join(lines)}"


def expected_schema(metric: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of `expected`; `metric` is the schema of a monitor."""
    properties: dict[str, Any] = {
        each.name: {**(metric if each.name == "metric" else json_schema(each.annotation)), "description": each.help}
        for each in ENTRY
    }
    return {
        "type": "array",
        "description": "values that a run of this config should reach, for recrun verify",
        "items": {
            "type": "object",
            "properties": properties,
            "required": [each.name for each in ENTRY if each.default is REQUIRED],
            "additionalProperties": False,
        },
    }


def _faults_of(given: Given, position: int, written: Any) -> Iterator[Fault]:
    names = [parameter.name for parameter in ENTRY]
    if not isinstance(written, dict):
        yield given.fault(f"expected a mapping ({', '.join(names)}), found {shown(written)}", KEY, item=position)
        return
    for key in written:
        if key not in names:
            place = given.within.get((position, key))
            message = f"unknown key {key!r} in an entry (available: {', '.join(names)})"
            guess = nearest(key, names)
            yield place[0].fault(message, KEY, guess) if place else given.fault(message, KEY, guess, position)
    for parameter in ENTRY:
        if parameter.name not in written:
            if parameter.default is REQUIRED:
                yield given.fault(f"an entry needs {parameter.name}", KEY, item=position)
            continue
        try:
            value = _fitted(parameter.name, written[parameter.name])
            if parameter.name == "metric" and _parse_metric(given, position, value).name == LOSS:
                yield _at(given, position, "metric", "expected a metric, found the loss")
        except Misfit:
            message = f"{parameter.name}: expected {type_name(parameter.annotation)}"
            yield _at(given, position, parameter.name, f"{message}, found {shown(written[parameter.name])}")
        except ConfigError as error:
            yield _at(given, position, "metric", error.faults[0].message, error.faults[0].suggestion)
    needed = "source" if written.get("from") == "published" else "tolerance"
    if written.get(needed) is None:
        yield given.fault(f"an entry with from: {written.get('from', 'ours')} needs a {needed}", KEY, item=position)


def _fitted(key: str, value: Any) -> Any:
    return fit(next(parameter.annotation for parameter in ENTRY if parameter.name == key), value)


def _parse_metric(given: Given, position: int, text: str) -> MetricName:
    """Parse the metric of an entry; the path of a user's own file begins where the entry was written."""
    place = given.within.get((position, "metric"))
    return parse_monitor(text, Given(text, place[1] if place else given.place))


def _at(given: Given, position: int, key: str, message: str, suggestion: str | None = None) -> Fault:
    """Return a fault at the value of an entry's key, or at the entry if the key is not written."""
    place = given.within.get((position, key))
    return place[1].fault(message, KEY, suggestion) if place else given.fault(message, KEY, suggestion, position)


def _attribute(key: str) -> str:
    return "origin" if key == "from" else key


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
    """Return the bundled configs whose settings were chosen for a data set, those of one model or of any.

    Each of them names the data set itself, so that the others need not be read as YAML.
    """
    found = []
    for name, path in bundled_configs().items():
        text = path.read_bytes()
        if TUNED_FOR.encode() not in text or dataset.encode() not in text:
            continue
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
