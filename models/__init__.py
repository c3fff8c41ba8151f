"""The recommenders: one file per model, installed and imported as `recrun.models`."""

from __future__ import annotations

if __name__ != "recrun.models":
    # Imported from the clone's folder as plain `models`, every model would be registered a second time.
    raise ImportError("import recrun.models instead of models: the folder models/ is part of the recrun package")

from recrun.architectures.base import RecSysArch
from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.whole_rows import RowsArch

__all__ = ["ClosedFormArch", "RecSysArch", "RowsArch"]
