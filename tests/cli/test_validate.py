from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Outcome, modules_after

Run = Callable[..., Outcome]


def test_a_good_config_is_ok(recrun: Run) -> None:
    outcome = recrun("validate", "bprmf", "ease")
    assert (outcome.code, outcome.out, outcome.err) == (0, "bprmf: ok\nease: ok\n", "")


def test_every_fault_is_a_line_with_its_place_and_nothing_else_happens(recrun: Run) -> None:
    recrun("validate", "bprmf").folder.joinpath("a.yaml").write_text("model: bprmf\nepohs: 3\nlr: fast\n")
    outcome = recrun("validate", "a.yaml", "bprmf", "nothing")
    assert outcome.code == 2
    assert outcome.out.splitlines()[:3] == [
        "a.yaml:2:1: epohs: unknown setting; did you mean 'epochs'?",
        "a.yaml:3:5: lr: expected a number > 0, found 'fast' (text)",
        "bprmf: ok",
    ]
    assert outcome.out.splitlines()[3].startswith(
        "nothing: there is no file 'nothing', and no bundled config of that name"
    )
    assert [path.name for path in outcome.folder.iterdir()] == ["a.yaml"]


def test_the_same_as_json(recrun: Run) -> None:
    recrun("validate", "bprmf").folder.joinpath("a.yaml").write_text("model: bprmf\nepohs: 3\n")
    outcome = recrun("validate", "a.yaml", "bprmf", "--json")
    assert outcome.code == 2
    assert json.loads(outcome.out) == {
        "configs": [
            {
                "path": "a.yaml",
                "ok": False,
                "faults": [
                    {
                        "file": "a.yaml",
                        "line": 2,
                        "column": 1,
                        "key": "epohs",
                        "message": "unknown setting",
                        "suggestion": "epochs",
                    }
                ],
                "notes": [],
            },
            {"path": "bprmf", "ok": True, "faults": [], "notes": []},
        ]
    }


def test_a_config_must_be_named(recrun: Run) -> None:
    outcome = recrun("validate")
    assert outcome.code == 2
    assert "Missing argument 'CONFIG ...'" in outcome.err


def test_nothing_heavy_is_imported() -> None:
    heavy = ("torch", "numpy", "polars", "scipy", "rich", "matplotlib", "pydantic")
    assert modules_after("validate", "bprmf", names=heavy) == []


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("event = 'buy'", "character 7: expected one of == != < <= > >= in contains startswith endswith, found =; "),
        ("event == buy", "character 10: expected a number, text in quotes, true, false or null (text is written in "),
        ("event == 'buy", "character 10: the quote that begins here is not closed"),
        ("(event == 'buy'", "character 16: expected and, or, or ), found the end"),
        ("", "character 1: expected a column, found the end"),
    ],
)
def test_a_condition_is_checked_without_the_data(recrun: Run, condition: str, message: str) -> None:
    Path("my.yaml").write_text(f'model: popularity\ndataset: File\npath: a.csv\nfilter: "{condition}"\n')
    outcome = recrun("validate", "my.yaml")
    assert outcome.code == 2
    assert f"my.yaml:4:9: filter: {message}" in outcome.out + outcome.err


def test_notes_are_printed_with_the_config(recrun: Run) -> None:
    folder = recrun("validate", "bprmf").folder
    folder.joinpath("a.yaml").write_text("model: bprmf\ndataset: LastFM\ntuned_for: Beauty\n")
    outcome = recrun("validate", "a.yaml")
    note = "the settings of a.yaml were chosen for Beauty, not for LastFM"
    assert (outcome.code, outcome.out) == (0, f"a.yaml: note: {note}\na.yaml: ok\n")
    assert json.loads(recrun("validate", "a.yaml", "--json").out)["configs"][0]["notes"] == [note]


def test_the_section_of_a_sweep_is_checked_together_with_the_settings(recrun: Run) -> None:
    text = (
        "model: bprmf\nepohs: 3\nsweep:\n  trials: 0\n  search: tpe\n"
        "  space:\n    lr: 0..1\n    optimizer: [adam, sgdd]\n"
    )
    recrun("validate", "bprmf").folder.joinpath("a.yaml").write_text(text)
    outcome = recrun("validate", "a.yaml")
    assert outcome.code == 2
    assert outcome.out.splitlines() == [
        "a.yaml:2:1: epohs: unknown setting; did you mean 'epochs'?",
        "a.yaml:4:11: trials: expected an integer >= 1, found 0 (an integer)",
        "a.yaml:7:9: lr: expected a number > 0, found 0.0 (a number)",
        "a.yaml:8:23: optimizer: unknown optimizer 'sgdd' (available: adagrad, adam, adamw, lazy_adam, row_adagrad, "
        "sgd, sparse_adam); did you mean 'sgd'?",
    ]


def test_a_good_section_is_ok_and_training_ignores_it(recrun: Run) -> None:
    space = "{lr: 1e-4..1e-2:log, optimizer: {adam: , sgd: {momentum: 0..0.9}}}"
    text = f"extends: [bprmf]\nsweep: {{search: tpe, space: {space}}}\n"
    recrun("validate", "bprmf").folder.joinpath("a.yaml").write_text(text)
    assert recrun("validate", "a.yaml").out == "a.yaml: ok\n"
    printed = recrun("train", "a.yaml", "--print-config").out
    assert "sweep" not in printed
    assert "argument 1:1: sweep: belongs in a config file; here, vary a setting with recrun sweep KEY=V1,V2" in (
        recrun("train", "a.yaml", "sweep=3").err
    )
