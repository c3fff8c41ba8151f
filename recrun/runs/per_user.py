"""Write and read the metrics of each user in a run's folder: `per_user/<split>.parquet`.

The file has a column `user` (original ids: integers or text) and one column of float64 for each metric that is a mean
over users, null for a user who is left out of it. `recrun.metrics.per_user.mean_of_users` of a column is the number
that the run reports.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recrun.errors import CheckpointError, DataError
from recrun.files import atomic_write, open_regular
from recrun.metrics.per_user import PerUser
from recrun.runs.folder import RunFolder

if TYPE_CHECKING:
    import polars as pl

USER: Final = "user"


def write_per_user(run: RunFolder, split: str, per_user: PerUser | None) -> None:
    """Write the file of a split whole, or remove it where there is nothing to write.

    Args:
        run: the run.
        split: "valid" or "test".
        per_user: the values by original id; None, or without any metric, if there are none.

    Raises:
        CheckpointError: the folder is that of another run by now.
        OSError: it cannot be written.
    """
    run.require_own()
    file = run.per_user_file(split)
    if per_user is None or not per_user.values:
        file.unlink(missing_ok=True)
        return
    import polars as pl

    columns = {name: pl.Series(values_U, dtype=pl.Float64).fill_nan(None) for name, values_U in per_user.values.items()}
    write_frame(run, file, {USER: per_user.users_U, **columns})


def write_frame(run: RunFolder, file: Path, columns: Mapping[str, Any]) -> None:
    """Write a parquet file of a run atomically.

    Raises:
        CheckpointError: the folder is that of another run by now.
        OSError: it cannot be written.
    """
    import polars as pl

    run.require_own()
    content = BytesIO()
    pl.DataFrame({name: pl.Series(name, values) for name, values in columns.items()}).write_parquet(content)
    file.parent.mkdir(exist_ok=True)
    atomic_write(file, content.getvalue())


def read_per_user(run: str | Path, split: str) -> PerUser | None:
    """Read the file of a split, which may be a stranger's; None if there is none.

    Args:
        run: the folder of a run.
        split: "valid" or "test".

    Raises:
        CheckpointError: something else is in its place, or it does not hold one number for each user and metric.
    """
    import polars as pl

    file = RunFolder(run).per_user_file(split)
    frame = read_frame(file)
    if frame is None:
        return None
    names = frame.columns[1:]
    wrong = [name for name in names if frame[name].dtype != pl.Float64]
    if wrong:
        raise CheckpointError(f"{file} is damaged: its column {wrong[0]!r} must hold float64")
    values = {name: frame[name].to_numpy().astype(np.float64, copy=False) for name in names}
    return PerUser(frame[USER].to_numpy(), values)


def read_frame(file: Path) -> pl.DataFrame | None:
    """Read a parquet file of a run with a row for each user, which may be a stranger's; None if there is none.

    Raises:
        CheckpointError: something else is in its place, or it does not begin with a column of distinct users.
    """
    import polars as pl

    from recrun.data.formats.polars_files import parquet_names, read_parquet_columns

    if not os.path.lexists(file):
        return None
    try:
        if os.path.islink(file.parent):
            raise CheckpointError(f"cannot read {file}: {file.parent} is a symbolic link")
        open_regular(file, follow=False).close()
        names = parquet_names(file)
        if names[:1] != [USER] or len(names) < 2:
            raise CheckpointError(f"{file} is damaged: it must have a column {USER!r} first, and others")
        frame = read_parquet_columns(file)
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}") from None
    except DataError as error:
        raise CheckpointError(str(error)) from None
    users = frame[USER]
    is_id = users.dtype.is_integer() or users.dtype == pl.String
    if not is_id or users.null_count() or users.n_unique() < len(users):
        raise CheckpointError(f"{file} is damaged: its column {USER!r} must hold each user once")
    return frame


def add_per_user(run: RunFolder, split: str, per_user: PerUser) -> bool:
    """Add the metrics that the file of a split lacks, and keep those that it has; return whether it changed.

    Raises:
        CheckpointError: the file is damaged, or not of the same users in the same order.
        OSError: it cannot be written.
    """
    before = read_per_user(run.path, split)
    if before is None:
        write_per_user(run, split, per_user)
        return bool(per_user.values)
    if not np.array_equal(before.users_U.astype(str), per_user.users_U.astype(str)):
        raise CheckpointError(f"{run.per_user_file(split)} is damaged: it is of other users than the data has")
    added = {name: values for name, values in per_user.values.items() if name not in before.values}
    if added:
        write_per_user(run, split, PerUser(before.users_U, {**before.values, **added}))
    return bool(added)
