"""Give the name here of a component that other programs (RecBole, Elliot, Cornac, LensKit, ...) name otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from recrun.errors import nearest

_ELSEWHERE: Final[dict[str, dict[str, str]]] = {
    "models": {
        "bprmf": "bpr bprmatrixfactorization mf mfbpr matrixfactorization biasedmf funksvd",
        "ease": "easer easerr embarrassinglyshallow embarrassinglyshallowautoencoder",
        "popularity": "pop mostpop mostpopular popular toppop toppopular popscore itempop",
        "itemknn": "itemknncf iknn itemitem itemcf itembased itemknearestneighbors",
        "userknn": "userknncf uknn useruser usercf userbased",
        "ials": "als wmf wrmf wals implicitmf implicitmfscorer alternatingleastsquares",
        "youtubednn": "youtubenet youtube",
        "cml": "collmetric collaborativemetriclearning",
        "multdae": "multidae dae",
        "multvae": "multivae multvaecf vae vaecf",
        "lightgcn": "lgcn lightgcncf",
        "neumf": "ncf neucf neuralcf neuralmf",
        "puresvd": "svd truncatedsvd",
        "slim": "slimelastic fslim fsslim",
        "rp3beta": "rp3 rp3b",
        "random": "rand randomrec",
        "sasrec": "sasreccpr sas",
        "bert4rec": "bert",
        "gru4rec": "gru gru4recplus",
        "lr": "logisticregression logistic",
        "fm": "factorizationmachine factorizationmachines",
        "deepfm": "dfm",
        "dcn": "deepcross deepcrossnetwork deepandcross deepandcrossnetwork",
        "dcnv2": "dcn2 dcnmix deepcrossv2 deepcrossnetworkv2",
        "xdeepfm": "cin xdfm",
        "finalmlp": "dualmlp",
        "autoint": "autointplus",
        "din": "deepinterest deepinterestnetwork",
    },
    "losses": {
        "bpr": "bprloss",
        "bpr_max": "bprmaxloss",
        "top1": "top1loss",
        "top1_max": "top1maxloss",
        "bce": "bceloss bcewithlogits bcewithlogitsloss binarycrossentropy logloss",
        "cross_entropy": "ce celoss crossentropyloss softmax softmaxloss",
        "mse": "mseloss",
        "l1": "l1loss mae",
        "hinge": "hingeloss marginloss",
        "sampled_softmax": "ssm ssmloss infonce",
        "multinomial": "multinomiallikelihood nll",
    },
    "datasets": {
        "Gowalla_m1": "gowalla",
        "Yelp18_m1": "yelp yelp18 yelp2018",
        "AmazonBooks_m1": "amazonbook amazonbooks",
        "AmazonCDs_m1": "amazoncds amazoncd",
        "MovieLens100K": "ml100k movielens100k",
        "MovieLens1M": "ml1m movielens1m movielens",
        "MovieLensLatestSmall": "mllatestsmall movielenssmall",
        "Beauty": "amazonbeauty",
        "LastFM": "lastfm1k lastfm2k",
    },
    "metrics": {
        "hitrate": "hit hits hr hitratio",
        "recall": "rec r",
        "precision": "prec p",
        "ndcg": "n normalizeddcg",
        "map": "meanaverageprecision ap",
        "mrr": "meanreciprocalrank rr",
        "coverage": "itemcoverage itemcov",
        "gini": "giniindex",
        "popularity": "averagepopularity arp avgpop",
        "logloss": "bce binarycrossentropy",
        "gauc": "groupauc groupedauc",
        "f1": "fmeasure fscore",
        "diversity": "ild intralistdiversity intralistdistance intralistsimilarity ils",
        "serendipity": "unexpectedness",
        "aplt": "averagepercentageoflongtailitems longtail longtailpercentage tailpercentage",
        "poplift": "popularitylift pl",
        "miscalibration": "calibration kl klcalibration upd",
        "ips_recall": "unbiasedrecall snipsrecall",
        "ips_ndcg": "unbiasedndcg snipsndcg",
    },
    "optimizers": {"adam": "torchoptimadam"},
    "lr_schedulers": {
        "step": "steplr multistep multisteplr",
        "exponential": "exponentiallr exp",
        "cosine": "cosineannealing cosineannealinglr",
        "plateau": "reducelronplateau reduceonplateau",
        "none": "constant constantlr",
        "linear": "linearlr lineardecay linearwarmup linearwithwarmup",
        "cosine_steps": "cosinewarmup cosinewithwarmup",
        "warmup_steps": "constantwithwarmup",
    },
    "samplers": {"uniform": "uni random", "popularity": "pop popular", "dns": "dynamic hard", "in_batch": "inbatch"},
    "splits": {
        "ratio": "rs random randomsubsampling usersplit",
        "leave_one_out": "ls loo leaveoneout",
        "time": "temporal temporalholdout globaltime",
        "user_time": "usertemporal",
        "k_fold": "cv crossvalidation kfold",
    },
}
"""What other programs call a component, in small letters and digits, by the plural of its kind and its name here."""


def meant_name(plural: str, name: str, choices: Iterable[str]) -> str | None:
    """Return the component that a name was most likely meant to be: by its name elsewhere, else the nearest name.

    Args:
        plural: the kind of component, as in `recrun list`.
        name: the name as it was written; case and marks are ignored.
        choices: the registered names.

    >>> meant_name("models", "BPR-MF", ["bprmf", "ease"]), meant_name("models", "EASE^R", ["bprmf", "ease"])
    ('bprmf', 'ease')
    """
    known = sorted(choices)
    return same_name(plural, name, known) or nearest(name, known)


def same_name(plural: str, name: str, choices: Iterable[str]) -> str | None:
    """Return the component that has a name, here or elsewhere, or None; near names do not count.

    Arguments as for `meant_name`.

    >>> same_name("metrics", "HR", ["hitrate", "mrr"]), same_name("metrics", "MR", ["hitrate", "mrr"])
    ('hitrate', None)
    """
    known = sorted(choices)
    bare = _bare(name)
    for choice in known:
        if bare and _bare(choice) == bare:
            return choice
    for choice, spellings in _ELSEWHERE.get(plural, {}).items():
        if bare in spellings.split() and choice in known:
            return choice
    return None


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
