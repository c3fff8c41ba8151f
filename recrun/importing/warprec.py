"""Import configs of WarpRec.

*Source:* the documentation and the code of WarpRec (https://github.com/sisinflab/warprec).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from recrun.errors import ConfigError, Fault
from recrun.importing.convert import is_number
from recrun.importing.data_files import put_files
from recrun.importing.draft import Draft, Line, Rule, no
from recrun.importing.options import Found, ModelMap, Options, look_up, select, start
from recrun.importing.searched import RATINGS, held_out
from recrun.importing.warprec_keys import (
    CLOSED,
    EVALUATION,
    GENERAL,
    META,
    OF_TRAINING,
    OPTIMIZATION,
    READER,
    STOPPING,
    WRITER,
)
from recrun.importing.warprec_models import MODELS, WITHOUT
from recrun.importing.yaml_tree import Entry

NAME: Final = "WarpRec"
_SPLITS: Final = {
    "temporal_holdout": "user_time",
    "temporal": "user_time",
    "temporal_leave_k_out": "leave",
    "random_holdout": "ratio",
    "k_fold_cross_validation": "k_fold",
    "random_leave_k_out": "a number of each user's interactions is held out in time here, not at random",
    "timestamp_slicing": "rows after a fixed time are not held out here; split: time holds out the latest share",
}
_SPLITTER: Final = ("test_splitting", "validation_splitting")
_EARLIER_SPLITTER: Final = ("strategy", "test_ratio", "val_ratio", "test_k", "val_k", "folds")
_RANDOM: Final = "random_holdout holds out a share of all interactions there, of each user's here"
_SHORT: Final = "users with too few interactions to hold any out are dropped there, and stay in train here"
_BEST: Final = "without validation_splitting there is no validation part, and the last epoch is the result"


def read(files: Sequence[Entry], options: Options) -> Iterator[Found]:
    """Yield each model of a config, or the one that the user names.

    Raises:
        ConfigError: there are no `models`, or --data has no such files.
    """
    root = files[0]
    models = root.child("models")
    if models is None or not models.entries:
        place = root.place
        raise ConfigError(
            Fault("expected a section models, as configs of WarpRec have", file=place.file if place else None)
        )
    for entry in select(models.entries, options.model):
        try:
            model = look_up(entry.key, MODELS, WITHOUT, NAME, entry)
        except ConfigError as error:
            yield Found(entry.key, refusal=Line(entry, {}, error.faults[0].message))
            continue
        yield Found(entry.key, _draft(root, entry, model, options))


def _draft(root: Entry, written: Entry, model: ModelMap, options: Options) -> Draft:
    draft = Draft(NAME, searches=True)
    start(draft, model)
    draft.put(Entry(written.path, None, written.place, written.value_place), {"model": model.name})
    sections: dict[str, Rule] = {
        "reader": _reader(options.data),
        "filtering": _filtering,
        "splitter": _splitter,
        "evaluation": _evaluation,
        "general": lambda draft, entry: draft.follow_section(entry, GENERAL),
        "writer": lambda draft, entry: draft.follow_section(entry, WRITER),
        "dashboard": _dashboard,
    }
    for entry in root:
        if entry.key != "models":
            sections.get(entry.key, no("no counterpart of this section is known"))(draft, entry)
    rules = {**(OF_TRAINING if model.rows != "none" else CLOSED), **model.keys}
    parts = ("meta", "optimization", "early_stopping")
    draft.follow([entry for entry in written if entry.key not in parts], rules, model.defaults)
    draft.refuse_others(written, [entry.key for entry in written])
    _of_model(draft, written, model)
    ratings = root.child("reader", "rating_type")
    if ratings is not None and ratings.value == "implicit":
        draft.differences = [text for text in draft.differences if text != RATINGS]
    return draft


def _of_model(draft: Draft, written: Entry, model: ModelMap) -> None:
    """Map the sections of a model besides its own keys."""
    meta, optimization, stopping = (written.child(key) for key in ("meta", "optimization", "early_stopping"))
    if meta is not None:
        draft.follow_section(meta, META)
    if optimization is not None:
        draft.follow_section(optimization, OPTIMIZATION)
    if stopping is None:
        return
    if model.rows == "none":
        draft.skip(stopping, "the model is not trained by gradient descent")
    else:
        draft.follow_section(stopping, STOPPING)


def _reader(data: str | None) -> Rule:
    def rule(draft: Draft, entry: Entry) -> None:
        draft.follow(entry.entries, READER)
        split = draft.value("loading_strategy") == "split"
        section = entry.child("split") if split else entry
        path = section.child("local_path") if section is not None else None
        if path is None:
            draft.refuse(entry, "names no local_path; files are read from folders here")
            return
        written = {each.key: each.value for each in (section.entries if section is not None else ())}
        ending = str(written.get("ext", ".tsv"))
        files = (
            {f"{part}_path": f"{path.value}/{name}{ending}" for part, name in _PARTS.items()}
            if split
            else {"path": str(path.value)}
        )
        places = {setting: _places(file) for setting, file in files.items()}
        is_parquet = written.get("file_format") == "parquet" or files[next(iter(files))].endswith(".parquet")
        layout: dict[str, Any] = {} if is_parquet else {"format": "csv", "separator": written.get("sep", "\t")}
        if written.get("header") is False and not is_parquet:
            layout["header"] = False
        name = os.path.splitext(os.path.basename(str(path.value)))[0]
        put_files(draft, path, places, root=".", data=data, name=name, optional=("valid_path",), layout=layout)

    return rule


_PARTS: Final = {"train": "train", "valid": "val", "test": "test"}


def _places(path: str) -> list[str]:
    """Return where a file is: as written, relative to the working folder; with --data, below it."""
    parts = path.replace("\\", "/").split("/")
    return [path, *("/".join(parts[-length:]) for length in (2, 1) if len(parts) >= length)]


def _filtering(draft: Draft, entry: Entry) -> None:
    for step in entry:
        written = step.value if isinstance(step.value, dict) else {}
        least = written.get("min_interactions")
        settings: Mapping[str, Any] | None = {
            "MinRating": {"rating_threshold": written.get("min_rating")},
            "UserMin": {"min_user_interactions": least},
            "ItemMin": {"min_item_interactions": least},
            "IterativeKCore": {"min_user_interactions": least, "min_item_interactions": least},
            "NRoundsKCore": {"min_user_interactions": least, "min_item_interactions": least},
        }.get(step.key)
        if settings is None:
            draft.refuse(step, "rows are not filtered so here; filter keeps those that fulfil a condition")
        else:
            why = "repeated here until all users and items have enough" if step.key != "MinRating" else ""
            draft.put(step, settings, "" if step.key == "IterativeKCore" else why)
            draft.refuse_others(step, ("min_rating",) if step.key == "MinRating" else ("min_interactions", "rounds"))


def _splitter(draft: Draft, entry: Entry) -> None:
    """Map the splitter, with a section for each part or, in earlier versions, one strategy for both."""
    test, valid = entry.child("test_splitting"), entry.child("validation_splitting")
    ratio = "ratio"
    if test is None and entry.child("strategy") is not None:
        shared, ratio = entry.value, "test_ratio"
        test = Entry(entry.path, shared, entry.place, entry.value_place)
        valid = _earlier_valid(entry, shared)
    if test is None:
        draft.refuse(entry, "names no test_splitting")
        return
    draft.refuse_others(entry, _SPLITTER if ratio == "ratio" else _EARLIER_SPLITTER)
    written = test.value if isinstance(test.value, dict) else {}
    strategy = str(written.get("strategy"))
    held_out(draft, test, valid, _SPLITS, ratio, "test_k" if ratio == "test_ratio" else "k")
    draft.differences += [text for name, text in (("random", _RANDOM), ("leave", _SHORT)) if name in strategy]
    if valid is None:
        draft.differences.append(_BEST)


def _earlier_valid(entry: Entry, shared: Any) -> Entry | None:
    """Return the section of the validation part of an earlier version; its share is of all interactions."""
    share, number, test = shared.get("val_ratio"), shared.get("val_k"), shared.get("test_ratio")
    if share is None and number is None:
        return None
    is_share = is_number(share) and is_number(test) and test < 1
    of_what_is_left = (
        {"test_ratio": share / (1 - test) if is_share else share} if share is not None else {"test_k": number}
    )
    return Entry(
        (*entry.path, "val_ratio" if share is not None else "val_k"),
        {"strategy": shared.get("strategy"), **of_what_is_left},
        entry.place,
        entry.value_place,
    )


def _evaluation(draft: Draft, entry: Entry) -> None:
    draft.follow_section(entry, EVALUATION)


def _dashboard(draft: Draft, entry: Entry) -> None:
    for each in entry:
        enabled = each.child("enabled")
        if each.key in ("wandb", "mlflow") and enabled is not None and enabled.value is True:
            project = each.child("project") or each.child("experiment_name")
            track = [*draft.settings.get("track", []), each.key]
            draft.put(each, {"track": track, **({"track_project": project.value} if project is not None else {})})
        else:
            draft.skip(each, "runs are reported to the trackers that track names")
