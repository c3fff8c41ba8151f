from __future__ import annotations

import math
import re
import sys
from pathlib import Path

from recrun.config.config import Config
from recrun.report.files.course import Courses
from recrun.report.files.summary import write_summary

CONFIG = Config(
    {"description": "BPRMF", "dataset": "Gowalla_m1", "lr": 1e-3, "resume": None, "note": "a|b `c`", "x": [1, 2]}
)


def _sections(text: str) -> dict[str, list[str]]:
    parts = re.split(r"^##? (.+)$", text, flags=re.MULTILINE)
    return {name: body.strip().splitlines() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_a_summary_tells_the_result_the_course_and_the_config(tmp_path, courses_and_result):
    courses, result = courses_and_result
    page = write_summary(tmp_path / "summary", {**result, "environment": {"python": "3.12.1"}}, courses, CONFIG)
    assert page == tmp_path / "summary" / "SUMMARY.md"
    sections = _sections(page.read_text(encoding="utf-8"))
    assert list(sections) == ["BPRMF on Gowalla_m1", "Result", "Course", "Config", "Environment"]
    assert sections["BPRMF on Gowalla_m1"] == [
        "- status: done",
        "- run: `runs/BPRMF/Gowalla_m1/one`",
        "- numbers: at epoch 18, best by valid ndcg@20",
        "- users ranked: 29,000 valid, 29,858 test; 858 skipped (nothing to find)",
        "- time: train 6 min 00 s, evaluate 48.0 s, total 6 min 55 s",
        "",
        "![learning curves](curves.png)",
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


def test_nothing_in_a_summary_controls_the_terminal_that_shows_it(tmp_path, courses_and_result):
    courses, result = courses_and_result
    hostile = "a\x1b[31mb\u202ec\x07"
    config = Config({"description": hostile, "dataset": "Gowalla_m1", "note": hostile, "x": [hostile]})
    content = {**result, "run": hostile, "environment": {hostile: hostile}}
    text = write_summary(tmp_path, content, courses, config, plots=False).read_text(encoding="utf-8")
    assert text.replace("\n", "").isprintable()
    assert text.count(r"\x1b[31mb\u202ec\x07") == 6


def _courses(split: str = "valid", **values: list[float]) -> Courses:
    courses = Courses()
    for metric, course in values.items():
        for epoch, value in enumerate(course):
            courses.append(split, epoch, {metric: value})
    return courses


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_there_is_a_picture_of_each_metric_with_a_course_and_a_link_to_it(tmp_path, courses_and_result):
    courses, result = courses_and_result
    page = write_summary(tmp_path, result, courses, CONFIG)
    names = [f"valid{metric}@{k}.png" for metric in ("ndcg", "recall") for k in (10, 20)]
    assert _names(tmp_path) == ["SUMMARY.md", "curves.png", "curves.svg", "trainloss.png", *names]
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([^)]+)\)", text)) == {"curves.png", "trainloss.png", *names}
    assert "| test | `ndcg@20` | 0.0400 | 18 | 0.0400 | - |" in text


def test_without_plots_no_picture_is_linked_and_none_of_an_earlier_attempt_stays(tmp_path, courses_and_result):
    courses, result = courses_and_result
    write_summary(tmp_path, result, courses, CONFIG)
    (tmp_path / "testndcg@20.png").write_bytes(b"as older versions drew it")
    (tmp_path / "mine.png").write_bytes(b"the user's own")
    page = write_summary(tmp_path, result, courses, CONFIG, plots=False)
    assert _names(tmp_path) == ["SUMMARY.md", "mine.png"]
    assert "](" not in page.read_text(encoding="utf-8")


def test_a_plot_that_cannot_be_written_is_a_warning_and_takes_the_others_with_it(tmp_path, courses_and_result, caplog):
    courses, result = courses_and_result
    (tmp_path / "validndcg@10.png").mkdir(parents=True)
    page = write_summary(tmp_path, result, courses, CONFIG)
    (message,) = caplog.messages
    assert message.startswith("no plots were drawn (IsADirectoryError: ")
    assert message.endswith("); the run and its numbers are complete")
    assert _names(tmp_path) == ["SUMMARY.md", "validndcg@10.png"]
    assert "](" not in page.read_text(encoding="utf-8")


def test_without_a_working_matplotlib_there_is_a_summary_all_the_same(
    tmp_path, courses_and_result, caplog, monkeypatch
):
    courses, result = courses_and_result
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = write_summary(tmp_path, result, courses, CONFIG)
    assert caplog.messages[0].startswith("no plots were drawn (ModuleNotFoundError: ")
    assert _names(tmp_path) == ["SUMMARY.md"]
    assert "](" not in page.read_text(encoding="utf-8")


def test_the_names_of_pictures_stay_within_the_folder(tmp_path):
    folder = tmp_path / "a" / "summary"
    courses = Courses()
    for epoch in range(2):
        courses.append("../../x", epoch, {"a\x00/b" + 300 * "c": 0.5})
    page = write_summary(folder, {}, courses, {})
    pictures = [path.name for path in folder.glob("*.png")]
    assert pictures == [".._.._xa__b" + 109 * "c" + ".png"]
    assert f"]({pictures[0]})" in page.read_text(encoding="utf-8")
    assert _names(tmp_path) == ["a"]


def test_the_same_run_gives_the_same_files(tmp_path):
    courses = _courses(auc=[0.5, 0.75])
    for name in ("one", "two", "two"):
        write_summary(tmp_path / name, {"best_epoch": 1, "which4best": "auc"}, courses, CONFIG)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert sorted(one) == ["SUMMARY.md", "curves.png", "curves.svg", "validauc.png"]
    assert one == two


def test_a_run_without_validation_says_so(tmp_path, courses_and_result):
    _, result = courses_and_result
    result = {
        **result,
        "valid": None,
        "best_epoch": 30,
        "which4best": None,
        "users": {"valid": None, "test": 5, "skipped": 0},
    }
    text = write_summary(tmp_path, result, Courses(), CONFIG).read_text(encoding="utf-8")
    assert "- numbers: at epoch 30, without validation\n- users ranked: 5 test; 0 skipped" in text
    assert "| metric | test |" in text


def test_a_run_that_measured_nothing_has_a_summary_too(tmp_path):
    text = write_summary(tmp_path, {}, Courses(), {}).read_text(encoding="utf-8")
    assert "Nothing was evaluated." in text


def test_values_that_are_not_finite_are_never_the_best(tmp_path):
    courses = _courses(**{"auc": [math.nan, 0.5, math.inf], "map@5": [math.nan]})
    text = write_summary(tmp_path, {}, courses, {}).read_text(encoding="utf-8")
    assert "| valid | `auc` | 0.5000 | 1 | inf |" in text
    assert "| valid | `map@5` | - | - | nan |" in text


def test_groups_and_their_gaps_are_tables_in_which_nothing_breaks_a_cell(tmp_path):
    groups = [
        {"group": "a|b\n", "users": 1200, "metrics": {"ndcg@5": 0.25}},
        {"group": "c", "users": 0, "metrics": {"ndcg@5": None}},
    ]
    gaps = {"ndcg@5": {"difference": 0.0, "ratio": None}}
    found = {
        "test": {
            "x|y": {"of": "users", "groups": groups, "gaps": gaps},
            "z": {"of": "users", "groups": groups, "gaps": {}},
        }
    }
    sections = _sections(write_summary(tmp_path, {"groups": found}, Courses(), {}).read_text(encoding="utf-8"))
    assert sections["test by x|y"] == [
        "| group | users | `ndcg@5` |",
        "| --- | --- | --- |",
        "| a\\|b | 1,200 | 0.2500 |",
        "| c | 0 | - |",
        "",
        "| gap | `ndcg@5` |",
        "| --- | --- |",
        "| difference | 0.0000 |",
        "| ratio | - |",
    ]
    assert sections["test by z"] == sections["test by x|y"][:4]
