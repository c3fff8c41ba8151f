"""Hold what a comparison needs of a finished run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from recrun.config.same_settings import result_identity
from recrun.config.settings import RUN, TRAINING
from recrun.evaluation.protocol_text import on_split
from recrun.metrics.per_user import mean_of_users
from recrun.metrics.undefined import from_nulls
from recrun.registry.user_files import short_name
from recrun.runs.per_user import read_per_user
from recrun.runs.records import read_json

Split = Literal["valid", "test"]
_DEFAULTS: Final = {parameter.name: parameter.default for parameter in (*RUN, *TRAINING)}
"""What a run of an older version has of settings that there were not then."""


@dataclass(frozen=True)
class Entry:
    """A finished run.

    Args:
        path: its folder.
        settings: its config.
        identity: the settings that affect results, as YAML; see `recrun.config.same_settings.result_identity`.
        values: its metrics on the split that is compared, NaN where undefined.
        which4best: the criterion by which its epoch was chosen.
        data: the SHA-256 of its parts ("split") and of the files that they were read from.
        code: the SHA-256 of the user's own files that it names.
        version: the version of recrun that it was made with.
        started: when it began.
        n_users: how many users the metrics are over; None if they are over rows.
        protocol: what they rank for whom on the split, as metrics.json describes it; None for all items and users.
        groups: the metrics of groups on the split, as metrics.json has them.
    """

    path: str
    settings: Mapping[str, Any]
    identity: Mapping[str, str]
    values: Mapping[str, float]
    which4best: str | None
    data: Mapping[str, str]
    code: Mapping[str, str]
    version: str
    started: str
    n_users: int | None
    protocol: Mapping[str, Any] | None
    groups: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model's name, or that of the experiment of a script."""
        return short_name(str(self.settings.get("model") or self.settings.get("description") or "run"))

    @property
    def seed(self) -> str:
        """The seed, as text that sorts by number."""
        seed = self.settings.get("seed")
        return f"{seed:020}" if isinstance(seed, int) else str(seed)


def read_entry(row: Mapping[str, Any], split: Split) -> Entry | None:
    """Return a finished run from its row; None if it has no metrics on the split.

    Args:
        row: its row, as of `recrun.runs.listing.describe`.
        split: the split that is compared.

    Raises:
        CheckpointError: its folder is damaged.
    """
    values = row[split]
    if not values:
        return None
    path = Path(row["run"])
    record, metrics = read_json(path / "run.json"), read_json(path / "metrics.json")
    versions, users = record.get("versions"), metrics.get("users")
    why = row["undefined"].get(split)
    protocol = metrics.get("protocol")
    groups = metrics["groups"].get(split) if isinstance(metrics.get("groups"), dict) else None
    n_users = users.get(split) if isinstance(users, dict) else None
    return Entry(
        path=row["run"],
        settings=row["settings"],
        identity=result_identity(
            row["settings"] | {key: _DEFAULTS[key] for key in _DEFAULTS if key not in row["settings"]}
        ),
        values=from_nulls(values, why if isinstance(why, dict) else {}),
        which4best=row["which4best"],
        data=record.get("data") or {},
        code=record.get("code") or {},
        version=str(versions.get("recrun")) if isinstance(versions, dict) else "unknown",
        started=str(row["started"] or ""),
        n_users=n_users if isinstance(n_users, int) and "rows" not in metrics else None,
        protocol=on_split(protocol, split) if isinstance(protocol, dict) else None,
        groups=groups if isinstance(groups, dict) else {},
    )


def with_metric(entry: Entry, split: Split, metric: str) -> Entry | None:
    """Return a run with a metric that it did not monitor, and was evaluated on later; None if it was not.

    Raises:
        CheckpointError: its file of users' values is damaged.
    """
    found = read_per_user(entry.path, split)
    if found is None or metric not in found.values:
        return None
    mean = mean_of_users(found.values[metric])
    return replace(entry, values={**entry.values, metric: math.nan if mean is None else mean})
