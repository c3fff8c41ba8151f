"""Show progress in the output of a notebook's cell. IPython is used if this process runs in it, and never imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from recrun.notebook.html import markup
from recrun.report.html.element import Element


class CellOutput:
    """A part of a cell's output that is replaced as work goes on.

    Args:
        display: IPython's function `display`.
    """

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None

    def show(self, text: str, *parts: Element) -> None:
        """Show elements in place of those shown before.

        Args:
            text: what a frontend shows that has no HTML.
            parts: the elements.
        """
        content = _Content(text, markup(*parts))
        if self._handle is None:
            self._handle = self._display(content, display_id=True)
        else:
            self._handle.update(content)


class _Content:
    def __init__(self, text: str, html: str) -> None:
        self._text, self._html = text, html

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


def cell_output() -> CellOutput | None:
    """Return an output in the cell that runs now; None outside of Jupyter."""
    ipython, module = sys.modules.get("IPython"), sys.modules.get("IPython.display")
    if ipython is None or module is None:
        return None
    # A terminal's IPython has no kernel, and shows no HTML.
    return CellOutput(module.display) if hasattr(ipython.get_ipython(), "kernel") else None
