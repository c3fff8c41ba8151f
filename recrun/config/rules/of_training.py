"""Find contradictions between settings of the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Final

from recrun.config.draft import Facts
from recrun.errors import Fault
from recrun.registry import LOSSES


def _enough_negatives(facts: Facts) -> Iterator[Fault]:
    needed = facts.loss.min_negatives
    if facts.has("n_negatives") and facts.values["n_negatives"] < needed:
        found = facts.values["n_negatives"]
        message = f"loss {facts.components['loss'].name} needs at least {needed} negatives, found {found}"
        yield facts.fault(message, "n_negatives", "loss")


def _enough_for_the_sampler(facts: Facts) -> Iterator[Fault]:
    sampler, needed = facts.values.get("sampler"), facts.sampler.min_negatives
    if facts.has("n_negatives") and facts.values["n_negatives"] < needed:
        message = f"sampler {sampler} needs at least {needed} negatives, found {facts.values['n_negatives']}"
        yield facts.fault(message, "n_negatives", "sampler")
    of_batch = facts.sampler.draws == "batch" or _takes_other_rows(facts)
    if of_batch and facts.values.get("batch_size") == 1:
        message = f"sampler {sampler} takes negatives from the other rows, so a batch needs at least 2, found 1"
        yield facts.fault(message, "batch_size", "sampler")


def _takes_other_rows(facts: Facts) -> bool:
    """Return whether the positives of the other rows of a batch are negatives that all its rows share."""
    return str(facts.values.get("batch_positives", "none")) != "none"


def _negatives_that_rows_can_share(facts: Facts) -> Iterator[Fault]:
    if facts.sampler.draws != "shared":
        return
    sampler, loss = facts.components["sampler"].name, facts.components.get("loss")
    if loss is not None and loss.traits.takes_negatives and not loss.traits.masks:
        fitting = ", ".join(each.name for each in LOSSES if each.traits.takes_negatives and each.traits.masks)
        message = f"some negatives of sampler {sampler} do not count for a row, which loss {loss.name} does not allow"
        yield facts.fault(f"{message}; choose another sampler, or one of {fitting}", "sampler", "loss")
    rows = facts.values.get("sequence_rows")
    if _takes_other_rows(facts) and rows not in (None, "prefixes"):
        message = f"the positives of the other rows need rows with one positive: expected prefixes, found {rows}"
        yield facts.fault(message, "sequence_rows", "batch_positives")


def _probabilities_that_are_known(facts: Facts) -> Iterator[Fault]:
    if facts.values.get("logq_correction") is not True:
        return
    if facts.sampler.draws == "candidates":
        sampler = facts.values["sampler"]
        message = f"needs the probabilities of negatives, which sampler {sampler} does not know; choose another sampler"
        yield facts.fault(message, "logq_correction", "sampler")
    n_targets = facts.values.get("n_targets", 1)
    if _takes_other_rows(facts) and facts.values.get("seen_as_negatives") is True and n_targets != 1:
        message = "logq_correction takes negatives as drawn, but the other targets of a row always are negatives of it"
        yield facts.fault(f"{message}; expected 1, found {n_targets}", "n_targets", "logq_correction")


def _an_order_for_models_of_sequences(facts: Facts) -> Iterator[Fault]:
    if not facts.family.histories or "model" not in facts.components or "dataset" not in facts.components:
        return
    message = f"model {facts.components['model'].name} reads interactions in the order of time, and"
    dataset = facts.components["dataset"]
    if getattr(dataset.traits, "times", None) == "none":
        yield facts.fault(f"{message} {dataset.name} has no times; choose other data", "dataset", "model")
    if getattr(facts.settings.traits("format"), "times", None) == "none":
        yield facts.fault(f"{message} format {facts.values['format']} tells none; choose another", "format", "model")
    if facts.values.get("time_column") == "":
        yield facts.fault(f"{message} time_column is empty; name the column of times", "time_column", "model")


def _held_out_after_the_history(facts: Facts) -> Iterator[Fault]:
    """Yield a fault if a model of sequences would read items from after the ones that it is tested on."""
    if not facts.family.histories or facts.values.get("shuffled_time") is not False or "model" not in facts.components:
        return
    model, remedy = facts.components["model"].name, "or set shuffled_time to true"
    why = f"at random, so that {model}, which reads histories, would read items from after the held-out ones"
    split = facts.settings.traits("split")
    gives_some = getattr(split, "new_users", False) and getattr(split, "keeps_order", None) is not True
    if gives_some and facts.values.get("fold_in_by") == "random":
        message = f"random items of new users are given, but {model} reads histories: it needs the earliest"
        yield facts.fault(f"{message}; set fold_in_by to time, {remedy}", "fold_in_by", "split", "model")
    given_parts = facts.values.get("train_path") is not None
    if not given_parts and getattr(split, "keeps_order", None) is False:
        message = f"split={facts.values['split']} holds out {why}; use leave_one_out, user_time or time, {remedy}"
        yield facts.fault(message, "split", "model")
    is_random = facts.values.get("valid_from") == "random" and facts.values.get("valid_ratio") != 0
    if is_random and given_parts and facts.values.get("valid_path") is None:
        message = f"validation is held out {why}; use end, give a valid_path, {remedy}"
        yield facts.fault(message, "valid_from", "model")


def _what_a_device_can_draw(facts: Facts) -> Iterator[Fault]:
    if facts.values.get("draw_on") == "device" and facts.values.get("sampler", "uniform") != "uniform":
        sampler = facts.values["sampler"]
        message = f"only uniform negatives can be drawn on the device, found sampler: {sampler}; set draw_on: auto"
        yield facts.fault(message, "draw_on", "sampler")


def _a_start_that_stays(facts: Facts) -> Iterator[Fault]:
    """Yield a fault if a run that is continued would look for its start where `latest` has moved on."""
    start = facts.values.get("init_from")
    if start is None or not facts.has("init_from"):
        return
    if not start.strip() or not start.isprintable():
        yield facts.fault(f"expected the path of a run or a checkpoint, found {start!r}", "init_from")
    elif PurePath(start).name == "latest" and facts.values.get("resume") is True:
        message = "with resume: true it would be another run each time, as latest moves; name the run itself"
        yield facts.fault(message, "init_from", "resume")


OF_TRAINING: Final[tuple[Callable[[Facts], Iterator[Fault]], ...]] = (
    _enough_negatives,
    _enough_for_the_sampler,
    _negatives_that_rows_can_share,
    _probabilities_that_are_known,
    _an_order_for_models_of_sequences,
    _held_out_after_the_history,
    _what_a_device_can_draw,
    _a_start_that_stays,
)
