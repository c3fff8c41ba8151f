"""Folders of finished runs with made-up numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.files import to_json
from recrun.metrics.per_user import PerUser, mean_of_users
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import write_per_user

N_USERS = 40
BEST = 0.104
"""By how much the best of three groups is better than the worst."""

MakeRun = Callable[..., RunFolder]


def values_of_users(seed: int, shift: float, metrics: Sequence[str], n_users: int = N_USERS) -> dict[str, np.ndarray]:
    """Return values that differ by users alike for all runs, and a little by runs."""
    taste = np.random.default_rng(99).normal(0.4, 0.1, n_users)
    noise = np.random.default_rng(1_000 * seed + round(1_000 * shift)).normal(0, 0.02, (len(metrics), n_users))
    return {metric: taste + shift + row for metric, row in zip(metrics, noise, strict=True)}


def write_run(
    root: Path,
    id: str,
    seed: int = 1,
    shift: float = 0.0,
    *,
    metrics: Sequence[str] = ("recall@20", "ndcg@20"),
    whole: Mapping[str, float | None] | None = None,
    splits: Sequence[str] = ("valid", "test"),
    users: np.ndarray | None = None,
    values: Mapping[str, np.ndarray] | None = None,
    per_user: bool = True,
    rows: int | None = None,
    record: Mapping[str, Any] | None = None,
    protocol: Mapping[str, Any] | None = None,
    **settings: Any,
) -> RunFolder:
    """Write the folder of a finished run.

    Args:
        root: the folder of all runs.
        id: its name.
        seed: its seed.
        shift: what it is better by than others.
        metrics: metrics that are means over users.
        whole: other metrics.
        splits: the splits that were evaluated.
        users: the users' ids.
        values: their values, in place of those that follow from `seed` and `shift`.
        per_user: whether these are kept.
        rows: how many rows were scored, for a model that predicts.
        record: further entries of run.json.
        protocol: among which items it was ranked; None for all.
        settings: further settings.
    """
    config = {"description": "mf", "dataset": "Synthetic", "model": "bprmf", "lr": 0.01, "seed": seed, "id": id}
    run = RunFolder.create(root, {**config, "monitors": [*metrics, *(whole or {})], **settings})
    of_users = dict(values or values_of_users(seed, shift, metrics))
    means = {name: mean_of_users(each) for name, each in of_users.items()}
    numbers = {**means, **(whole or {})}
    entries = {"status": "done", "started": f"2026-01-01T00:00:{len(id):02}+00:00", "which4best": "ndcg@20"}
    run.update_run(
        **{**entries, "data": {"split": "a" * 64}, "code": {}, "versions": {"recrun": "0.1"}, **(record or {})}
    )
    n_users = len(next(iter(of_users.values()), ()))
    document: dict[str, Any] = {split: numbers if split in splits else None for split in ("valid", "test")}
    document |= {"run": str(run.path), "status": "done", "best_epoch": 3, "users": dict.fromkeys(splits, n_users)}
    document |= {} if rows is None else {"rows": dict.fromkeys(splits, rows)}
    document |= {} if protocol is None else {"protocol": protocol}
    run.write_json(run.metrics_file, document)
    line = {"epoch": 3, "split": "valid", "values": numbers, "seconds": 0.1, "best": True}
    run.metrics_lines_file.write_text(f"{to_json(line)}\n", encoding="utf-8")
    for split in splits if per_user else ():
        ids = np.arange(n_users) if users is None else users
        write_per_user(run, split, PerUser(ids, of_users))
    return run


@pytest.fixture
def three_groups(tmp_path: Path) -> Path:
    """Runs of three groups: the second is clearly worse than the first, the third hardly different from it."""
    root = tmp_path / "runs"
    for seed in (1, 2, 3):
        write_run(root, f"best{seed}", seed, BEST)
        write_run(root, f"worse{seed}", seed, 0.0, model="lightgcn", n_layers=2)
        write_run(root, f"close{seed}", seed, 0.1, model="ease")
    return root
