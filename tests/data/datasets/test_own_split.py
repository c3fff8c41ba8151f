"""A split from a user's own file: checked with the config, trained with, and part of the cache's key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.config.resolve import resolve
from recrun.data.datasets import File, Synthetic
from recrun.errors import ConfigError, DataError
from recrun.registry import SPLITS
from recrun.workflows.build import prepare

BY_WEEKDAY = """
import numpy as np

from recrun.registry import SPLITS


@SPLITS.register("NAME", needs_time=True, without_share="it tests on Sundays")
def by_weekday(rows):
    weekday = (rows.times // 86_400 + 3) % 7
    return np.where(weekday == 6, 2, np.where(weekday == 5, 1, 0))


def broken(rows):
    return np.full(len(rows.users), 3)
"""
CONFIG = "model: bprmf\ndataset: Synthetic\nn_interactions: 2000\nn_users: 200\nepochs: 1\nverbose: 0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mysplit.py").write_text(BY_WEEKDAY.replace("NAME", tmp_path.name))
    (tmp_path / "config.yaml").write_text(CONFIG + "split: ./mysplit.py:by_weekday\n")
    return tmp_path


def test_a_run_trains_on_a_split_from_a_file_beside_the_config(folder: Path) -> None:
    resolved = resolve(folder / "config.yaml")
    assert resolved.config.split == f"{folder / 'mysplit.py'}:by_weekday"
    coach = prepare(resolved, runs=folder / "runs")
    result = coach.fit()
    assert "ndcg@20" in result["test"]
    times = coach.dataset.base.interactions("test").columns["timestamp"]
    assert len(times)
    assert set(((times // 86_400 + 3) % 7).tolist()) == {6}


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("rato", "found 'rato' (text); did you mean 'ratio'?"),
        ("./mysplit.py:by_weekda", "unknown class or function 'by_weekda'; did you mean 'by_weekday'?"),
        ("./no.py:by_weekday", "no.py: No such file or directory"),
        ("given", "found 'given' (text)"),
    ],
)
def test_a_split_that_is_not_there_is_a_fault_at_its_place(folder: Path, split: str, message: str) -> None:
    (folder / "config.yaml").write_text(f"{CONFIG}split: {split}\n")
    with pytest.raises(ConfigError) as caught:
        resolve(folder / "config.yaml")
    assert f"{folder / 'config.yaml'}:7:8: split: " in str(caught.value)
    assert message in str(caught.value)


def test_checking_a_split_imports_neither_numpy_nor_the_file(folder: Path) -> None:
    code = (
        "import sys; from recrun.config.resolve import resolve; resolve(sys.argv[1]); "
        "print([name for name in sys.modules if name in ('numpy', 'torch') or 'mysplit' in name])"
    )
    command = [sys.executable, "-c", code, str(folder / "config.yaml")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_traits_of_an_own_split_are_heeded(folder: Path) -> None:
    split = f"{folder / 'mysplit.py'}:by_weekday"
    with pytest.raises(DataError, match=r"test_ratio 0.2 has no meaning here: it tests on Sundays"):
        Synthetic(split=split, test_ratio=0.2)
    (folder / "log.csv").write_text("user,item\n1,2\n1,3\n")
    with pytest.raises(DataError, match="needs the time of each interaction"):
        File(folder, path="log.csv", split=split)


def test_labels_that_are_none_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"must return a label of 0 \(train\), 1 \(valid\) or 2 \(test\) for each"):
        Synthetic(split=f"{folder / 'mysplit.py'}:broken")


def test_a_changed_split_is_not_read_from_the_cache(folder: Path) -> None:
    rows = "".join(f"{user},{item},{86_400 * item}\n" for user in range(5) for item in range(14))
    (folder / "log.csv").write_text("user,item,time\n" + rows)
    first = File(folder, path="log.csv", split=f"{folder / 'mysplit.py'}:by_weekday")
    # A module is imported once, so another process is what sees a changed file.
    file = folder / "mysplit.py"
    file.write_text(file.read_text().replace("weekday == 6, 2", "weekday == 4, 2"))
    code = "import sys; from recrun.data.datasets import File; print(File(sys.argv[1], path='log.csv', "
    code += "split=sys.argv[1] + '/mysplit.py:by_weekday').hashes['split'])"
    other = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert other.stdout.strip() != first.hashes["split"]


def test_every_split_of_the_table_returns_a_label_for_each_row() -> None:
    for name in (each.name for each in SPLITS if each.target.startswith("recrun.")):
        last: dict[str, Any] = {"session_targets": "last"} if name == "sessions" else {}
        data = Synthetic(split=name, n_interactions=2000, n_users=200, n_items=100, **last)
        n_rows = {part: len(data.interactions(part)) for part in ("train", "valid", "test")}  # type: ignore[arg-type]
        given = data.given()
        assert (given is None) == (name not in ("new_users", "sessions"))
        assert sum(n_rows.values()) + (0 if given is None else given.nnz) == 2000, name
        assert min(n_rows.values()) > 0, name
        assert np.isin(data.interactions("test").users, np.arange(data.n_users)).all()
