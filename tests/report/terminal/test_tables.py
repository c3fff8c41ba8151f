from __future__ import annotations

from recrun.registry.component import REQUIRED, Component, Parameter
from recrun.report.terminal.tables import evaluation_table, groups_tables, parameter_table, result_table, table
from recrun.types import PositiveInt

MODEL = Component(
    kind="model",
    name="bprmf",
    target="recrun.models.bprmf:BPRMF",
    parameters=(
        Parameter("embedding_dim", PositiveInt, 64, "size of a vector", "model bprmf"),
        Parameter("layers", list[int], [64, 32], "", "model bprmf"),
        Parameter("path", str | None, None, "a [file] of vectors", "model bprmf"),
        Parameter("n_factors", int, REQUIRED, "", "model bprmf"),
    ),
    doc="Matrix factorisation with the BPR loss.\n\nMore of it.",
)


def _text(screen, drawing, width: int = 100) -> list[str]:
    console = screen(terminal=False, width=width)
    console.print(drawing)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_table_aligns_numbers_to_the_right_and_stars_the_best_row(screen):
    lines = _text(
        screen, table("Trials", ("lr", "status", "ndcg@20"), [(0.1, "done", 0.5), (1e-5, "[bad]", None)], best=0)
    )
    assert lines == [
        "Trials",
        "       lr  status  ndcg@20",
        "──────────────────────────",
        "★  0.1000  done     0.5000",
        "    1e-05  [bad]         -",
    ]


def test_a_table_without_rows_shows_its_head(screen):
    assert _text(screen, table(None, ("name", "status"), []))[0] == "name  status"


def test_parameters_are_shown_with_type_default_and_help(screen):
    lines = _text(screen, parameter_table(MODEL))
    assert [line.split("  ")[0] for line in lines[2:]] == ["embedding_dim", "layers", "path", "n_factors"]
    assert "an integer >= 1" in lines[2]
    assert "[64, 32]" in lines[3]
    assert "null" in lines[4]
    assert "a [file] of vectors" in lines[4]
    assert lines[5].endswith("required")


def test_a_result_has_a_row_for_each_split(screen, courses_and_result):
    lines = _text(screen, result_table(courses_and_result[1]))
    assert lines == [
        "Result at epoch 18, best by valid ndcg@20",
        "split  recall@10  recall@20  ndcg@10  ndcg@20",
        "─" * 45,
        "valid     0.1600     0.0800   0.0533   0.0400",
        "test      0.1600     0.0800   0.0533   0.0400",
        "users ranked: 29,000 valid, 29,858 test; 858 skipped (nothing to find)",
        "time: train 6 min 00 s, evaluate 48.0 s, total 6 min 55 s",
    ]


def test_a_result_with_many_metrics_stands_upright(screen, courses_and_result, many_monitors):
    values = dict.fromkeys(many_monitors[1:], 0.25)
    lines = _text(screen, result_table({**courses_and_result[1], "valid": values, "test": values}), width=60)
    assert lines[1].split() == ["metric", "valid", "test"]
    assert lines[3].split() == ["recall@5", "0.2500", "0.2500"]
    assert len(lines) == 3 + 12 + 3  # the last note takes two lines


def test_a_result_without_validation_has_one_row(screen, courses_and_result):
    lines = _text(screen, result_table({**courses_and_result[1], "valid": None, "users": None, "seconds": None}))
    assert lines[0] == "Result at epoch 18, without validation"
    assert [line.split()[0] for line in lines[3:]] == ["test"]


def test_a_result_that_was_not_measured_is_drawn_too(screen):
    assert _text(screen, result_table({"valid": {"auc": float("nan")}, "test": None}))[-1].split() == ["valid", "nan"]


def test_an_evaluation_has_one_row(screen):
    document = {
        "run": None,
        "checkpoint": "best.safetensors",
        "split": "test",
        "metrics": {"ndcg@20": 0.25},
        "users": 5,
    }
    lines = _text(screen, evaluation_table(document))
    assert lines == [
        "Checkpoint best.safetensors",
        "split  ndcg@20",
        "─" * 14,
        "test    0.2500",
        "users ranked: 5 test",
    ]


def test_groups_have_a_table_for_each_name_with_gaps_below(screen):
    users = [
        {"group": "1-3", "users": 2, "metrics": {"ndcg@5": 0.25}},
        {"group": "[b]4", "users": 1, "metrics": {"ndcg@5": None}},
    ]
    items = [
        {"group": name, "items": 3, "users": 2, "metrics": {"ndcg@5": x}}
        for name, x in (("a", 0.5), ("\x1b[31m", 0.25))
    ]
    gaps = {"ndcg@5": {"difference": 0.25, "ratio": 0.5, "mean_difference": 0.25, "gini": 0.125}}
    groups = {
        "age:2": {"of": "users", "groups": users, "gaps": {}},
        "genre": {"of": "items", "groups": items, "gaps": gaps},
    }
    lines = _text(screen, groups_tables(groups, "test"))
    assert lines == [
        "test by age:2",
        "group       users  ndcg@5",
        "─────────────────────────",
        "1-3             2  0.2500",
        "[b]4            1       -",
        "difference      -       -",
        "ratio           -       -",
        "test by genre",
        "group       items  users  ndcg@5",
        "────────────────────────────────",
        "a               3      2  0.5000",
        "\\x1b[31m        3      2  0.2500",
        "difference      -      -  0.2500",
        "ratio           -      -  0.5000",
    ]
