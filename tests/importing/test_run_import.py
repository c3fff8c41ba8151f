"""Whatever stands in a config of another program, it is imported or refused, and no key is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recrun.errors import ConfigError
from recrun.importing.options import Options
from recrun.importing.run_import import PROGRAMS, import_configs
from recrun.importing.yaml_tree import Entry, read_tree

BASES: dict[str, dict[str, Any]] = {
    "recbole": {
        "model": "NeuMF",
        "dataset": "toys",
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": 2},
        "train_batch_size": 64,
        "mlp_embedding_size": 8,
        "mlp_hidden_size": [8, 4],
        "eval_args": {"split": {"RS": [8, 1, 1]}, "order": "RO", "mode": "uni9"},
        "metrics": ["Recall"],
        "topk": [5],
        "valid_metric": "Recall@5",
        "val_interval": {"rating": "[3,inf)"},
        "user_inter_num_interval": "[2,inf)",
        "stopping_step": 3,
        "benchmark_filename": None,
    },
    "freerec": {
        "model": "SASRec",
        "dataset": "toys",
        "root": "d",
        "loss": "CE",
        "optimizer": "adam",
        "optim_first_moment_decay": 0.9,
        "monitors": ["LOSS", "NDCG@5"],
        "which4best": "NDCG@5",
        "params": {"lr": [0.1, 0.2]},
        "defaults": {"epochs": 3},
    },
    "elliot": {
        "experiment": {
            "dataset": "toys",
            "data_config": {"strategy": "dataset", "dataset_path": "a.tsv"},
            "prefiltering": [{"strategy": "user_k_core", "core": 2}],
            "splitting": {
                "test_splitting": {"strategy": "random_subsampling", "test_ratio": 0.2, "folds": 2},
                "validation_splitting": {"strategy": "random_subsampling", "test_ratio": 0.2},
            },
            "negative_sampling": {"strategy": "random", "num_items": 5},
            "top_k": 5,
            "evaluation": {"cutoffs": [5], "simple_metrics": ["nDCG"]},
            "models": {
                "iALS": {
                    "alpha": 2,
                    "reg": 0.1,
                    "scaling": "log",
                    "epsilon": 1,
                    "meta": {"validation_metric": "nDCG@5"},
                },
                "NeuMF": {
                    "m": [2, 3],
                    "batch_size": [8],
                    "mlp_hidden_size": "(4,2)",
                    "early_stopping": {"patience": 2},
                },
            },
        }
    },
    "warprec": {
        "reader": {
            "loading_strategy": "split",
            "split": {"local_path": "p", "ext": ".csv"},
            "labels": {"user_id_label": "u"},
        },
        "filtering": {"MinRating": {"min_rating": 3}},
        "splitter": {"strategy": "temporal", "test_ratio": 0.1, "val_ratio": 0.1},
        "evaluation": {"top_k": [5], "metrics": ["nDCG"], "strategy": "sampled", "num_negatives": 9},
        "dashboard": {"wandb": {"enabled": True, "project": "p"}},
        "models": {
            "SASRec": {"inner_size": 4, "embedding_size": 4, "n_heads": [1, 2], "optimization": {"device": "cpu"}}
        },
    },
}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**9)
    | st.floats(width=32, allow_subnormal=False)
    | st.text(max_size=8)
    | st.sampled_from(["uniform", "[1,inf)", "(4,2)", "full", "Recall@5", "a: b", "../x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _paths(value: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, each in value.items() if isinstance(value, dict) else ():
        yield (*above, key)
        yield from _paths(each, (*above, key))


def _changed(value: Any, path: tuple[str, ...], new: Any) -> Any:
    if not path:
        return new
    return {key: _changed(each, path[1:], new) if key == path[0] else each for key, each in value.items()}


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_value_of_any_key_is_imported_or_refused(program: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(_paths(BASES[program]))))
    changed = _changed(BASES[program], path, data.draw(VALUES))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "theirs.yaml"
        file.write_text(yaml.safe_dump(changed, allow_unicode=True), encoding="utf-8")
        try:
            result = import_configs(program, [str(file)], Options())
        except ConfigError:
            return
    for config in result.configs:
        config.document("mine.yaml")


def _leaves(entry: Entry) -> Iterator[Entry]:
    for each in entry:
        if each.entries:
            yield from _leaves(each)
        else:
            yield each


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_key_is_accounted_for(program: str, tmp_path: Path) -> None:
    """Each key with a value, or one that it stands in, is on a line of some config."""
    file = tmp_path / "theirs.yaml"
    file.write_text(yaml.safe_dump(BASES[program]), encoding="utf-8")
    lines = {
        line.entry.name
        for config in import_configs(program, [str(file)], Options()).configs
        for line in (*config.draft.mapped, *config.draft.not_mapped, *config.draft.no_effect)
    }
    lost = [leaf.name for leaf in _leaves(read_tree(file)) if not any(_covers(line, leaf.name) for line in lines)]
    assert lost == []


def _covers(line: str, name: str) -> bool:
    return name == line or name.startswith(f"{line}.")
