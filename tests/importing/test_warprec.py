"""Configs of WarpRec: a config for each model, and lists of values for a sweep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.importing.run_import import Import, Imported
from recrun.importing.warprec_models import MODELS
from tests.importing.conftest import whys

Importer = Callable[..., Import]
READER = "reader: {loading_strategy: dataset, local_path: toys/all.csv, sep: ',', rating_type: implicit}\n"
SPLITTER = """\
splitter:
  test_splitting: {strategy: temporal_holdout, ratio: 0.2}
  validation_splitting: {strategy: temporal_holdout, ratio: 0.25}
"""
EVALUATION = "evaluation: {top_k: [5, 10], metrics: [nDCG, HitRate], validation_metric: nDCG@5}\n"
OF_MODEL: dict[str, str] = {
    "LightGCN": "embedding_size: [32, 64], n_layers: 2, reg_weight: 0.1, batch_size: 8, epochs: 9, learning_rate: 0.1",
    "NeuMF": "mf_embedding_size: 16, mlp_embedding_size: 16, mlp_hidden_size: [[16, 8]], neg_samples: 3, batch_size: 9",
}


def _one(result: Import) -> Imported:
    [config] = result.configs
    return config


def _settings(config: Imported, *names: str) -> dict[str, Any]:
    return {name: config.draft.settings.get(name) for name in names}


def _model(name: str, keys: str = "") -> str:
    return f"models:\n  {name}: {{{keys or OF_MODEL.get(name, '')}}}\n"


def test_a_config_becomes_a_config(import_text: Importer) -> None:
    config = _one(import_text("warprec", READER + SPLITTER + EVALUATION + _model("LightGCN")))
    assert config.draft.settings == {
        "model": "lightgcn",
        "initialization": "xavier",
        "loss": "bpr",
        "sampler": "uniform",
        "n_negatives": 1,
        "dataset": "File",
        "root": ".",
        "path": "toys/all.csv",
        "format": "csv",
        "separator": ",",
        "split": "user_time",
        "test_ratio": 0.2,
        "valid_ratio": 0.2,
        "monitors": ["ndcg@5", "ndcg@10", "hitrate@5", "hitrate@10"],
        "which4best": "ndcg@5",
        "embedding_dim": 32,
        "n_layers": 2,
        "batch_size": 8,
        "epochs": 9,
        "lr": 0.1,
    }
    assert set(whys(config)) == {"reg_weight"}
    assert config.document("w.yaml")["sweep"] == "recrun sweep w.yaml embedding_dim=32,64"


def test_a_batch_of_neumf_counts_negatives_and_its_layers_are_a_list_of_lists(import_text: Importer) -> None:
    config = _one(import_text("warprec", READER + SPLITTER + EVALUATION + _model("NeuMF")))
    assert _settings(config, "batch_size", "n_layers") == {"batch_size": 2, "n_layers": 2}


def test_a_block_may_have_a_network_of_any_width(import_text: Importer) -> None:
    rates = "inner_size: 48, attn_dropout_prob: 0.2, embedding_size: 32, dropout_prob: 0.1"
    for model in ("SASRec", "BERT4Rec"):
        config = _one(import_text("warprec", READER + SPLITTER + EVALUATION + _model(model, rates)))
        wanted = {"inner_dim": 48, "attention_dropout": 0.2, "embedding_dim": 32, "dropout": 0.1}
        assert _settings(config, *wanted) == wanted
        assert not {"inner_size", "attn_dropout_prob"} & set(whys(config))


def test_an_earlier_splitter_has_shares_of_all_interactions(import_text: Importer) -> None:
    splitter = "splitter: {strategy: temporal, test_ratio: 0.1, val_ratio: 0.1, seed: 42}\n"
    config = _one(import_text("warprec", READER + splitter + EVALUATION + _model("EASE", "l2: 10")))
    wanted = {"split": "user_time", "test_ratio": 0.1, "valid_ratio": 0.1}
    assert _settings(config, *wanted) == wanted


def test_what_is_not_here_is_listed(import_text: Importer) -> None:
    text = """\
        reader: {local_path: a.tsv, rating_type: explicit, side: {local_path: s.tsv}, labels: {rating_label: stars}}
        filtering: {MinRating: {min_rating: 3}, UserAverage: {}, IterativeKCore: {min_interactions: 5}}
        splitter: {test_splitting: {strategy: random_leave_k_out, k: 1}}
        evaluation: {top_k: 10, metrics: [Recall, Gini, ItemCoverage], strategy: sampled, num_negatives: 50}
        general: {precision: float64, callback: {callback_path: x.py}}
        models:
          ItemKNN: {k: [randint, 1, 500], similarity: [cosine, haversine], unheard_of: 1}
        other: {x: 1}
    """
    config = _one(import_text("warprec", text))
    assert set(whys(config)) == {
        *("rating_type", "side", "UserAverage", "test_splitting", "metrics", "precision", "callback", "k"),
        *("similarity", "unheard_of", "other"),
    }
    wanted = {"rating_threshold": 3, "min_item_interactions": 5, "candidates": 50, "rating_column": "stars"}
    assert _settings(config, *wanted) == wanted
    assert config.draft.settings["monitors"] == ["recall@10", "gini@10"]


def test_no_secret_is_repeated(import_text: Importer) -> None:
    text = "dashboard: {wandb: {enabled: True, project: p, api_key: abc123}, mlflow: {tracking_token: abc123}}\n"
    config = _one(import_text("warprec", READER + SPLITTER + EVALUATION + _model("EASE", "l2: 1") + text))
    assert config.draft.settings["track"] == ["wandb"]
    assert config.draft.settings["track_project"] == "p"
    assert "abc123" not in str(config.document("x.yaml"))
    assert "(not shown)" in str(config.document("x.yaml"))


def test_parts_that_are_given_need_no_validation_part(import_text: Importer, tmp_path: Path) -> None:
    reader = "reader: {loading_strategy: split, split: {local_path: parts, ext: .csv, sep: ','}}\n"
    text = reader + EVALUATION + _model("EASE", "l2: 1")
    folder = tmp_path / "here" / "parts"
    folder.mkdir(parents=True)
    for name in ("train.csv", "test.csv"):
        (folder / name).write_text("user_id,item_id\n1,2\n")
    config = _one(import_text("warprec", text, data=str(tmp_path / "here")))
    wanted = {"train_path": "parts/train.csv", "test_path": "parts/test.csv", "valid_path": None}
    assert _settings(config, *wanted) == wanted
    (folder / "test.csv").unlink()
    with pytest.raises(ConfigError, match=r"has no such file: .*parts/test\.csv"):
        import_text("warprec", text, data=str(tmp_path / "here"))


def test_a_config_without_models_is_an_error(import_text: Importer) -> None:
    with pytest.raises(ConfigError, match="expected a section models"):
        import_text("warprec", READER)
    with pytest.raises(ConfigError, match="SGL is made in other ways there"):
        import_text("warprec", READER + _model("SGL", "n_layers: 1"))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_becomes_a_valid_config(import_text: Importer, model: str) -> None:
    text = READER + SPLITTER + EVALUATION + _model(model, "meta: {save_model: True}")
    config = _one(import_text("warprec", text))
    assert config.draft.settings["model"] == MODELS[model].name


def test_keys_within_a_section_that_nothing_reads_are_listed(import_text: Importer) -> None:
    splitter = "splitter: {seed: 3, test_splitting: {strategy: temporal_holdout, ratio: 0.2, k: 1}}\n"
    text = READER + splitter + "filtering: {UserMin: {min_interactions: 2, least: 1}}\n" + "general: 5\n"
    found = whys(_one(import_text("warprec", text + _model("EASE", "l2: 10"))))
    assert set(found) == {"seed", "k", "least", "general"}
    assert found["general"] == "expected a mapping"
