"""Do as the leader of a run says: train on shares of batches, and rank shares of users."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch

from recrun.training.coach import Coach
from recrun.training.loader import Loader
from recrun.training.parallel.leading_coach import RESTORED
from recrun.training.parallel.process_group import Processes, ProcessLost
from recrun.training.parallel.step import SharedSteps, StoppedEarly
from recrun.training.parallel.table_states import TableStates
from recrun.training.stop_signals import leave_requests_to_others


def follow(coach: Coach, processes: Processes) -> None:
    """Do what the leader says, until it ends.

    Requests to stop are left to the leader, which saves the run first.

    Args:
        coach: has the parts of the run, and its settings from `check`; it opens no run folder.
        processes: this process and the others.
    """
    leave_requests_to_others()
    follower = _Follower(coach, processes)
    try:
        while (order := processes.listen())["do"] != "end":
            follower.do(order)
    except ProcessLost:
        return  # The leader says so, if it is not the one that ended.


class _Follower:
    """Holds what a following process works with."""

    def __init__(self, coach: Coach, processes: Processes) -> None:
        self._coach = coach
        self._states = None if processes.tables is None else TableStates(processes, coach.optimizer)
        self._shared = SharedSteps(coach, processes, send=lambda: self._send("last"))
        coach.evaluator.processes = processes

    def do(self, order: Mapping[str, Any]) -> None:
        if order["do"] == "restore":
            self._restore(order)
        elif order["do"] == "train":
            self._train(order["epoch"], order["step"])
        elif order["do"] == "end_epoch":
            self._coach.steps.end_epoch(order["value"])
        elif order["do"] == "send":
            self._send(order["state"])
        elif order["do"] == "evaluate":
            self._evaluate(order["split"], averaged=order["averaged"])

    def _restore(self, states: Mapping[str, Any]) -> None:
        if self._states is not None:
            states = self._states.dealt(states)
        for name in RESTORED:
            if states.get(name) is not None:
                getattr(self._coach.parts, name).load_state_dict(states[name])

    def _send(self, which: str) -> None:
        """Send the leader the rows of divided tables that a checkpoint has."""
        assert self._states is not None
        self._states.send(self._coach.parts, which)

    def _train(self, epoch: int, step: int) -> None:
        coach, shared = self._coach, self._shared
        coach.model.train()
        loader = Loader(
            shared.pipe,
            mode="train",
            seed=coach.cfg["seed"],
            epoch=epoch,
            device=coach.device,
            skip=step,
            ahead=coach.cfg.get("num_workers", 0) > 0,
        )
        try:
            for number, share in enumerate(loader, start=step):
                shared.train_on(share, epoch, number)
            shared.end()
        except StoppedEarly:
            return
        shared.close()

    def _evaluate(self, split: str, *, averaged: bool) -> None:
        coach = self._coach
        coach.model.eval()
        coach.evaluator.prepare(split)
        with coach.parts.as_evaluated() if averaged else nullcontext(), torch.no_grad():
            coach.evaluator.evaluate(split, lambda done, total: None)
