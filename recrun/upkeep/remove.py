"""Remove runs and sweeps: all that was asked for is checked first, and each folder goes at once for every reader."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from recrun.errors import ConfigError, Fault
from recrun.files import HeldError, hold, is_held
from recrun.runs.contents import Contents, contents_of, remove_own, set_aside, unwritable
from recrun.runs.new_folder import remove_abandoned, repair_latest
from recrun.upkeep.protected import Protected
from recrun.upkeep.targets import Target, find_targets

_LOCKS: Final = {"run": ".lock", "sweep": "lock"}
_PATIENCE: Final = 1.0
_SHOWN: Final = 3
"""How many foreign files of a folder are named."""


@dataclass(frozen=True)
class Item:
    """A run or a sweep that can be removed.

    Args:
        target: which.
        contents: what its folder holds.
        reasons: why its removal is to be confirmed; nothing for most.
        keeps: the runs of a sweep's last step, which stay.
    """

    target: Target
    contents: Contents
    reasons: list[str]
    keeps: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return what `recrun rm --json` prints of it."""
        return {
            "kind": self.target.kind,
            "path": str(self.target.path),
            "files": len(self.contents.files),
            "bytes": self.contents.size,
            "reasons": self.reasons,
            **({"keeps": self.keeps} if self.target.kind == "sweep" else {}),
        }


@dataclass
class Removal:
    """What was removed.

    Args:
        removed: the runs and sweeps that were removed; those that another process removed meanwhile are nowhere.
        failed: those that are not, with the cause.
        latest: the runs to which links `latest` point now, as theirs were removed.
    """

    removed: list[Item] = field(default_factory=list)
    failed: list[tuple[Item, str]] = field(default_factory=list)
    latest: list[Path] = field(default_factory=list)


def plan_removal(arguments: Sequence[str], runs: str | Path = "runs") -> list[Item]:
    """Return what is to be removed, runs before sweeps; nothing is changed.

    Args:
        arguments: paths of runs and sweeps, or conditions; see `recrun.upkeep.targets.find_targets`.
        runs: the folder of all runs.

    Raises:
        ConfigError: one of them cannot be removed: there is none, it is running, its sweep is running, or its folder
            cannot be written or holds something that recrun did not make.
    """
    targets = find_targets(arguments, runs)
    known = {root: Protected(root, [each for each in targets if each.root == root]) for root in _roots(targets)}
    items, faults = [], []
    for target in sorted(targets, key=lambda each: each.kind):
        protected = known[target.root]
        try:
            contents = contents_of(target.path, target.kind)
        except OSError as error:
            if os.path.lexists(target.path):  # else another process removes it
                faults.append(Fault(f"cannot read {error.filename}: {error.strerror}"))
            continue
        problem = protected.in_use.get(target.path.absolute().parts[-3:]) or _problem(target, contents)
        if problem:
            faults.append(Fault(f"cannot remove the {target.kind} {target.path}: {problem}"))
        items.append(Item(target, contents, protected.reasons(target), protected.keeps(target)))
    if faults:
        raise ConfigError(faults)
    return items


def _roots(targets: Iterable[Target]) -> list[Path]:
    return list(dict.fromkeys(each.root for each in targets))


def _problem(target: Target, contents: Contents) -> str:
    """Return why a folder cannot be removed, or ""."""
    if is_held(target.path / _LOCKS[target.kind]):
        return "it is running; stop it first"
    if contents.foreign:
        more = f" and {len(contents.foreign) - _SHOWN} more" if len(contents.foreign) > _SHOWN else ""
        return f"recrun did not make {', '.join(contents.foreign[:_SHOWN])}{more} in it; move that away"
    locked = unwritable(target.path, contents)
    return "" if locked is None else f"{locked} cannot be written"


def remove(items: Sequence[Item]) -> Removal:
    """Remove runs and sweeps, and have `latest` point at a run that is left.

    A folder is renamed first, to a hidden name that nothing lists, while its lock is held. What is left of it if this
    process is killed goes with the next removal or the next run.

    Args:
        items: what `plan_removal` returned.
    """
    done = Removal()
    for item in items:
        try:
            _remove(item.target)
            done.removed.append(item)
        except HeldError:
            done.failed.append((item, "it is running by now"))
        except OSError as error:
            is_there = os.path.lexists(item.target.path)
            if is_there or not isinstance(error, FileNotFoundError):
                partly = "" if is_there else "; a part of it is removed, and the rest goes with the next recrun rm"
                done.failed.append((item, f"{error.strerror}: {error.filename}{partly}"))
    for root in _roots(item.target for item in items):
        # The folders above stay, though they may be empty: another process may be making a run in them.
        for folder in {item.target.path.parent for item in items if item.target.root == root}:
            remove_abandoned(root, folder)
        with suppress(OSError):
            latest = repair_latest(root)
            done.latest += [] if latest is None else [latest]
    return done


def _remove(target: Target) -> None:
    with hold(target.path / _LOCKS[target.kind], patience=_PATIENCE):
        hidden = set_aside(target.path) if os.name != "nt" else None
    # On Windows, a folder with an open file in it cannot be renamed.
    remove_own(set_aside(target.path) if hidden is None else hidden)
