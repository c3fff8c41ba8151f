"""Import configs of RecBole.

*Source:* RecBole 1.2.1 (https://github.com/RUCAIBox/RecBole), its properties, configurator, data set, loaders and
trainer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from recrun.errors import ConfigError, Fault
from recrun.importing.data_files import put_files
from recrun.importing.draft import Draft, Rule, no_effect
from recrun.importing.options import Found, ModelMap, Options, given, last_file, look_up, merged, start, with_options
from recrun.importing.recbole_keys import ONE_NEGATIVE, ONLY_TRAINING, RULES, TRAINING
from recrun.importing.recbole_models import MODELS, WITHOUT
from recrun.importing.yaml_tree import Entry

NAME: Final = "RecBole"
_DEFAULT_SPLIT: Final = {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "user", "order": "RO", "mode": "full"}
_SEQUENTIAL_SPLIT: Final = {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"}


def read(files: Sequence[Entry], options: Options) -> Iterator[Found]:
    """Yield the one model of a config; of several files, a later one overrides an earlier one.

    Raises:
        ConfigError: the model is not named or has no counterpart, or --data has no such files.
    """
    draft = Draft(NAME)
    entries = merged(files, draft)
    by_key = with_options(entries, options)
    name, written = _model_of(by_key, files, options)
    model = look_up(name, MODELS, WITHOUT, NAME, written)
    start(draft, model)
    draft.put(written, {"model": model.name})
    by_key.pop("model", None)
    if "dataset" not in by_key:
        raise ConfigError(Fault("names no dataset; say which: --dataset NAME", file=last_file(files)))
    defaults = {**_defaults(model), **model.defaults}
    rules = {**RULES, **TRAINING[model.rows], **model.keys}
    if model.rows == "none":
        rules |= dict.fromkeys(ONLY_TRAINING, no_effect("the model is not trained by gradient descent"))
    rules |= {"dataset": _dataset(options.data)}
    draft.follow(by_key.values(), rules, defaults)
    yield Found(name, draft)


def _model_of(by_key: Mapping[str, Entry], files: Sequence[Entry], options: Options) -> tuple[str, Entry]:
    """Return the model: of the command line, of the config, or after which the file is called."""
    written = given("model", options.model) if options.model is not None else by_key.get("model")
    if written is None:
        stems = [Path(last_file([file])).stem for file in files]
        name = next((stem for stem in stems if stem.lower() in {each.lower() for each in (*MODELS, *WITHOUT)}), None)
        written = Entry(("model",), name)
    if not isinstance(written.value, str):
        text = "names no model; say which: --model NAME"
        raise ConfigError(written.fault(text) if written.place else Fault(text, file=last_file(files)))
    knn = by_key.get("knn_method")
    if written.value.lower() == "itemknn" and options.model is None and knn is not None and knn.value == "user":
        return "UserKNN", written
    return written.value, written


def _defaults(model: ModelMap) -> dict[str, Any]:
    """Return RecBole's defaults of keys that matter here."""
    sequential = model.reads_histories
    evaluation = {
        "eval_args": _SEQUENTIAL_SPLIT if sequential else _DEFAULT_SPLIT,
        "metrics": ["Recall", "MRR", "NDCG", "Hit", "Precision"],
        "topk": [10],
        "valid_metric": "MRR@10",
        "seed": 2020,
        **({"repeatable": True, "MAX_ITEM_LIST_LENGTH": 50} if sequential else {}),
    }
    if model.rows == "none":
        return evaluation
    return evaluation | {
        "epochs": 300,
        "train_batch_size": 2048,
        "learner": "adam",
        "learning_rate": 0.001,
        "weight_decay": 0.0,
        "train_neg_sample_args": ONE_NEGATIVE,
        "eval_step": 1,
        "stopping_step": 10,
    }


def _dataset(data: str | None) -> Rule:
    def rule(draft: Draft, entry: Entry) -> None:
        name = str(entry.value)
        parts = draft.value("benchmark_filename")
        if isinstance(parts, list) and len(parts) == 3:
            settings = ("train_path", "valid_path", "test_path")
            names = {setting: f"{name}.{part}.inter" for setting, part in zip(settings, parts, strict=True)}
        else:
            names = {"path": f"{name}.inter"}
        files = {setting: (f"{name}/{file}", file) for setting, file in names.items()}
        put_files(draft, entry, files, root=str(draft.value("data_path", "dataset")), data=data, name=name)

    return rule
