"""Map the models of WarpRec.

*Source:* the models of WarpRec (https://github.com/sisinflab/warprec).
"""

from __future__ import annotations

from typing import Final

from recrun.importing.convert import confidence, named, perceptron, same_layers
from recrun.importing.draft import Rule, along_with, no, only, to
from recrun.importing.options import ModelMap
from recrun.importing.searched import RATINGS, batch, least_one

_XAVIER: Final = "embeddings start by Xavier's initialisation there, by a normal one with deviation init_std here"
_DECAY: Final = "the L2 term may be scaled otherwise there; choose embedding_decay anew"
_NO_TERM: Final = "the model here has no L2 term of a batch's embeddings; weight_decay is that of the optimizer"
_MEASURES: Final = named({"cosine": "cosine", "dot": "dot", "jaccard": "jaccard", "dice": "dice"}, "measure")
_PAIRS: Final = {"loss": "bpr", "sampler": "uniform", "n_negatives": 1}
_EMBEDDING: Final[dict[str, Rule]] = {
    "embedding_size": to("embedding_dim"),
    "reg_weight": only(0, 0.0, why=_DECAY),
}
_NEIGHBOURS: Final[dict[str, Rule]] = {
    "k": to("n_neighbors"),
    "similarity": to("measure", _MEASURES),
    "normalize": only(True, why="the measure says whether similarities are normalised here: cosine or dot"),
}
_HISTORIES: Final[dict[str, Rule]] = {
    "max_seq_len": to("max_length"),
    "dropout_prob": to("dropout"),
    "reg_weight": only(0, 0.0, why=_NO_TERM),
}
_WHOLE: Final = "batches may count parts of histories there; here they count users"


_SASREC: Final[dict[str, Rule]] = {
    **_HISTORIES,
    "embedding_size": to("embedding_dim"),
    "n_layers": to("n_layers"),
    "n_heads": to("n_heads"),
    "inner_size": to("inner_dim"),
    "attn_dropout_prob": to("attention_dropout"),
}

MODELS: Final[dict[str, ModelMap]] = {
    "ItemKNN": ModelMap("itemknn", _NEIGHBOURS, {}, {"neighbors_of": "source"}, (RATINGS,), "none"),
    "UserKNN": ModelMap("userknn", _NEIGHBOURS, {}, {}, (RATINGS,), "none"),
    "EASE": ModelMap("ease", {"l2": to("reg_weight")}, {}, {}, (RATINGS,), "none"),
    "RP3Beta": ModelMap(
        "rp3beta",
        {
            "k": to("n_neighbors"),
            "alpha": to("alpha"),
            "beta": to("beta"),
            "normalize": to("normalize_neighbors"),
        },
        {},
        {},
        (RATINGS,),
        "none",
    ),
    "Slim": ModelMap(
        "slim",
        dict.fromkeys(
            ("l1", "alpha"),
            no(
                "the squared error is divided by the number of users there: set l1_weight = users x alpha x l1 and "
                "reg_weight = users x alpha x (1 - l1)"
            ),
        ),
        {},
        {},
        ("all other items are neighbours there; n_neighbors limits them here", RATINGS),
        "none",
    ),
    "iALS": ModelMap(
        "ials",
        {
            "factors": to("embedding_dim"),
            "alpha0": to("unobserved_weight"),
            "reg": to("reg_weight"),
            "n_iterations": to("n_iterations"),
            "nu": to("reg_exponent"),
        },
        rows="none",
    ),
    "iALS2008": ModelMap(
        "ials",
        {
            "factors": to("embedding_dim"),
            "n_iterations": to("n_iterations"),
            "alpha": confidence(("alpha", "reg", "confidence_type", "epsilon")),
            **{key: along_with("alpha") for key in ("reg", "confidence_type", "epsilon")},
        },
        {},
        {},
        (RATINGS,),
        "none",
    ),
    "Pop": ModelMap("popularity", rows="none"),
    "Random": ModelMap("random", rows="none"),
    "BPR": ModelMap("bprmf", _EMBEDDING, {}, _PAIRS, (_XAVIER,)),
    "LightGCN": ModelMap(
        "lightgcn",
        {**_EMBEDDING, "n_layers": to("n_layers")},
        {},
        {**_PAIRS, "initialization": "xavier"},
        ("layer k weighs 1 / (1 + k) there, and all layers alike here",),
    ),
    "NGCF": ModelMap(
        "ngcf",
        {
            **_EMBEDDING,
            "weight_size": same_layers("n_layers", "embedding_size"),
            "node_dropout": only(0, 0.0, why="its kind of dropout of nodes is not that of node_dropout here"),
            "message_dropout": to("message_dropout"),
        },
        {},
        {**_PAIRS, "layer": "paper"},
        (),
    ),
    "XSimGCL": ModelMap(
        "xsimgcl",
        {
            **_EMBEDDING,
            "n_layers": to("n_layers"),
            "lambda_": to("contrast_weight"),
            "eps": to("noise"),
            "temperature": to("contrast_temperature"),
            "layer_cl": to("contrast_layer"),
        },
        {},
        _PAIRS,
        (),
    ),
    "MultiVAE": ModelMap(
        "multvae",
        {
            "intermediate_dim": to("hidden_dim"),
            "latent_dim": to("latent_dim"),
            "corruption": to("dropout"),
            "anneal_cap": to("kl_weight"),
            "anneal_step": no("a number of epochs there, of batches here: kl_warmup_steps"),
        },
        {},
        {"loss": "multinomial"},
        ("the KL divergence is a mean over the latent dimensions there, a sum here: divide kl_weight by latent_dim",),
        "users",
    ),
    "NeuMF": ModelMap(
        "neumf",
        {
            "mf_embedding_size": to("embedding_dim"),
            "mlp_embedding_size": to("mlp_dim"),
            "mlp_hidden_size": perceptron("mlp_embedding_size"),
            "dropout": to("dropout"),
            "mf_train": only(True, why="both parts are trained here"),
            "mlp_train": only(True, why="both parts are trained here"),
            "reg_weight": only(0, 0.0, why=_NO_TERM),
            "neg_samples": to("n_negatives", least_one),
            "batch_size": batch("neg_samples"),
        },
        {},
        {"loss": "bce", "sampler": "uniform"},
        (_XAVIER,),
        "items",
    ),
    "SASRec": ModelMap(
        "sasrec",
        {**_SASREC, "neg_samples": to("n_negatives", least_one)},
        {},
        {"loss": "bce"},
        (_WHOLE,),
        "histories",
    ),
    "gSASRec": ModelMap(
        "sasrec",
        {
            **_SASREC,
            "gbce_t": to("calibration"),
            "neg_samples": to("n_negatives", least_one),
            "reuse_item_embeddings": only(True, why="items are scored by the embeddings of the history here"),
        },
        {},
        {"loss": "gbce"},
        (_WHOLE,),
        "histories",
    ),
    "GRU4Rec": ModelMap(
        "gru4rec",
        {
            **_HISTORIES,
            "embedding_size": to("embedding_dim"),
            "hidden_size": to("hidden_dim"),
            "num_layers": to("n_layers"),
            "neg_samples": to("n_negatives", least_one),
        },
        {},
        {"loss": "bce"},
        (_WHOLE,),
        "histories",
    ),
    "BERT4Rec": ModelMap(
        "bert4rec",
        {
            **_HISTORIES,
            "embedding_size": to("embedding_dim"),
            "n_layers": to("n_layers"),
            "n_heads": to("n_heads"),
            "inner_size": to("inner_dim"),
            "attn_dropout_prob": to("attention_dropout"),
            "mask_prob": to("mask_ratio"),
            "neg_samples": only(0, why="the model here is trained by the cross entropy over all items"),
        },
        {},
        {"loss": "cross_entropy"},
        (_WHOLE,),
        "histories",
    ),
}

WITHOUT: Final = {
    "MultiDAE": "MultiDAE is multdae here; write a config from recrun show multdae",
    "SGL": "SGL is made in other ways there; write a config from recrun show sgl",
    "LightGCNpp": "LightGCNpp is not here; lightgcn is the nearest",
    "ADMMSlim": "ADMMSlim is not here; slim is the nearest",
    "UltraGCN": "UltraGCN weighs its terms otherwise there; write a config from recrun show ultragcn",
}
"""Models without a counterpart, and why."""
