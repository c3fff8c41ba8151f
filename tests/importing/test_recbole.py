"""Configs of RecBole: keys with another meaning are converted, and what has no counterpart is listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.importing.recbole_models import MODELS
from recrun.importing.run_import import Imported
from tests.importing.conftest import whys

Importer = Callable[..., Imported]
BPR = "model: BPR\ndataset: toys\n"


def _settings(config: Imported, *names: str) -> dict[str, Any]:
    return {name: config.draft.settings.get(name) for name in names}


def test_defaults_of_recbole_are_written_out(import_one: Importer) -> None:
    config = import_one("recbole", BPR)
    assert config.draft.settings == {
        "model": "bprmf",
        "loss": "bpr",
        "dataset": "File",
        "root": "dataset",
        "path": "toys/toys.inter",
        "split": "ratio",
        "valid_ratio": 0.1,
        "test_ratio": 0.1,
        "monitors": ["recall@10", "mrr@10", "ndcg@10", "hitrate@10", "precision@10"],
        "which4best": "mrr@10",
        "seed": 2020,
        "epochs": 300,
        "batch_size": 2048,
        "optimizer": "adam",
        "lr": 0.001,
        "weight_decay": 0.0,
        "n_negatives": 1,
        "sampler": "uniform",
        "eval_freq": 1,
        "early_stop_patience": 11,
        "embedding_dim": 64,
    }
    assert config.draft.not_mapped == []


def test_a_batch_of_recbole_counts_negatives(import_one: Importer) -> None:
    four = "train_batch_size: 2048\ntrain_neg_sample_args: {distribution: uniform, sample_num: 4}\n"
    assert import_one("recbole", BPR + four).draft.settings["batch_size"] == 512
    # NeuMF's rows are single items with a label: a positive and its 3 negatives are 4 of them.
    three = "train_batch_size: 2048\ntrain_neg_sample_args: {distribution: uniform, sample_num: 3}\n"
    config = import_one("recbole", f"model: NeuMF\ndataset: toys\n{three}")
    assert _settings(config, "batch_size", "n_negatives") == {"batch_size": 512, "n_negatives": 3}


def test_the_l2_term_is_mapped_only_where_norms_are_squared(import_one: Importer) -> None:
    text = "model: LightGCN\ndataset: toys\nreg_weight: 1e-4\n"
    config = import_one("recbole", text)
    assert "embedding_decay" not in config.draft.settings
    assert "norms" in whys(config)["reg_weight"]
    assert import_one("recbole", text + "require_pow: True\n").draft.settings["embedding_decay"] == 1e-4


def test_the_latent_dimension_and_the_annealing_of_multivae_are_converted(import_one: Importer) -> None:
    text = "model: MultiVAE\ndataset: toys\nlatent_dimension: 256\nanneal_cap: 0.1\ntotal_anneal_steps: 50000\n"
    config = import_one("recbole", text)
    wanted = {"latent_dim": 128, "kl_weight": 0.1, "kl_warmup_steps": 5000, "hidden_dim": 600}
    assert _settings(config, *wanted) == wanted


@pytest.mark.parametrize(
    ("eval_args", "wanted"),
    [
        ("{split: {RS: [8, 1, 1]}, order: RO}", {"split": "ratio", "valid_ratio": 0.1, "test_ratio": 0.1}),
        ("{split: {RS: [7, 1, 2]}, order: TO}", {"split": "user_time", "valid_ratio": 0.1, "test_ratio": 0.2}),
        ("{split: {RS: [8, 1, 1]}, order: TO, group_by: none}", {"split": "time"}),
        ("{split: {LS: valid_and_test}, order: TO}", {"split": "leave_one_out", "valid_ratio": None}),
        ("{split: {RS: [8, 1, 1]}, mode: uni99}", {"candidates": 99, "candidates_by": "uniform"}),
        ("{mode: {valid: pop50, test: pop50}}", {"candidates": 50, "candidates_by": "popularity"}),
        ("{mode: full}", {"candidates": None, "split": "ratio"}),
    ],
)
def test_the_evaluation_is_mapped(import_one: Importer, eval_args: str, wanted: dict[str, Any]) -> None:
    config = import_one("recbole", f"{BPR}eval_args: {eval_args}\n")
    assert _settings(config, *wanted) == wanted
    assert config.draft.not_mapped == []


def test_a_leave_one_out_without_validation_has_none_here_and_is_not_stopped_early(import_one: Importer) -> None:
    text = f"{BPR}eval_args: {{split: {{LS: test_only}}, order: TO}}\n"
    config = import_one("recbole", text)
    assert config.draft.settings["valid_ratio"] == 0
    assert "early_stop_patience" not in config.draft.settings


@pytest.mark.parametrize(
    ("eval_args", "why"),
    [
        ("{split: {LS: valid_and_test}, order: RO}", "latest interaction"),
        ("{split: {TS: [8, 1, 1]}, order: TO}", "no such split"),
        ("{split: {RS: [8, 1]}}", "three numbers"),
        ("{split: 3}", "expected split"),
        ("{mode: labeled}", "all items are ranked"),
        ("{mode: {valid: uni10, test: uni99}}", "ranked alike"),
    ],
)
def test_an_evaluation_that_is_not_here_is_listed(import_one: Importer, eval_args: str, why: str) -> None:
    config = import_one("recbole", f"{BPR}eval_args: {eval_args}\n")
    assert why in whys(config)["eval_args"]


def test_filters_become_filters(import_one: Importer) -> None:
    text = """\
        val_interval: {rating: "[3,inf)", timestamp: "(10,20]"}
        user_inter_num_interval: "[5,inf)"
        item_inter_num_interval: "(4,100]"
        rm_dup_inter: first
        RATING_FIELD: stars
    """
    config = import_one("recbole", BPR, text)
    wanted = {
        "filter": "(rating >= 3) and (timestamp > 10 and timestamp <= 20)",
        "min_user_interactions": 5,
        "min_item_interactions": 5,
        "duplicates": "first",
        "rating_column": "stars",
    }
    assert _settings(config, *wanted) == wanted
    assert whys(config) == {"item_inter_num_interval": "there is no upper limit of interactions here"}


def test_the_patience_of_recbole_ends_one_evaluation_later(import_one: Importer) -> None:
    assert import_one("recbole", f"{BPR}stopping_step: 5\n").draft.settings["early_stop_patience"] == 6


def test_a_model_of_sequences_has_the_defaults_of_sequences(import_one: Importer) -> None:
    config = import_one("recbole", "model: SASRec\ndataset: toys\ntrain_neg_sample_args: ~\n")
    wanted = {"split": "leave_one_out", "max_length": 50, "loss": "cross_entropy", "n_heads": 2}
    assert _settings(config, *wanted) == wanted
    assert config.draft.settings["mask_seen"] is False
    assert "n_negatives" not in config.draft.settings
    assert whys(config) == {}


def test_sasrec_has_the_blocks_and_the_rows_of_recbole(import_one: Importer) -> None:
    keys = ["hidden_act: swish", "inner_size: 100", "attn_dropout_prob: 0.3", "train_batch_size: 512"]
    config = import_one("recbole", "\n".join(["model: SASRec", "dataset: toys", *keys, ""]))
    blocks = {"inner_dim": 100, "activation": "silu", "attention_dropout": 0.3, "norm": "post", "drop_inner": False}
    wanted = {**blocks, "norm_embeddings": True, "scale_embeddings": False}
    wanted |= {"sequence_rows": "prefixes", "batch_size": 512}
    assert _settings(config, *wanted) == wanted
    assert "linear layers start" in " ".join(config.draft.differences)
    assert "hidden_act" in whys(import_one("recbole", "model: SASRec\ndataset: toys\nhidden_act: sigmoid\n"))


def test_bert4rec_masks_the_last_item_alone_as_often_and_lists_what_its_rows_differ_in(import_one: Importer) -> None:
    config = import_one("recbole", "model: BERT4Rec\ndataset: toys\ntrain_neg_sample_args: ~\n")
    wanted = {"last_only_share": 0.5, "output_norm": True, "inner_dim": 256, "activation": "gelu", "batch_size": 128}
    assert _settings(config, *wanted) == wanted
    assert set(whys(config)) == {"train_batch_size"}
    assert "item and what came before it" in " ".join(config.draft.differences)


def test_a_model_of_sequences_may_be_split_at_random_as_there(import_one: Importer) -> None:
    text = "model: GRU4Rec\ndataset: toys\neval_args: {split: {RS: [8, 1, 1]}, order: RO}\n"
    config = import_one("recbole", text)
    assert config.draft.settings["shuffled_time"] is True
    assert any("shuffled_time" in note for note in config.notes)


def test_layers_that_do_not_halve_are_listed(import_one: Importer) -> None:
    text = "model: NeuMF\ndataset: toys\nmlp_embedding_size: 32\nmlp_hidden_size: "
    assert import_one("recbole", text + "[32, 16, 8]\n").draft.settings["n_layers"] == 3
    assert "halve" in whys(import_one("recbole", text + "[128, 64]\n"))["mlp_hidden_size"]


def test_neighbours_among_users_are_those_of_another_model(import_one: Importer) -> None:
    config = import_one("recbole", "model: ItemKNN\ndataset: toys\nknn_method: user\nk: 20\nepochs: 3\n")
    assert _settings(config, "model", "n_neighbors", "epochs") == {
        "model": "userknn",
        "n_neighbors": 20,
        "epochs": None,
    }
    assert "epochs" in {line.entry.key for line in config.draft.no_effect}


def test_a_limit_of_the_norm_of_gradients_is_taken_over(import_one: Importer) -> None:
    for value, expected in (("{max_norm: 5, norm_type: 2}", 5), ("{max_norm: 0.5}", 0.5), ("null", None)):
        config = import_one("recbole", f"{BPR}clip_grad_norm: {value}\n")
        assert config.draft.settings.get("clip_norm") == expected
        assert whys(config) == {}
    assert set(whys(import_one("recbole", f"{BPR}clip_grad_norm: {{max_norm: 5, norm_type: 1}}\n"))) == {
        "clip_grad_norm"
    }


def test_later_files_override_earlier_ones_and_no_key_is_lost(import_one: Importer) -> None:
    config = import_one("recbole", f"{BPR}epochs: 7\nmy_key: 1\n", "epochs: 9\ntransform: mask_itemseq\n")
    draft = config.draft
    assert draft.settings["epochs"] == 9
    assert set(whys(config)) == {"my_key", "transform"}
    [overridden] = [line for line in draft.no_effect if line.entry.key == "epochs"]
    assert overridden.why.startswith("overridden by ")
    lines = [*draft.mapped, *draft.not_mapped, *draft.no_effect]
    written = {line.entry.key for line in lines if line.entry.place is not None}
    assert written == {"model", "dataset", "epochs", "my_key", "transform"}


def test_parts_that_are_given_are_read_as_they_are(import_one: Importer) -> None:
    config = import_one("recbole", f"{BPR}benchmark_filename: [train, valid, test]\ndata_path: d\n")
    wanted = {"train_path": "toys/toys.train.inter", "test_path": "toys/toys.test.inter", "root": "d", "split": None}
    assert _settings(config, *wanted) == wanted


def test_the_model_may_be_named_beside_the_config_or_by_its_file(import_one: Importer) -> None:
    assert import_one("recbole", "n_layers: 1\n", model="LightGCN", dataset="toys").model == "LightGCN"
    assert import_one("recbole", "dataset: toys\n", name="LightGCN.yaml").draft.settings["model"] == "lightgcn"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: NCL\ndataset: toys\n",
            "theirs.yaml:1:8: model: there is no counterpart of RecBole's model 'NCL' here",
        ),
        ("model: BRP\ndataset: toys\n", "near to it is BPR (bprmf here)"),
        ("model: DeepFM\ndataset: toys\n", "predicts labels"),
        ("dataset: toys\n", "names no model"),
        ("model: BPR\n", "names no dataset"),
        (
            f"{BPR}embedding_size: 0\n",
            "theirs.yaml:3:17: embedding_size: as embedding_dim here: expected an integer >= 1",
        ),
        (f"{BPR}learning_rate: .nan\n", "learning_rate: as lr here: expected a number > 0"),
        (f"{BPR}epochs: many\n", "epochs: expected an integer >= 0, found 'many'"),
        (f"{BPR}train_neg_sample_args: {{sample_num: x}}\n", "n_negatives here"),
    ],
)
def test_a_config_that_cannot_be_made_is_an_error_at_the_key(import_one: Importer, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        import_one("recbole", text)
    assert message in str(error.value)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_with_its_defaults_becomes_a_valid_config(import_one: Importer, model: str) -> None:
    config = import_one("recbole", f"model: {model}\ndataset: toys\n")
    assert config.draft.settings["model"] == MODELS[model].name
    assert all(line.why for line in config.draft.not_mapped)


def test_data_is_found_where_it_is_said_to_be(import_one: Importer, tmp_path: Path) -> None:
    (tmp_path / "data" / "toys").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"has no such file: .*toys/toys\.inter"):
        import_one("recbole", BPR, data=str(tmp_path / "data"))
    (tmp_path / "data" / "toys" / "toys.inter").write_text("user_id:token\titem_id:token\n1\t2\n")
    config = import_one("recbole", BPR, data=str(tmp_path / "data"))
    assert _settings(config, "root", "path") == {"root": str(tmp_path / "data"), "path": "toys/toys.inter"}


def test_the_published_files_of_a_known_data_set_will_do(import_one: Importer, shared_data: Path) -> None:
    config = import_one("recbole", "model: BPR\ndataset: ml-100k\nrm_dup_inter: first\n", data=str(shared_data))
    assert _settings(config, "dataset", "duplicates") == {"dataset": "MovieLens100K", "duplicates": None}
    assert "no setting of MovieLens100K" in whys(config)["rm_dup_inter"]


def test_keys_within_a_section_that_nothing_reads_are_listed(import_one: Importer) -> None:
    text = BPR + (
        "train_neg_sample_args: {distrbution: popularity, sample_num: 2}\n"
        "eval_args: {split: {RS: [8, 1, 1]}, shuffle: false}\n"
    )
    config = import_one("recbole", text)
    assert _settings(config, "sampler", "n_negatives") == {"sampler": "uniform", "n_negatives": 2}
    assert set(whys(config)) == {"distrbution", "shuffle"}


@pytest.mark.parametrize(
    "written", ["full", "{split: {RS: [8, 1, 1]}, order: shuffled}", "{split: {RS: [8, 1, 1]}, group_by: item}"]
)
def test_an_evaluation_that_recbole_does_not_know_is_listed(import_one: Importer, written: str) -> None:
    assert "expected" in whys(import_one("recbole", f"{BPR}eval_args: {written}\n"))["eval_args"]


def test_the_mode_of_test_is_taken_for_valid_too(import_one: Importer) -> None:
    config = import_one("recbole", BPR + "eval_args: {mode: {test: full, valid: uni100}}\n")
    assert "candidates" not in config.draft.settings
    assert whys(config) == {"eval_args": "valid and test are ranked alike here; full is taken for both"}
