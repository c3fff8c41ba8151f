"""Choose the seeds of the last step: those that the search had, fewer of them, or further ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from recrun.sweep.final.choice import Crowned
from recrun.sweep.points import REPEATS

MOST: Final = 1000
"""The most seeds of a last step."""
_SEED: Final = "seed"


def with_seeds(trials: Sequence[Crowned], n: int | None = None) -> dict[int, Crowned]:
    """Return what is trained, by the number that its run has whatever `n` is.

    Where a point has several folds, or seeds of splits, each of these has the seeds.

    Args:
        trials: the trials of the chosen point.
        n: how many seeds: the first ones of the search, then those counted on from its largest; None for its own.

    Returns:
        The trials of the search by their positions, and further ones, which have the settings of a trial of the search
        but for the seed.
    """
    if n is None:
        return dict(enumerate(trials))
    groups: dict[str, list[int]] = {}
    for position, trial in enumerate(trials):
        others = {key: trial.settings.get(key) for key in REPEATS if key != _SEED}
        groups.setdefault(repr(others), []).append(position)
    found = {position: trials[position] for members in groups.values() for position in members[:n]}
    found = dict(sorted(found.items()))
    for k in range(n):
        for place, members in enumerate(groups.values()):
            if k < n - len(members):
                number = len(trials) + k * len(groups) + place
                found[number] = _with_seed(trials[members[0]], _largest(trials, members) + 1 + k)
    return found


def _largest(trials: Sequence[Crowned], members: Iterable[int]) -> int:
    return max(int(trials[position].settings[_SEED]) for position in members)


def _with_seed(trial: Crowned, seed: int) -> Crowned:
    return replace(trial, settings={**trial.settings, _SEED: seed}, overrides={**trial.overrides, _SEED: seed})


def n_seeds_with(trials: Sequence[Crowned], seeds: Iterable[object]) -> int:
    """Return how many seeds a last step must have to have all of these; others than it could have are left out."""
    own = list(dict.fromkeys(int(trial.settings[_SEED]) for trial in trials))
    ends = [
        own.index(seed) + 1 if seed in own else len(own) + seed - max(own)
        for seed in seeds
        if type(seed) is int and (seed in own or seed > max(own))
    ]
    return max((end for end in ends if end <= MOST), default=0)
