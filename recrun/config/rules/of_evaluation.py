"""Find contradictions between settings of the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from recrun.config.draft import Facts
from recrun.config.monitor_names import (
    LOSS,
    MetricName,
    is_monitor,
    kind_of,
    needs_all_scores,
    parse_item,
    parse_monitor,
)
from recrun.errors import Fault, nearest
from recrun.group_name import GroupName, GroupNameError, parse_group
from recrun.registry import METRICS
from recrun.registry.user_files import is_file_reference

_RANKS: Final = "this run ranks items; remove it"


def _which4best_is_a_monitor(facts: Facts) -> Iterator[Fault]:
    criterion = facts.values.get("which4best")
    if not facts.has("monitors", "which4best"):
        # The monitors are faulty, so only a name that is no metric at all is certain to be wrong.
        if criterion is not None and not is_monitor(criterion, facts.given.get("which4best")):
            yield facts.fault(f"expected one of the monitors, found {criterion!r}", "which4best")
        return
    choices = [monitor for monitor in facts.values["monitors"] if monitor != LOSS]
    if not choices:
        yield facts.fault("lists no metric that can choose the best epoch; add one, such as ndcg@20", "monitors")
    elif criterion not in choices:
        message = f"expected one of the monitors ({', '.join(choices)}), found {criterion!r}"
        yield facts.fault(message, "which4best", suggestion=nearest(str(criterion), choices))


def why_unfit(facts: Facts, monitor: MetricName) -> str | None:
    """Return why a run cannot have a monitor, or None if it can."""
    if monitor.name == LOSS or "model" not in facts.components:
        return None
    metric = METRICS.describe(monitor.name)
    evaluations = kind_of(metric).traits.evaluations
    if facts.family.evaluation == "ranking":
        return None if "ranking" in evaluations else f"{monitor} compares predicted with true values, but {_RANKS}"
    if "predictions" not in evaluations:
        model = facts.components["model"].name
        return f"{monitor} measures a ranking, but model {model} predicts labels; use auc, gauc or logloss"
    if metric.traits.grouped and facts.has("user_column") and facts.values["user_column"] is None:
        return f"{monitor} is computed for each user, but user_column is not set; set it, or use auc"
    return None


def _monitors_that_the_run_has(facts: Facts) -> Iterator[Fault]:
    """Yield a fault, where it was written, for each monitor that this run cannot have."""
    if not facts.has("monitors"):
        return
    given = facts.given["monitors"].value if "monitors" in facts.given else []
    written = [str(parse_item(text, position, facts.given)) for position, text in enumerate(given)]
    for monitor in facts.values["monitors"]:
        message = why_unfit(facts, parse_monitor(monitor))
        if message is not None:
            position = written.index(monitor) if monitor in written else None
            yield facts.fault(message, "monitors", item=position)


def _groups_that_can_be_made(facts: Facts) -> Iterator[Fault]:
    """Yield what is wrong with `groups`, `user_file` and `item_file`."""
    if not facts.has("groups"):
        return
    found: list[GroupName] = []
    for position, text in enumerate(facts.values["groups"]):
        try:
            found.append(parse_group(text))
        except GroupNameError as error:
            yield facts.fault(str(error), "groups", item=position)
    if len(found) < len(facts.values["groups"]):
        return
    if found and "model" in facts.components and facts.family.evaluation != "ranking":
        model = facts.components["model"].name
        yield facts.fault(f"breaks rankings down, but model {model} predicts labels; remove it", "groups", "model")
    for key, of in (("user_file", "user"), ("item_file", "item")):
        is_read = any(not name.counts and name.of in (None, of) for name in found)
        if facts.values.get(key) is not None and not is_read:
            yield facts.fault(f"is read for groups alone, which name no column of {of}s; add one, or remove it", key)


def _repeats_that_can_be_found(facts: Facts) -> Iterator[Fault]:
    """Yield a fault where items that users had before are to be found, and are not ranked."""
    if facts.values.get("duplicates") == "all" and facts.values.get("mask_seen") is True:
        message = (
            "duplicates: all keeps items to be found that a user has had before, and none of these would be ranked"
        )
        yield facts.fault(f"{message}; set mask_seen to false", "mask_seen", "duplicates")


def _what_an_index_can_find(facts: Facts) -> Iterator[Fault]:
    """Yield what is wrong with the search of an approximate index."""
    if facts.values.get("eval_index") is None:
        return
    for key in (key for key in ("candidates", "candidates_path") if facts.values.get(key) is not None):
        yield facts.fault(
            "an index finds items among all, not among candidates; remove one of the two", key, "eval_index"
        )
    model = facts.components.get("model")
    if model is not None and facts.family.evaluation == "ranking" and not model.traits.vectors:
        message = f"needs scores that are products of vectors, and model {model.name} has no vectors; remove it"
        yield facts.fault(message, "eval_index", "model")
    for monitor in facts.values["monitors"] if facts.has("monitors") else []:
        if needs_all_scores(parse_monitor(monitor)):
            message = (
                f"{monitor} needs the scores of all items, and an index finds the first ones; remove one of the two"
            )
            yield facts.fault(message, "monitors", "eval_index")


def _what_needs_validation(facts: Facts) -> Iterator[Fault]:
    reason = facts.without_validation
    if reason is None:
        return
    cause = reason.partition(":")[0]
    if facts.values.get("early_stop_patience") is not None:
        message = f"early stopping needs a validation metric, but {reason} leaves none; remove one of the two"
        yield facts.fault(message, "early_stop_patience", cause)
    if facts.scheduler.needs_value:
        scheduler = facts.values.get("lr_scheduler")
        message = f"{scheduler} follows the validation metric, but {reason} leaves none; remove one of the two"
        yield facts.fault(message, "lr_scheduler", cause)
    if facts.values.get("eval_users") is not None and facts.values.get("eval_users_on") == "valid":
        message = f"users are drawn on valid, of which {reason} leaves no evaluation; remove one of the two"
        yield facts.fault(message, "eval_users_on", cause)


def _a_valid_part_that_is_trained_on(facts: Facts) -> Iterator[Fault]:
    if facts.values.get("train_on") != "train_valid":
        return
    if facts.values.get("eval_valid") is True:
        message = "nothing is left to validate on with train_on: train_valid; remove one of the two"
        yield facts.fault(message, "eval_valid", "train_on")
    is_split_here = "dataset" in facts.components and not is_file_reference(facts.components["dataset"].name)
    if is_split_here and facts.values.get("valid_ratio") == 0 and facts.values.get("valid_path") is None:
        message = "there is no valid part to train on with valid_ratio: 0; remove one of the two"
        yield facts.fault(message, "train_on", "valid_ratio")


OF_EVALUATION: Final[tuple[Callable[[Facts], Iterator[Fault]], ...]] = (
    _which4best_is_a_monitor,
    _monitors_that_the_run_has,
    _groups_that_can_be_made,
    _repeats_that_can_be_found,
    _what_an_index_can_find,
    _what_needs_validation,
    _a_valid_part_that_is_trained_on,
)
