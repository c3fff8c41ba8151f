"""Find settings that are valid one by one but contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from recrun.config.draft import Facts
from recrun.config.monitor_names import LOSS, MetricName, group_faults, is_monitor, kind_of, parse_item, parse_monitor
from recrun.config.settings import check_device_name
from recrun.errors import ConfigError, Fault, RegistryError, nearest
from recrun.registry import DATASETS, LOSSES, METRICS
from recrun.registry.conditions import inapplicable, names
from recrun.row_filter import FilterError, parse_filter
from recrun.types import Where

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
    for key in (key for key in ("candidates", "candidates_path") if facts.values.get(key) is not None):
        yield facts.fault(f"model {model.name} predicts labels and ranks nothing; remove it", key, "model")
    if not labelled and dataset.name in DATASETS:
        known = ", ".join(each.name for each in DATASETS if each.traits.labelled)
        message = f"model {model.name} predicts labels, but {dataset.name} has none; data sets with labels: {known}"
        yield facts.fault(message, "dataset", "model")
    fitting = facts.family.losses
    if loss is not None and fitting and loss.name in LOSSES and loss.name not in fitting:
        message = f"model {model.name} predicts labels: expected loss {' or '.join(fitting)}, found {loss.name}"
        yield facts.fault(message, "loss", "model")


def _device_is_written_as_one(facts: Facts) -> Iterator[Fault]:
    if facts.has("device"):
        try:
            check_device_name(facts.values["device"])
        except ConfigError as error:
            yield facts.fault(error.faults[0].message, "device", suggestion=error.faults[0].suggestion)


def _folder_names(facts: Facts) -> Iterator[Fault]:
    name = facts.values.get("id")
    if name is not None and (
        name == "" or name[0] == "." or "/" in name or "\\" in name or not name.isprintable() or len(name) > 100
    ):
        expected = "a name of up to 100 characters, no slash, no dot in front"
        yield facts.fault(f"expected {expected}, found {name!r}", "id")


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
    if facts.sampler.draws == "batch" and facts.values.get("batch_size") == 1:
        message = f"sampler {sampler} takes negatives from the other rows, so a batch needs at least 2, found 1"
        yield facts.fault(message, "batch_size", "sampler")


def _probabilities_that_are_known(facts: Facts) -> Iterator[Fault]:
    if facts.values.get("logq_correction") is not True:
        return
    draws = facts.sampler.draws
    if draws == "candidates":
        sampler = facts.values["sampler"]
        message = f"needs the probabilities of negatives, which sampler {sampler} does not know; choose another sampler"
        yield facts.fault(message, "logq_correction", "sampler")
    if draws == "batch" and facts.values.get("positives") == "users":
        message = f"logq_correction with sampler {facts.values['sampler']} expects interactions, found users"
        yield facts.fault(message, "positives", "logq_correction")
    if facts.values.get("draw_on") == "device":
        message = "logq_correction works only with negatives drawn on the host: expected auto or host, found device"
        yield facts.fault(message, "draw_on", "logq_correction")


def _scores_that_the_loss_can_take(facts: Facts) -> Iterator[Fault]:
    if facts.loss.scores != "cosine" or "model" not in facts.components:
        return
    model, loss = facts.components["model"].name, facts.components["loss"].name
    if "similarity" not in {parameter.name for parameter in facts.components["model"].parameters}:
        if facts.model.scores != "cosine":
            message = f"loss {loss} needs cosine similarities as scores, but model {model} has other scores"
            yield facts.fault(f"{message}; choose another loss", "loss", "model")
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
    given_parts = facts.values.get("train_path") is not None
    if not given_parts and getattr(facts.settings.traits("split"), "keeps_order", None) is False:
        message = f"split={facts.values['split']} holds out {why}; use leave_one_out, user_time or time, {remedy}"
        yield facts.fault(message, "split", "model")
    is_random = facts.values.get("valid_from") == "random" and facts.values.get("valid_ratio") != 0
    if is_random and given_parts and facts.values.get("valid_path") is None:
        message = f"validation is held out {why}; use end, give a valid_path, {remedy}"
        yield facts.fault(message, "valid_from", "model")


def _gradients_that_the_optimizer_takes(facts: Facts) -> Iterator[Fault]:
    if not facts.optimizer.sparse or facts.model.gradients == "sparse":
        return
    model, optimizer = facts.components["model"].name, facts.components["optimizer"].name
    if facts.model.gradients == "dense":
        message = f"{optimizer} updates only the rows of a batch, but {model} changes all rows in every step"
    else:
        message = f"{optimizer} trains embeddings only, but {model} has other parameters"
    yield facts.fault(f"{message}; use adam", "optimizer", "model")


def _what_a_device_can_draw(facts: Facts) -> Iterator[Fault]:
    if facts.values.get("draw_on") == "device" and facts.values.get("sampler", "uniform") != "uniform":
        message = f"only uniform negatives can be drawn on the device, found sampler: {facts.values['sampler']}"
        yield facts.fault(f"{message}; set draw_on: auto", "draw_on", "sampler")


def _what_the_pipe_of_a_family_takes(facts: Facts) -> Iterator[Fault]:
    model, family = facts.components.get("model"), facts.family
    if model is None:
        return
    for needed in family.needs:
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


def _conditions_of_components(facts: Facts) -> Iterator[Fault]:
    """Yield the conditions between settings that components declare and that do not hold."""
    settings = facts.settings
    for key, parameter in facts.parameters.items():
        setting = parameter.owner.partition(" ")[0]
        declared = (
            getattr(facts.components[setting].traits, "conditions", None) if setting in facts.components else None
        )
        wanted = [(each.condition, each.message) for each in parameter.conditions if isinstance(each, Where)]
        try:
            if key in facts.values and inapplicable(parameter, settings) is None:
                for condition, message in [*wanted, *(declared or {}).get(key, ())]:
                    if not settings.holds(condition):
                        yield facts.fault(settings.fill(message), key, *names(condition), setting)
        except RegistryError as error:
            yield facts.fault(f"{parameter.owner} has a faulty condition on it: {error}", key, setting)


def _a_filter_that_can_be_read(facts: Facts) -> Iterator[Fault]:
    if isinstance(text := facts.values.get("filter"), str):
        try:
            parse_filter(text)
        except FilterError as error:
            yield facts.fault(str(error), "filter")


OF_A_MODEL: Final[tuple[Callable[[Facts], Iterator[Fault]], ...]] = (
    _what_predictions_take,
    _scores_that_the_loss_can_take,
    _rows_that_the_loss_can_take,
    _vectors_that_the_loss_compares,
    _a_loss_that_the_model_takes,
    _gradients_that_the_optimizer_takes,
    _what_the_pipe_of_a_family_takes,
)
RULES: Final[tuple[Callable[[Facts], Iterator[Fault]], ...]] = (
    *OF_A_MODEL,
    _which4best_is_a_monitor,
    _monitors_that_the_run_has,
    group_faults,
    _device_is_written_as_one,
    _folder_names,
    _what_needs_validation,
    _enough_negatives,
    _enough_for_the_sampler,
    _probabilities_that_are_known,
    _an_order_for_models_of_sequences,
    _held_out_after_the_history,
    _what_a_device_can_draw,
    _conditions_of_components,
    _a_filter_that_can_be_read,
)


def contradictions(facts: Facts) -> Iterator[Fault]:
    """Yield a fault for each contradiction; a rule does not look at settings that have faults of their own."""
    for rule in RULES:
        yield from map(facts.with_origin, rule(facts))
