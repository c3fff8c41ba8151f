"""Check that steps which create their own rows directly follow the data set."""

from __future__ import annotations

from recrun.data.postprocessing.base import Pipe
from recrun.errors import DataError


def draws_from(source: Pipe, step: str) -> None:
    """Check that a step which creates its own rows directly follows the data set, so that no rows are lost.

    Raises:
        DataError: a step other than shard_ is between the data set and this one.
    """
    if source is not source.base:
        raise DataError(
            f"{step} creates its own rows from the data set, so it must directly follow the data set "
            f"(only shard_ may come between); here it follows {type(source).__name__}"
        )
