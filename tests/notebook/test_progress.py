"""Progress in a notebook: an output of the cell that is replaced, from texts that may hold anything."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import recrun
from recrun.notebook.display import CellOutput, cell_output
from recrun.notebook.progress import RunView


class Notebook:
    """Stands for a frontend: keeps what is displayed, and each replacement."""

    def __init__(self) -> None:
        self.shown: list[list[str]] = []

    def display(self, content: Any, *, display_id: bool) -> Any:
        """Show something that can be replaced."""
        assert display_id
        versions = [content._repr_html_()]
        self.shown.append(versions)

        class Handle:
            def update(self, content: Any) -> None:
                versions.append(content._repr_html_())

        return Handle()


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Notebook:
    """IPython with a kernel."""
    monkeypatch.chdir(tmp_path)
    ipython, module, found = ModuleType("IPython"), ModuleType("IPython.display"), Notebook()
    shell = type("Shell", (), {"kernel": object()})()
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    module.display = found.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return found


def test_a_run_is_one_output_that_ends_with_its_table(
    notebook: Notebook, small: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    run = recrun.train("bprmf", epochs=3, id="a", **small)
    assert capfd.readouterr() == ("", "")
    [versions] = notebook.shown
    assert "<progress value=" in versions[0]
    assert versions[0].startswith("<div><p><b>config</b> bprmf<br>")
    last = versions[-1]
    assert "<progress" not in last
    assert "<p>done after 3 epochs, " in last
    assert last.count("<tr>") == 1 + 4 + 1
    assert f"<td>{run.metrics['test']['ndcg@20']:.4f}</td>" in last
    notebook.shown.clear()
    run.resume(epochs=4)
    assert notebook.shown[0][-1].count("<tr>") == 1 + 5 + 1


@pytest.mark.slow
def test_a_sweep_is_one_output_with_a_row_for_each_trial(notebook: Notebook, small: dict[str, Any]) -> None:
    small.pop("plots")
    found = recrun.sweep({"model": "popularity", **small}, seed=[1, 2])
    [versions] = notebook.shown
    assert "2 pending" in versions[0]
    assert versions[-1].endswith("<p>2 done</p></div>")
    assert versions[-1].count("<tr>") == 1 + len(found)


def test_without_progress_nothing_is_displayed(notebook: Notebook, small: dict[str, Any]) -> None:
    recrun.train("popularity", progress=False, **small)
    assert notebook.shown == []


def test_a_terminals_ipython_is_no_notebook(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cell_output() is not None
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert cell_output() is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert cell_output() is None


def test_texts_of_a_run_are_escaped_and_messages_follow_its_detail(notebook: Notebook) -> None:
    view = RunView(CellOutput(notebook.display), "<i>config</i>", verbose=1)
    view.start({"model": "<script>", "epochs": None, "notes": ["<img>"]})
    view.step(0, 1, None, 0.5)
    view.message("quietly", "debug")
    view.message("<b>aloud</b>", "warning")
    view.evaluating(0, "valid", 1, 2)
    view.evaluated(0, "<split>", {"<metric>": 0.5}, True, 0.1)
    view.close()
    view.message("too late")
    html = notebook.shown[0][-1]
    for tag in ("<i>", "<script", "<img", "<split", "<metric"):
        assert tag not in html
    assert "warning: &lt;b&gt;aloud&lt;/b&gt;" in html
    assert "quietly" not in html
    assert "too late" not in html
    assert "stopped after 0 epochs" in html
