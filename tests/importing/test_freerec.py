"""Configs of FreeRec and RecBoard: the model is in the path, and weight_decay is not always the optimizer's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.importing.freerec_models import MODELS
from recrun.importing.run_import import Imported
from tests.importing.conftest import whys

Importer = Callable[..., Imported]
RUN = "root: ../data\ndataset: Toys_550_LOU\n"


def _settings(config: Imported, *names: str) -> dict[str, Any]:
    return {name: config.draft.settings.get(name) for name in names}


def test_a_config_of_mf_bpr_becomes_one_of_bprmf(import_one: Importer) -> None:
    text = RUN + "lr: 1.e-3\nweight_decay: 1.e-6\nmonitors: [LOSS, HitRate@1, NDCG@10]\nwhich4best: NDCG@10\n"
    config = import_one("freerec", text, model="MF-BPR")
    wanted = {
        "train_path": "Processed/Toys_550_LOU/train.txt",
        "format": "tsv",
        "positives": "users",
        "weight_decay": 1e-6,
        "monitors": ["hitrate@1", "ndcg@10"],
        "which4best": "ndcg@10",
        "eval_freq": 5,
        "epochs": 1000,
        "init_std": 1e-4,
    }
    assert _settings(config, *wanted) == wanted
    assert config.draft.not_mapped == []


def test_the_weight_decay_of_graph_models_is_the_term_of_a_batch(import_one: Importer) -> None:
    config = import_one("freerec", RUN + "weight_decay: 1.e-3\n", model="LightGCN")
    assert _settings(config, "embedding_decay", "weight_decay") == {"embedding_decay": 1e-3, "weight_decay": None}
    assert "weight_decay" in whys(import_one("freerec", RUN, model="SimGCL"))


def test_the_model_is_the_folder_above_configs(import_one: Importer) -> None:
    config = import_one("freerec", RUN, name="SASRec/configs/toys.yaml")
    assert _settings(config, "model", "loss", "batch_size", "n_negatives") == {
        "model": "sasrec",
        "loss": "bce",
        "batch_size": 256,
        "n_negatives": 1,
    }


def test_the_loss_of_sasrec_says_whether_negatives_are_drawn(import_one: Importer) -> None:
    config = import_one("freerec", RUN + "loss: CE\n", model="SASRec")
    assert _settings(config, "loss", "n_negatives") == {"loss": "cross_entropy", "n_negatives": None}


def test_sasrec_and_gru4rec_become_the_forms_of_recboard(import_one: Importer) -> None:
    config = import_one("freerec", RUN + "dropout_rate: 0.4\n", model="SASRec")
    blocks = {"norm": "query", "drop_attention_output": False, "dropout": 0.4, "attention_dropout": 0.4}
    blocks |= {"pad_attention": True, "initialization": "recboard"}
    assert _settings(config, *blocks, "sequence_rows") == {**blocks, "sequence_rows": None}
    rows = {"sequence_rows": "prefixes", "batch_size": 256, "bias": False, "initialization": "recboard"}
    config = import_one("freerec", RUN, model="GRU4Rec")
    assert _settings(config, *rows) == rows
    assert whys(config) == {}


@pytest.mark.parametrize(("loss", "decay"), [("BCE", 1e-3), ("CE", 2e-3)])
@pytest.mark.parametrize("model", ["SASRec", "BSARec"])
def test_the_weight_decay_is_halved_where_losses_are_added(
    import_one: Importer, model: str, loss: str, decay: float
) -> None:
    config = import_one("freerec", RUN + f"weight_decay: 2.e-3\nloss: {loss}\n", model=model)
    assert _settings(config, "weight_decay") == {"weight_decay": decay}
    assert any("are added there" in line.why for line in config.draft.mapped) is (loss == "BCE")


def test_one_rate_of_bert4rec_is_three_here(import_one: Importer) -> None:
    config = import_one("freerec", RUN + "dropout_rate: 0.3\n", model="BERT4Rec")
    wanted = {"dropout": 0.3, "attention_dropout": 0.3, "inner_dropout": 0.3, "output_layer": False}
    assert _settings(config, *wanted) == wanted


def test_models_of_prefixes_and_of_cosines_are_mapped(import_one: Importer) -> None:
    text = RUN + "alpha: 0.3\nc: 9\natten_dropout_rate: 0.1\nbatch_size: 256\n"
    wanted = {"frequency_weight": 0.3, "low_frequencies": 9, "attention_dropout": 0.1, "loss": "cross_entropy"}
    config = import_one("freerec", text, model="BSARec")
    assert _settings(config, *wanted, "n_negatives") == {**wanted, "n_negatives": None}
    config = import_one("freerec", RUN + "num_heads: 2\nhidden_dropout_rate: 0.4\n", model="FMLP-Rec")
    assert _settings(config, "loss", "n_negatives", "dropout") == {"loss": "bpr", "n_negatives": 1, "dropout": 0.4}
    assert "no heads" in whys(config)["num_heads"]
    config = import_one("freerec", RUN + "linear_hidden_dim: 4\nnum_negs: 99\nnum_buckets: 7\n", model="HSTU")
    wanted = {"value_dim": 4, "n_time_buckets": 7, "n_negatives": 99, "temperature": 0.05, "optimizer": "adamw"}
    assert _settings(config, *wanted) == wanted
    assert _settings(import_one("freerec", RUN, model="HSTU"), "n_time_buckets") == {"n_time_buckets": 100}


def test_widths_without_brackets_are_read(import_one: Importer) -> None:
    config = import_one("freerec", RUN + "embedding_dim: 32\nhidden_dims: 32,16,8\n", model="NeuMF")
    assert _settings(config, "mlp_dim", "n_layers") == {"mlp_dim": 32, "n_layers": 3}


def test_a_grid_of_freerec_tune_becomes_a_sweep(import_one: Importer) -> None:
    text = """\
        command: python main.py
        envs: {root: ../data, dataset: Gowalla_m1, device: "0,1"}
        params: {lr: [1.e-3, 5.e-4], num_layers: [2, 3]}
        defaults: {lr: 1.e-2, batch_size: 256, seed: 3}
    """
    config = import_one("freerec", text, model="LightGCN")
    assert _settings(config, "dataset", "lr", "batch_size", "seed") == {
        "dataset": "Gowalla_m1",
        "lr": 1e-3,
        "batch_size": 256,
        "seed": 3,
    }
    sweep = config.document("mine.yaml")["sweep"]
    assert sweep == "recrun sweep mine.yaml lr=0.001,0.0005 n_layers=2,3"


def test_sampled_ranking_and_the_moments_of_the_optimizer_are_mapped(import_one: Importer) -> None:
    text = RUN + "ranking: pool\noptimizer: sgd\noptim_first_moment_decay: 0.8\nretain_seen: true\n"
    config = import_one("freerec", text, model="MF-BPR")
    assert _settings(config, "candidates", "momentum", "beta1") == {"candidates": 100, "momentum": 0.8, "beta1": None}
    assert config.draft.settings["mask_seen"] is False


def test_a_model_that_is_not_named_or_not_here_is_an_error(import_one: Importer) -> None:
    with pytest.raises(ConfigError, match="names no model"):
        import_one("freerec", RUN)
    with pytest.raises(ConfigError, match=r"no counterpart of FreeRec's model 'LightGCNN'.*near to it is LightGCN"):
        import_one("freerec", RUN, model="LightGCNN")
    with pytest.raises(ConfigError, match="DCN predicts labels"):
        import_one("freerec", RUN, name="DCN/configs/clicks.yaml")


@pytest.mark.parametrize("model", MODELS)
def test_every_model_with_its_defaults_becomes_a_valid_config(import_one: Importer, model: str) -> None:
    config = import_one("freerec", RUN, model=model)
    assert config.draft.settings["model"] == MODELS[model].name
