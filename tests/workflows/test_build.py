"""Components of a user's own that are none of their kind are refused when they are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config.resolve import resolve
from recrun.errors import RegistryError
from recrun.workflows.build import prepare

SMALL = ("n_users=30", "n_items=20", "n_interactions=200", "epochs=1")


@pytest.mark.parametrize(
    ("setting", "source", "lacks"),
    [
        ("sampler", "class O:\n    def __init__(self, data): pass\n", "n_negatives, draw; derive from recrun.data."),
        ("sampler", "class O:\n    def __init__(self, data): self.n_negatives = 1\n", "no draw; derive from recrun"),
        (
            "optimizer",
            "def O(params): return 1\n",
            "param_groups, zero_grad, step, state_dict; derive from torch.optim",
        ),
        ("lr_scheduler", "def O(optimizer, epochs): return 1\n", "step, state_dict; derive from recrun.training.sche"),
        ("loss", "def O(): return 1\n", "bind, from_scores, reduction; derive from recrun.criterions.BaseC"),
        ("dataset", "def O(root): return 1\n", "training_data, describe, n_users, fields; derive from recrun.data."),
        ("model", "def O(data): return 1\n", "to, parameters, state_dict, training; derive from recrun.architect"),
    ],
)
def test_what_is_none_of_its_kind_is_refused(tmp_path: Path, setting: str, source: str, lacks: str) -> None:
    (tmp_path / "own.py").write_text(source, encoding="utf-8")
    small = SMALL if setting != "dataset" else SMALL[3:]
    resolved = resolve("bprmf", [*small, f"{setting}={tmp_path}/own.py:O"])
    with pytest.raises(RegistryError, match=rf"^{setting}: .*own\.py:O made .* which is no {setting}: ") as error:
        prepare(resolved, runs=tmp_path / "runs")
    assert lacks in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_a_tracker_that_is_none_is_refused_and_leaves_no_run(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def O(run, settings, resumed_from): return 1\n", encoding="utf-8")
    coach = prepare(resolve("bprmf", [*SMALL, "verbose=0", f"track=[{tmp_path}/own.py:O]"]), runs=tmp_path / "runs")
    with pytest.raises(RegistryError, match=r"^track: .*own\.py:O made 'int', which is no tracker: it has no start, "):
        coach.fit()
    assert not list((tmp_path / "runs").rglob("run.json"))
