"""Mistakes in files that users write: each ends in one clear line, and none changes a number in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recrun.registry import METRICS

from .conftest import SMALL, Outcome

Recrun = Callable[..., Outcome]

RANKING = "\n\ndef mine(hits, n_relevant, k):\n    'Return a number for each user.'\n    {}\n"
KIND = """
from recrun.registry import METRICS


@METRICS.register("{0}", kind="{1}")
def {0}(*given):
    "Own."
    {2}
"""


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    """Leave the registry as it was."""
    kept = [(names, dict(names)) for names in (METRICS._objects, METRICS._registered)]
    yield
    for names, before in kept:
        names.clear()
        names.update(before)


def train(recrun: Recrun, *settings: str) -> Outcome:
    given = [setting.partition("=")[0] for setting in settings]
    small = [setting for setting in SMALL if setting.partition("=")[0] not in given]
    return recrun("train", "bprmf", *small, *settings, "--runs", "runs")


def error_of(outcome: Outcome, code: int) -> str:
    """Return the only line that was printed."""
    assert outcome.code == code, outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    return outcome.err.removeprefix("error: ").rstrip()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("hits[:] = True; return hits[:, 0]", "changes its argument 1 in place"),
        ("n_relevant[:] = 9; return hits[:, 0]", "changes its argument 2 in place"),
        ("return hits * 1.0", "must return one number for each user"),
        ("return hits[:-1, 0]", "must return one number for each user"),
        ("return hits[:, 0] * 1j", "returned complex128 of shape (3,)"),
        ("return hits.mean()", "must return one number for each user"),
        ("hits.mean(axis=1)", "and returned None"),
        ("return 'high'", "and returned 'high'"),
        ("return nowhere", "failed on made-up data: NameError: name 'nowhere' is not defined [{file}:5]"),
        ("raise SystemExit(0)", "failed on made-up data: SystemExit: 0 [{file}:5]"),
    ],
)
def test_a_wrong_metric_of_rankings_is_refused_before_the_run(
    recrun: Recrun, tmp_path: Path, body: str, told: str
) -> None:
    (tmp_path / "m.py").write_text(RANKING.format(body), encoding="utf-8")
    line = error_of(train(recrun, "monitors=[ndcg@5,./m.py:mine@5]"), 2)
    assert line.startswith(f"metric {tmp_path / 'm.py'}:mine@5 ")
    assert told.format(file=tmp_path / "m.py") in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", ["exposure", "auc"])
@pytest.mark.parametrize("body", ["return None", "return given[0] * 1j", "given[0][:] = 7; return 0.5"])
def test_a_wrong_metric_of_another_kind_is_refused_before_the_run(
    recrun: Recrun, tmp_path: Path, kind: str, body: str
) -> None:
    name = f"own_{kind}"
    (tmp_path / "m.py").write_text(KIND.format(name, kind, body), encoding="utf-8")
    cutoff = "@5" if kind == "exposure" else ""
    line = error_of(train(recrun, f"monitors=[ndcg@5,./m.py:{name}{cutoff}]"), 2)
    assert line.startswith(f"metric {tmp_path / 'm.py'}:{name}{cutoff} ")


@pytest.mark.parametrize("body", ["return None", "return given[0]", "given[1][:] = 1; return 0.5"])
def test_a_wrong_metric_of_predictions_is_refused_before_the_run(recrun: Recrun, tmp_path: Path, body: str) -> None:
    (tmp_path / "m.py").write_text(KIND.format("own_rows", "pointwise", body), encoding="utf-8")
    settings = ["n_rows=600", "n_users=20", "n_items=10", "epochs=1", "device=cpu", "threads=1", "verbose=0"]
    settings += ["monitors=[auc,./m.py:own_rows]", "which4best=auc"]
    line = error_of(recrun("train", "synthetic/deepfm", *settings, "--runs", "runs"), 2)
    assert line.startswith(f"metric {tmp_path / 'm.py'}:own_rows ")


def test_a_metric_that_fails_on_real_rankings_alone_fails_the_run(recrun: Recrun, tmp_path: Path) -> None:
    body = "return hits[:, 0] if len(hits) == 3 else None"
    (tmp_path / "m.py").write_text(RANKING.format(body), encoding="utf-8")
    line = error_of(train(recrun, "monitors=[ndcg@5,./m.py:mine@5]"), 1)
    assert "mine@5 must return one number for each user, here real numbers of shape (60,), and returned None" in line
    assert "(evaluating valid after epoch 0)" in line


def test_a_metric_that_changes_a_copy_leaves_the_others_as_they_are(recrun: Recrun, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(RANKING.format("hits = hits.copy(); hits[:] = 1; return hits[:, 0]"), "utf-8")
    both = json.loads(train(recrun, "monitors=[./m.py:mine@5,ndcg@5]", "--json").out)
    alone = json.loads(train(recrun, "monitors=[ndcg@5]", "--json").out)
    assert both["valid"]["ndcg@5"] == alone["valid"]["ndcg@5"]
    assert both["valid"][f"{tmp_path / 'm.py'}:mine@5"] == 1.0
