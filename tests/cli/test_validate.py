from __future__ import annotations

import json
from collections.abc import Callable

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


def test_notes_are_printed_with_the_config(recrun: Run) -> None:
    folder = recrun("validate", "bprmf").folder
    folder.joinpath("a.yaml").write_text("model: bprmf\ndataset: LastFM\ntuned_for: Beauty\n")
    outcome = recrun("validate", "a.yaml")
    note = "the settings of a.yaml were chosen for Beauty, not for LastFM"
    assert (outcome.code, outcome.out) == (0, f"a.yaml: note: {note}\na.yaml: ok\n")
    assert json.loads(recrun("validate", "a.yaml", "--json").out)["configs"][0]["notes"] == [note]
