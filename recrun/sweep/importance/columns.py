"""Turn the settings of points into columns of codes, for trees that split them.

Shapes: P points, S settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

ABSENT: Final = 0
"""The code of a setting that a point lacks, such as a conditional one."""


@dataclass(frozen=True, eq=False)
class Columns:
    """The settings that vary, as codes.

    Args:
        names: the settings.
        codes_PS: int (P, S): of a number its rank among the distinct ones, from 1; of another value its number, from 1;
            0 where a point does not have the setting.
        is_ordered_S: bool (S,): whether the values are numbers.
    """

    names: tuple[str, ...]
    codes_PS: npt.NDArray[np.int64]
    is_ordered_S: npt.NDArray[np.bool_]

    @property
    def n_values_S(self) -> list[int]:
        """How many distinct values each setting has, none counted too where some points have none."""
        return [len(np.unique(codes_P)) for codes_P in self.codes_PS.T]


def is_number(value: object) -> bool:
    """Return whether a setting's value is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def names_of(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings that some points have, in the order in which they are first met."""
    return list(dict.fromkeys(name for each in settings for name in each))


def columns_of(settings: Sequence[Mapping[str, Any]]) -> Columns:
    """Return the settings that differ between points.

    Args:
        settings: those of each point; a point may lack some.
    """
    codes, ordered, kept = [], [], []
    for name in names_of(settings):
        present = [each[name] for each in settings if name in each]
        is_ordered = all(is_number(value) for value in present)
        keys = {repr(value): value for value in present}
        ranked = sorted(keys, key=lambda key: float(keys[key])) if is_ordered else list(keys)
        code_of = {key: place for place, key in enumerate(ranked, start=1)}
        column = [code_of[repr(each[name])] if name in each else ABSENT for each in settings]
        if len(set(column)) > 1:
            kept.append(name)
            codes.append(column)
            ordered.append(is_ordered)
    matrix = np.array(codes, dtype=np.int64).T if codes else np.zeros((len(settings), 0), dtype=np.int64)
    return Columns(tuple(kept), matrix, np.array(ordered, dtype=bool))
