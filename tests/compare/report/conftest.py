"""Finished runs with curves, groups of users and a record, and a sweep of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from recrun.compare.compare import How
from recrun.compare.report.build import report
from recrun.compare.report.material import gather
from recrun.files import to_json
from recrun.runs.folder import RunFolder
from recrun.runs.history import History
from tests.compare.conftest import BEST, write_run

RECORD: Mapping[str, Any] = {
    "statistics": {"users": 40, "items": 30, "train": 400, "valid": 40, "test": 40, "density": 0.4, "notes": []},
    "argv": ["recrun", "train", "bprmf", "description=a b"],
    "versions": {"recrun": "0.1", "torch": "2.13"},
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "cost": {"peak_memory_mb": 300.2},
    "n_parameters": 1234,
}


def add_curves(run: RunFolder, n_epochs: int = 4, shift: float = 0.0) -> None:
    """Write a history: a loss that falls and a metric that rises."""
    history = History(run.metrics_lines_file)
    for epoch in range(n_epochs):
        history.append(epoch, "train", {"loss": 1.0 / (epoch + 1) + shift}, 0.1)
        history.append(epoch, "valid", {"ndcg@20": 0.1 * epoch + shift, "recall@20": 0.2}, 0.1)


def grouping(low: float | None, high: float, names: tuple[str, str] = ("1-9", "10-99")) -> dict[str, Any]:
    """Return a grouping as of metrics.json."""
    rows = [
        {"group": name, "users": 20, "metrics": {"ndcg@20": value, "recall@20": 0.5}}
        for name, value in zip(names, (low, high), strict=True)
    ]
    gaps = {"difference": 0.5, "ratio": 0.25, "mean_difference": 0.125, "gini": 0.0625}
    return {"of": "users", "groups": rows, "gaps": {"ndcg@20": gaps}}


def change_metrics(run: RunFolder, **changes: Any) -> None:
    """Change entries of a metrics.json."""
    document = json.loads(run.metrics_file.read_text("utf-8"))
    run.metrics_file.write_text(to_json({**document, **changes}), encoding="utf-8")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Runs of three groups over two seeds, with all that a report shows."""
    root = tmp_path / "runs"
    for seed in (1, 2):
        for name, shift, settings in (("best", BEST, {}), ("worse", 0.0, {"model": "lightgcn", "n_layers": 2})):
            run = write_run(root, f"{name}{seed}", seed, shift, record=RECORD, **settings)
            add_curves(run, shift=shift)
            groups = {"activity:2": grouping(0.1 * seed, 0.2 * seed)}
            change_metrics(run, groups={"test": groups, "valid": groups}, seconds={"total": 2.0 * seed + shift})
        write_run(root, f"close{seed}", seed, 0.1, model="ease", record=RECORD)
    return root


def sweep_document(root: Path, trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the content of a sweep.json."""
    return {"schema": 1, "sweep": str(root / "sweeps" / "s"), "which4best": "ndcg@20", "trials": trials}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep over a learning rate and an optimizer, of which one trial failed."""
    root = tmp_path / "runs"
    trials: list[dict[str, Any]] = []
    for lr in (0.001, 0.01, 0.1):
        for optimizer in ("adam", "sgd"):
            shift = lr + (0.01 if optimizer == "adam" else 0.0)
            run = write_run(root, f"t{len(trials)}", 1, shift, splits=("valid",), lr=lr, optimizer=optimizer)
            value = json.loads(run.metrics_file.read_text("utf-8"))["valid"]
            overrides = {"lr": lr, "optimizer": optimizer}
            trials.append(
                {"overrides": overrides, "status": "done", "run": str(run.path), "valid": value, "seconds": 1.5}
            )
    failed = {"overrides": {"lr": 1.0, "optimizer": "sgd"}, "status": "failed", "run": None, "valid": None}
    trials.append({**failed, "cause": "the loss is NaN </td><script>"})
    folder = root / "sweeps" / "s"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(to_json(sweep_document(root, trials)), encoding="utf-8")
    return folder


def text_of(*arguments: Path | str, how: How | None = None, split: Any = None, title: str | None = None) -> str:
    """Return the page of some runs."""
    how = how or How()
    is_asked = how.baseline is not None or how.over is not None
    material = gather([str(each) for each in arguments], "runs", how, split, is_asked=is_asked)
    return report(material, "report.html", title)


def page_of(*arguments: Path | str, how: How | None = None, split: Any = None) -> html.HtmlElement:
    """Return the tree of the page of some runs."""
    return html.fromstring(text_of(*arguments, how=how, split=split))


def rows_of(page: html.HtmlElement, id: str) -> list[list[html.HtmlElement]]:
    """Return the cells of a table's rows."""
    return [row.xpath("./*") for row in page.xpath(f"//table[@id='{id}']/tbody/tr")]


def value_of(cell: html.HtmlElement) -> float | None:
    """Return the number by which a cell is sorted."""
    return None if cell.get("data-value") is None else float(cell.get("data-value"))
