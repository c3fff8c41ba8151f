"""Write and read which users belong to the groups that a run breaks its metrics down by: `per_user/groups.parquet`.

The file has a column `user` (original ids) of all users of the data, and one column of true or false for each group,
called as the grouping and the group: `gender=F`. With the metrics of each user it tells those of any group of users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recrun.errors import CheckpointError
from recrun.metrics.groups import Grouping
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import USER, read_frame, write_frame

_FILE = "groups"


def write_user_groups(run: RunFolder, groupings: Sequence[Grouping], base: Any) -> None:
    """Write the groups of users, beside those of other groupings that the file has already.

    Args:
        run: the run.
        groupings: those of items are left out; without any of users, nothing is written.
        base: the data set, for the original ids of its users.

    Raises:
        CheckpointError: the folder is that of another run by now, or its file is damaged.
        OSError: it cannot be written.
    """
    found: dict[str, NDArray[np.bool_]] = {}
    for grouping in groupings:
        for label, members in zip(grouping.labels, grouping.members, strict=True):
            if grouping.of == "user":
                found[f"{grouping.name}={label}"] = np.zeros(base.n_users, dtype=bool)
                found[f"{grouping.name}={label}"][members] = True
    if not found:
        return
    user_ids = base.user_ids
    names = {grouping.name for grouping in groupings}
    frame = read_frame(run.per_user_file(_FILE))
    if frame is not None and np.array_equal(frame[USER].to_numpy().astype(str), user_ids.astype(str)):
        kept = {column: frame[column].to_numpy() for column in frame.columns[1:] if _grouping(column) not in names}
        found = {**kept, **found}
    write_frame(run, run.per_user_file(_FILE), {USER: user_ids, **found})


def read_user_groups(run: RunFolder) -> Mapping[str, Mapping[str, NDArray[np.str_]]]:
    """Return the users of each group, by grouping and label; the ids as text, ascending. Empty without a file.

    Raises:
        CheckpointError: something else is in the file's place, or it does not say of each user who belongs where.
    """
    import polars as pl

    file = run.per_user_file(_FILE)
    frame = read_frame(file)
    if frame is None:
        return {}
    users_U = frame[USER].to_numpy().astype(str)
    found: dict[str, dict[str, NDArray[np.str_]]] = {}
    for column in frame.columns[1:]:
        if frame[column].dtype != pl.Boolean or frame[column].null_count() or "=" not in column:
            raise CheckpointError(f"{file} is damaged: its column {column!r} must be a group, true or false for each")
        label = column.partition("=")[2]
        found.setdefault(_grouping(column), {})[label] = np.sort(users_U[frame[column].to_numpy()])
    return found


def _grouping(column: str) -> str:
    return column.partition("=")[0]
