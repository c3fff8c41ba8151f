"""Import configs of Elliot, of versions 0.3 and 1.

*Source:* the guide and the code of Elliot (https://github.com/sisinflab/elliot).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from recrun.errors import ConfigError, Fault
from recrun.importing.data_files import put_files
from recrun.importing.draft import Draft, Line, Rule, along_with, device, no, no_effect, only, to
from recrun.importing.elliot_models import MODELS, WITHOUT
from recrun.importing.monitors import listed, put_criterion, put_monitors, split
from recrun.importing.options import Found, ModelMap, Options, look_up, select, start
from recrun.importing.searched import RATINGS, defaults_here, held_out
from recrun.importing.yaml_tree import Entry

NAME: Final = "Elliot"
_DIFFERS: Final = {
    "map": "MAP averages the precision at all ranks there, average precision here",
    "mar": "there is no such metric here",
    "itemcoverage": "a number of items there; coverage here is the share of them",
    "auc": "AUC is over a user's whole ranking there; auc here has its own definition in docs/metrics.md",
    "lauc": "there is no such metric here",
    "gauc": "there is no such metric of rankings here",
}
_SPLITS: Final = {
    "temporal_hold_out": "user_time",
    "temporal_holdout": "user_time",
    "random_subsampling": "ratio",
    "random_cross_validation": "k_fold",
    "fixed_timestamp": "rows after a fixed time are not held out here; split: time holds out the latest share",
}
_GRADED: Final = "gains of nDCG grow with the rating there, unless ratings are made binary; here all count 1"
_TEST_CHOOSES: Final = "without validation_splitting, the test part chooses the best model there; here nothing does"


def read(files: Sequence[Entry], options: Options) -> Iterator[Found]:
    """Yield each model of an experiment, or the one that the user names.

    Raises:
        ConfigError: there is no `experiment` with `models`, or --data has no such files.
    """
    root = files[0].child("experiment")
    models = root.child("models") if root is not None else None
    if root is None or models is None or not models.entries:
        place = files[0].place
        text = "expected an experiment with models, as configs of Elliot have"
        raise ConfigError(Fault(text, file=place.file if place else None))
    for entry in select(models.entries, options.model):
        name = entry.key.removeprefix("external.")
        try:
            model = look_up(name, MODELS, WITHOUT, NAME, entry)
        except ConfigError as error:
            yield Found(name, refusal=Line(entry, {}, error.faults[0].message))
            continue
        yield Found(name, _draft(files[0], entry, model, options))


def _draft(file: Entry, written: Entry, model: ModelMap, options: Options) -> Draft:
    draft, [root] = Draft(NAME, searches=True), [entry for entry in file if entry.key == "experiment"]
    start(draft, model)
    draft.put(Entry(written.path, None, written.place, written.value_place), {"model": model.name})
    draft.refuse_others(file, ("experiment",))
    draft.follow([entry for entry in root if entry.key != "models"], {**_RULES, "data_config": _data(options.data)})
    own = [entry for entry in written if entry.key not in ("meta", "early_stopping")]
    rules: dict[str, Rule] = {**_OF_MODELS, **(_OF_TRAINING if model.rows != "none" else _CLOSED), **model.keys}
    defaults = {key: value for key, value in model.defaults.items() if _unset(key, model, own)}
    draft.follow(own, rules, defaults)
    draft.refuse_others(written, [entry.key for entry in written])
    meta = written.child("meta")
    draft.follow_section(meta if meta is not None else Entry(("meta",), None), _META)
    if meta is None or meta.child("validation_metric") is None:
        _first_metric(draft, root)
    if model.rows != "none":
        defaults_here(draft, ("epochs", "batch_size", "lr"))
    _as_binary(draft, root)
    stopping = written.child("early_stopping")
    if stopping is not None and model.rows == "none":
        draft.skip(stopping, "the model is not trained by gradient descent")
    elif stopping is not None:
        draft.follow_section(stopping, _STOPPING)
    return draft


def _as_binary(draft: Draft, root: Entry) -> None:
    """Take back what is said of ratings where they are made binary."""
    binarize = root.child("binarize")
    if binarize is None or binarize.value is not True:
        return
    draft.differences = [text for text in draft.differences if text not in (RATINGS, _GRADED)]
    of_ratings = [line for line in draft.not_mapped if line.why == RATINGS]
    draft.not_mapped = [line for line in draft.not_mapped if line not in of_ratings]
    for line in of_ratings:
        draft.skip(line.entry, "ratings are made binary")


def _unset(key: str, model: ModelMap, own: Sequence[Entry]) -> bool:
    """Return whether no key of the config, under either of its names, says what a default says."""
    same = {"lr": "learning_rate"}
    return key in model.keys and not {key, same.get(key, key)} & {entry.key for entry in own}


def _first_metric(draft: Draft, root: Entry) -> None:
    """Choose the best epoch by the first metric at the first cutoff, as Elliot does."""
    metrics = root.child("evaluation", "simple_metrics")
    if metrics is not None and listed(metrics.value):
        name, _ = split(listed(metrics.value)[0])
        put_criterion(draft, Entry(("meta", "validation_metric"), name), _cutoffs(root), _DIFFERS)


def _cutoffs(root: Entry) -> list[Any]:
    cutoffs = root.child("evaluation", "cutoffs") or root.child("top_k")
    return listed(cutoffs.value) if cutoffs is not None else []


def _data(data: str | None) -> Rule:
    def rule(draft: Draft, entry: Entry) -> None:
        written = {each.key: each for each in entry}
        strategy = written["strategy"].value if "strategy" in written else None
        names = {"dataset": ("dataset_path",), "fixed": ("train_path", "validation_path", "test_path")}.get(
            str(strategy)
        )
        if names is None:
            draft.refuse(
                entry, f"strategy {strategy!r}: name one file, or one for each part: strategy dataset or fixed"
            )
            return
        here = {"dataset_path": "path", "validation_path": "valid_path"}
        files = {here.get(name, name): _places(draft, written[name]) for name in names if name in written}
        if not files:
            draft.refuse(entry, f"strategy {strategy}: names no file")
            return
        header = written["header"].value if "header" in written else False
        put_files(
            draft,
            entry,
            files,
            root=".",
            data=data,
            name=str(draft.value("dataset", "")),
            layout={"format": "tsv", "header": header},
        )
        for name, each in written.items():
            if name not in (*names, "strategy", "header"):
                draft.refuse(each, "features of users and items are not read by the models here")

    return rule


def _places(draft: Draft, entry: Entry) -> list[str]:
    """Return where a file is: relative to the config's folder there, to the root here; with --data, below it."""
    path = str(entry.value).replace("{0}", str(draft.value("dataset", "")))
    folder = os.path.dirname(entry.place.file) if entry.place is not None else ""
    parts = path.replace("\\", "/").split("/")
    below = ["/".join(parts[-length:]) for length in (2, 1) if len(parts) >= length]
    return [os.path.normpath(os.path.join(folder, path)), *below]


def _filters(draft: Draft, entry: Entry) -> None:
    """Map prefiltering: one strategy or several, in their order."""
    steps = entry.value if isinstance(entry.value, list) else [entry.value]
    for number, step in enumerate(steps):
        item = number if isinstance(entry.value, list) else None
        written = step if isinstance(step, dict) else {}
        settings, why = _filter(written)
        others = [key for key in written if key not in ("strategy", "rounds", *_read_by_filter(settings))]
        if settings and others:
            draft.refuse(entry, f"{', '.join(others)}: not read by this strategy", item)
        if settings:
            draft.put(entry, settings, why, item)
        else:
            draft.refuse(entry, why, item)


def _read_by_filter(settings: Mapping[str, Any]) -> tuple[str]:
    return ("threshold",) if "rating_threshold" in settings else ("core",)


def _filter(step: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    strategy, core = step.get("strategy"), step.get("core")
    if strategy == "global_threshold" and step.get("threshold") != "average":
        return {"rating_threshold": step.get("threshold")}, ""
    if strategy == "user_k_core":
        return {"min_user_interactions": core}, ""
    if strategy == "item_k_core":
        return {"min_item_interactions": core}, ""
    if strategy == "iterative_k_core":
        return {"min_user_interactions": core, "min_item_interactions": core}, ""
    if strategy == "n_rounds_k_core":
        why = "repeated here until all users and items have enough, there for some rounds"
        return {"min_user_interactions": core, "min_item_interactions": core}, why
    return {}, f"rows are not filtered by {strategy!r} here; filter keeps those that fulfil a condition"


def _splitting(draft: Draft, entry: Entry) -> None:
    for each in entry:
        if each.key not in ("test_splitting", "validation_splitting"):
            draft.skip(each, "recrun data split writes the parts of a split to files")
    test, valid = entry.child("test_splitting"), entry.child("validation_splitting")
    if test is None:
        draft.refuse(entry, "names no test_splitting")
        return
    if valid is None:
        draft.differences.append(_TEST_CHOOSES)
    held_out(draft, test, valid, _SPLITS, "test_ratio", "leave_n_out")


def _evaluation(draft: Draft, entry: Entry) -> None:
    outer = dict(draft.entries)
    draft.refuse_others(entry, [each.key for each in entry])
    cutoffs = listed(draft.value("top_k")) if entry.child("cutoffs") is None else []
    for each in entry:
        if each.key == "simple_metrics":
            written = entry.child("cutoffs")
            put_monitors(draft, each, listed(written.value) if written is not None else cutoffs, _DIFFERS)
        else:
            _EVALUATION.get(each.key, no("no counterpart of this key is known"))(draft, each)
    draft.entries = outer
    draft.differences.append(_GRADED)


def _negatives(draft: Draft, entry: Entry) -> None:
    written = entry.value if isinstance(entry.value, dict) else {}
    if written.get("strategy") == "random" and isinstance(written.get("num_items"), int):
        draft.put(entry, {"candidates": written["num_items"]})
        draft.refuse_others(entry, ("strategy", "num_items"))
    else:
        draft.refuse(entry, "candidates of a file are named by candidates_path, in the layout of docs/metrics.md")


def _criterion(draft: Draft, entry: Entry) -> None:
    monitors = draft.settings.get("monitors", [])
    cutoffs = [int(each.rpartition("@")[2]) for each in monitors if "@" in each][:1]
    put_criterion(draft, entry, cutoffs, _DIFFERS)


def _monitor(draft: Draft, entry: Entry) -> None:
    if str(entry.value).lower() == "loss":
        draft.refuse(entry, "a run is stopped by the metric that chooses its best epoch here")
    else:
        draft.skip(entry, "a run is stopped by the metric that chooses its best epoch here: which4best")


_OUTPUT: Final = no_effect("runs keep their results in their own folder")
_RULES: Final[dict[str, Rule]] = {
    "version": no_effect("settings are read by their names"),
    "dataset": along_with("data_config"),
    "prefiltering": _filters,
    "binarize": only(True, why="interactions count 1 here"),
    "splitting": _splitting,
    "negative_sampling": _negatives,
    "top_k": along_with("evaluation"),
    "evaluation": _evaluation,
    "gpu": device(-1),
    "random_seed": to("seed"),
    "external_models_path": no_effect("models are looked up by their names"),
    **dict.fromkeys(
        (
            *("path_output_rec_result", "path_output_rec_weight", "path_output_rec_performance", "path_log_folder"),
            *("path_logger_config", "path_output_performance", "logger_config", "logger_level", "config_test"),
            *("print_results_as_triplets", "print_triplets", "align_side_with_train", "backend", "wandb"),
        ),
        _OUTPUT,
    ),
}
_EVALUATION: Final[dict[str, Rule]] = {
    "cutoffs": along_with("simple_metrics"),
    "relevance_threshold": only(
        0, 0.0, why="held-out interactions with lower ratings do not count there; all count here"
    ),
    "complex_metrics": no("there are no such metrics here"),
    **dict.fromkeys(("paired_ttest", "wilcoxon_test"), no_effect("recrun compare tests differences of runs")),
}
_OF_MODELS: Final[dict[str, Rule]] = {"seed": to("seed"), "random_seed": to("seed")}
_OF_TRAINING: Final[dict[str, Rule]] = {
    "epochs": to("epochs"),
    "batch_size": to("batch_size"),
    "eval_batch_size": no_effect("only memory and time depend on it"),
    "optimizer": to("optimizer"),
}
_CLOSED: Final[dict[str, Rule]] = dict.fromkeys(
    ("epochs", "batch_size", "eval_batch_size", "lr", "learning_rate"),
    no_effect("the model is not trained by gradient descent"),
)
_SEARCH: Final = no_effect("a sweep tries all combinations of the values that it is given")
_META: Final[dict[str, Rule]] = {
    "validation_metric": _criterion,
    "validation_rate": lambda draft, entry: (
        draft.put(entry, {"eval_freq": entry.value})
        if "epochs" in draft.settings
        else draft.skip(entry, "the model is not trained by gradient descent")
    ),
    "hyper_max_evals": _SEARCH,
    "hyper_opt_alg": _SEARCH,
    "optimize_internal_loss": only(False, why="the best epoch is chosen by a metric here"),
    **dict.fromkeys(("verbose", "save_recs", "save_weights", "restore", "restore_epochs"), _OUTPUT),
}
_STOPPING: Final[dict[str, Rule]] = {
    "patience": to(
        "early_stop_patience", why="evaluations that are each no better than the one before there, than the best here"
    ),
    "monitor": _monitor,
    "mode": no_effect("it is known of each metric whether more is better"),
    "verbose": no_effect(),
    "min_delta": only(0, 0.0, why="any improvement counts here"),
    "rel_delta": only(0, 0.0, why="any improvement counts here"),
    "baseline": no("there is no such limit here"),
}
