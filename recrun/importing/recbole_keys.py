"""Map the keys of RecBole that do not belong to a model.

*Source:* RecBole 1.2.1 (https://github.com/RUCAIBox/RecBole), its configurator, data set, loaders and trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from recrun.importing.convert import condition, is_number, least, named, shares
from recrun.importing.draft import Draft, Rule, Unmapped, along_with, no, no_effect, only, to
from recrun.importing.monitors import listed, put_criterion, put_monitors
from recrun.importing.yaml_tree import Entry

_DIFFERS: Final = {
    "tailpercentage": "the rarest tenth of the items is the tail there, those outside the head of aplt here",
}
ONE_NEGATIVE: Final = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0}
_NO_GRAPH: Final = "no knowledge graph is read here"


def _column(setting: str, usual: str) -> Rule:
    def rule(draft: Draft, entry: Entry) -> None:
        if entry.value == usual:
            draft.skip(entry, "the column is found by this name")
        else:
            draft.put(entry, {setting: entry.value})

    return rule


def _negatives(draft: Draft, entry: Entry) -> None:
    """Map how negatives are drawn; a loss over all items takes none."""
    if entry.value is None or draft.value("loss_type") == "CE":
        draft.skip(entry, "the loss takes no sampled negatives")
        return
    if not isinstance(entry.value, dict):
        draft.refuse(entry, "expected a mapping with distribution and sample_num")
        return
    asked = {**ONE_NEGATIVE, **entry.value}
    settings: dict[str, Any] = {"n_negatives": asked["sample_num"]}
    if asked["dynamic"] is True:
        settings |= {"sampler": "dns", "n_candidates": asked["candidate_num"]}
    elif asked["distribution"] == "popularity":
        settings |= {"sampler": "popularity", "alpha": asked["alpha"]}
    elif asked["distribution"] == "uniform":
        settings |= {"sampler": "uniform"}
    else:
        draft.refuse(entry, "negatives are drawn uniformly or by popularity here")
        return
    draft.put(entry, settings)
    draft.refuse_others(entry, ONE_NEGATIVE)


def _batch(of_negatives: int | None) -> Rule:
    """Return the rule for the batch size, which counts rows with their negatives in RecBole.

    Args:
        of_negatives: how many rows a positive takes besides one for each negative; None where rows are users.
    """

    def rule(draft: Draft, entry: Entry) -> None:
        asked = draft.value("train_neg_sample_args")
        n_negatives = asked.get("sample_num", 1) if isinstance(asked, dict) else 0
        if of_negatives is None or not is_number(entry.value) or not isinstance(n_negatives, int):
            draft.put(entry, {"batch_size": entry.value})
            return
        n_rows = max(1, n_negatives + of_negatives)
        why = "" if n_rows == 1 else f"a positive takes {n_rows} rows of a batch there, 1 here"
        draft.put(entry, {"batch_size": max(1, int(entry.value) // n_rows)}, why)

    return rule


def _histories(draft: Draft, entry: Entry) -> None:
    draft.settings["batch_size"] = 128
    draft.refuse(entry, "counts single items there, users' histories here; 128 is set, as in configs/sasrec.yaml")


def _split(draft: Draft, entry: Entry) -> None:
    """Map how interactions are held out, and which items are ranked."""
    usual = draft.defaults["eval_args"]
    draft.refuse_others(entry, usual)
    if not isinstance(entry.value, dict):
        entry = Entry((entry.key,), usual)
    asked = {**usual, **entry.value}
    if draft.value("benchmark_filename") is None:
        try:
            settings, why = _held_out(asked)
            draft.put(entry, settings, why)
        except Unmapped as error:
            draft.refuse(entry, str(error))
    else:
        draft.skip(entry, "the parts are given by benchmark_filename")
    _candidates(draft, entry, asked["mode"])


def _held_out(asked: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    split, in_time = asked["split"], asked["order"] == "TO"
    by_user = str(asked["group_by"]).lower() not in ("none", "null")
    if asked["order"] not in ("RO", "TO"):
        raise Unmapped("expected order: RO, at random, or order: TO, in time")
    if str(asked["group_by"]).lower() not in ("none", "null", "user"):
        raise Unmapped("expected group_by: user or group_by: none")
    if not isinstance(split, dict) or len(split) != 1:
        raise Unmapped("expected split: {RS: [0.8, 0.1, 0.1]} or {LS: valid_and_test}")
    [(kind, value)] = split.items()
    if kind == "LS" and in_time and value == "valid_and_test":
        return {"split": "leave_one_out"}, ""
    if kind == "LS" and in_time and value == "test_only":
        return {"split": "leave_one_out", "valid_ratio": 0}, "there is no validation part"
    if kind == "LS":
        raise Unmapped(
            "each user's latest interaction is held out here, for test and, unless valid_ratio is 0, for valid"
        )
    if kind != "RS":
        raise Unmapped("there is no such split here; see recrun list splits")
    valid, test = shares(value)
    if in_time:
        return {"split": "user_time" if by_user else "time", "valid_ratio": valid, "test_ratio": test}, ""
    why = "a user's share is rounded to the nearest number here, and down there, where the least share is one"
    if not by_user:
        why = "a random share of all interactions is held out there, of each user's here"
    return {"split": "ratio", "valid_ratio": valid, "test_ratio": test}, why


def _candidates(draft: Draft, entry: Entry, mode: Any) -> None:
    """Map the evaluation mode: all items, or so many drawn ones for each relevant one."""
    modes = list(dict.fromkeys(map(str, mode.values()))) if isinstance(mode, dict) else [str(mode)]
    if modes == ["full"] or not modes:
        return
    drawn = str(mode.get("test", modes[-1])) if isinstance(mode, dict) else modes[-1]
    if len(modes) > 1:
        draft.refuse(entry, f"valid and test are ranked alike here; {drawn} is taken for both")
    if drawn == "full":
        return
    by = {"uni": "uniform", "pop": "popularity"}.get(drawn[:3])
    if by is None or not drawn[3:].isdecimal() or int(drawn[3:]) == 0:
        draft.refuse(entry, f"mode {drawn!r}: all items are ranked here, or candidates of them")
        return
    why = "so many items are drawn for each relevant item there, for each user here"
    draft.put(entry, {"candidates": int(drawn[3:]), "candidates_by": by}, why)


def _metrics(draft: Draft, entry: Entry) -> None:
    put_monitors(draft, entry, listed(draft.value("topk")), _DIFFERS)


def _criterion(draft: Draft, entry: Entry) -> None:
    put_criterion(draft, entry, listed(draft.value("topk")), _DIFFERS)


def _patience(draft: Draft, entry: Entry) -> None:
    """Map the evaluations that may fail to improve: there the next one stops the run, here the last of them does."""
    if not isinstance(entry.value, int) or isinstance(entry.value, bool):
        draft.put(entry, {"early_stop_patience": entry.value})
        return
    why = "evaluations without improvement, of which the last stops a run here, and the next one there"
    draft.put(entry, {"early_stop_patience": entry.value + 1}, why)


def _interval(setting: str) -> Rule:
    def rule(draft: Draft, entry: Entry) -> None:
        if entry.value is None:
            draft.skip(entry, "nothing is filtered")
            return
        try:
            number, is_open = least(entry.value)
            draft.put(entry, {setting: number})
            if not is_open:
                draft.refuse(entry, "there is no upper limit of interactions here")
        except Unmapped as error:
            draft.refuse(entry, str(error))

    return rule


def _values(draft: Draft, entry: Entry) -> None:
    """Map the intervals of columns in which rows are kept."""
    if not isinstance(entry.value, dict) or not entry.value:
        draft.skip(entry, "nothing is filtered")
        return
    try:
        parts = [condition(column, intervals) for column, intervals in entry.value.items()]
        text = parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)
        draft.put(entry, {"filter": text})
    except Unmapped as error:
        draft.refuse(entry, str(error))


def _gpu(draft: Draft, entry: Entry) -> None:
    if entry.value is False:
        draft.put(entry, {"device": "cpu"})
    else:
        draft.skip(entry, "the device with the most free memory is taken, or the one that device names")


def _wandb(draft: Draft, entry: Entry) -> None:
    if entry.value is True:
        project = draft.value("wandb_project")
        draft.put(entry, {"track": ["wandb"], **({"track_project": project} if project else {})})
    else:
        draft.skip(entry, "runs are reported to no tracker unless track names one")


def _repeatable(draft: Draft, entry: Entry) -> None:
    if entry.value is True:
        draft.put(entry, {"mask_seen": False})
    else:
        draft.skip(entry, "as it is here")


def _half_precision(draft: Draft, entry: Entry) -> None:
    if entry.value is True:
        draft.put(entry, {"precision": "bf16"}, "bfloat16 here, float16 there")
    else:
        draft.skip(entry, "as it is here")


def _clip_norm(draft: Draft, entry: Entry) -> None:
    found = entry.value
    if found is None:
        draft.skip(entry, "as it is here")
    elif isinstance(found, dict) and "max_norm" in found and found.get("norm_type", 2) == 2:
        draft.put(entry, {"clip_norm": found["max_norm"]})
    else:
        draft.refuse(entry, "gradients are clipped by their Euclidean norm here")


def _max_length(draft: Draft, entry: Entry) -> None:
    if draft.reads_histories:
        draft.put(entry, {"max_length": entry.value})
    else:
        draft.skip(entry, "the model reads no histories")


_OPTIMIZERS: Final = named(
    {"adam": "adam", "adamw": "adamw", "sgd": "sgd", "adagrad": "adagrad", "sparse_adam": "sparse_adam"}, "optimizer"
)
_NO_EFFECT: Final = {
    "": "gpu_id worker state reproducibility checkpoint_dir show_progress save_dataset "
    "dataset_save_path "
    "save_dataloaders dataloaders_save_path loss_decimal_place metric_decimal_place eval_batch_size "
    "enable_scaler valid_metric_bigger seq_separator seq_len LABEL_FIELD NEG_PREFIX "
    "ITEM_LIST_LENGTH_FIELD LIST_SUFFIX POSITION_FIELD MASK_FIELD nproc world_size offset ip port "
    "local_rank single_spec wandb_project MODEL_TYPE log_file saved numerical_features",
    _NO_GRAPH: "HEAD_ENTITY_ID_FIELD TAIL_ENTITY_ID_FIELD RELATION_ID_FIELD ENTITY_ID_FIELD kg_reverse_r "
    "entity_kg_num_interval relation_kg_num_interval alias_of_entity_id alias_of_relation_id",
    "other columns are not read": "unload_col unused_col",
    "no features are read": "normalize_field normalize_all discretization",
}
"""Keys without an effect, by why."""
ONLY_TRAINING: Final = (
    *("epochs", "train_batch_size", "learner", "learning_rate", "weight_decay", "train_neg_sample_args", "eval_step"),
    *("stopping_step", "clip_grad_norm", "enable_amp", "shuffle"),
)
"""Keys of training alone."""

_PAIRS: Final[dict[str, Rule]] = {"train_neg_sample_args": _negatives, "train_batch_size": _batch(0)}
TRAINING: Final[dict[str, dict[str, Rule]]] = {
    "pairs": _PAIRS,
    "items": {"train_neg_sample_args": _negatives, "train_batch_size": _batch(1)},
    "users": {
        "train_neg_sample_args": no_effect("the model is trained on all items at once"),
        "train_batch_size": _batch(None),
    },
    "prefixes": _PAIRS,
    "histories": {"train_neg_sample_args": _negatives, "train_batch_size": _histories},
    "none": {},
}
"""The rules of keys that mean something else for each kind of training rows."""

RULES: Final[dict[str, Rule]] = {
    **{key: no_effect(why) for why, keys in _NO_EFFECT.items() for key in keys.split()},
    "benchmark_filename": along_with("dataset"),
    "data_path": along_with("dataset"),
    "encoding": to("encoding"),
    "field_separator": only("\t", why="atomic files are separated by tabs"),
    "USER_ID_FIELD": _column("user_column", "user_id"),
    "ITEM_ID_FIELD": _column("item_column", "item_id"),
    "RATING_FIELD": _column("rating_column", "rating"),
    "TIME_FIELD": _column("time_column", "timestamp"),
    "load_col": no_effect("user, item, rating and time are read, by the names of their columns"),
    "additional_feat_suffix": only(None, why="no other files are read"),
    "threshold": only(None, why="makes labels there; here rating_threshold drops rows with lower ratings"),
    "rm_dup_inter": to("duplicates", named({"first": "first", "last": "last", "none": "last"}, "choice")),
    "val_interval": _values,
    "filter_inter_by_user_or_item": only(True, why="rows of users and items that are dropped are dropped too"),
    "user_inter_num_interval": _interval("min_user_interactions"),
    "item_inter_num_interval": _interval("min_item_interactions"),
    "alias_of_user_id": only(None, why="users and items are one column each"),
    "alias_of_item_id": only(None, why="users and items are one column each"),
    "preload_weight": only(None, why="embeddings are not loaded from files"),
    "MAX_ITEM_LIST_LENGTH": _max_length,
    "use_gpu": _gpu,
    "seed": to("seed"),
    "log_wandb": _wandb,
    "epochs": to("epochs"),
    "learner": to("optimizer", _OPTIMIZERS),
    "learning_rate": to("lr"),
    "weight_decay": to("weight_decay"),
    "eval_step": to("eval_freq"),
    "stopping_step": _patience,
    "clip_grad_norm": _clip_norm,
    "enable_amp": _half_precision,
    "shuffle": only(True, why="training rows are shuffled in each epoch here"),
    "require_pow": no_effect("the model has no L2 term of embeddings"),
    "reg_weight": no("the model here has no such L2 term; weight_decay is that of the optimizer"),
    "transform": only(None, why="rows are not transformed here"),
    "metrics": _metrics,
    "topk": along_with("metrics"),
    "valid_metric": _criterion,
    "eval_args": _split,
    "repeatable": _repeatable,
    "tail_ratio": no("the tail of aplt is what is outside the head that 80 % of the interactions are of"),
}
