"""Run the cells of a notebook without Jupyter, and compare what they give with the outputs that it stores."""

from __future__ import annotations

import ast
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

_REAL = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
_WORD = re.compile(rf"{_REAL.pattern}|[\w.@+-]+")
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}|(?<=-)[0-9a-f]{10}\b")
"""The name of a run by its time, and the digest of a sweep, which changes with any setting."""


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    """Return the code cells of a notebook, with their stored outputs."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def run_cells(cells: list[dict[str, Any]]) -> Iterator[list[tuple[str, str]]]:
    """Run cells one after the other, and yield what each gives: (kind, text), as `stored` does."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        out, found = io.StringIO(), []
        with redirect_stdout(out):
            exec(compile(tree, "cell", "exec"), names)
            value = None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307
        if out.getvalue():
            found.append(("stdout", out.getvalue()))
        if value is not None:
            found.append(("text/plain", repr(value)))
            if hasattr(value, "_repr_html_"):
                found.append(("text/html", value._repr_html_()))
        yield found


def stored(cell: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the stored outputs of a cell, without those of progress."""
    found = []
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            found.append((output["name"], "".join(output["text"])))
        elif output["output_type"] == "execute_result":
            found += [(kind, "".join(text)) for kind, text in sorted(output["data"].items(), reverse=True)]
    return found


def is_same(now: str, before: str) -> bool:
    """Return whether two outputs have the same words and, nearly, the same numbers.

    Frames and spaces differ between versions of what draws them, the last digits between processors.
    """
    one, other = _words(now), _words(before)
    return len(one) == len(other) and all(map(_is_same_word, one, other))


def _words(text: str) -> list[str]:
    return _WORD.findall(_ID.sub("ID", re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)))


def _is_same_word(now: str, before: str) -> bool:
    if not (_REAL.fullmatch(now) and _REAL.fullmatch(before)):
        return now == before
    return math.isclose(float(now), float(before), rel_tol=1e-3, abs_tol=1e-4)
