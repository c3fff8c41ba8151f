"""Evaluate a model on one split: rank all items for every user, or predict every label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from recrun.config.family import family_of_class
from recrun.config.monitor_names import MetricName, kind_of
from recrun.data.interactions import CSR, Interactions
from recrun.data.postprocessing.mode import check_mode
from recrun.evaluation.index_search import IndexSearch
from recrun.evaluation.sharing import Sharing
from recrun.evaluation.user_sample import UserSample
from recrun.metrics.groups import Grouping
from recrun.metrics.kinds import Evaluated, MeanOverUsers, MetricKind
from recrun.metrics.per_user import PerUser
from recrun.metrics.totals import Totals, find_kind
from recrun.registry import METRICS


class Evaluation(NamedTuple):
    """The values of the metrics, `Undefined` where they are, and the numbers of users evaluated and skipped.

    `per_user` has the original ids of the ranked users, and their values of the metrics that are means over users; it
    is None where labels are predicted, or where it was not asked for. `groups` has the metrics of groups, if there are
    any, and `search` how well an approximate index found the items, if one was searched.
    """

    values: dict[str, float]
    n_users: int
    n_skipped: int
    per_user: PerUser | None = None
    groups: dict[str, Any] | None = None
    search: dict[str, Any] | None = None


def evaluate_split(
    model: Any,
    base: Any,
    split: str,
    metrics: Sequence[MetricName],
    *,
    device: torch.device,
    memory_mb: int,
    progress: Callable[[int, int], None],
    keep_users: bool = False,
    relevant: CSR | None = None,
    candidates: CSR | None = None,
    groupings: Sequence[Grouping] = (),
    masks_seen: bool = True,
    sharing: Sharing | None = None,
    search: IndexSearch | None = None,
) -> Evaluation:
    """Compute metrics of a model on one split.

    Args:
        model: in evaluation mode.
        base: the data set.
        split: "valid" or "test".
        metrics: those to compute.
        device: where the model is.
        memory_mb: memory that ranking may use besides the model, in MB.
        progress: called as `progress(done, total)`, in users or rows, after each block.
        keep_users: whether the values of each user are wanted.
        relevant: the items to be found of the users that are evaluated, U rows; those of the split if None.
        candidates: the items that are ranked for each user; all if None.
        groupings: groups to break the metrics of rankings down by.
        masks_seen: whether items that a user has interacted with before are left out of the ranking.
        sharing: the processes that share the work; the metrics are found in the one that leads.
        search: the approximate index in which the items are found; None to rank all of them.
    """
    if family_of_class(type(model)).evaluation == "predictions":
        from recrun.evaluation.predictions import measure, predict

        probabilities, labels, users = predict(model, base, split, device, progress=progress, sharing=sharing)
        if sharing is not None and not sharing.leads:
            return Evaluation({}, 0, 0)
        return Evaluation(measure(probabilities, labels, users, metrics, base), len(set(users.tolist())), 0)
    from recrun.evaluation.held_out_users import scored_as
    from recrun.evaluation.ranking import evaluate_ranking

    mode = check_mode(split)
    known, of_all = base.seen(mode), base.csr(mode)
    result = evaluate_ranking(
        scored_as(model, base),
        seen=known if masks_seen else CSR.empty(base.n_users),
        known=known,
        relevant=of_all if relevant is None else relevant,
        n_items=base.n_items,
        metrics=metrics,
        device=device,
        memory_mb=memory_mb,
        progress=progress,
        dataset=base,
        keep_users=keep_users,
        candidates=candidates,
        groupings=groupings,
        sharing=sharing,
        search=search,
    )
    kept = result.per_user
    per_user = None if kept is None else PerUser(base.user_ids[kept.users_U], kept.values)
    n_skipped = int((of_all.lengths == 0).sum())
    return Evaluation(dict(result.values), result.n_users, n_skipped, per_user, result.groups, result.search)


def undefined_metrics(
    model: Any,
    base: Any,
    split: str,
    metrics: Sequence[MetricName],
    *,
    masks_seen: bool = True,
    sample: UserSample | None = None,
) -> dict[str, str]:
    """Return the metrics that are undefined on a split whatever the model predicts, with the reasons.

    Args:
        model: the model; its family and, if it predicts labels, their column are looked at.
        base: the data set.
        split: "valid" or "test".
        metrics: those to compute.
        masks_seen: whether items that a user has interacted with before are left out of the ranking.
        sample: which users are evaluated; all if None.
    """
    mode, sample = check_mode(split), sample or UserSample()

    def find(rows: Interactions) -> dict[str, str]:
        if family_of_class(type(model)).evaluation == "predictions":
            data = Evaluated(dataset=base, targets_N=rows.columns[model.label], users_N=rows.users)
            return Totals(metrics, "predictions", data).undefined()
        # That there are relevant items is all that most metrics need, and seen items take time to gather.
        judged = [metric for metric in metrics if not len(rows) or _looks_at_seen(metric)]
        if not judged:
            return {}
        known = base.seen(mode)
        masked = known if masks_seen else CSR.empty(base.n_users)
        relevant = sample.drawn(rows.csr(base.n_users), split)
        data = Evaluated(base.n_items, known, relevant, base, masked=masked)
        return Totals(judged, "ranking", data).undefined()

    found: dict[str, str] = base.reasons(mode, find)
    return found


def _looks_at_seen(metric: MetricName) -> bool:
    """Return whether the kind of a metric says by more than the relevant items when it is undefined."""
    kind = find_kind(kind_of(METRICS.describe(metric.name)).name)
    return getattr(kind, "undefined", None) not in (MetricKind.undefined, MeanOverUsers.undefined)
