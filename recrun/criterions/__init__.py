"""Losses, chosen by name and independent of the model.

A script calls a loss directly. The built-in training loop calls one of its methods: `from_users` or, for positions of
histories, `from_scores` for sampled negatives, `from_all` for one positive among the scores of all items, `from_rows`
for all items of a user at once. A loss that compares the rows of one user overrides `from_users`, which otherwise is
`from_scores`; one that need not hold the scores of all items overrides `from_products`, which otherwise is `from_all`
of the products. The traits of a loss tell the config layer what it needs before torch is imported (see
`recrun.registry.traits.LossTraits`): `min_negatives`, the fewest sampled negatives that make sense (1 by default);
`scores="cosine"` for scores within [-1, 1]; `trains_on="users"` for users' whole rows; and, in the body of the class,
`ranks_all_items` and `compares_vectors`. A loss with none of the last three takes sampled negatives.
"""

from recrun.criterions.base import BaseCriterion
from recrun.criterions.contrastive import CCLLoss, DirectAULoss
from recrun.criterions.pairwise import BPRLoss, HingeLoss, WARPLoss
from recrun.criterions.pointwise import BCELoss4Logits, GBCELoss, L1Loss, MSELoss
from recrun.criterions.session import BPRMaxLoss, TOP1Loss, TOP1MaxLoss
from recrun.criterions.softmax import BSLLoss, CrossEntropy4Logits, SampledSoftmax
from recrun.criterions.whole_rows import MultinomialLoss, RowMSELoss, WholeDataLoss

__all__ = [
    "BCELoss4Logits",
    "BPRLoss",
    "BPRMaxLoss",
    "BSLLoss",
    "BaseCriterion",
    "CCLLoss",
    "CrossEntropy4Logits",
    "DirectAULoss",
    "GBCELoss",
    "HingeLoss",
    "L1Loss",
    "MSELoss",
    "MultinomialLoss",
    "RowMSELoss",
    "SampledSoftmax",
    "TOP1Loss",
    "TOP1MaxLoss",
    "WARPLoss",
    "WholeDataLoss",
]
