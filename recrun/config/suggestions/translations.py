"""Translate what other programs write with several keys or other values: metrics and cutoffs, devices, sampling.

Each answer is made of the values that were written, so that it can be copied into the config as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from recrun.config.suggestions.keys import bare
from recrun.registry.other_names import meant_name

_CUTOFFS: Final = ("topk", "top_k", "cutoffs", "cutoff", "ks", "k", "k_list")
_METRICS: Final = ("metrics", "metric", "simple_metrics")
_DEVICES: Final = (
    "gpu",
    "gpus",
    "gpu_id",
    "gpu_ids",
    "use_gpu",
    "use_cuda",
    "cuda",
    "no_cuda",
    "cuda_id",
    "accelerator",
)
_PRECISIONS: Final = ("amp", "enable_amp", "fp16", "bf16", "mixed_precision", "use_amp")
_SAMPLING: Final = ("train_neg_sample_args", "neg_sampling", "negative_sampling", "training_neg_sample_num")
_SPLITS: Final = ("eval_args", "eval_setting", "group_by_user", "split_ratio", "ratios")


def device_of(text: str) -> str | None:
    """Return the device that a text names in another way, or None.

    >>> [device_of(text) for text in ("gpu", "GPU:1", "cuda0", "cuda:x", "Cuda", "-1")]
    ['cuda', 'cuda:1', 'cuda:0', 'cuda', 'cuda', 'cpu']
    """
    plain = text.strip().lower()
    if plain in ("-1", "none", "false"):
        return "cpu"
    found = re.fullmatch(r"(?:gpu|cuda|nvidia)s?[ :_-]?(\d*)", plain)
    if found:
        return f"cuda:{int(found[1])}" if found[1] else "cuda"
    return "cuda" if plain.startswith(("gpu", "cuda")) else plain if plain in ("auto", "cpu", "mps") else None


def monitor_of(text: str, names: list[str]) -> str | None:
    """Return the monitor that a text means in another spelling, with its cutoff, or None.

    >>> names = ["hitrate", "map", "ndcg", "recall"]
    >>> [monitor_of(text, names) for text in ("ndcg20", "HR@10", "Recall@[10]", "ndcg_at_5", "top")]
    ['ndcg@20', 'hitrate@10', 'recall@10', 'ndcg@5', None]
    """
    found = re.fullmatch(r"([A-Za-z][A-Za-z_ -]*?|f1)(?:[ _:@-]|_?at_?)*[\[(]?(\d+)[\])]?", text.strip(), re.IGNORECASE)
    name, cutoff = (found[1], found[2]) if found else (text.strip().partition("@")[0], "")
    meant = meant_name("metrics", name, names)
    return meant and (f"{meant}@{int(cutoff)}" if cutoff else meant)


def remark_on(
    key: str, written: Mapping[str, Any], metrics: Mapping[str, bool], known: Mapping[str, Any]
) -> str | None:
    """Return what to write instead of a key of another program, made of what was written; None of any other key.

    Args:
        key: the key.
        written: all values, by key as written.
        metrics: the registered metrics, and whether each takes a cutoff.
        known: the settings that the run may have.
    """
    values = {bare(each): value for each, value in written.items()}
    for keys, translate in _TRANSLATIONS.items():
        if bare(key) in keys and not (bare(key) == "k" and "n_neighbors" in known):
            return translate(bare(key), values, metrics)
    return None


def _monitors(key: str, values: Mapping[str, Any], metrics: Mapping[str, bool]) -> str:
    cutoffs = [each for spelling in _CUTOFFS for each in _listed(values.get(spelling)) if str(each).isdecimal()]
    named = [str(each) for spelling in _METRICS for each in _listed(values.get(spelling))]
    monitors = []
    for name in named or ["recall", "ndcg"]:
        meant = monitor_of(name, list(metrics))
        if meant is None:
            continue
        if "@" in meant or not metrics[meant]:
            monitors.append(meant)
        else:
            monitors += [f"{meant}@{cutoff}" for cutoff in cutoffs or [10, 20]]
    listed = ", ".join(dict.fromkeys(monitors or ["recall@10", "ndcg@10"]))
    return f"metrics and their cutoffs are one list; write monitors: [{listed}]"


def _device(key: str, values: Mapping[str, Any], metrics: Mapping[str, bool]) -> str:
    value = values[key]
    used = values.get("use_gpu", values.get("use_cuda", True))
    number = next((values[each] for each in ("gpu_id", "gpu", "cuda_id") if each in values), None)
    if used is False or value is False or (key == "no_cuda" and value is True) or number == -1:
        return "write device: cpu"
    if isinstance(number, (int, str)) and not isinstance(number, bool) and str(number).isdecimal():
        return f"write device: cuda:{number}"
    return "write device: cuda, or cuda:N for a certain one"


def _precision(key: str, values: Mapping[str, Any], metrics: Mapping[str, bool]) -> str:
    return "write precision: bf16" if values[key] not in (False, None) else "write precision: float32, or leave it out"


def _sampling(key: str, values: Mapping[str, Any], metrics: Mapping[str, bool]) -> str:
    written = values[key] if isinstance(values[key], dict) else {}
    number = written.get("sample_num", written.get("uniform", written.get("popularity", values[key])))
    count = number if isinstance(number, int) and number > 0 else 1
    popular = written.get("distribution") == "popularity" or "popularity" in written
    sampler = "dns" if written.get("dynamic") else "popularity" if popular else "uniform"
    return f"write sampler: {sampler} and n_negatives: {count}"


def _split(key: str, values: Mapping[str, Any], metrics: Mapping[str, bool]) -> str:
    written = values[key] if isinstance(values[key], dict) else {"split": {"RS": values[key]}}
    split = written.get("split")
    split = split if isinstance(split, dict) else {}
    if "LS" in split:
        return "write split: leave_one_out"
    name = "time" if written.get("order") == "TO" else "ratio"
    if name == "time" and written.get("group_by", "user") in ("user", True):
        name = "user_time"
    shares = split_shares(split.get("RS"))
    if shares is None:
        return f"write split: {name}, test_ratio and valid_ratio"
    return f"write split: {name}, test_ratio: {shares['test_ratio']} and valid_ratio: {shares['valid_ratio']}"


def split_shares(value: Any) -> dict[str, str] | None:
    """Return the settings that mean a list of the shares of train, valid and test, or None of anything else.

    >>> split_shares([0.8, 0.1, 0.1])
    {'split': 'ratio', 'test_ratio': '0.1', 'valid_ratio': '0.1'}
    """
    numbers = [each for each in value if isinstance(each, (int, float))] if isinstance(value, list) else []
    total = sum(numbers)
    if len(numbers) != 3 or total <= 0:
        return None
    _, valid, test = (f"{round(each / total, 6):g}" for each in numbers)
    return {"split": "ratio", "test_ratio": test, "valid_ratio": valid}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None or isinstance(value, (dict, bool)) else [value]


_TRANSLATIONS: Final[dict[tuple[str, ...], Callable[[str, Mapping[str, Any], Mapping[str, bool]], str]]] = {
    (*_CUTOFFS, *_METRICS): _monitors,
    _DEVICES: _device,
    _PRECISIONS: _precision,
    _SAMPLING: _sampling,
    _SPLITS: _split,
}
TRANSLATED: Final = frozenset(key for keys in _TRANSLATIONS for key in keys)
"""The keys that are answered so."""
