"""Say what code of a user's own returned."""

from __future__ import annotations

from typing import Any

import numpy as np


def described(value: Any) -> str:
    """Return the type and shape of an array, and the name of any other type.

    >>> described(np.zeros((2, 3))), described([1])
    ('float64 of shape (2, 3)', 'list')
    """
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
