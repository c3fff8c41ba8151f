"""Map the models of Elliot, by the names of their settings in versions 0.3 and 1.

*Source:* the models of Elliot (https://github.com/sisinflab/elliot).
"""

from __future__ import annotations

from typing import Any, Final

from recrun.importing.convert import confidence, minus_one, named, numbers, one_minus, perceptron, same_layers, times
from recrun.importing.draft import Draft, Rule, Unmapped, along_with, no, no_effect, only, to
from recrun.importing.options import ModelMap
from recrun.importing.searched import RATINGS, batch, least_one
from recrun.importing.yaml_tree import Entry

_USERS: Final = {"loss": "bpr", "sampler": "uniform", "n_negatives": 1, "positives": "users"}
_XAVIER: Final = "embeddings start by Xavier's initialisation there, by a normal one with deviation init_std here"
_SUMS: Final = "the loss is a sum over a batch there, a mean here; with Adam that makes no difference"
_SINGLE: Final = "steps are of plain gradient descent there, with a bias of each item; choose lr and batch_size anew"
_MEASURES: Final = named(
    {
        **{name: name for name in ("cosine", "dot", "pearson", "tversky", "dice", "jaccard")},
        "asym": "asymmetric",
        "asymmetric": "asymmetric",
    },
    "measure",
)
_RATE: Final[dict[str, Rule]] = {"lr": to("lr"), "learning_rate": to("lr")}
_MEMORY: Final = no_effect("only memory and time depend on it")


def _one_rate(value: Any) -> Any:
    """Return the dropout rate of all layers, if it is one."""
    if not isinstance(value, str):
        return value
    rates = set(numbers(value))
    if len(rates) != 1:
        raise Unmapped("all layers have one rate here")
    return rates.pop()


def _where(setting: str, measure: str) -> Rule:
    """Return the rule for a setting that one measure alone has."""

    def rule(draft: Draft, entry: Entry) -> None:
        value: Any = draft.value("similarity", "cosine")
        if entry.value in (None, False) or measure not in (value if isinstance(value, list) else [value]):
            draft.skip(entry, f"of the similarity {measure} alone")
        else:
            to(setting)(draft, entry)

    return rule


_NEIGHBOURS: Final[dict[str, Rule]] = {
    "neighbors": to("n_neighbors", minus_one),
    "neighborhood": to("n_neighbors", minus_one),
    "similarity": to("measure", _MEASURES),
    "shrink": to("shrink"),
    "implementation": no_effect("the computation is the same for the measures that are here"),
    "implicit": only(True, why=RATINGS),
    "normalize": only(True, why="the measure says whether similarities are normalised here: cosine or dot"),
    "asymmetric_alpha": _where("asymmetric_alpha", "asym"),
    "tversky_alpha": _where("tversky_alpha", "tversky"),
    "tversky_beta": _where("tversky_beta", "tversky"),
    "alpha": _where("tversky_alpha", "tversky"),
    "beta": _where("tversky_beta", "tversky"),
    "row_weights": only(None, False, why="features are weighted by feature_weights here"),
    "normalize_similarity": to("normalize_neighbors"),
    "batch_size": _MEMORY,
}
_GRAPH: Final[dict[str, Rule]] = {**_RATE, "factors": to("embedding_dim"), "n_layers": to("n_layers")}

_BPRMF: Final = ModelMap(
    "bprmf",
    {
        "factors": to("embedding_dim"),
        **dict.fromkeys(("lr", "learning_rate", "batch_size"), no(_SINGLE)),
        **dict.fromkeys(
            (
                *("bias_regularization", "user_regularization", "positive_item_regularization"),
                *("negative_item_regularization", "lambda_bias", "lambda_user", "lambda_pos_i", "lambda_neg_i"),
            ),
            no("one weight is for users, positives and negatives here: embedding_decay"),
        ),
        **dict.fromkeys(
            ("update_negative_item_factors", "update_users", "update_items", "update_bias"),
            only(True, why="all embeddings are trained here"),
        ),
    },
    {},
    _USERS,
    (_SINGLE,),
)
_BATCHES: Final = ModelMap(
    "bprmf",
    {
        **_RATE,
        "factors": to("embedding_dim"),
        "l_w": to("embedding_decay", why=_SUMS),
        "lambda_weights": to("embedding_decay"),
        "l_b": only(0, 0.0, why="items have no biases here"),
    },
    {},
    _USERS,
    (_XAVIER,),
)
_IALS: Final = ModelMap(
    "ials",
    {
        "factors": to("embedding_dim"),
        "epochs": to("n_iterations"),
        "alpha": confidence(("alpha", "reg", "scaling", "epsilon")),
        **{key: along_with("alpha") for key in ("reg", "scaling", "epsilon")},
    },
    {"alpha": 1, "reg": 0.1, "scaling": "linear", "epsilon": 1},
    {},
    (RATINGS,),
    "none",
)

MODELS: Final[dict[str, ModelMap]] = {
    "ItemKNN": ModelMap("itemknn", _NEIGHBOURS, {"similarity": "cosine"}, {}, (RATINGS,), "none"),
    "UserKNN": ModelMap("userknn", _NEIGHBOURS, {"similarity": "cosine"}, {}, (RATINGS,), "none"),
    "EASER": ModelMap(
        "ease",
        {"l2_norm": to("reg_weight"), "neighborhood": only(-1, why="all items are used here")},
        {"l2_norm": 1000},
        {},
        (RATINGS,),
        "none",
    ),
    "RP3beta": ModelMap(
        "rp3beta",
        {
            "neighborhood": to("n_neighbors", minus_one),
            "alpha": to("alpha"),
            "beta": to("beta"),
            "normalize_similarity": to("normalize_neighbors"),
        },
        {"neighborhood": 10, "alpha": 1.0, "beta": 0.6, "normalize_similarity": False},
        {},
        (RATINGS,),
        "none",
    ),
    "Slim": ModelMap(
        "slim",
        {
            "neighborhood": to("n_neighbors", minus_one),
            **dict.fromkeys(
                ("alpha", "l1_ratio"),
                no(
                    "the squared error is divided by the number of users there: set l1_weight = users x alpha x "
                    "l1_ratio and reg_weight = users x alpha x (1 - l1_ratio)"
                ),
            ),
        },
        {},
        {},
        (RATINGS,),
        "none",
    ),
    "PureSVD": ModelMap("puresvd", {"factors": to("embedding_dim")}, {"factors": 10}, {}, (RATINGS,), "none"),
    "iALS": _IALS,
    "MostPop": ModelMap("popularity", rows="none"),
    "Random": ModelMap("random", {"random_seed": to("seed")}, rows="none"),
    "BPRMF": _BPRMF,
    "BPRMF_batch": _BATCHES,
    "BPRMFBatch": _BATCHES,
    "LightGCN": ModelMap(
        "lightgcn",
        {
            **_GRAPH,
            "l_w": to("embedding_decay", times(2), "weighs the squared norms there, half of them here"),
            "lambda_weights": to("embedding_decay"),
            "n_fold": _MEMORY,
            "normalize": only(True, why="the graph is normalised here"),
        },
        {"lr": 0.0005, "n_layers": 1},
        {**_USERS, "initialization": "xavier"},
        ("layer k weighs 1 / (1 + k) there, and all layers alike here",),
    ),
    "NGCF": ModelMap(
        "ngcf",
        {
            **_RATE,
            "factors": to("embedding_dim"),
            "n_layers": to("n_layers"),
            "weight_size": same_layers("n_layers", "factors"),
            "l_w": no("the L2 term is scaled otherwise there; choose embedding_decay anew"),
            "lambda_weights": to(
                "embedding_decay", why="the L2 term is on the embeddings before propagation there, on all layers here"
            ),
            "node_dropout": only(
                0,
                0.0,
                "()",
                "(0,)",
                "(0,0)",
                "(0,0,0)",
                why="its kind of dropout of nodes is not that of node_dropout here",
            ),
            "message_dropout": to("message_dropout", _one_rate),
            "normalize": only(True, why="the graph is normalised here"),
            "n_fold": _MEMORY,
        },
        {"lr": 0.0005},
        {**_USERS, "layer": "paper"},
        ("version 1 averages the layers there, and they are concatenated here",),
    ),
    "MultiVAE": ModelMap(
        "multvae",
        {
            **_RATE,
            "intermediate_dim": to("hidden_dim"),
            "latent_dim": to("latent_dim"),
            "dropout_pkeep": to("dropout", one_minus, "the share that is dropped here, that is kept there"),
            "reg_lambda": no("the weights have no L2 term here; weight_decay is that of the optimizer"),
        },
        {"intermediate_dim": 600, "latent_dim": 200, "dropout_pkeep": 1.0, "lr": 0.001},
        {"loss": "multinomial", "kl_weight": 0.2, "kl_warmup_steps": 40000},
        ("the weight of the KL divergence grows by 1/200,000 a batch up to 0.2 there: over 40,000 batches",),
        "users",
    ),
    "NeuMF": ModelMap(
        "neumf",
        {
            **_RATE,
            "mf_factors": to("embedding_dim"),
            "embed_mf_size": to("embedding_dim"),
            "mlp_factors": to("mlp_dim"),
            "embed_mlp_size": to("mlp_dim"),
            "mlp_hidden_size": perceptron("mlp_factors"),
            "mlp_hidden_sizes": perceptron("embed_mlp_size"),
            "dropout": to("dropout"),
            "prob_keep_dropout": to("dropout", one_minus, "the share that is dropped here, that is kept there"),
            "is_mf_train": only(True, why="both parts are trained here"),
            "is_mlp_train": only(True, why="both parts are trained here"),
            "m": to("n_negatives", least_one),
            "batch_size": batch("m"),
            "lambda_weights": no("is declared there and never used"),
            "batch_eval_items": _MEMORY,
        },
        {},
        {"loss": "bce", "sampler": "uniform"},
        ("without mlp_hidden_size, layers are 4, 2 and 1 times as wide as mf_factors there; here they halve",),
        "items",
    ),
}


WITHOUT: Final = {
    "AttributeItemKNN": "AttributeItemKNN reads features of items; itemknn here reads interactions alone",
    "AttributeUserKNN": "AttributeUserKNN reads features of items; userknn here reads interactions alone",
    "MultiDAE": "MultiDAE is multdae here; write a config from recrun show multdae",
    "MF2020": "MF2020 is not here; bprmf with loss: bce is the nearest",
    "MF2020Batch": "MF2020Batch is not here; bprmf with loss: bce is the nearest",
    "RendleMF": "RendleMF is not here; bprmf with loss: bce is the nearest",
    "WRMF": "WRMF is not here; ials is the nearest",
    "FM": "FM there ranks by features; fm here predicts labels",
    "DeepFM": "DeepFM there ranks by features; deepfm here predicts labels",
}
"""Models without a counterpart, and why."""
