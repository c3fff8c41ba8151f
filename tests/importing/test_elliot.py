"""Experiments of Elliot: a config for each model, and lists of values for a sweep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.importing.elliot_models import MODELS
from recrun.importing.run_import import Import, Imported
from tests.importing.conftest import whys

Importer = Callable[..., Import]
HEAD = """\
experiment:
  dataset: toys
  data_config: {strategy: dataset, dataset_path: "../data/{0}/all.tsv"}
  top_k: 20
"""
SPLIT = """\
  splitting:
    test_splitting: {strategy: temporal_hold_out, test_ratio: 0.2}
    validation_splitting: {strategy: temporal_hold_out, test_ratio: 0.1}
"""
METRICS = "  evaluation: {cutoffs: [10, 5], simple_metrics: [nDCG, HR]}\n"
KNN = "  models:\n    ItemKNN: {neighbors: 50, similarity: cosine}\n"


def _one(result: Import) -> Imported:
    [config] = result.configs
    return config


def _settings(config: Imported, *names: str) -> dict[str, Any]:
    return {name: config.draft.settings.get(name) for name in names}


def test_an_experiment_becomes_a_config(import_text: Importer, tmp_path: Path) -> None:
    config = _one(import_text("elliot", HEAD + SPLIT + METRICS + KNN))
    assert config.draft.settings == {
        "model": "itemknn",
        "dataset": "File",
        "root": ".",
        "path": str(tmp_path.parent / "data" / "toys" / "all.tsv"),
        "format": "tsv",
        "header": False,
        "split": "user_time",
        "test_ratio": 0.2,
        "valid_ratio": 0.08,  # a tenth of the four fifths that are left
        "monitors": ["ndcg@10", "ndcg@5", "hitrate@10", "hitrate@5"],
        "which4best": "ndcg@10",
        "n_neighbors": 50,
        "measure": "cosine",
    }


def test_lists_are_values_to_try_and_ranges_are_listed(import_text: Importer) -> None:
    models = "  models:\n    ItemKNN:\n      neighborhood: [50, 70]\n      similarity: [cosine, euclidean, jaccard]\n"
    models += "      shrink: [uniform, 0, 10]\n"
    config = _one(import_text("elliot", HEAD + SPLIT + METRICS + models))
    assert config.document("k.yaml")["sweep"] == "recrun sweep k.yaml n_neighbors=50,70 measure=cosine,jaccard"
    assert "euclidean" in whys(config)["similarity"]
    assert "range to draw from" in whys(config)["shrink"]
    assert config.draft.not_mapped[0].document()["value"] == "euclidean"


def test_each_model_is_a_config_and_unknown_ones_are_named(import_text: Importer) -> None:
    models = "  models:\n    external.MostPop: {meta: {save_recs: True}}\n    EASER: {l2_norm: 500}\n    SVDpp: {}\n"
    result = import_text("elliot", HEAD + SPLIT + METRICS + models)
    assert [(config.model, config.stem) for config in result.configs] == [("MostPop", "mostpop"), ("EASER", "easer")]
    [refused] = result.refused
    assert refused.why == "there is no counterpart of Elliot's model 'SVDpp' here"
    assert refused.entry.place is not None
    assert refused.entry.place.line == 12
    assert _one(import_text("elliot", HEAD + METRICS + models, model="easer")).draft.settings["reg_weight"] == 500
    with pytest.raises(ConfigError, match="--model LightGCN: the config has the models"):
        import_text("elliot", HEAD + METRICS + models, model="LightGCN")


def test_a_config_without_any_known_model_is_an_error(import_text: Importer) -> None:
    with pytest.raises(ConfigError, match=r"theirs\.yaml:6:5: .*AttributeItemKNN reads features"):
        import_text("elliot", HEAD + "  models:\n    AttributeItemKNN: {neighbors: 3}\n")
    with pytest.raises(ConfigError, match="expected an experiment with models"):
        import_text("elliot", "model: BPR\n")


def test_filters_and_repeated_splits_are_mapped(import_text: Importer) -> None:
    text = """\
  prefiltering:
    - {strategy: global_threshold, threshold: 4}
    - {strategy: iterative_k_core, core: 10}
    - {strategy: user_average}
  splitting:
    test_splitting: {strategy: random_subsampling, test_ratio: 0.2, folds: 3}
"""
    config = _one(import_text("elliot", HEAD + text + METRICS + KNN))
    wanted = {"rating_threshold": 4, "min_user_interactions": 10, "min_item_interactions": 10, "valid_ratio": 0}
    assert _settings(config, *wanted) == wanted
    assert config.draft.axes == {"split_seed": [0, 1, 2]}
    assert "user_average" in whys(config)["prefiltering"]


@pytest.mark.parametrize(
    ("test", "wanted"),
    [
        ("{strategy: temporal_hold_out, leave_n_out: 1}", {"split": "leave_one_out"}),
        ("{strategy: temporal_hold_out, leave_n_out: 3}", {"split": "leave_k", "n_held_out": 3}),
        ("{strategy: random_cross_validation, folds: 4}", {"split": "k_fold", "n_folds": 4, "test_fold": 1}),
    ],
)
def test_other_splits_are_mapped(import_text: Importer, test: str, wanted: dict[str, Any]) -> None:
    text = f"  splitting: {{test_splitting: {test}, validation_splitting: {test}}}\n"
    config = _one(import_text("elliot", HEAD + text + METRICS + KNN))
    assert _settings(config, *wanted) == wanted
    assert not [why for key, why in whys(config).items() if key != "validation_splitting"]


@pytest.mark.parametrize(
    "test",
    [
        "{strategy: fixed_timestamp, timestamp: best}",
        "{strategy: random_subsampling, leave_n_out: 1}",
        "{strategy: something}",
        "{strategy: temporal_hold_out}",
        "3",
    ],
)
def test_a_split_that_is_not_here_is_listed(import_text: Importer, test: str) -> None:
    config = _one(import_text("elliot", HEAD + f"  splitting: {{test_splitting: {test}}}\n" + METRICS + KNN))
    assert "test_splitting" in whys(config)
    assert "split" not in config.draft.settings


def test_metrics_of_the_same_name_and_another_meaning_are_listed(import_text: Importer) -> None:
    metrics = "  evaluation: {cutoffs: 10, simple_metrics: [Recall, MAP, ItemCoverage, EPC]}\n"
    config = _one(import_text("elliot", HEAD + SPLIT + metrics + KNN))
    assert config.draft.settings["monitors"] == ["recall@10"]
    assert "average precision here" in whys(config)["simple_metrics"]


def test_ratings_that_are_made_binary_count_1_as_here(import_text: Importer) -> None:
    models = "  models:\n    ItemKNN: {neighbors: 5, implicit: False}\n"
    config = _one(import_text("elliot", HEAD + SPLIT + METRICS + models))
    assert "weigh" in whys(config)["implicit"]
    assert any("ratings" in text for text in config.draft.differences)
    config = _one(import_text("elliot", HEAD + "  binarize: True\n" + SPLIT + METRICS + models))
    assert whys(config) == {}
    assert not any("ratings" in text for text in config.draft.differences)


def test_training_is_mapped_with_both_spellings_of_its_keys(import_text: Importer) -> None:
    models = """\
  models:
    LightGCN:
      meta: {validation_rate: 5, validation_metric: HR@5}
      lr: 0.01
      l_w: [1e-4, 1e-3]
      epochs: 20
      batch_size: 256
      early_stopping: {patience: 4, monitor: HR@5, min_delta: 0.1}
"""
    config = _one(import_text("elliot", HEAD + SPLIT + METRICS + models))
    wanted = {"lr": 0.01, "embedding_decay": 2e-4, "eval_freq": 5, "which4best": "hitrate@5", "early_stop_patience": 4}
    assert _settings(config, *wanted) == wanted
    assert config.draft.axes == {"embedding_decay": [2e-4, 2e-3]}
    assert set(whys(config)) == {"min_delta"}
    models = "  models:\n    BPRMFBatch: {learning_rate: 0.02, lambda_weights: 0.1, factors: 16}\n"
    config = _one(import_text("elliot", HEAD + SPLIT + METRICS + models))
    assert _settings(config, "lr", "embedding_decay") == {"lr": 0.02, "embedding_decay": 0.1}
    assert "not set there, so that the defaults here hold: epochs, batch_size" in config.draft.differences


def test_the_share_that_is_kept_becomes_the_one_that_is_dropped(import_text: Importer) -> None:
    models = "  models:\n    MultiVAE: {dropout_pkeep: [0.9, 0.5], reg_lambda: 0.1}\n"
    config = _one(import_text("elliot", HEAD + SPLIT + METRICS + models))
    assert config.draft.axes == {"dropout": [0.1, 0.5]}


def test_the_data_is_looked_for_below_the_folder_that_is_named(import_text: Importer, tmp_path: Path) -> None:
    (tmp_path / "here" / "toys").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"has no such file: .*toys/all\.tsv"):
        import_text("elliot", HEAD + METRICS + KNN, data=str(tmp_path / "here"))
    (tmp_path / "here" / "toys" / "all.tsv").write_text("1\t2\t3\n")
    config = _one(import_text("elliot", HEAD + METRICS + KNN, data=str(tmp_path / "here")))
    assert _settings(config, "root", "path") == {"root": str(tmp_path / "here"), "path": "toys/all.tsv"}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_becomes_a_valid_config(import_text: Importer, model: str) -> None:
    config = _one(import_text("elliot", HEAD + SPLIT + METRICS + f"  models:\n    {model}: {{meta: {{verbose: 1}}}}\n"))
    assert config.draft.settings["model"] == MODELS[model].name


def test_keys_within_a_section_that_nothing_reads_are_listed(import_text: Importer) -> None:
    text = (
        "kind: survey\n"
        + HEAD
        + METRICS
        + "  prefiltering: {strategy: user_k_core, core: 2, threshold: 3}\n"
        + "  negative_sampling: {strategy: random, num_items: 9, seed: 1}\n"
        + "  splitting: {test_splitting: {strategy: temporal_hold_out, test_ratio: 0.2, leave_n_out: 1}}\n"
        + "  models: {ItemKNN: {meta: 5, neighbors: 50}}\n"
    )
    found = whys(_one(import_text("elliot", text)))
    assert set(found) == {"kind", "prefiltering", "seed", "leave_n_out", "meta"}
    assert found["prefiltering"] == "threshold: not read by this strategy"
    assert found["meta"] == "expected a mapping"
