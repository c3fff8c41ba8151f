"""Pages of reports: their numbers are those of the runs, and hostile runs change nothing of their small, sound form."""

from __future__ import annotations

import html.parser
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from lxml import html as trees

from recrun.compare.compare import How, compare
from recrun.compare.report.build import report
from recrun.compare.report.limits import Limits
from recrun.compare.report.material import gather
from recrun.compare.report.sweeps import sweep_parts
from recrun.errors import CheckpointError
from recrun.files import to_json
from recrun.report.html.element import render
from tests.compare.conftest import write_run
from tests.compare.report.conftest import (
    add_curves,
    change_metrics,
    grouping,
    page_of,
    rows_of,
    sweep_document,
    text_of,
    value_of,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "</title></script></style>",
    '" onmouseover="alert(1)',
    "javascript:alert(1)",
    "a\u202egnp.exe",
    "\x1b]0;x\x07\r\n",
    "\ud800",
    "&lt;img src=x onerror=alert(1)&gt;",
)
VOID = {"meta", "br", "hr"}


class Balance(html.parser.HTMLParser):
    """Checks that every element that begins ends, in order, and notes what the page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> Balance:
    """Return what a page is made of, once its form is checked."""
    found = Balance()
    found.feed(text)
    found.close()
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert not {name for name in found.attributes if name.startswith("on")} | ({"style", "src"} & found.attributes)
    assert not {"img", "iframe", "object", "form", "link", "base"} & found.names
    assert text.count("<script>") == text.count("</script>") == text.count("<style>") == 1
    page = trees.fromstring(text)
    for address in page.xpath("//@href"):
        assert address.startswith(("./", "#"))
    for name in ("aria-labelledby", "aria-describedby", "data-for"):
        for named in page.xpath(f"//@{name}"):
            assert named in found.ids, (name, named)
    assert page.xpath("//svg[not(@role='img') and not(@aria-hidden='true')]") == []
    assert page.xpath("//table[not(caption)]") == []
    assert len(text.encode("utf-8")) < 500_000
    return found


def test_a_page_is_well_formed_and_has_every_part(runs: Path) -> None:
    text = text_of(runs)
    checked(text)
    headings = trees.fromstring(text).xpath("//h2/text()")
    assert headings == [
        "Results",
        "Differences to the baseline",
        "Curves",
        "Groups of users and items",
        "Trade-offs",
        "Settings that differ",
        "Runs",
        "Commands",
    ]


def test_the_same_runs_give_the_same_page(runs: Path) -> None:
    assert text_of(runs) == text_of(runs)


def test_means_and_tests_are_those_of_the_comparison(runs: Path) -> None:
    page, comparison = page_of(runs), compare([str(runs)], "runs", How())
    rows = rows_of(page, "means")
    for row, group in zip(rows, comparison.groups, strict=True):
        assert [value_of(cell) for cell in row[1:]] == [2, *(group.mean[metric] for metric in comparison.metrics)]
    assert len(rows_of(page, "tests")) == len(comparison.tests) == 4
    for row, test in zip(rows_of(page, "tests"), comparison.tests, strict=True):
        found = [value_of(cell) for cell in row[4:9]]
        assert found == [test.difference, test.interval[0], test.p, test.p_corrected, test.effect]
        assert (row[0].text_content()[1:], row[1].text) == (test.group, test.metric)
        assert value_of(row[10]) == test.n


def test_the_best_is_bold_and_what_cannot_be_told_from_it_is_marked(runs: Path) -> None:
    rows = rows_of(page_of(runs), "means")
    assert [len(row[2].xpath("./b")) for row in rows] == [1, 0, 0]
    assert [row[2].text_content().endswith("†") for row in rows] == [False, True, False]
    assert [row[0].text_content() for row in rows] == ["1bprmf", "2ease", "3lightgcn"]


def test_the_head_says_what_was_compared(runs: Path) -> None:
    facts = page_of(runs).xpath("//dl")[0].text_content()
    for text in (
        "6: 3 groups, 2 seeds each",
        "baselinebprmf",
        "Synthetic, 40 users, 30 items, 480 interactions (train 400, valid 40, test 40), density 40.000%",
        "all items",
        "ndcg@20 on validation",
        "recrun 0.1, torch 2.13",
        "0123456789ab with changes",
        "2026-01-01 00:00",
    ):
        assert text in facts


def test_commands_are_shown_as_a_shell_takes_them(runs: Path) -> None:
    assert page_of(runs).xpath("//code/text()")[0] == "recrun train bprmf 'description=a b'"


def test_curves_are_those_of_the_histories(runs: Path) -> None:
    page = page_of(runs)
    assert page.xpath("//section[@id='curves']//figcaption/b/text()") == [
        "training loss",
        "validation ndcg@20",
        "validation recall@20",
    ]
    lines = page.xpath("//figure[@id='curve-1']//path[@data-values]")
    assert [line.xpath("./title/text()")[0] for line in lines] == [
        "bprmf, seed 1",
        "bprmf, seed 2",
        "lightgcn, seed 1",
        "lightgcn, seed 2",
    ]
    assert lines[2].get("data-values") == "0:1 1:0.5 2:0.33333 3:0.25"
    assert [line.get("data-series") for line in lines] == ["0", "0", "2", "2"]
    assert "Without a line, since measured at a single epoch: ease." in page.text_content()


def test_groups_of_users_are_means_over_seeds_with_their_gaps(runs: Path) -> None:
    page = page_of(runs)
    rows = rows_of(page, "breakdown-1")
    assert [value_of(cell) for cell in rows[0][2:]] == pytest.approx([0.15, 0.3, 0.5, 0.25, 0.125, 0.0625])
    assert [row[0].text_content() for row in rows] == ["1bprmf", "3lightgcn"] * 2  # ease has no groups
    tips = page.xpath("//figure[@id='groups-1']//path/title/text()")
    assert tips == [
        f"{name}, {group}: {value}"
        for group, value in (("1-9", "0.1500"), ("10-99", "0.3000"))
        for name in ("bprmf", "lightgcn")
    ]
    heads = page.xpath("//table[@id='breakdown-1']/thead//th/text()")
    assert heads[2:4] == ["1-9 (20 users)", "10-99 (20 users)"]


def test_a_group_without_a_value_in_one_seed_has_no_mean(runs: Path) -> None:
    run = next(runs.glob("*/*/best1"))
    document = json.loads((run / "metrics.json").read_text("utf-8"))
    document["groups"]["test"]["activity:2"] = grouping(None, 0.5)
    (run / "metrics.json").write_text(to_json(document), "utf-8")
    assert rows_of(page_of(runs), "breakdown-1")[0][2].text == "-"


def test_settings_that_differ_are_shown_and_others_are_not(runs: Path) -> None:
    page = page_of(runs)
    assert page.xpath("//table[@id='settings-table']/thead//th/text()") == ["group", "model", "n_layers"]
    assert [[cell.text_content() for cell in row[1:]] for row in rows_of(page, "settings-table")] == [
        ["bprmf", "not set"],
        ["ease", "not set"],
        ["lightgcn", "2"],
    ]


def test_runs_have_links_that_lead_to_them(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    page = page_of(runs)
    links = page.xpath("//table[@id='runs-table']//a/@href")
    assert len(links) == 6
    assert all(Path(unquote(link), "run.json").is_file() for link in links)
    row = rows_of(page, "runs-table")[0]
    assert [value_of(cell) for cell in row[2:4]] == [1, 3]
    assert [cell.text for cell in row[6:9]] == ["2.10", "300", "1,234"]


def test_trade_offs_name_their_front(runs: Path) -> None:
    description = page_of(runs).xpath("//figure[@id='pareto-metrics']//desc/text()")[0]
    assert description == "A point for each of 3 groups. On the Pareto front: bprmf."


def test_a_single_run_has_a_page_without_tests(runs: Path) -> None:
    text = text_of(next(runs.glob("*/*/best1")))
    checked(text)
    page = trees.fromstring(text)
    assert page.xpath("//table[@id='tests']") == page.xpath("//ul[@class='legend']") == []
    assert len(page.xpath("//figure[@id='curve-1']")) == 1


def test_runs_that_do_not_compare_are_described_and_the_reason_is_shown(runs: Path) -> None:
    write_run(runs, "other", 1, 0.2, model="itemknn", record={"data": {"split": "b" * 64}})
    text = text_of(runs)
    checked(text)
    page = trees.fromstring(text)
    reason = page.xpath("//p[@class='reason']/text()")[0]
    assert reason.startswith("No tests, numbers only: their train, valid and test parts differ: ")
    assert page.xpath("//table[@id='tests']") == page.xpath("//td/b") == []
    assert len(rows_of(page, "means")) == 4


def test_runs_without_values_of_users_are_described_with_the_command_that_writes_them(tmp_path: Path) -> None:
    for model in ("bprmf", "ease"):
        write_run(tmp_path / "runs", model, 1, 0.1, model=model, per_user=False)
    reason = page_of(tmp_path / "runs").xpath("//p[@class='reason']/text()")[0]
    assert "recrun eval --checkpoint" in reason


def test_values_of_users_that_cannot_be_read_leave_a_page_without_tests(runs: Path) -> None:
    next(runs.rglob("test.parquet")).write_bytes(b"PAR1 and nothing else")
    page = page_of(runs)
    assert "test.parquet" in page.xpath("//p[@class='reason']/text()")[0]
    assert page.xpath("//table[@id='tests']") == []
    assert len(rows_of(page, "means")) == 3


@pytest.mark.parametrize("damage", ["cut", "NaN", "gone"])
def test_a_damaged_history_is_noted(runs: Path, damage: str) -> None:
    file = next(runs.rglob("metrics.jsonl"))
    text = file.read_text(encoding="utf-8")
    file.write_text({"cut": text[:40], "NaN": text.replace("0.", "NaN, 0.", 1), "gone": ""}[damage], encoding="utf-8")
    if damage == "gone":
        file.unlink()
    notes = gather([str(runs)], runs, How(), None, is_asked=False).notes
    assert [note for note in notes if note.startswith("no curves, or not all of them: ") and str(file) in note]


def test_a_sweep_has_its_axes_its_importance_and_its_failures(sweep: Path) -> None:
    text = text_of(sweep)
    checked(text)
    page = trees.fromstring(text)
    assert (
        "7 trials (6 done, 1 failed), by ndcg@20 on validation. Best: lr=0.1, optimizer=adam, " in page.text_content()
    )
    tracks = page.xpath("//figure[@id='sweep-1-parallel']//path[contains(@class, 'track')]")
    assert len(tracks) == 6
    assert tracks[-1].xpath("./title/text()")[0].startswith("trial 4: lr=0.1, optimizer=adam: ndcg@20 ")
    assert page.xpath("//figure[starts-with(@id, 'sweep-1-slice')]/figcaption/b/text()") == ["lr", "optimizer"]
    rows = rows_of(page, "sweep-1-shares")
    assert [row[0].text for row in rows] == ["lr", "optimizer", "rest"]
    assert sum(value_of(row[2]) or 0 for row in rows) == pytest.approx(1)
    assert [cell.text_content() for cell in rows_of(page, "sweep-1-unfinished")[0]] == [
        "6",
        "lr=1, optimizer=sgd",
        "failed",
        "the loss is NaN </td><script>",
    ]
    assert "the numbers are those of validation" in page.text_content()


def test_trials_of_different_data_have_no_best_and_no_importance(tmp_path: Path, sweep: Path) -> None:
    document = json.loads((sweep / "sweep.json").read_text("utf-8"))
    for place, trial in enumerate(document["trials"]):
        trial["overrides"]["dataset"] = "Synthetic" if place % 2 else "MovieLens100K"
    (sweep / "sweep.json").write_text(to_json(document), "utf-8")
    page = page_of(sweep)
    assert "Not computed: dataset changes the data." in page.text_content()
    assert page.xpath("//path[contains(@class, 'best')]") == []


def test_seeds_of_a_sweep_are_points_together(tmp_path: Path) -> None:
    trials: list[dict[str, Any]] = []
    for lr in (0.01, 0.1):
        for seed in (1, 2):
            run = write_run(tmp_path / "runs", f"t{len(trials)}", seed, lr, lr=lr)
            entry = {"overrides": {"lr": lr, "seed": seed}, "status": "done", "run": str(run.path)}
            trials.append({**entry, "valid": {"ndcg@20": lr + seed}, "seconds": None})
    folder = tmp_path / "runs" / "sweeps" / "s"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text(to_json(sweep_document(tmp_path / "runs", trials)), encoding="utf-8")
    tips = page_of(folder).xpath("//figure[@id='sweep-1-parallel']//path/title/text()")
    assert tips == ["mean of trials 0, 1: lr=0.01: ndcg@20 1.5100", "mean of trials 2, 3: lr=0.1: ndcg@20 1.6000"]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_a_run_runs_or_changes_the_page(tmp_path: Path, text: str) -> None:
    root, metric = tmp_path / "runs", f"m{text}"
    written = text.encode("utf-8", "replace").decode() if "\ud800" in text else text
    for seed, model in ((1, "bprmf"), (2, "bprmf"), (1, "ease"), (2, "ease")):
        run = write_run(root, f"{model}{seed}", seed, 0.1, model=model, whole={"coverage@20": 0.5})
        record = json.loads((run.path / "run.json").read_text("utf-8"))
        record |= {"argv": ["recrun", written], "notes": [written], "versions": {"recrun": written}, "started": written}
        record["statistics"] = {"users": written, "items": 3, "density": written}
        record["git"] = {"commit": written, "dirty": written}
        (run.path / "run.json").write_text(json.dumps(record), "utf-8")
        add_curves(run)
        with run.metrics_lines_file.open("a", encoding="utf-8") as file:
            line = {"epoch": 1, "split": "train", "values": {metric: 1.0}, "seconds": 1.0, "best": False}
            file.write(json.dumps(line) + "\n" + json.dumps({**line, "epoch": 2}) + "\n")
        group = grouping(0.1, 0.2, (written, "b"))
        change_metrics(run, groups={"test": {written: group}})
    folder = root / "sweeps" / "s"
    folder.mkdir(parents=True)
    values = [written, "y", written, "y"]
    trials = [
        {
            "overrides": {f"axis {written}": value, "lr": n % 2},
            "status": "done",
            "run": str(path),
            "valid": {"ndcg@20": 0.1 * n},
            "cause": written,
        }
        for n, (value, path) in enumerate(zip(values, sorted(root.glob("mf/*/*")), strict=True))
    ]
    trials.append({"overrides": {}, "status": written, "run": None, "cause": written})
    (folder / "sweep.json").write_text(json.dumps(sweep_document(root, trials)), "utf-8")
    found = text_of(folder, title=text)
    checked(found)
    page = trees.fromstring(found)
    assert page.xpath("//*[local-name()='script' or local-name()='img']")[1:] == []
    assert len(page.xpath("//h2")) == 9
    shown = page.xpath("//h1")[0].text
    assert shown == (text if text.isprintable() else text.encode("unicode_escape").decode())
    assert not re.search("[\u202e\x1b\x07\ud800]", found)


def test_a_model_of_a_hostile_name_is_shown_in_the_title_and_the_tables(tmp_path: Path) -> None:
    name = "</title><script>alert(1)</script>"
    for seed in (1, 2):
        write_run(tmp_path / "runs", f"a{seed}", seed, 0.1, model=name)
        write_run(tmp_path / "runs", f"b{seed}", seed, 0.1, model="ease")
    text = text_of(tmp_path / "runs")
    checked(text)
    assert name in trees.fromstring(text).xpath("//table[@id='means']")[0].text_content()


@pytest.mark.slow
def test_a_page_of_many_long_runs_stays_small_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    for seed in range(1, 9):
        for lr in range(1, 27):
            run = write_run(
                tmp_path / "runs", f"r{seed}-{lr}", seed, lr / 100, lr=lr / 1000, record={"notes": ["n" * 900]}
            )
            if lr < 5:
                add_curves(run, 400, lr / 100)
    text = text_of(tmp_path / "runs", how=How(descriptive=True))
    checked(text)
    content = trees.fromstring(text).text_content()
    assert re.search(r"The first [\d,]+ of 208 runs are shown\.", content)
    assert re.search(r"at most \d+ points are drawn", content)
    assert re.search(r"Shown are \d+ of 26 groups\.", content)


def test_a_damaged_sweep_is_refused(sweep: Path) -> None:
    document = json.loads((sweep / "sweep.json").read_text("utf-8"))
    document["trials"][0]["overrides"] = 3
    (sweep / "sweep.json").write_text(to_json(document), "utf-8")
    with pytest.raises(CheckpointError, match=r"sweep\.json is damaged: expected trials with overrides"):
        text_of(sweep)


def test_a_page_elsewhere_links_to_the_runs_from_there(runs: Path) -> None:
    material = gather([str(runs)], "runs", How(), None, is_asked=False)
    place = runs.parent / "deep" / "down" / "page.html"
    links = trees.fromstring(report(material, str(place))).xpath("//table[@id='runs-table']//a/@href")
    assert all(os.path.isdir(place.parent.parent.parent / unquote(link).replace("../", "")) for link in links)
    assert all(link.startswith("./../../runs/") for link in links)


def test_of_many_points_of_a_sweep_the_best_and_others_evenly_by_rank_are_drawn(sweep: Path) -> None:
    material = gather([str(sweep)], "runs", How(), None, is_asked=False)
    parts = sweep_parts(material.sweeps[0], 1, replace(Limits(), trials=3))
    page = trees.fromstring("".join(["<div>", *map(render, parts), "</div>"]))
    tips = page.xpath("//figure[@id='sweep-1-parallel']//path/title/text()")
    ranked = [point.trials[0].index for point in material.sweeps[0].points()]
    assert [int(tip.split()[1].strip(":")) for tip in tips] == [ranked[4], ranked[2], ranked[0]]
    assert "Shown are 3 of 6 points, evenly by rank." in page.text_content()


def test_a_sweep_has_its_last_step_whatever_a_stranger_wrote_in_it(sweep: Path) -> None:
    final = {
        "point": 0,
        "digest": "0123456789",
        "settings": {"lr": 0.1, "note": "</td><script>"},
        "chosen_by": {"metric": "ndcg@20", "by": "rank", "points": 6, "trials": 7},
        "train_on": "train_valid",
        "epochs": 12,
        "n": 3,
        "trials": [],
        "mean": {"ndcg@20": 0.25, "<b>": "none"},
        "sd": {"ndcg@20": 0.01},
        "interval": {"ndcg@20": [0.2, 0.3]},
    }
    (sweep / "final.json").write_text(to_json({"schema": 1, "finals": [final], "earlier": []}), "utf-8")
    text = text_of(sweep)
    checked(text)
    page = trees.fromstring(text)
    first, second = rows_of(page, "sweep-1-final-1")
    assert [value_of(cell) for cell in first[1:]] == [0.25, 0.01, 0.2, 0.3]
    assert second[0].text == "<b>"
    caption = page.xpath("//table[@id='sweep-1-final-1']/caption")[0].text_content()
    assert "chosen among 6 points by ndcg@20 on validation, trained on train and valid for 12 epochs" in caption


def test_axes_that_are_not_crossed_are_weighed_by_a_forest(sweep: Path) -> None:
    document = json.loads((sweep / "sweep.json").read_text("utf-8"))
    trial, trials = document["trials"][0], []
    for number in range(24):
        lr, momentum = 10 ** -(1 + (number * 7 % 24) / 6), {"momentum": 0.1 * (number % 5)} if number % 2 else {}
        overrides = {"lr": lr, "optimizer": "sgd" if momentum else "adam", **momentum}
        trials.append({**trial, "overrides": overrides, "valid": {"ndcg@20": 0.3 + 0.05 * math.log10(lr)}})
    (sweep / "sweep.json").write_text(to_json({**document, "trials": trials}), "utf-8")
    page = page_of(sweep)
    rows = rows_of(page, "sweep-1-forest")
    assert rows[0][0].text == "lr"
    assert {row[0].text for row in rows} == {"lr", "optimizer", "momentum"}
    assert "of the variance out of bag" in page.xpath("//table[@id='sweep-1-forest']/caption")[0].text_content()


def test_configs_of_a_sweep_are_an_axis_and_points_may_lack_others(sweep: Path) -> None:
    document = json.loads((sweep / "sweep.json").read_text("utf-8"))
    trials = document["trials"]
    for place, trial in enumerate(trials):
        lr = trial["overrides"]["lr"]
        trial["config"] = "bprmf" if place % 2 else "itemknn"
        trial["overrides"] = {"lr": lr} if place % 2 else {"n_neighbors": place}
    (sweep / "sweep.json").write_text(to_json(document), "utf-8")
    text = text_of(sweep)
    checked(text)
    page = trees.fromstring(text)
    figures = page.xpath("//figure[starts-with(@id, 'sweep-1-slice')]")
    assert [each.xpath("./figcaption/b/text()")[0] for each in figures] == ["config", "n_neighbors", "lr"]
    assert "3 points without lr left out" in figures[2].text_content()
    tracks = page.xpath("//figure[@id='sweep-1-parallel']//path[contains(@class, 'track')]/@d")
    assert len(tracks) == 6
    assert all(track.count("M") == 2 or "L" in track for track in tracks)
    assert "None" not in page.text_content()
    assert "not set" not in page.text_content()


def test_pruned_trials_are_listed_with_what_they_reached_and_count_in_what_the_sweep_recorded(sweep: Path) -> None:
    document = json.loads((sweep / "sweep.json").read_text("utf-8"))
    for trial in document["trials"][:3]:
        trial.update(status="pruned", reached=3)
    weights = [{"setting": "lr", "importance": 0.75}, {"setting": "<b>"}, 7, {"setting": 1, "importance": 1}]
    document["importance"] = {"epoch": 3, "points": 7, "method": "forest", "r2": 0.5, "settings": weights}
    (sweep / "sweep.json").write_text(to_json(document), "utf-8")
    text = text_of(sweep)
    checked(text)
    page = trees.fromstring(text)
    assert "7 trials (3 pruned, 3 done, 1 failed)" in page.text_content()
    rows = rows_of(page, "sweep-1-unfinished")
    assert [row[2].text for row in rows] == ["pruned", "pruned", "pruned", "failed"]
    assert rows[0][3].text.startswith("trained to epoch 3, with ndcg@20 ")
    assert [[cell.text for cell in row] for row in rows_of(page, "sweep-1-recorded")] == [["lr", "75.0%"]]


@pytest.mark.parametrize(
    "recorded",
    [3, {"epoch": "3"}, {"epoch": 3, "points": 7, "settings": {}}, {"epoch": 3, "points": 7, "settings": []}],
)
def test_a_record_of_importance_that_is_none_is_left_out(sweep: Path, recorded: object) -> None:
    document = json.loads((sweep / "sweep.json").read_text("utf-8"))
    (sweep / "sweep.json").write_text(to_json({**document, "importance": recorded}), "utf-8")
    assert rows_of(page_of(sweep), "sweep-1-recorded") == []


def test_what_the_best_points_share_is_beside_what_all_have(sweep: Path) -> None:
    document = json.loads((sweep / "sweep.json").read_text("utf-8"))
    first, trials = document["trials"][0], []
    for number in range(16):
        overrides = {"lr": (number + 1) / 100, "optimizer": "sgd" if number % 4 else "adam"}
        trials.append({**first, "overrides": overrides, "valid": {"ndcg@20": number / 100}})
    (sweep / "sweep.json").write_text(to_json({**document, "trials": trials}), "utf-8")
    rows = [[cell.text for cell in row] for row in rows_of(page_of(sweep), "sweep-1-best")]
    assert rows == [["lr", "0.13 (0.145) 0.16", "0.01 (0.085) 0.16"], ["optimizer", "3 sgd, 1 adam", "12 sgd, 4 adam"]]
