"""Report each fault of many trials once, at the place where the user wrote the value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from recrun.errors import Fault, nearest
from recrun.sweep.planning.study import Texts
from recrun.sweep.space.variation import Variation, keys_of


@dataclass(frozen=True)
class Written:
    """The settings of a trial as written, and what varies on its config.

    Args:
        texts: the settings.
        variation: what varies.
    """

    texts: Texts
    variation: Variation


def placed(found: Mapping[Fault, Sequence[Written]], every: Sequence[Written]) -> list[Fault]:
    """Return the faults of trials, once for each place that they point at.

    Args:
        found: for each fault as the config layer words it, the trials that have it.
        every: all trials.
    """
    # Of several configs, each suggests a setting of its own with a similar name.
    alike: dict[Fault, list[Fault]] = {}
    for fault in found:
        alike.setdefault(replace(fault, suggestion=None), []).append(fault)
    merged: dict[Fault, list[Written]] = {}
    for same in alike.values():
        guesses = [fault.suggestion for fault in same if fault.suggestion is not None]
        guess = nearest(same[0].key or "", guesses) if len(set(guesses)) > 1 else None
        best = replace(same[0], suggestion=guess or next(iter(guesses), None))
        merged[best] = [written for fault in same for written in found[fault]]
    return [fault for each, trials in merged.items() for fault in _placed(each, trials, every)]


def _placed(fault: Fault, trials: Sequence[Written], every: Sequence[Written]) -> list[Fault]:
    located: dict[Fault, list[Written]] = {}
    for each in trials:
        located.setdefault(each.variation.locate(fault, each.texts), []).append(each)
    # What all trials of a config have does not depend on what varies.
    having_it = {id(each.variation) for each in trials}
    if len(trials) == sum(id(each.variation) in having_it for each in every):
        return list(located)[:1]
    return [_say_which(each, having, every) for each, having in located.items()]


def _say_which(fault: Fault, trials: Sequence[Written], every: Sequence[Written]) -> Fault:
    """Add to a fault the values by which its trials differ from the others, unless its place points at them."""
    first = trials[0]
    varied = {key for each in trials for dimension in each.variation.space.dimensions for key in keys_of(dimension)}
    axes = [key for key in first.texts if key in varied]
    shared = {key: first.texts[key] for key in axes if all(each.texts.get(key) == first.texts[key] for each in trials)}
    alike = sum(all(each.texts.get(key) == text for key, text in shared.items()) for each in every)
    if alike != len(trials):
        shared = {key: first.texts[key] for key in axes}
    elif len(shared) == 1 and _is_there(fault, first, *shared.items()):
        return fault  # its place already points at that value
    values = " ".join(f"{key}={text}" for key, text in shared.items())
    return replace(fault, message=f"{fault.message} (with {values})") if values else fault


def _is_there(fault: Fault, trial: Written, value: tuple[str, str]) -> bool:
    place = trial.variation.place(*value)
    return place is not None and (fault.file, fault.line) == (place.file, place.line)


def repeated_values(trials: Iterable[tuple[Written, Mapping[str, str]]]) -> list[Fault]:
    """Return a fault for each value of an axis that means the same as an earlier one, such as 1e-3 and 0.001.

    Args:
        trials: each trial, with its settings as they are resolved.
    """
    faults: list[Fault] = []
    first: dict[tuple[int, str, str], str] = {}
    for written, resolved in trials:
        for key, text in written.texts.items():
            lists = [each for each in written.variation.written.get(key, ()) if each.range is None]
            value = next((value for each in lists for value in each.values if value.text == text), None)
            if value is None:
                continue
            earlier = first.setdefault((id(written.variation), key, resolved[key]), text)
            if earlier != text:
                message = f"the value {text} is given twice: it is equal to {earlier}"
                faults.append(lists[0].fault(message, value))
    return list(dict.fromkeys(faults))
