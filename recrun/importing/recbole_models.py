"""Map the models of RecBole.

*Source:* the models and their properties in RecBole 1.2.1 (https://github.com/RUCAIBox/RecBole).
"""

from __future__ import annotations

from typing import Any, Final

from recrun.importing.convert import is_number, named, perceptron, same_layers
from recrun.importing.draft import Draft, Rule, along_with, no, no_effect, only, to
from recrun.importing.options import ModelMap
from recrun.importing.yaml_tree import Entry

_XAVIER: Final = "embeddings start by Xavier's initialisation there, by a normal one with deviation init_std here"
_NORMS: Final = "the norms of a batch's embeddings are penalised there, not their squares; choose embedding_decay anew"
_SQUARES: Final = "penalises half the squared norms of a batch's embeddings over B, as there with require_pow"
_DEVIATION: Final = "the weights of linear layers start by a normal distribution with deviation init_std there"
_NO_DROPOUT: Final = "the model here has no such dropout"
_HISTORIES: Final = (
    "a training row is one item and what came before it there, a user's whole history here, so batch_size and an epoch "
    "are others"
)
_LOSSES: Final = named({"ce": "cross_entropy", "bpr": "bpr"}, "loss")


def _decay(draft: Draft, entry: Entry) -> None:
    """Map an L2 term that RecBole squares only where require_pow is set."""
    if entry.value == 0:
        draft.put(entry, {"embedding_decay": 0})
    elif draft.value("require_pow") is True:
        draft.put(entry, {"embedding_decay": entry.value}, _SQUARES)
    else:
        draft.refuse(entry, _NORMS)


def _warmup(draft: Draft, entry: Entry) -> None:
    """Map the steps of annealing, which raise the weight to 1 there but are cut off at the cap."""
    cap = draft.value("anneal_cap")
    if is_number(cap) and is_number(entry.value) and is_number(cap * entry.value):
        draft.put(entry, {"kl_warmup_steps": round(cap * entry.value)}, "the batches until the cap is reached")
    else:
        draft.refuse(entry, "expected numbers for total_anneal_steps and anneal_cap")


def _latent(draft: Draft, entry: Entry) -> None:
    """Map the latent dimension, which counts means and variances there."""
    if isinstance(entry.value, int) and entry.value >= 2:
        draft.put(entry, {"latent_dim": entry.value // 2}, "means and variances are counted together there")
    else:
        draft.put(entry, {"latent_dim": entry.value})


def _hidden(draft: Draft, entry: Entry) -> None:
    if isinstance(entry.value, list) and len(entry.value) == 1:
        draft.put(entry, {"hidden_dim": entry.value[0]})
    else:
        draft.refuse(entry, "the model here has one hidden layer")


_EMBEDDING: Final[dict[str, Rule]] = {"embedding_size": to("embedding_dim")}
_ELASTIC: Final = (
    "the squared error is divided by the number of users there: set l1_weight = users x alpha x l1_ratio and "
    "reg_weight = users x alpha x (1 - l1_ratio)"
)
_TRANSFORMER: Final[dict[str, Rule]] = {
    "n_layers": to("n_layers"),
    "n_heads": to("n_heads"),
    "hidden_size": to("embedding_dim"),
    "inner_size": to("inner_dim"),
    "hidden_act": to(
        "activation", named({"gelu": "gelu", "relu": "relu", "swish": "silu", "tanh": "tanh"}, "function")
    ),
    "hidden_dropout_prob": to("dropout"),
    "attn_dropout_prob": to("attention_dropout"),
    "initializer_range": to("init_std"),
    "layer_norm_eps": no("the constant of layer normalisation is 1e-5 here"),
    "loss_type": to("loss", _LOSSES),
}
_TRANSFORMER_DEFAULTS: Final[dict[str, Any]] = {
    "n_layers": 2,
    "n_heads": 2,
    "hidden_size": 64,
    "inner_size": 256,
    "hidden_act": "gelu",
    "initializer_range": 0.02,
    "loss_type": "CE",
}

MODELS: Final[dict[str, ModelMap]] = {
    "BPR": ModelMap("bprmf", _EMBEDDING, {"embedding_size": 64}, {"loss": "bpr"}, (_XAVIER,)),
    "EASE": ModelMap("ease", {"reg_weight": to("reg_weight")}, {"reg_weight": 250.0}, rows="none"),
    "ENMF": ModelMap(
        "enmf",
        {
            **_EMBEDDING,
            "dropout_prob": to("dropout"),
            "negative_weight": to("negative_weight"),
            "reg_weight": only(0, 0.0, why="the model here has no L2 term"),
        },
        {"embedding_size": 64, "dropout_prob": 0.7, "negative_weight": 0.5},
        {"loss": "whole_data"},
        (_XAVIER, "the loss is a sum over the users of a batch there, a mean here; with Adam that makes no difference"),
        "users",
    ),
    "GRU4Rec": ModelMap(
        "gru4rec",
        {
            **_EMBEDDING,
            "hidden_size": to("hidden_dim"),
            "num_layers": to("n_layers"),
            "dropout_prob": to("dropout"),
            "loss_type": to("loss", _LOSSES),
        },
        {"embedding_size": 64, "hidden_size": 128, "num_layers": 1, "dropout_prob": 0.3, "loss_type": "CE"},
        {"bias": False, "sequence_rows": "prefixes"},
        (_XAVIER,),
        "prefixes",
    ),
    "BERT4Rec": ModelMap(
        "bert4rec",
        {
            **_TRANSFORMER,
            "mask_ratio": to("mask_ratio"),
            "ft_ratio": to("last_only_share", why="the share of rows here, of batches there"),
            "transform": only("mask_itemseq", why="rows are masked here in any case"),
            "loss_type": only("CE", why="the model here is trained by the cross entropy over all items"),
        },
        {
            **_TRANSFORMER_DEFAULTS,
            "hidden_dropout_prob": 0.2,
            "attn_dropout_prob": 0.2,
            "mask_ratio": 0.2,
            "ft_ratio": 0.5,
            "transform": "mask_itemseq",
        },
        {"loss": "cross_entropy", "output_norm": True},
        (_HISTORIES, _DEVIATION),
        "histories",
    ),
    "ItemKNN": ModelMap(
        "itemknn",
        {
            "k": to("n_neighbors"),
            "shrink": to("shrink"),
            "knn_method": only("item", why="for neighbours among users, import UserKNN: --model UserKNN"),
        },
        {"k": 100, "shrink": 0.0},
        rows="none",
    ),
    "UserKNN": ModelMap(
        "userknn",
        {"k": to("n_neighbors"), "shrink": to("shrink"), "knn_method": only("user", why="for neighbours among items")},
        {"k": 100, "shrink": 0.0},
        rows="none",
    ),
    "LightGCN": ModelMap(
        "lightgcn",
        {**_EMBEDDING, "n_layers": to("n_layers"), "reg_weight": _decay, "require_pow": along_with("reg_weight")},
        {"embedding_size": 64, "n_layers": 2, "reg_weight": 1e-5},
        {"loss": "bpr", "initialization": "xavier"},
        (),
    ),
    "MultiVAE": ModelMap(
        "multvae",
        {
            "mlp_hidden_size": _hidden,
            "latent_dimension": _latent,
            "dropout_prob": to("dropout"),
            "anneal_cap": to("kl_weight"),
            "total_anneal_steps": _warmup,
        },
        {
            "mlp_hidden_size": [600],
            "latent_dimension": 128,
            "dropout_prob": 0.5,
            "anneal_cap": 0.2,
            "total_anneal_steps": 200000,
        },
        {"loss": "multinomial"},
        ("the noise of the latent variable has a hundredth of its deviation there",),
        "users",
    ),
    "NeuMF": ModelMap(
        "neumf",
        {
            "mf_embedding_size": to("embedding_dim"),
            "mlp_embedding_size": to("mlp_dim"),
            "mlp_hidden_size": perceptron("mlp_embedding_size"),
            "dropout_prob": to("dropout"),
            "mf_train": only(True, why="both parts are trained here"),
            "mlp_train": only(True, why="both parts are trained here"),
            "use_pretrain": only(False, why="the parts are not trained beforehand here"),
            "mf_pretrain_path": along_with("use_pretrain"),
            "mlp_pretrain_path": along_with("use_pretrain"),
        },
        {"mf_embedding_size": 64, "mlp_embedding_size": 64, "mlp_hidden_size": [128, 64], "dropout_prob": 0.1},
        {"loss": "bce"},
        (_XAVIER,),
        "items",
    ),
    "NGCF": ModelMap(
        "ngcf",
        {
            **_EMBEDDING,
            "hidden_size_list": same_layers("n_layers", "embedding_size"),
            "node_dropout": only(0, 0.0, why="its kind of dropout of nodes is not that of node_dropout here"),
            "message_dropout": to("message_dropout"),
            "reg_weight": _decay,
            "require_pow": no_effect("the model there does not read it"),
        },
        {"embedding_size": 64, "hidden_size_list": [64, 64, 64], "message_dropout": 0.1, "reg_weight": 1e-5},
        {"loss": "bpr", "layer": "paper"},
        ("a layer's output is scaled to unit length before the next one there, for the score only here",),
    ),
    "Pop": ModelMap("popularity", rows="none"),
    "Random": ModelMap("random", rows="none"),
    "SASRec": ModelMap(
        "sasrec",
        _TRANSFORMER,
        {**_TRANSFORMER_DEFAULTS, "hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.5},
        {
            "norm": "post",
            "norm_embeddings": True,
            "scale_embeddings": False,
            "drop_inner": False,
            "sequence_rows": "prefixes",
        },
        (_DEVIATION,),
        "prefixes",
    ),
    "SimpleX": ModelMap(
        "simplex",
        {
            **_EMBEDDING,
            "margin": to("margin"),
            "negative_weight": to("negative_weight"),
            "gamma": to("user_weight"),
            "aggregator": only("mean", why="the average is the only way to blend a user's items here"),
            "history_len": no("all items of a user are averaged here"),
            "dropout_prob": only(0, 0.0, why=_NO_DROPOUT),
            "reg_weight": _decay,
            "require_pow": along_with("reg_weight"),
        },
        {
            "embedding_size": 64,
            "margin": 0.5,
            "negative_weight": 10,
            "gamma": 0.5,
            "history_len": 50,
            "dropout_prob": 0.1,
            "reg_weight": 1e-5,
        },
        {"loss": "ccl"},
        (_XAVIER,),
    ),
    "SLIMElastic": ModelMap(
        "slim",
        {
            "alpha": no(_ELASTIC),
            "l1_ratio": no(_ELASTIC),
            "positive_only": only(True, why="weights are not negative here"),
            "hide_item": only(True, why="an item never predicts itself here"),
        },
        {"alpha": 0.2, "l1_ratio": 0.02},
        {},
        ("all other items are neighbours there; n_neighbors limits them here",),
        "none",
    ),
}

_LABELLED: Final = (
    "it predicts labels, from .user and .item files that are joined and labels that are made by a threshold; make one "
    "table of these and describe it with: recrun data describe FILE"
)
WITHOUT: Final = {
    **{name: f"{name} is here {here}, but {_LABELLED}" for name, here in (("LR", "lr"), ("FM", "fm"))},
    **{name: f"{name} is here {here}, but {_LABELLED}" for name, here in (("DeepFM", "deepfm"), ("DCN", "dcn"))},
    "DCNV2": f"DCNV2 is here dcnv2, but {_LABELLED}",
    "xDeepFM": f"xDeepFM is here xdeepfm, but {_LABELLED}",
    "AutoInt": f"AutoInt is here autoint, but {_LABELLED}",
    "DIN": f"DIN is here din, but {_LABELLED}; its histories are columns of that table",
    "RecVAE": "RecVAE is recvae here; write a config from recrun show recvae",
    "MultiDAE": "MultiDAE is multdae here; write a config from recrun show multdae",
    "SASRecF": "SASRecF reads features of items; sasrec here reads items alone",
    "GRU4RecF": "GRU4RecF reads features of items; gru4rec here reads items alone",
}
"""Models without a counterpart, and why."""
