"""Evaluate a model during a run: always under the same protocol, keeping what its settings ask to be kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from recrun.config.family import family_of_class
from recrun.config.monitor_names import MetricName
from recrun.data.interactions import CSR
from recrun.data.postprocessing.mode import check_mode
from recrun.evaluation.evaluate_split import Evaluation, evaluate_split
from recrun.evaluation.protocol import Protocol
from recrun.evaluation.sharing import Sharing
from recrun.metrics.groups import Grouping
from recrun.metrics.per_user import PerUser


class Evaluator:
    """Evaluates a model on the parts of a data set.

    Args:
        model: the model.
        base: the data set.
        metrics: those to compute.
        settings: every setting of the run by its key.
        device: where the model is.
        groupings: groups to break final metrics down by.

    Attributes:
        protocol: which items are ranked for whom.
        per_user: the metrics of each user, by split, at its last evaluation.
        best_per_user: those of the best validation so far; None if it was before a resume.
        groups: the metrics of groups, by split, at its last evaluation that broke them down.
        searches: how well an approximate index found the items, by split, at its last evaluation.
        best_search: that of the best validation so far; None if it was before a resume.
        processes: those that share the work; None for one process.
    """

    def __init__(
        self,
        model: Any,
        base: Any,
        metrics: Sequence[MetricName],
        settings: Mapping[str, Any],
        device: torch.device,
        groupings: Sequence[Grouping] = (),
    ) -> None:
        self.protocol = Protocol.of(settings)
        self.per_user: dict[str, PerUser] = {}
        self.best_per_user: PerUser | None = None
        self.groups: dict[str, Any] = {}
        self.searches: dict[str, Any] = {}
        self.best_search: dict[str, Any] | None = None
        self.processes: Sharing | None = None
        self._groupings = tuple(groupings)
        self._model, self._base, self._metrics, self._device = model, base, metrics, device
        family = family_of_class(type(model))
        self._ranks, self._reads_histories = family.evaluation == "ranking", family.histories
        self._memory_mb = settings.get("eval_memory", 512)
        self.keeps_users: bool = settings.get("per_user", True)

    def prepare(self, split: str) -> None:
        """Have a model of histories read what precedes a split: of all users, or of those whose vectors are made here.

        Args:
            split: "valid" or "test".
        """
        if not self._reads_histories:
            return
        histories: CSR = self._base.histories(check_mode(split))
        divided = None if self.processes is None else self.processes.tables
        if divided is not None:
            histories = histories.between(divided.users.start, divided.users.stop)
        self._model.take_histories(histories)

    def evaluate(self, split: str, progress: Callable[[int, int], None], *, in_groups: bool = False) -> Evaluation:
        """Evaluate "valid" or "test"; arguments as for `evaluate_split`.

        Args:
            split: which.
            progress: is called after each block.
            in_groups: whether metrics are broken down, if there are groups.
        """
        self.per_user.pop(split, None)
        found = evaluate_split(
            self._model,
            self._base,
            split,
            self._metrics,
            device=self._device,
            memory_mb=self._memory_mb,
            progress=progress,
            keep_users=self.keeps_users,
            relevant=self.protocol.relevant(self._base, split) if self._ranks else None,
            candidates=self.protocol.candidates(self._base, split),
            groupings=self._groupings if in_groups else (),
            masks_seen=self.protocol.masks_seen,
            sharing=self.processes,
            search=self.protocol.search,
        )
        if found.per_user is not None:
            self.per_user[split] = found.per_user
        if found.groups is not None:
            self.groups[split] = found.groups
        if found.search is not None:
            self.searches[split] = found.search
        return found

    def keep_best(self) -> None:
        """Keep what is known of each user and of the index at the last validation as that of the best one."""
        self.best_per_user, self.best_search = self.per_user.get("valid"), self.searches.get("valid")
