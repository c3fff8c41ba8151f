from __future__ import annotations

from collections.abc import Callable

import pytest

from recrun.sweep.ledger import Ledger
from recrun.sweep.view.joint import Blocks
from recrun.sweep.view.result import result_tables
from tests.sweep.view.conftest import fill, lines_of

MakeStudy = Callable[..., Ledger]


def joint(study: MakeStudy) -> Ledger:
    ours = study("popularity bprmf", "seed=1..3")
    fill(ours, [{"ndcg@20": value, "recall@20": 0.5} for value in (0.1, 0.1, 0.1, 0.2, 0.3, 0.4)])
    return ours


def test_configs_that_are_not_compared_are_the_rows_of_one_table(study: MakeStudy) -> None:
    (table,) = result_tables(joint(study))
    title, head, _, *rows = lines_of(table)
    assert title == "test: mean over 3 values of seed ± half the width of its 95 % interval"
    assert head.split() == ["config", "ndcg@20", "recall@20"]
    assert [row.split() for row in rows] == [
        ["popularity", "0.1000", "±", "0.0000", "0.5000", "±", "0.0000"],
        ["bprmf", "0.3000", "±", "0.2484", "0.5000", "±", "0.0000"],  # t(0.975, 2) 0.1 / sqrt(3) = 0.2484
    ]


def test_a_row_whose_trials_are_not_all_done_says_so(study: MakeStudy) -> None:
    ours = joint(study)
    ours.rows[5].status, ours.rows[5].cause = "failed", "out of memory"
    table, unfinished = result_tables(ours)
    assert [row.split()[1] for row in lines_of(table)[3:]] == ["3/3", "2/3"]
    assert lines_of(unfinished)[0] == "1 of 6 trials are not done"
    assert lines_of(unfinished)[-1] == "trial 5 failed: out of memory"


@pytest.mark.parametrize("width", [80, 60, 40])
def test_metrics_that_do_not_fit_are_in_further_tables(width: int) -> None:
    columns = [(f"metric@{n}", ["0.1234 ± 0.0123", "0.1234 ± 0.0123"]) for n in range(12)]
    lines = lines_of(Blocks(["config"], [["lightgcn"], ["bprmf"]], columns), width)
    assert all(len(line) <= width for line in lines)
    heads = " ".join(line for line in lines if line.startswith("config")).split()
    assert [head for head in heads if head != "config"] == [f"metric@{n}" for n in range(12)]
    assert sum(line.startswith("lightgcn") for line in lines) == heads.count("config") > 1
