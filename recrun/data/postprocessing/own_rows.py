"""Where a step may stand that makes its own rows."""

from __future__ import annotations

from recrun.data.postprocessing.base import Pipe
from recrun.errors import DataError


def draws_from(source: Pipe, step: str) -> None:
    """Check that a step which makes its own rows stands where no row would be lost by that.

    Raises:
        DataError: a step other than shard_ stands between the data set and this one.
    """
    if source is not source.base:
        raise DataError(
            f"{step} makes its own rows from the data set, so it must directly follow the data set "
            f"(shard_ may stand between); here it follows {type(source).__name__}"
        )
