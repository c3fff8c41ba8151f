"""Find contradictions between a model and its data set, loss, sampler and optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from recrun.config.draft import Facts
from recrun.config.family import can_score_new_users, without_new_users
from recrun.errors import Fault
from recrun.registry import DATASETS, LOSSES, MODELS
from recrun.registry.component import Component
from recrun.vector_files import fault_of


def _what_predictions_take(facts: Facts) -> Iterator[Fault]:
    """Yield what does not fit together where the model predicts labels or the data has them."""
    model, dataset, loss = (facts.components.get(setting) for setting in ("model", "dataset", "loss"))
    if model is None or dataset is None:
        return
    predicts, labelled = facts.family.evaluation == "predictions", dataset.traits.labelled
    if labelled and not predicts:
        message = f"its rows are labelled, but model {model.name} ranks items by interactions"
        yield facts.fault(f"{message}; choose another data set", "dataset", "model")
    if not predicts:
        return
    for key in (
        key
        for key in ("candidates", "candidates_path", "eval_users", "eval_index")
        if facts.values.get(key) is not None
    ):
        yield facts.fault(f"model {model.name} predicts labels and ranks nothing; remove it", key, "model")
    if facts.values.get("mask_seen") is False:
        yield facts.fault(f"model {model.name} predicts labels and ranks nothing; remove it", "mask_seen", "model")
    if not labelled and dataset.name in DATASETS:
        known = ", ".join(each.name for each in DATASETS if each.traits.labelled)
        message = f"model {model.name} predicts labels, but {dataset.name} has none; data sets with labels: {known}"
        yield facts.fault(message, "dataset", "model")
    fitting = facts.family.losses
    if loss is not None and fitting and loss.name in LOSSES and loss.name not in fitting:
        message = f"model {model.name} predicts labels: expected loss {' or '.join(fitting)}, found {loss.name}"
        yield facts.fault(message, "loss", "model")


def _new_users_that_the_model_can_score(facts: Facts) -> Iterator[Fault]:
    model = facts.components.get("model")
    given_parts = facts.values.get("train_path") is not None
    holds_out_users = getattr(facts.settings.traits("split"), "new_users", False) and not given_parts
    if (
        model is not None
        and holds_out_users
        and facts.family.evaluation == "ranking"
        and not can_score_new_users(model)
    ):
        yield facts.fault(without_new_users(model.name), "split", "model")


def _offers_cosines(model: Component) -> bool:
    """Return whether a model's scores are cosines, or are with its setting `similarity`."""
    return model.traits.scores == "cosine" or "similarity" in {parameter.name for parameter in model.parameters}


def _scores_that_the_loss_can_take(facts: Facts) -> Iterator[Fault]:
    """Yield what is wrong with the scores where the loss needs cosines.

    A model with vectors offers both kinds of scores by a setting `similarity` of "dot" and "cosine"; one whose scores
    always are cosines has the trait `scores="cosine"`. All others are refused.
    """
    if facts.loss.scores != "cosine" or "model" not in facts.components:
        return
    model, loss = facts.components["model"].name, facts.components["loss"].name
    if not _offers_cosines(facts.components["model"]):
        known = ", ".join(each.name for each in MODELS if _offers_cosines(each))
        message = f"loss {loss} needs cosine similarities as scores, but model {model} has other scores"
        yield facts.fault(f"{message}; choose another loss, or a model with cosines: {known}", "loss", "model")
    elif facts.has("similarity") and facts.values["similarity"] != "cosine":
        message = f"loss {loss} needs cosine scores: expected cosine, found {facts.values['similarity']}"
        yield facts.fault(f"{message}; set similarity to cosine, or choose another loss", "similarity", "loss")


def _rows_that_the_loss_can_take(facts: Facts) -> Iterator[Fault]:
    model, loss = facts.components.get("model"), facts.components.get("loss")
    if model is None or loss is None:
        return
    of_users, takes_users = loss.traits.trains_on == "users", facts.family.loss_over == "users"
    if of_users and not takes_users:
        message = f"loss {loss.name} needs users' whole rows, but model {model.name} is trained on {facts.family.rows}"
        yield facts.fault(f"{message}; choose another loss", "loss", "model")
    elif takes_users and not of_users:
        known = ", ".join(each.name for each in LOSSES if each.traits.trains_on == "users")
        message = f"model {model.name} is trained on users' whole rows, but loss {loss.name} does not use them"
        yield facts.fault(f"{message}; losses that do: {known}", "loss", "model")


def _rows_that_the_model_can_read(facts: Facts) -> Iterator[Fault]:
    rows = facts.values.get("sequence_rows")
    if facts.model.states == "last" and facts.family.histories and rows not in (None, "prefixes"):
        model = facts.components["model"].name
        message = f"model {model} has a state after the last item only: expected prefixes, found {rows}"
        yield facts.fault(message, "sequence_rows", "model")


def _vectors_that_the_loss_compares(facts: Facts) -> Iterator[Fault]:
    if (
        facts.loss.compares_vectors
        and "model" in facts.components
        and not (facts.model.vectors and facts.family.vectors)
    ):
        loss, model = facts.components["loss"].name, facts.components["model"].name
        message = f"loss {loss} compares vectors of users and items, but model {model} has none; choose another loss"
        yield facts.fault(message, "loss", "model")


def _a_loss_that_the_model_takes(facts: Facts) -> Iterator[Fault]:
    taken = facts.model.losses or (facts.family.losses if facts.family.evaluation == "ranking" else ())
    if not taken or "loss" not in facts.components:
        return
    model, loss = facts.components["model"].name, facts.components["loss"].name
    if loss not in taken:
        message = f"model {model} works only with {' or '.join(taken)}, found {loss}; remove the setting"
        yield facts.fault(message, "loss", "model")


def _vectors_of_items_that_the_model_reads(facts: Facts) -> Iterator[Fault]:
    paths, model, dataset = facts.values.get("item_vectors") or [], *map(facts.components.get, ("model", "dataset"))
    fault = fault_of(paths)
    if fault is not None:
        yield facts.fault(fault[1], "item_vectors", item=fault[0])
    if model is None:
        return
    if paths and not model.traits.item_vectors:
        known = ", ".join(each.name for each in MODELS if each.traits.item_vectors)
        message = f"model {model.name} reads no vectors of items; remove the setting (models that do: {known})"
        yield facts.fault(message, "item_vectors", "model")
    elif model.traits.item_vectors and not paths and dataset is not None and not dataset.traits.item_vectors:
        message = f"model {model.name} reads vectors of the items, of which {dataset.name} has none; name their files, "
        yield facts.fault(f"{message}as in item_vectors=[text.parquet]", "item_vectors", "model")


def _gradients_that_the_optimizer_takes(facts: Facts) -> Iterator[Fault]:
    gradients = facts.model.gradients
    if not facts.optimizer.sparse or gradients == "sparse":
        return
    model, optimizer = facts.components["model"].name, facts.components["optimizer"].name
    loss, keys = facts.components.get("loss"), ("optimizer", "model")
    if gradients == "layered" and facts.optimizer.layers:
        if loss is None or loss.traits.takes_negatives:
            return
        message = f"{optimizer} updates only the rows of a batch, but loss {loss.name} changes all items in every step"
        keys = ("optimizer", "loss")
    elif gradients == "dense" or facts.optimizer.layers:
        message = f"{optimizer} updates only the rows of a batch, but {model} changes all rows in every step"
    else:
        message = f"{optimizer} trains embeddings only, but {model} has other parameters"
    yield facts.fault(f"{message}; use adam", *keys)


def _what_the_pipe_of_a_family_takes(facts: Facts) -> Iterator[Fault]:
    model, family = facts.components.get("model"), facts.family
    if model is None:
        return
    for needed in (*family.needs, *filter(None, [model.traits.timed_by])):
        if needed not in {parameter.name for parameter in model.parameters}:
            message = f"model {model.name} is trained on {family.rows}, so its constructor needs a setting {needed}"
            yield facts.fault(message, "model")
    if facts.sampler.draws not in family.samplers:
        sampler = facts.components["sampler"].name
        message = f"sampler {sampler} does not work with model {model.name}, which is trained on {family.rows}"
        yield facts.fault(f"{message}; choose another sampler", "sampler", "model")
    if facts.values.get("logq_correction") is True and not family.corrects:
        message = f"does not apply to model {model.name}, which is trained on {family.rows}; remove it"
        yield facts.fault(message, "logq_correction", "model")


OF_A_MODEL: Final[tuple[Callable[[Facts], Iterator[Fault]], ...]] = (
    _what_predictions_take,
    _new_users_that_the_model_can_score,
    _scores_that_the_loss_can_take,
    _rows_that_the_loss_can_take,
    _rows_that_the_model_can_read,
    _vectors_that_the_loss_compares,
    _a_loss_that_the_model_takes,
    _vectors_of_items_that_the_model_reads,
    _gradients_that_the_optimizer_takes,
    _what_the_pipe_of_a_family_takes,
)
