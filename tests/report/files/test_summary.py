from __future__ import annotations

import math
import re

from recrun.config.config import Config
from recrun.report.files.summary import MonitorHistory, write_summary

CONFIG = Config(
    {"description": "BPRMF", "dataset": "Gowalla_m1", "lr": 1e-3, "resume": None, "note": "a|b `c`", "x": [1, 2]}
)


def _sections(text: str) -> dict[str, list[str]]:
    parts = re.split(r"^##? (.+)$", text, flags=re.MULTILINE)
    return {name: body.strip().splitlines() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_a_summary_tells_the_result_the_course_and_the_config(tmp_path, history_and_result):
    history, result = history_and_result
    page = write_summary(tmp_path / "summary", {**result, "environment": {"python": "3.12.1"}}, history, CONFIG)
    assert page == tmp_path / "summary" / "SUMMARY.md"
    sections = _sections(page.read_text(encoding="utf-8"))
    assert list(sections) == ["BPRMF on Gowalla_m1", "Result", "Course", "Config", "Environment"]
    assert sections["BPRMF on Gowalla_m1"] == [
        "- status: done",
        "- run: `runs/BPRMF/Gowalla_m1/one`",
        "- numbers: at epoch 18, best by valid ndcg@20",
        "- users ranked: 29,000 valid, 29,858 test; 858 skipped (nothing to find)",
        "- time: train 6 min 00 s, evaluate 48.0 s, total 6 min 55 s",
    ]
    assert sections["Result"][:3] == [
        "| metric | valid | test |",
        "| --- | --- | --- |",
        "| `recall@10` | 0.1600 | 0.1600 |",
    ]
    assert "| train | `loss` | 0.0235 | 30 | 0.0235 | [trainloss.png](trainloss.png) |" in sections["Course"]
    assert "| valid | `ndcg@20` | 0.0400 | 18 | 0.0280 | [validndcg@20.png](validndcg@20.png) |" in sections["Course"]
    assert sections["Config"][2:] == [
        "| `description` | `BPRMF` |",
        "| `dataset` | `Gowalla_m1` |",
        "| `lr` | `0.001` |",
        "| `resume` | `null` |",
        "| `note` | `a\\|b 'c'` |",
        "| `x` | `[1, 2]` |",
    ]
    assert sections["Environment"][2:] == ["| python | `3.12.1` |"]


def test_there_is_one_picture_for_each_monitored_number_and_a_link_to_it(tmp_path, history_and_result):
    history, result = history_and_result
    page = write_summary(tmp_path, result, history, CONFIG)
    names = {
        f"{split}{metric}@{k}.png" for split in ("valid", "test") for metric in ("recall", "ndcg") for k in (10, 20)
    }
    pictures = {path.name for path in tmp_path.iterdir()} - {"SUMMARY.md"}
    assert pictures == {"trainloss.png", *names}
    assert set(re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))) == pictures
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def test_the_same_run_gives_the_same_files(tmp_path):
    history = MonitorHistory({"valid": {"auc": [(0, 0.5), (1, 0.75)]}})
    for name in ("one", "two", "two"):
        write_summary(tmp_path / name, {"best_epoch": 1}, history, CONFIG)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert sorted(one) == ["SUMMARY.md", "validauc.png"]
    assert one == two


def test_a_run_without_validation_says_so(tmp_path, history_and_result):
    _, result = history_and_result
    result = {
        **result,
        "valid": None,
        "best_epoch": 30,
        "which4best": None,
        "users": {"valid": None, "test": 5, "skipped": 0},
    }
    text = write_summary(tmp_path, result, MonitorHistory(), CONFIG).read_text(encoding="utf-8")
    assert "- numbers: at epoch 30, without validation\n- users ranked: 5 test; 0 skipped" in text
    assert "| metric | test |" in text
    assert (tmp_path / "testndcg@20.png").exists()


def test_a_run_that_measured_nothing_has_a_summary_too(tmp_path):
    text = write_summary(tmp_path, {}, MonitorHistory(), {}).read_text(encoding="utf-8")
    assert "Nothing was evaluated." in text


def test_values_that_are_not_finite_are_never_the_best(tmp_path):
    history = MonitorHistory({"valid": {"auc": [(0, math.nan), (1, 0.5), (2, math.inf)], "map@5": [(0, math.nan)]}})
    text = write_summary(tmp_path, {}, history, {}).read_text(encoding="utf-8")
    assert "| valid | `auc` | 0.5000 | 1 | inf |" in text
    assert "| valid | `map@5` | - | - | nan |" in text
