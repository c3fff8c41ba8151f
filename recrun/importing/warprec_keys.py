"""Map the keys of WarpRec's sections that do not belong to a model.

*Source:* the documentation of WarpRec (https://github.com/sisinflab/warprec).
"""

from __future__ import annotations

from typing import Final

from recrun.importing.convert import named
from recrun.importing.draft import Draft, Rule, along_with, device, no, no_effect, only, to
from recrun.importing.monitors import listed, put_criterion, put_monitors
from recrun.importing.yaml_tree import Entry

_DIFFERS: Final = {
    "itemcoverage": "a number of items there; coverage here is the share of them",
}


def _labels(draft: Draft, entry: Entry) -> None:
    here = {
        "user_id_label": ("user_column", "user_id"),
        "item_id_label": ("item_column", "item_id"),
        "rating_label": ("rating_column", "rating"),
        "timestamp_label": ("time_column", "timestamp"),
    }
    for each in entry:
        setting, usual = here.get(each.key, ("", ""))
        if not setting:
            draft.refuse(each, "no such column is read")
        elif each.value == usual:
            draft.skip(each, "the column is found by this name")
        else:
            draft.put(each, {setting: each.value})


def _metrics(draft: Draft, entry: Entry) -> None:
    put_monitors(draft, entry, listed(draft.value("top_k")), _DIFFERS)


def _criterion(draft: Draft, entry: Entry) -> None:
    monitors = draft.settings.get("monitors", [])
    put_criterion(draft, entry, [int(each.rpartition("@")[2]) for each in monitors if "@" in each][:1], _DIFFERS)


def _strategy(draft: Draft, entry: Entry) -> None:
    if entry.value == "sampled":
        draft.put(entry, {"candidates": draft.value("num_negatives", 99)})
    else:
        draft.skip(entry, "as it is here")


def _negatives(draft: Draft, entry: Entry) -> None:
    if draft.value("strategy") == "sampled":
        along_with("strategy")(draft, entry)
    else:
        draft.skip(entry, "all items are ranked")


def _monitor(draft: Draft, entry: Entry) -> None:
    if entry.value == "loss":
        draft.refuse(entry, "a run is stopped by the metric that chooses its best epoch here")
    else:
        draft.skip(entry, "as it is here")


_OPTIMIZERS: Final = named({"adam": "adam", "adamw": "adamw", "sgd": "sgd"}, "optimizer")
_OUTPUT: Final = no_effect("runs keep their results in their own folder")
_RESOURCES: Final = no_effect("only memory and time depend on it")
_SEARCH: Final = no_effect("a sweep tries all combinations of the values that it is given")

READER: Final[dict[str, Rule]] = {
    **dict.fromkeys(("loading_strategy", "sep", "header", "ext", "file_format", "split"), along_with("local_path")),
    "local_path": lambda draft, entry: None,
    "data_type": no_effect("rows are interactions"),
    "reading_method": only("local", why="files are read from folders here"),
    "rating_type": only("implicit", why="interactions count 1 here; rating_threshold drops those with lower ratings"),
    "labels": _labels,
    "dtypes": no_effect("ids are integers if all are, and text otherwise"),
    **dict.fromkeys(("side", "clustering"), no("features of users and items are not read by the models here")),
    **dict.fromkeys(("azure_blob_name", "azure_blob_prefix"), no("files are read from folders here")),
}
WRITER: Final[dict[str, Rule]] = dict.fromkeys(
    (
        *("dataset_name", "writing_method", "local_experiment_path", "azure_blob_experiment_container"),
        *("setup_experiment", "save_split", "results", "split", "recommendation"),
    ),
    _OUTPUT,
)
EVALUATION: Final[dict[str, Rule]] = {
    "metrics": _metrics,
    "top_k": along_with("metrics"),
    "validation_metric": _criterion,
    "strategy": _strategy,
    "num_negatives": _negatives,
    "seed": to("candidates_seed"),
    "complex_metrics": no("there are no such metrics here"),
    "beta": no_effect("f1 weighs precision and recall alike"),
    "pop_ratio": no_effect("the tail of aplt is what is outside the head that 80 % of the interactions are of"),
    "stat_significance": no_effect("recrun compare tests differences of runs"),
    **dict.fromkeys(
        ("batch_size", "full_evaluation_on_report", "max_metric_per_row", "save_evaluation", "save_per_user"), _OUTPUT
    ),
}
GENERAL: Final[dict[str, Rule]] = {
    "device": device("cpu"),
    "precision": only("float32", why="models are trained in float32 or bfloat16 here, and metrics summed in float64"),
    **dict.fromkeys(("batch_size", "backend", "train_data_preparation"), _RESOURCES),
    **dict.fromkeys(("ray_verbose", "verbose", "time_report", "recommendation", "azure"), _OUTPUT),
    "custom_models": no("models of your own are named by model: ./file.py:Name"),
    "custom_modules": no("models of your own are named by model: ./file.py:Name"),
    "callback": no("there are no callbacks of your own; reporters of your own are named by track"),
}
META: Final[dict[str, Rule]] = {
    **dict.fromkeys(("save_model", "save_recs", "low_memory", "keep_all_ray_checkpoints"), _OUTPUT),
    "load_from": only(None, why="a run is continued with recrun train --resume RUN"),
}
OPTIMIZATION: Final[dict[str, Rule]] = {
    **dict.fromkeys(("strategy", "scheduler", "num_samples", "parallel_trials"), _SEARCH),
    "properties": _SEARCH,
    "lr_scheduler": no("schedules here are those of recrun list, by lr_scheduler and their own settings"),
    "validation_metric": _criterion,
    "device": device("cpu"),
    **dict.fromkeys(
        (
            *("max_cpu_count", "cpu_per_trial", "gpu_per_trial", "multi_gpu", "num_gpus", "num_workers"),
            *("block_size", "chunk_size", "checkpoint_to_keep"),
        ),
        _RESOURCES,
    ),
}
STOPPING: Final[dict[str, Rule]] = {
    "patience": to("early_stop_patience"),
    "monitor": _monitor,
    "grace_period": no("a run may be stopped from its first evaluations here"),
    "min_delta": only(0, 0.0, why="any improvement counts here"),
}
OF_TRAINING: Final[dict[str, Rule]] = {
    "epochs": to("epochs"),
    "batch_size": to("batch_size"),
    "learning_rate": to("lr"),
    "weight_decay": to("weight_decay"),
    "optimizer": to("optimizer", _OPTIMIZERS),
    "neg_samples": to("n_negatives"),
}
CLOSED: Final[dict[str, Rule]] = dict.fromkeys(
    ("epochs", "batch_size", "learning_rate"), no_effect("the model is not trained by gradient descent")
)
