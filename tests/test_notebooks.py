"""The notebooks in examples/: their cells run, and give what is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.notebook_cells import code_cells, is_same, run_cells, stored

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_the_cells_of_a_notebook_give_what_it_stores(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = code_cells(notebook)
    for cell, given in zip(cells, run_cells(cells), strict=True):
        kept = stored(cell)
        assert [kind for kind, _ in given] == [kind for kind, _ in kept], cell["source"]
        for (_, now), (_, before) in zip(given, kept, strict=True):
            assert is_same(now, before), f"{cell['source']}\ngives {now}\ninstead of {before}"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_small_and_tells_nothing_of_the_machine_that_ran_it(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    content = json.loads(text)
    assert len(text) < 100_000
    assert set(content["metadata"]) == {"kernelspec", "language_info"}
    assert all(cell["metadata"] == {} for cell in content["cells"])
    for cell in code_cells(notebook):
        outputs = json.dumps(cell["outputs"])
        assert "error" not in [output["output_type"] for output in cell["outputs"]]
        for word in ('"stderr"', "/home/", "/tmp/", "/root", "/Users/", str(Path.home()), "site-packages"):
            assert word not in outputs


def test_outputs_that_differ_are_seen() -> None:
    frame = "│ 3 ┆ 0.2160 ┆ done │\n- runs/a/20261129-112749-e89023"
    assert is_same(frame, "3 0.21601 done - runs/a/20250101-000000-abcdef")
    for other in (
        "3 0.2260 done - runs/a/ID",
        "4 0.2160 done - runs/a/ID",
        "3 0.2160 lost - runs/a/ID",
        "3 0.2160 done -",
    ):
        assert not is_same(frame, other)
