"""Parse the names of monitored metrics, such as ndcg@20, and look up their kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from recrun.config.find import from_here
from recrun.config.reading import Given
from recrun.config.suggestions.translations import monitor_of
from recrun.errors import ConfigError, Fault, RegistryError, unknown
from recrun.registry import METRIC_KINDS, METRICS
from recrun.registry.component import Component
from recrun.registry.modules import parse_file
from recrun.registry.read_source import registrations
from recrun.registry.user_files import is_file_reference, short_name

LOSS = "loss"


class MetricName(NamedTuple):
    """A metric and its cutoff: `ndcg@20` is ("ndcg", 20), `auc` is ("auc", None)."""

    name: str
    k: int | None = None

    def __str__(self) -> str:
        return self.name if self.k is None else f"{self.name}@{self.k}"


def metric_names(metrics: Iterable[MetricName | str]) -> list[MetricName]:
    """Return metrics that are named by text, such as "recall@20", as names; others unchanged.

    Raises:
        ConfigError: as `parse_monitor` does.
    """
    return [parse_monitor(metric) if isinstance(metric, str) else metric for metric in metrics]


def parse_monitor(text: str, given: Given | None = None) -> MetricName:
    """Return the metric that a monitor names; upper and lower case are the same, except in a user's own file.

    Args:
        text: "loss", a metric without a cutoff ("auc"), or one with a cutoff ("recall@20"); in place of a registered
            name also `path/to/file.py:name`, whose path is made absolute.
        given: where the text was written, if in a config: a file is looked up beside it.

    Raises:
        ConfigError: the metric is unknown, its cutoff is missing, or it has a cutoff but takes none.
    """
    name, at, cutoff = _split(text.strip())
    if name == LOSS:
        if at:
            raise ConfigError("loss takes no cutoff; write 'loss'")
        return MetricName(LOSS)
    own = is_file_reference(name)
    name = from_here(name, given or Given(text))
    try:
        metric = METRICS.describe(name)
        takes_cutoff = kind_of(metric).traits.cutoff
    except RegistryError as error:
        if own or name in METRICS:
            raise ConfigError(str(error)) from None
        known = METRICS.names()
        message = f"unknown metric {name!r} (available: {', '.join([*known, './file.py:name'])})"
        raise ConfigError(Fault(message, suggestion=monitor_of(text, known))) from None
    if not takes_cutoff:
        if at:
            raise ConfigError(f"{name} takes no cutoff; write {name!r}")
        return MetricName(name)
    if not at:
        raise ConfigError(f"{name} needs a cutoff; write for example '{name}@10'")
    smallest = metric.traits.min_cutoff
    if not (cutoff.isascii() and cutoff.isdecimal() and 0 < len(cutoff) < 10 and int(cutoff) >= max(smallest, 1)):
        raise ConfigError(f"the cutoff of {name} must be an integer >= {max(smallest, 1)}, found {cutoff!r}")
    return MetricName(name, int(cutoff))


def _split(text: str) -> tuple[str, str, str]:
    """Return name, "@" and cutoff; a path may hold capital letters and "@" itself."""
    name, at, cutoff = text.rpartition("@")
    if is_file_reference(name):
        return name, at, cutoff
    return (text, "", "") if is_file_reference(text) else text.lower().partition("@")


def kind_of(metric: Component) -> Component:
    """Return the kind of a metric: one that is registered, or a class in the user's own file that has the metric.

    Raises:
        RegistryError: there is no such kind; the message names the nearest one.
    """
    kind: str = metric.traits.kind
    own: dict[str, str] = {}
    if is_file_reference(metric.name):
        path = metric.name.rpartition(":")[0]
        for node in parse_file(path).definitions.values():
            own |= {name: f"{path}:{node.name}" for name, _, _ in registrations(node, METRIC_KINDS.constant)}
    if kind in own:
        return METRIC_KINDS.describe(own[kind])
    if kind not in METRIC_KINDS:
        message = unknown("metric kind", kind, {*METRIC_KINDS.names(), *own})
        raise RegistryError(f"metric {metric.name!r}: {message}")
    return METRIC_KINDS.describe(kind)


def needs_all_scores(monitor: MetricName) -> bool:
    """Return whether a metric needs the scores of all items, so that it cannot be computed on the first ones."""
    return monitor.name != LOSS and not kind_of(METRICS.describe(monitor.name)).traits.cutoff


def smaller_is_better(metric: MetricName) -> bool:
    """Return whether a lower value of this metric is the better one (losses and errors)."""
    return metric.name == LOSS or bool(METRICS.describe(metric.name).traits.smaller_is_better)


def is_error(metric: str) -> bool:
    """Return whether smaller values of a metric are better; one that is not registered is taken to be no error."""
    try:
        return smaller_is_better(parse_monitor(metric))
    except (ConfigError, RegistryError):
        return False


def settle(values: dict[str, Any], given: Mapping[str, Given]) -> list[Fault]:
    """Bring the monitors' names into one spelling, and choose the one that chooses the best epoch if none is set.

    Args:
        values: the settings with a valid value; changed in place.
        given: the settings as written.

    Returns:
        What is wrong with the monitors.
    """
    faults = []
    monitors: list[str] = []
    for position, text in enumerate(values.get("monitors", ())):
        try:
            monitor = str(parse_item(text, position, given))
            if monitor not in monitors and short_name(monitor) in map(short_name, monitors):
                raise ConfigError(f"another metric is called {short_name(monitor)} too; rename the function")
            monitors.append(monitor)
        except ConfigError as error:
            fault, written = error.faults[0], given.get("monitors", Given(None))
            faults.append(written.fault(fault.message, "monitors", fault.suggestion, position))
    if faults:
        del values["monitors"]
    elif "monitors" in values:
        values["monitors"] = list(dict.fromkeys(monitors))
    if "which4best" in values:
        criterion, written = values["which4best"], given.get("which4best", Given(None))
        values["which4best"] = _settled_criterion(criterion, written, values.get("monitors", ()))
    return faults


def parse_item(text: str, position: int, given: Mapping[str, Given]) -> MetricName:
    """Parse one of the monitors; the path of a user's own file begins where the monitor was written."""
    written = given.get("monitors")
    place = None if written is None else written.items[position] if position < len(written.items) else written.place
    return parse_monitor(text, Given(text, place))


def is_monitor(text: str, given: Given | None) -> bool:
    """Return whether a text names a monitor; arguments as for `parse_monitor`."""
    try:
        parse_monitor(text, given)
    except ConfigError:
        return False
    return True


def _settled_criterion(which4best: str | None, given: Given, monitors: Sequence[str]) -> str | None:
    if which4best is None:
        return next((monitor for monitor in reversed(monitors) if monitor != LOSS), None)
    return str(parse_monitor(which4best, given)) if is_monitor(which4best, given) else which4best
