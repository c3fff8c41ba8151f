"""Import configs of FreeRec, as they are published with RecBoard.

*Source:* FreeRec 0.9.7 (https://github.com/MTandHJ/freerec) and the scripts of RecBoard
(https://github.com/MTandHJ/RecBoard).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError, Fault
from recrun.importing.convert import named
from recrun.importing.data_files import put_files
from recrun.importing.draft import Draft, Rule, along_with, device, no_effect, to
from recrun.importing.freerec_models import MODELS, WITHOUT
from recrun.importing.monitors import put_criterion, put_monitors
from recrun.importing.options import Found, Options, given, last_file, look_up, merged, start, with_options
from recrun.importing.yaml_tree import Entry
from recrun.registry import DATASETS

NAME: Final = "FreeRec"
_OF_SEQUENCES: Final = {"epochs": 200, "batch_size": 256, "weight_decay": 0.0}
_OF_PAIRS: Final = {"epochs": 1000, "batch_size": 2048}
_DEFAULTS: Final = {"optimizer": "adam", "lr": 1e-3, "seed": 1, "eval_freq": 5}
"""What the scripts and the parser set where a config does not."""


def read(files: Sequence[Entry], options: Options) -> Iterator[Found]:
    """Yield the one model of a config, or of a grid of `freerec tune`; arguments and errors as for RecBole."""
    draft = Draft(NAME)
    entries = merged(_flattened(files, draft), draft)
    by_key = with_options(entries, options)
    name, written = _model_of(by_key, files, options)
    model = look_up(name, MODELS, WITHOUT, NAME, written)
    start(draft, model)
    draft.put(written if written.key == "model" else Entry(("model",), name), {"model": model.name})
    by_key.pop("model", None)
    if "dataset" not in by_key:
        raise ConfigError(Fault("names no dataset; say which: --dataset NAME", file=last_file(files)))
    usual = _OF_SEQUENCES if model.reads_histories else _OF_PAIRS
    defaults = {**_DEFAULTS, **usual, **model.defaults}
    defaults = {key: value for key, value in defaults.items() if key not in model.sets}
    draft.follow(by_key.values(), {**_RULES, **model.keys, "dataset": _dataset(options.data)}, defaults)
    yield Found(name, draft)


def _flattened(files: Sequence[Entry], draft: Draft) -> list[Entry]:
    """Return files in which the sections of a grid of `freerec tune` are no sections any more."""
    if not any(file.child("params") or file.child("defaults") for file in files):
        return list(files)
    draft.searches = True
    flat = []
    for file in files:
        sections = [each for each in file if each.key.lower() in ("envs", "defaults", "params")]
        others = [each for each in file if each not in sections]
        order = {"envs": 0, "defaults": 1, "params": 2}
        for section in sorted(sections, key=lambda each: order[each.key.lower()]):
            flat.append(replace(section, entries=section.entries))
        flat.append(replace(file, entries=tuple(others)))
    return flat


def _model_of(by_key: Mapping[str, Entry], files: Sequence[Entry], options: Options) -> tuple[str, Entry]:
    """Return the model: of the command line, of the config, or after which the folder above `configs` is called."""
    known = {each.lower() for each in (*MODELS, *WITHOUT)}
    if options.model is not None:
        return options.model, given("model", options.model)
    for key in ("model", "description"):
        entry = by_key.get(key)
        if entry is not None and (key == "model" or str(entry.value).lower() in known):
            return str(entry.value), entry
    folders = [part for part in Path(last_file(files)).absolute().parts[-4:-1] if part.lower() in known]
    if not folders:
        text = f"names no model; say which: --model NAME, one of {', '.join(MODELS)}"
        raise ConfigError(Fault(text, file=last_file(files)))
    return folders[-1], Entry(("model",), folders[-1])


def _dataset(data: str | None) -> Rule:
    def rule(draft: Draft, entry: Entry) -> None:
        name, root = str(entry.value), str(draft.value("root", "."))
        if name in DATASETS:
            draft.put(entry, {"dataset": name, "root": data or root})
            return
        parts = {f"{part}_path": f"{part}.txt" for part in ("train", "valid", "test")}
        files = {setting: (f"Processed/{name}/{file}", f"{name}/{file}", file) for setting, file in parts.items()}
        put_files(draft, entry, files, root=root, data=data, name=name, layout={"format": "tsv"})

    return rule


def _monitors(draft: Draft, entry: Entry) -> None:
    put_monitors(draft, entry, (), {})


def _criterion(draft: Draft, entry: Entry) -> None:
    if str(entry.value).upper() == "LOSS":
        draft.refuse(entry, "a metric chooses the best epoch here; it is the last of the monitors")
    else:
        put_criterion(draft, entry, (), {})


def _ranking(draft: Draft, entry: Entry) -> None:
    if entry.value == "pool":
        draft.put(entry, {"candidates": 100}, "100 items are drawn for each relevant item there, for each user here")
    else:
        draft.skip(entry, "as it is here")


def _retain_seen(draft: Draft, entry: Entry) -> None:
    if entry.value is True:
        draft.put(entry, {"mask_seen": False})
    else:
        draft.skip(entry, "as it is here")


def _first_moment(draft: Draft, entry: Entry) -> None:
    name = str(draft.value("optimizer", "adam")).lower()
    draft.put(entry, {"momentum" if name == "sgd" else "beta1": entry.value})


def _second_moment(draft: Draft, entry: Entry) -> None:
    if str(draft.value("optimizer", "adam")).lower() == "sgd":
        draft.skip(entry, "the optimizer has no second moment")
    else:
        draft.put(entry, {"beta2": entry.value})


_OPTIMIZERS: Final = named({"adam": "adam", "adamw": "adamw", "sgd": "sgd"}, "optimizer")
_HARMLESS: Final = (
    "id",
    "num_workers",
    "log2file",
    "log2console",
    "ddp_backend",
    "benchmark",
    "resume",
    "config",
    "checkpoint_freq",
    "checkpoint_modules",
    "saved_filename",
    "best_filename",
    "checkpoint_filename",
    "summary_filename",
    "monitor_filename",
    "monitor_best_filename",
    "config_filename",
    "results_filename",
    "command",
    "tasktag",
)

_RULES: Final[dict[str, Rule]] = {
    **{key: no_effect() for name in _HARMLESS for key in (name, name.upper())},
    "root": along_with("dataset"),
    "description": to("description"),
    "device": device("cpu"),
    "optimizer": to("optimizer", _OPTIMIZERS),
    "lr": to("lr"),
    "learning_rate": to("lr"),
    "weight_decay": to("weight_decay"),
    "batch_size": to("batch_size"),
    "epochs": to("epochs"),
    "beta1": to("beta1"),
    "beta2": to("beta2"),
    "momentum": to("momentum"),
    "nesterov": to("nesterov"),
    "optim_first_moment_decay": _first_moment,
    "optim_second_moment_decay": _second_moment,
    "gradient_accumulation_steps": to("accumulate"),
    "monitors": _monitors,
    "which4best": _criterion,
    "eval_freq": to("eval_freq"),
    "early_stop_patience": to("early_stop_patience"),
    "eval_valid": to("eval_valid"),
    "eval_test": no_effect("test is evaluated once, at the end, with the best model"),
    "seed": to("seed"),
    "ranking": _ranking,
    "retain_seen": _retain_seen,
}
