"""Map the models of RecBoard, whose scripts FreeRec runs.

*Source:* the scripts of RecBoard (https://github.com/MTandHJ/RecBoard).
"""

from __future__ import annotations

from typing import Final

from recrun.importing.convert import named, perceptron, times
from recrun.importing.draft import Draft, Rule, no, only, to
from recrun.importing.options import ModelMap
from recrun.importing.yaml_tree import Entry

_LOSSES: Final = named({"bce": "bce", "bpr": "bpr", "ce": "cross_entropy"}, "loss")
_BATCH_TERM: Final = "the L2 term on a batch's embeddings there too, although the key is that of the optimizer"
_USERS: Final = {"loss": "bpr", "sampler": "uniform", "n_negatives": 1, "positives": "users"}
_INIT: Final = "embeddings start by a normal distribution with deviation 1e-4 there; init_std says so here"
_XAVIER: Final = "embeddings start by Xavier's initialisation there, by a normal one with deviation init_std here"
_NO_DROPOUT: Final = "the model here has no such dropout"
_GELU: Final = "the function between two layers is gelu here"
_SUM: Final = "the losses of positives and negatives are added there, and averaged here"
_SEEN: Final = "items that a user has seen may be drawn as negatives there, and never here"

_EMBEDDING: Final[dict[str, Rule]] = {"embedding_dim": to("embedding_dim")}
_GRAPH: Final[dict[str, Rule]] = {**_EMBEDDING, "num_layers": to("n_layers")}
_BLOCKS: Final[dict[str, Rule]] = {
    **_EMBEDDING,
    "maxlen": to("max_length"),
    "num_heads": to("n_heads"),
    "num_blocks": to("n_layers"),
}


def _sequence_loss(draft: Draft, entry: Entry) -> None:
    """Map the loss of SASRec; its negatives are drawn one for each position."""
    to("loss", _LOSSES)(draft, entry)
    if draft.settings.get("loss") == "cross_entropy":
        draft.settings.pop("n_negatives", None)


def _decay_of_sums(draft: Draft, entry: Entry) -> None:
    """Map the weight decay where the losses of positives and negatives are added with the loss "bce"."""
    if str(draft.value("loss", "bce")).lower() == "bce":
        to("weight_decay", times(0.5), why=_SUM)(draft, entry)
    else:
        to("weight_decay")(draft, entry)


def _all_dropout(draft: Draft, entry: Entry) -> None:
    settings = dict.fromkeys(("dropout", "attention_dropout", "inner_dropout"), entry.value)
    draft.put(entry, settings, "one rate for all three there")


def _two(first: str, second: str) -> Rule:
    return lambda draft, entry: draft.put(entry, {first: entry.value, second: entry.value})


MODELS: Final[dict[str, ModelMap]] = {
    "MF-BPR": ModelMap(
        "bprmf", _EMBEDDING, {"embedding_dim": 64, "weight_decay": 1e-4}, {**_USERS, "init_std": 1e-4}, (_INIT,)
    ),
    "LightGCN": ModelMap(
        "lightgcn",
        {**_GRAPH, "weight_decay": to("embedding_decay", why=_BATCH_TERM)},
        {"embedding_dim": 64, "num_layers": 3, "weight_decay": 1e-4},
        {**_USERS, "init_std": 1e-4},
        (_INIT,),
    ),
    "NGCF": ModelMap(
        "ngcf",
        {
            **_GRAPH,
            "dropout_rate": to("message_dropout"),
            "weight_decay": to(
                "embedding_decay", why="the L2 term is on the embeddings before propagation there, on all layers here"
            ),
        },
        {"embedding_dim": 64, "num_layers": 3, "dropout_rate": 0.1, "weight_decay": 1e-4},
        {**_USERS, "layer": "code"},
        ("a layer's output is scaled to unit length before the next one there, for the score only here",),
    ),
    "NeuMF": ModelMap(
        "neumf",
        {
            "embedding_dim": _two("embedding_dim", "mlp_dim"),
            "hidden_dims": perceptron("embedding_dim"),
            "num_negs": to("n_negatives"),
        },
        {"embedding_dim": 64, "hidden_dims": "64,32,16,8", "num_negs": 4, "weight_decay": 1e-4},
        {"loss": "bce", "sampler": "uniform", "positives": "users"},
    ),
    "SimGCL": ModelMap(
        "simgcl",
        {
            **_GRAPH,
            "eps": to("noise"),
            "temperature": to("contrast_temperature"),
            "ssl_weight": to("contrast_weight"),
            "weight_decay": no("weighs half the squared norms of embeddings there, other norms here: embedding_decay"),
        },
        {"embedding_dim": 64, "num_layers": 3, "eps": 0.2, "temperature": 0.2, "ssl_weight": 0.2, "weight_decay": 1e-4},
        _USERS,
        (),
    ),
    "SimpleX": ModelMap(
        "simplex",
        {
            **_EMBEDDING,
            "num_negs": to("n_negatives"),
            "gamma": to("user_weight"),
            "margin": to("margin"),
            "weight_for_negative": to("negative_weight"),
            "dropout_rate": only(0, 0.0, why=_NO_DROPOUT),
            "unseen_only": only(True, why=_SEEN),
        },
        {
            "embedding_dim": 64,
            "num_negs": 1000,
            "gamma": 1.0,
            "margin": 0.9,
            "weight_for_negative": 150,
            "dropout_rate": 0.1,
            "unseen_only": False,
            "weight_decay": 1e-4,
        },
        {"loss": "ccl", "sampler": "uniform", "init_std": 1e-4},
    ),
    "UltraGCN": ModelMap(
        "ultragcn",
        {
            **_EMBEDDING,
            "num_negs": to("n_negatives"),
            "num_neighbors": to("n_neighbors"),
            "neg_weight": to("unobserved_weight"),
            "unseen_only": only(True, why=_SEEN),
            "item_weight": to("item_weight"),
            "init_weight": to("init_std"),
            "w1": to("positive_weight"),
            "w2": to("positive_constraint"),
            "w3": to("negative_base"),
            "w4": to("negative_constraint"),
            "weight_decay": to("embedding_decay", why="the loss is a sum over a batch there, a mean here"),
        },
        {
            "embedding_dim": 64,
            "num_negs": 1500,
            "num_neighbors": 10,
            "neg_weight": 300,
            "unseen_only": False,
            "item_weight": 5e-4,
            "init_weight": 1e-4,
            "w1": 1e-6,
            "w2": 1.0,
            "w3": 1e-6,
            "w4": 1.0,
            "weight_decay": 1e-4,
        },
        {"sampler": "uniform", "item_graph": "code"},
    ),
    "SASRec": ModelMap(
        "sasrec",
        {
            **_BLOCKS,
            "dropout_rate": _two("dropout", "attention_dropout"),
            "loss": _sequence_loss,
            "weight_decay": _decay_of_sums,
        },
        {"maxlen": 50, "num_heads": 1, "num_blocks": 2, "embedding_dim": 64, "dropout_rate": 0.2, "loss": "BCE"},
        {
            "n_negatives": 1,
            "norm": "query",
            "pad_attention": True,
            "drop_attention_output": False,
            "initialization": "recboard",
        },
        (),
        "histories",
    ),
    "BERT4Rec": ModelMap(
        "bert4rec",
        {**_BLOCKS, "dropout_rate": _all_dropout, "mask_ratio": to("mask_ratio")},
        {"maxlen": 50, "num_heads": 4, "num_blocks": 2, "embedding_dim": 64, "dropout_rate": 0.2, "mask_ratio": 0.3},
        {"loss": "cross_entropy", "output_layer": False, "tie_embeddings": False},
        (_XAVIER,),
        "histories",
    ),
    "GRU4Rec": ModelMap(
        "gru4rec",
        {
            **_EMBEDDING,
            "maxlen": to("max_length"),
            "hidden_size": to("hidden_dim"),
            "num_blocks": to("n_layers"),
            "emb_dropout_rate": to("dropout"),
            "hidden_dropout_rate": only(0, 0.0, why="recurrent layers have no dropout between them here"),
            "weight_decay": _decay_of_sums,
        },
        {"maxlen": 50, "embedding_dim": 64, "hidden_size": 128, "emb_dropout_rate": 0.2, "num_blocks": 1},
        {"loss": "bce", "n_negatives": 1, "bias": False, "initialization": "recboard", "sequence_rows": "prefixes"},
        (),
        "prefixes",
    ),
    "BSARec": ModelMap(
        "bsarec",
        {
            **_BLOCKS,
            "hidden_dropout_rate": to("dropout"),
            "atten_dropout_rate": to("attention_dropout"),
            "hidden_act": only("gelu", why=_GELU),
            "alpha": to("frequency_weight"),
            "c": to("low_frequencies"),
            "loss": _sequence_loss,
            "weight_decay": _decay_of_sums,
        },
        {
            "maxlen": 50,
            "num_heads": 1,
            "num_blocks": 2,
            "embedding_dim": 64,
            "hidden_dropout_rate": 0.5,
            "atten_dropout_rate": 0.5,
            "alpha": 0.7,
            "c": 5,
            "loss": "CE",
        },
        {"n_negatives": 1},
        (),
        "histories",
    ),
    "FMLP-Rec": ModelMap(
        "fmlprec",
        {
            **_BLOCKS,
            "num_heads": no("does nothing there: a filter has no heads"),
            "hidden_dropout_rate": to("dropout"),
            "hidden_act": only("gelu", why=_GELU),
            "loss": _sequence_loss,
        },
        {"maxlen": 50, "num_blocks": 2, "embedding_dim": 64, "hidden_dropout_rate": 0.5, "loss": "BPR"},
        {"n_negatives": 1},
        (),
        "histories",
    ),
    "HSTU": ModelMap(
        "hstu",
        {
            **_BLOCKS,
            "linear_hidden_dim": to("value_dim"),
            "attention_dim": to("attention_dim"),
            "emb_dropout_rate": to("embedding_dropout"),
            "hidden_dropout_rate": to("dropout"),
            "num_negs": to("n_negatives"),
            "temperature": to("temperature"),
            "num_buckets": to("n_time_buckets"),
        },
        {
            "maxlen": 50,
            "num_heads": 8,
            "optimizer": "AdamW",
            "num_blocks": 16,
            "embedding_dim": 64,
            "linear_hidden_dim": 8,
            "attention_dim": 8,
            "emb_dropout_rate": 0.0,
            "hidden_dropout_rate": 0.0,
            "num_negs": 512,
            "num_buckets": 100,
            "temperature": 0.05,
        },
        {"loss": "sampled_softmax", "sampler": "uniform"},
        (_SEEN,),
        "histories",
    ),
}
_LABELLED: Final = (
    "{0} predicts labels of rows with features; write a config for LabelledFile and {1} (recrun show {1})"
)
WITHOUT: Final = {name: _LABELLED.format(name, here) for name, here in (("DeepFM", "deepfm"), ("DCN", "dcn"))}
"""Models without a counterpart, and why."""
