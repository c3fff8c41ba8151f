"""`recrun verify`: a config's numbers against those it says it gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SETTINGS = """
model: bprmf
n_users: 60
n_items: 40
n_interactions: 900
epochs: 2
batch_size: 128
embedding_dim: 8
lr: 0.02
monitors: [recall@5, ndcg@5]
device: cpu
"""


@pytest.fixture
def measured(recrun: Callable[..., Any], tmp_path: Path) -> dict[str, float]:
    """Write the settings without any claim to plain.yaml, and run them."""
    (tmp_path / "plain.yaml").write_text(SETTINGS, encoding="utf-8")
    test: dict[str, float] = json.loads(recrun("train", "plain.yaml", "-q", "--json").out)["test"]
    return test


def _claim(folder: Path, *entries: str) -> None:
    text = SETTINGS + "expected:\n" + "".join(f"  - {entry}\n" for entry in entries)
    (folder / "mine.yaml").write_text(text, encoding="utf-8")


def test_inside_the_tolerance_is_exit_code_0(
    recrun: Callable[..., Any], tmp_path: Path, measured: dict[str, float]
) -> None:
    published = "{metric: ndcg@5, value: 0.9, from: published, source: A paper, protocol: leave one out}"
    _claim(tmp_path, f"{{metric: ndcg@5, value: {measured['ndcg@5']}, tolerance: 0}}", published)
    outcome = recrun("verify", "mine.yaml", "-q", "--runs", "others")
    assert outcome.code == 0, outcome.err
    assert "published ndcg@5 0.9: A paper; leave one out" in outcome.out.replace("test ", "")
    assert "1 of 1 values are within their tolerance, with the settings of the config: " in outcome.out
    (made,) = (tmp_path / "others/bprmf/Synthetic").iterdir()
    assert (made / "summary/SUMMARY.md").exists()
    assert not list(made.glob("summary/*.png")), "it draws no plots"
    document = json.loads(recrun("verify", "mine.yaml", "-q", "--json").out)
    assert document["inside"] is True
    ours, theirs = document["configs"][0]["numbers"]
    assert (ours["measured"], ours["difference"], ours["inside"]) == (measured["ndcg@5"], 0.0, True)
    assert (theirs["value"], theirs["measured"], theirs["inside"]) == (0.9, measured["ndcg@5"], None)


def test_outside_the_tolerance_is_exit_code_1_and_says_which(
    recrun: Callable[..., Any], tmp_path: Path, measured: dict[str, float]
) -> None:
    wrong = measured["ndcg@5"] + 0.02
    _claim(
        tmp_path,
        f"{{metric: ndcg@5, value: {wrong}, tolerance: 0.01}}",
        f"{{metric: recall@5, value: {measured['recall@5']}, tolerance: 0.01}}",
    )
    outcome = recrun("verify", "mine.yaml", "-q", "--run", "runs/latest")
    assert outcome.code == 1
    assert f"outside: test ndcg@5 is {measured['ndcg@5']:.6g}; expected {wrong} within 0.01" in outcome.out
    assert "1 of 2 values" in outcome.out


def test_a_changed_setting_is_told_with_the_verdict(
    recrun: Callable[..., Any], tmp_path: Path, measured: dict[str, float]
) -> None:
    _claim(tmp_path, "{metric: ndcg@5, value: 0.5, tolerance: 1}")
    outcome = recrun("verify", "mine.yaml", "lr=0.5", "-q")
    assert outcome.code == 0
    assert "changed: lr was 0.02, now 0.5; the expected values are those of the unchanged config" in outcome.out
    assert "with changed settings" in outcome.out
    document = json.loads(recrun("verify", "mine.yaml", "threads=1", "-q", "--json").out)
    assert document["configs"][0]["changed"] == {}


def test_a_finished_run_is_compared_without_training(
    recrun: Callable[..., Any], tmp_path: Path, measured: dict[str, float]
) -> None:
    _claim(tmp_path, f"{{metric: ndcg@5, value: {measured['ndcg@5']}, tolerance: 0}}")
    before = sorted(tmp_path.rglob("run.json"))
    assert recrun("verify", "mine.yaml", "--run", "runs/latest").code == 0
    assert sorted(tmp_path.rglob("run.json")) == before


def test_a_run_with_other_settings_is_refused(
    recrun: Callable[..., Any], tmp_path: Path, measured: dict[str, float]
) -> None:
    _claim(tmp_path, "{metric: ndcg@5, value: 0.5, tolerance: 1}")
    assert recrun("train", "plain.yaml", "lr=0.5", "-q").code == 0
    outcome = recrun("verify", "mine.yaml", "--run", "runs/latest")
    assert outcome.code == 2
    assert "cannot verify this config: in the run it was 0.5, here 0.02" in outcome.err
    assert recrun("verify", "mine.yaml", "lr=0.5", "--run", "runs/latest").code == 0


def test_a_run_with_fewer_epochs_or_on_other_data_cannot_stand_for_the_config(
    recrun: Callable[..., Any], tmp_path: Path, measured: dict[str, float]
) -> None:
    _claim(tmp_path, "{metric: ndcg@5, value: 0.5, tolerance: 1}")
    (tmp_path / "snow.py").write_text(
        "from recrun.data.datasets.synthetic import Synthetic\nclass Snow(Synthetic): ...\n"
    )
    outcome = recrun("verify", "mine.yaml", "epochs=99", "dataset=./snow.py:Snow", "--run", "runs/latest")
    assert outcome.code == 2
    assert "epochs: the run" in outcome.err
    assert ", here 99" in outcome.err
    assert f"in the run it was Synthetic, here {tmp_path}/snow.py:Snow" in outcome.err.replace('"', "")


def test_a_config_without_numbers_is_refused_before_any_other_is_run(
    recrun: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "plain.yaml").write_text(SETTINGS, encoding="utf-8")
    _claim(tmp_path, "{metric: ndcg@5, value: 0.5, tolerance: 1}")
    outcome = recrun("verify", "mine.yaml", "plain.yaml")
    assert (outcome.code, outcome.is_untouched) == (2, True)
    assert "plain.yaml: expected: the config has no expected value with a tolerance" in outcome.err


def test_a_run_that_fails_does_not_keep_the_others_from_being_run(
    recrun: Callable[..., Any], tmp_path: Path, measured: dict[str, float]
) -> None:
    _claim(tmp_path, f"{{metric: ndcg@5, value: {measured['ndcg@5']}, tolerance: 0}}")
    lines = (tmp_path / "mine.yaml").read_text(encoding="utf-8").splitlines()
    absent = "\n".join(["dataset: LastFM", *(line for line in lines if not line.startswith("n_"))])
    (tmp_path / "absent.yaml").write_text(absent, encoding="utf-8")
    assert recrun("verify", "absent.yaml", "-q").code == 2
    outcome = recrun("verify", "absent.yaml", "mine.yaml", "-q")
    assert outcome.code == 1
    assert "failed: absent.yaml: " in outcome.out
    assert "1 of 1 values are within their tolerance" in outcome.out
    document = json.loads(recrun("verify", "absent.yaml", "mine.yaml", "-q", "--json").out)
    assert [(each["inside"], each["cause"] is None) for each in document["configs"]] == [(False, False), (True, True)]


def test_an_override_that_measures_it_no_more_is_refused(recrun: Callable[..., Any], tmp_path: Path) -> None:
    _claim(tmp_path, "{metric: ndcg@5, value: 0.5, tolerance: 1}")
    outcome = recrun("verify", "mine.yaml", "monitors=[recall@5]")
    assert (outcome.code, outcome.is_untouched) == (2, True)
    assert "monitors: mine.yaml expects test ndcg@5, which is not measured here" in outcome.err


@pytest.mark.parametrize("arguments", [(), ("lr=1",), ("a", "b", "--run", "c")])
def test_wrong_usage_is_exit_code_2(recrun: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    assert recrun("verify", *arguments).code == 2


def test_numbers_in_a_config_do_not_stand_in_the_way_of_a_resume(
    recrun: Callable[..., Any], tmp_path: Path, measured: dict[str, float]
) -> None:
    _claim(tmp_path, "{metric: ndcg@5, value: 0.5, tolerance: 1}")
    assert recrun("train", "mine.yaml", "id=one", "-q").code == 0
    assert "expected" not in (tmp_path / "runs/bprmf/Synthetic/one/config.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(SETTINGS, encoding="utf-8")
    assert recrun("train", "mine.yaml", "id=one", "resume=true", "-q").code == 0


def test_the_bundled_demo_gives_what_it_says(recrun: Callable[..., Any]) -> None:
    outcome = recrun("verify", "synthetic/bprmf", "-q")
    assert outcome.code == 0, outcome.out
