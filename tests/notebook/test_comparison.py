"""`recrun.compare`: groups and tests as frames, and the formats of documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import recrun
from recrun.compare.compare import How
from recrun.compare.compare import compare as compare_paths
from recrun.errors import ConfigError


@pytest.fixture
def runs(small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[recrun.Run]:
    """Two runs of one model and one of another, in the working folder."""
    monkeypatch.chdir(tmp_path)
    trained = [
        recrun.train("bprmf", epochs=1, seed=seed, progress=False, groups=["activity:2"], **small) for seed in (1, 2)
    ]
    return [*trained, recrun.train("popularity", progress=False, groups=["activity:2"], **small)]


def test_groups_and_tests_are_those_of_the_command(runs: list[recrun.Run]) -> None:
    found = recrun.compare(runs, baseline=runs[2], metrics=["ndcg@20", "recall@10"], over="users")
    how = How("popularity", ("ndcg@20", "recall@10"), over="users")
    document = compare_paths([str(run.path) for run in runs], "runs", how).document()
    assert json.loads(found.to("json")) == json.loads(json.dumps(document))
    assert found.groups.columns == ["metric", "group", "n_seeds", "mean", "sd", "best"]
    means = {(row["metric"], row["group"]): row["mean"] for row in found.groups.iter_rows(named=True)}
    assert means == {(name, each["name"]): each["mean"][name] for each in document["groups"] for name in how.metrics}
    assert found.groups.filter(group="popularity")["sd"].to_list() == [None, None]
    tests = found.tests.to_dicts()
    assert [test["p_corrected"] for test in tests] == [test["p_corrected"] for test in document["tests"]]
    assert [[test["low"], test["high"]] for test in tests] == [test["interval"] for test in document["tests"]]
    assert {test["baseline"] for test in tests} == {"popularity"}
    assert found.notes == document["notes"]


def test_every_way_to_name_runs_means_the_same(runs: list[recrun.Run]) -> None:
    expected = recrun.compare(runs).groups
    assert recrun.compare([str(run.path) for run in runs]).groups.equals(expected)
    assert recrun.compare("runs").groups.equals(expected)
    assert recrun.compare(Path("runs")).groups.equals(expected)
    assert recrun.compare(["dataset=Synthetic"]).groups.equals(expected)
    assert recrun.compare(run for run in runs).groups.equals(expected)


def test_it_is_shown_and_written_by_the_formats_of_the_command(runs: list[recrun.Run]) -> None:
    found = recrun.compare(runs)
    assert repr(found).startswith("Comparison(2 groups on test: ")
    assert found._repr_html_().startswith("<div><table><thead>")
    assert found.to("html").startswith("<!doctype html>")
    assert "\\begin{tabular}" in found.to("latex")
    assert found.to("md").startswith("| group |")
    assert found.to("csv").startswith("split,metric,group")
    with pytest.raises(ConfigError, match="unknown format 'tex'"):
        found.to("tex")  # type: ignore[arg-type]


def test_parts_have_a_column(runs: list[recrun.Run]) -> None:
    found = recrun.compare(runs, by="activity:2", metrics="ndcg@20")
    assert found.groups.columns[0] == found.tests.columns[0] == "part"
    assert found.groups["part"].n_unique() == 2
    assert recrun.compare(runs[:1]).tests.is_empty()
    assert recrun.compare(runs, descriptive=True).tests.columns[:2] == ["metric", "group"]


def test_faults_name_arguments(runs: list[recrun.Run], small: dict[str, Any]) -> None:
    def message(*arguments: Any, **keywords: Any) -> str:
        with pytest.raises(ConfigError) as error:
            recrun.compare(*arguments, **keywords)
        return str(error.value)

    assert message(runs, split="tset", test="z") == (
        "split: expected one of test, valid, found 'tset'\n"
        "test: expected one of t, wilcoxon, permutation, bootstrap, found 'z'"
    )
    assert message([3]) == "expected runs, sweeps, paths or conditions to compare, found a int"
    assert message([]) == "there is nothing to compare; give runs, sweeps, paths or conditions"
    assert message(["x.y"]).startswith("there is nothing at 'x.y'; expected a run")
    assert message(runs, metrics="recall@7").startswith("metrics: recall@7 is not among the metrics of ")
    swept = recrun.train("popularity", progress=False, eval_test=False, **small)
    assert message([swept]).endswith("compare on valid with split='valid'")
