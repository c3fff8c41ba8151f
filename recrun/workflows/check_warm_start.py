"""Check that the values of a model can be taken into another one by the original ids of users and items."""

from __future__ import annotations

from functools import partial
from typing import cast

import numpy as np
import torch

from recrun.architectures.axes import axes_of
from recrun.architectures.base import RecSysArch
from recrun.architectures.take_rows import Matched, misfit, take_rows
from recrun.errors import RegistryError
from recrun.randomness import generator
from recrun.workflows.build import build_model
from recrun.workflows.checked_subject import SEED, Broken, Subject, renumbered


@torch.no_grad()
def warm_start(subject: Subject) -> None:
    """Its values fit a model of users and items in another order and number, which then gives the same scores."""
    if not subject.family.trains or subject.family.evaluation == "predictions":
        return
    coach, resolved = subject.coach, subject.resolve()
    data = coach.dataset.base.training_data()
    more = {"user": 2, "item": 0 if coach.model.rereads_scores else 4}
    old = {"user": data.n_users, "item": data.n_items}
    new = {kind: old[kind] + more[kind] for kind in old}
    places = {kind: generator(SEED, 0, f"check {kind}").permutation(new[kind])[: old[kind]] for kind in old}
    build = partial(build_model, resolved)
    try:
        axes = axes_of(coach.model, data, build)
    except RegistryError as error:
        raise Broken(str(error)) from None
    moved = build(renumbered(data, places["user"], places["item"], more)).eval()
    state, matched = coach.model.state_dict(), {kind: Matched(np.arange(old[kind]), places[kind]) for kind in old}
    mine = moved.state_dict()
    misfits = [misfit(name, axes[name], state[name], mine[name], old) for name in axes]
    wrong = next(filter(None, misfits), None)
    if wrong is not None:
        raise Broken(f"built from the same rows in another order, {wrong}; declare tensor_axes")
    take_rows(moved, state, axes, matched, old, new)
    users = torch.from_numpy(places["user"])
    scores = cast(RecSysArch, moved).score(users)[:, torch.from_numpy(places["item"])]
    if not torch.allclose(scores, subject.scores, rtol=1e-3, atol=1e-5):
        off = float((scores - subject.scores).abs().max())
        raise Broken(
            f"with its values taken by original ids, scores differ by up to {off:.2g}; tensor_axes of the class must "
            "say what the rows of each tensor stand for"
        )
