"""Comparisons as a whole: from folders to groups, tests and marks; what is refused, and what is noted."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from recrun.compare.compare import How, compare
from recrun.compare.comparison import Comparison
from recrun.compare.corrections import benjamini_hochberg, holm
from recrun.compare.difference import Difference
from recrun.compare.formats.captions import means_caption
from recrun.compare.significance import assess
from recrun.errors import CheckpointError, ConfigError
from tests.compare.conftest import BEST, N_USERS, values_of_users, write_run


def _compare(root: Path, **how: Any) -> Comparison:
    return compare([str(root)], how=How(**how))


def _values(shift: float) -> np.ndarray:
    """Return the values (S, U, M) of a group of `three_groups`."""
    return np.stack(
        [
            np.stack(list(values_of_users(seed, shift, ("recall@20", "ndcg@20")).values())[::-1], axis=1)
            for seed in (1, 2, 3)
        ]
    )


def test_groups_are_ordered_by_the_criterion_and_the_best_is_the_baseline(three_groups: Path) -> None:
    found = _compare(three_groups)
    assert [group.name for group in found.groups] == ["bprmf", "ease", "lightgcn"]
    assert found.baseline == "bprmf"
    assert found.metrics == ("ndcg@20", "recall@20")
    assert [(test.metric, test.group) for test in found.tests] == [
        ("ndcg@20", "ease"),
        ("ndcg@20", "lightgcn"),
        ("recall@20", "ease"),
        ("recall@20", "lightgcn"),
    ]
    assert found.notes == ()


def test_means_are_those_of_the_numbers_that_the_runs_report(three_groups: Path) -> None:
    group = _compare(three_groups).groups[0]
    reported = [json.loads(Path(run, "metrics.json").read_text())["test"]["ndcg@20"] for run in group.runs]
    assert group.n_seeds == 3
    assert group.mean["ndcg@20"] == pytest.approx(float(np.mean(reported)), abs=1e-15)
    assert group.sd["ndcg@20"] == pytest.approx(float(np.std(reported, ddof=1)))


@pytest.mark.parametrize("how", [{}, {"over": "users", "test": "wilcoxon"}, {"over": "seeds", "test": "permutation"}])
def test_tests_are_those_of_the_values_in_the_run_folders(three_groups: Path, how: dict[str, str]) -> None:
    found = _compare(three_groups, **how)
    over, test = how.get("over", "both"), how.get("test", "t")
    difference = Difference.of(_values(0.0), _values(BEST), paired=True)
    expected = assess(difference, test, over)
    for place, metric in enumerate(("ndcg@20", "recall@20")):
        each = next(each for each in found.tests if (each.metric, each.group) == (metric, "lightgcn"))
        assert each.difference == pytest.approx(expected.difference_M[place])
        assert each.interval == pytest.approx((expected.low_M[place], expected.high_M[place]))
        assert each.p == pytest.approx(expected.p_M[place])
        assert each.effect == pytest.approx(expected.effect_M[place])
        assert (each.test, each.over, each.n_seeds, each.is_paired) == (test, over, (3, 3), True)
        assert each.n == (3 if over == "seeds" else N_USERS)


@pytest.mark.parametrize(("name", "correction"), [("holm", holm), ("bh", benjamini_hochberg)])
def test_p_values_are_corrected_over_all_tests_that_are_shown(three_groups: Path, name: str, correction: Any) -> None:
    found = _compare(three_groups, correction=name)
    corrected = [test.p_corrected for test in found.tests]
    assert corrected == pytest.approx(correction([test.p for test in found.tests]).tolist())
    plain = _compare(three_groups, correction="none")
    assert [test.p_corrected for test in plain.tests] == [test.p for test in found.tests]


def test_groups_that_no_test_tells_from_the_best_are_marked(three_groups: Path) -> None:
    found = _compare(three_groups)
    assert found.best == {"ndcg@20": "bprmf", "recall@20": "bprmf"}
    assert found.undistinguished == {"ndcg@20": ("ease",), "recall@20": ("ease",)}


def test_groups_are_marked_by_the_best_whatever_the_baseline_is(three_groups: Path) -> None:
    found = _compare(three_groups, baseline="light")
    assert found.baseline == "lightgcn"
    assert {test.group for test in found.tests} == {"bprmf", "ease"}
    assert found.best == {"ndcg@20": "bprmf", "recall@20": "bprmf"}
    assert found.undistinguished == {"ndcg@20": ("ease",), "recall@20": ("ease",)}
    assert next(test.difference for test in found.tests if test.group == "bprmf") == pytest.approx(BEST, abs=0.01)


def test_a_smaller_value_is_better_for_metrics_of_which_that_is_known(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path, f"a{seed}", seed, whole={"gini@20": 0.5 + seed / 100, "coverage@20": 0.5})
        write_run(tmp_path, f"b{seed}", seed, whole={"gini@20": 0.7 + seed / 100, "coverage@20": 0.6}, model="ease")
    found = _compare(tmp_path, metrics=("gini@20", "coverage@20"))
    assert [group.name for group in found.groups] == ["bprmf", "ease"]
    assert found.best == {"gini@20": "bprmf", "coverage@20": "ease"}


def test_metrics_of_whole_runs_are_tested_over_seeds_with_a_note(tmp_path: Path) -> None:
    coverage = {"a": [0.5, 0.52, 0.51], "ease": [0.6, 0.66, 0.61]}
    for seed in (1, 2, 3):
        write_run(tmp_path, f"a{seed}", seed, 0.1, whole={"coverage@20": coverage["a"][seed - 1]})
        write_run(tmp_path, f"b{seed}", seed, whole={"coverage@20": coverage["ease"][seed - 1]}, model="ease")
    found = _compare(tmp_path)
    of_coverage = next(test for test in found.tests if test.metric == "coverage@20")
    assert of_coverage.p == pytest.approx(float(stats.ttest_rel(coverage["ease"], coverage["a"]).pvalue))
    assert (of_coverage.over, of_coverage.n) == ("seeds", 3)
    assert {test.over for test in found.tests if test.metric != "coverage@20"} == {"both"}
    assert found.notes == ("tested over seeds, since there are no values of users: coverage@20",)


def test_metrics_of_whole_runs_with_one_seed_are_not_tested_with_a_note(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 1, 0.1, whole={"coverage@20": 0.5})
    write_run(tmp_path, "b", 1, whole={"coverage@20": 0.6}, model="ease")
    found = _compare(tmp_path)
    assert {test.metric for test in found.tests} == {"ndcg@20", "recall@20"}
    assert "not tested where a group has one seed, since there are no values of users: coverage@20" in found.notes


def test_one_seed_is_tested_over_users_with_a_note(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 1, 0.1)
    write_run(tmp_path, "b1", 1, model="ease")
    write_run(tmp_path, "b2", 2, model="ease")
    found = _compare(tmp_path)
    assert {test.over for test in found.tests} == {"users"}
    assert found.groups[0].sd == {"ndcg@20": None, "recall@20": None}
    assert found.notes == ("bprmf has one seed: tests over users alone say nothing of other seeds",)


def test_groups_of_different_seeds_are_not_paired(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path, f"a{seed}", seed, 0.1)
        write_run(tmp_path, f"b{seed}", seed + 1, model="ease")
    for over in ("seeds", None):
        found = _compare(tmp_path, over=over)
        assert {test.is_paired for test in found.tests} == {False}
    means = {
        run.name: json.loads((run / "metrics.json").read_text())["test"]["ndcg@20"]
        for run in tmp_path.glob("mf/Synthetic/*")
    }
    groups = [[means[f"{name}{seed}"] for seed in (1, 2, 3)] for name in "ba"]
    expected = stats.ttest_ind(*groups, equal_var=False).pvalue
    of_ndcg = next(test for test in _compare(tmp_path, over="seeds").tests if test.metric == "ndcg@20")
    assert of_ndcg.p == pytest.approx(float(expected))
    assert of_ndcg.n == 6


def test_users_are_matched_by_their_ids(tmp_path: Path) -> None:
    values = values_of_users(1, 0.0, ("ndcg@20",))
    order = np.random.default_rng(1).permutation(N_USERS)
    shuffled = {"ndcg@20": values["ndcg@20"][order]}
    names = np.array([f"user {number}" for number in range(N_USERS)])
    write_run(tmp_path, "a", values=values, users=names)
    write_run(tmp_path, "b", values=shuffled, users=names[order], model="ease")
    test = _compare(tmp_path).tests[0]
    assert (test.difference, test.interval, test.p) == (0.0, (0.0, 0.0), 1.0)


def test_other_users_do_not_compare(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", users=np.arange(N_USERS) + 1, model="ease")
    message = r"different test users \(2 are not in both\): .*Synthetic/\w against .*Synthetic/\w.*--descriptive"
    with pytest.raises(ConfigError, match=message):
        _compare(tmp_path)


def test_a_user_without_a_value_is_left_out_of_that_metric_with_a_note(tmp_path: Path) -> None:
    for id, shift, model in (("a", 0.1, "bprmf"), ("b", 0.0, "ease")):
        values = values_of_users(1, shift, ("ndcg@20", "auc"))
        values["auc"][:4] = math.nan
        write_run(tmp_path, id, values=values, model=model)
    found = _compare(tmp_path)
    assert {test.metric: test.n for test in found.tests} == {"ndcg@20": N_USERS, "auc": N_USERS - 4}
    assert f"auc is over 36 of {N_USERS} users; it is undefined for the others" in found.notes


def test_an_undefined_metric_is_shown_as_such_and_not_tested(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path, f"a{seed}", seed, 0.1, whole={"gauc": None})
        write_run(tmp_path, f"b{seed}", seed, whole={"gauc": 0.5}, model="ease")
    found = _compare(tmp_path)
    test = next(test for test in found.tests if test.metric == "gauc")
    assert (test.difference, test.interval, test.p, test.p_corrected) == (None, (None, None), None, None)
    assert found.groups[0].mean["gauc"] is None
    assert found.best["gauc"] == "ease"
    assert found.undistinguished["gauc"] == ()
    others = [each.p for each in found.tests if each.p is not None]
    assert [each.p_corrected for each in found.tests if each.p is not None] == pytest.approx(holm(others).tolist())
    json.dumps(found.document(), allow_nan=False)


def test_a_metric_that_was_evaluated_later_is_taken_from_the_values_of_users(tmp_path: Path) -> None:
    late = values_of_users(1, 0.0, ("ndcg@20", "map@10"))
    for id, model in (("a", "bprmf"), ("b", "ease")):
        run = write_run(tmp_path, id, values=late, model=model)
        document = json.loads(run.metrics_file.read_text())
        del document["test"]["map@10"]
        run.write_json(run.metrics_file, document)
    assert _compare(tmp_path).metrics == ("ndcg@20",)
    found = _compare(tmp_path, metrics=("MAP@10",))
    assert found.metrics == ("map@10",)
    assert found.groups[0].mean["map@10"] == pytest.approx(late["map@10"].mean())


def test_metrics_that_are_not_in_all_runs_are_left_out_with_a_note(tmp_path: Path) -> None:
    write_run(tmp_path, "a", metrics=("ndcg@20", "recall@20", "mrr@5"))
    write_run(tmp_path, "b", model="ease")
    found = _compare(tmp_path)
    assert set(found.metrics) == {"ndcg@20", "recall@20"}
    assert "not in all runs, and left out: mrr@5; --metric asks for one" in found.notes


def test_a_single_group_is_described(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 1)
    write_run(tmp_path, "b", 2, per_user=False)
    found = _compare(tmp_path)
    assert (len(found.groups), found.tests, found.best) == (1, (), {})
    assert found.notes == ("a single group: there is nothing to test it against",)


def test_runs_of_predictions_are_tested_over_seeds(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        for id, model in (("a", "fm"), ("b", "deepfm")):
            whole = {"auc": 0.7 + seed / 100 + (id == "b") / 10, "logloss": 0.4 - seed / 100 * (id == "b")}
            write_run(
                tmp_path,
                f"{id}{seed}",
                seed,
                metrics=(),
                values=None,
                whole=whole,
                per_user=False,
                rows=100,
                model=model,
                record={"which4best": "auc"},
            )
    found = _compare(tmp_path)
    assert {(test.metric, test.over) for test in found.tests} == {("auc", "seeds"), ("logloss", "seeds")}
    assert found.best == {"auc": "deepfm", "logloss": "deepfm"}
    with_users = _compare(tmp_path, over="users")
    assert {test.over for test in with_users.tests} == {"seeds"}
    assert "tested over seeds, since there are no values of users: auc, logloss" in with_users.notes
    assert found.notes == ()


def test_runs_without_values_of_users_are_refused_with_what_writes_them(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 1)
    old = write_run(tmp_path, "b", 1, model="ease", per_user=False)
    message = f"no test values of users in .*; `recrun eval --checkpoint {old.path} --split test` writes the values; or"
    with pytest.raises(ConfigError, match=message):
        _compare(tmp_path)
    assert _compare(tmp_path, descriptive=True).tests == ()


def test_runs_without_values_of_users_are_tested_over_seeds(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path, f"a{seed}", seed, per_user=False)
        write_run(tmp_path, f"b{seed}", seed, model="ease", per_user=False)
    assert {test.over for test in _compare(tmp_path, over="seeds").tests} == {"seeds"}


def test_a_run_that_lacks_the_values_of_one_metric_is_named(tmp_path: Path) -> None:
    whole = {"mrr@5": 0.3}
    write_run(tmp_path, "a", 1, 0.1, metrics=("ndcg@20", "mrr@5"))
    lacking = write_run(tmp_path, "b", 1, metrics=("ndcg@20",), whole=whole, model="ease")
    with pytest.raises(ConfigError, match=rf"{lacking.path} has no values of users for mrr@5; `recrun eval .*mrr@5"):
        _compare(tmp_path)
    better = write_run(tmp_path, "c", 1, 0.2, metrics=("ndcg@20",), whole=whole, model="slim")
    with pytest.raises(ConfigError, match=rf"{better.path} has no values of users for mrr@5"):
        _compare(tmp_path)


def test_a_damaged_file_of_users_is_refused(three_groups: Path) -> None:
    file = next(three_groups.glob("mf/Synthetic/*/per_user/test.parquet"))
    file.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(CheckpointError, match=r"test\.parquet"):
        _compare(three_groups)


def test_infinite_values_of_users_are_damage(three_groups: Path) -> None:
    file = next(three_groups.glob("mf/Synthetic/*/per_user/test.parquet"))
    pl.read_parquet(file).with_columns(pl.lit(math.inf).alias("ndcg@20")).write_parquet(file)
    with pytest.raises(CheckpointError, match=r"test\.parquet is damaged: its column 'ndcg@20' holds infinite values"):
        _compare(three_groups)


def _change_ndcg(run: Path, by: pl.Expr) -> Path:
    file = run / "per_user" / "test.parquet"
    pl.read_parquet(file).with_columns(by.alias("ndcg@20")).write_parquet(file)
    return file


def test_values_of_users_that_an_evaluation_on_another_device_gave_are_noted(three_groups: Path) -> None:
    file = _change_ndcg(next(three_groups.glob("mf/Synthetic/best1")), pl.col("ndcg@20") + 1e-6)
    (note,) = _compare(three_groups).notes
    assert note.startswith(f"{file} was written on another device than metrics.json: the mean of ndcg@20 is 0.")


@pytest.mark.parametrize("by", [pl.col("ndcg@20") + 0.5, pl.lit(None, dtype=pl.Float64)])
def test_values_of_users_whose_mean_is_not_what_the_run_reports_are_refused(three_groups: Path, by: pl.Expr) -> None:
    file = _change_ndcg(next(three_groups.glob("mf/Synthetic/best1")), by)
    expected = rf"{file} is of another evaluation than the run's: the mean of ndcg@20 is \S+ there and 0\.\d+ in"
    with pytest.raises(CheckpointError, match=expected + r".*; remove it, and `recrun eval"):
        _compare(three_groups)
    assert not _compare(three_groups, over="seeds").notes


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (
            {"data": {"split": "b" * 64}},
            {},
            r"their train, valid and test parts differ: \S+ against \S+; compare runs of the same data",
        ),
        ({"data": {"split": "a" * 64, "u.data": "1"}}, {"data": {"split": "a" * 64, "u.data": "2"}}, "versions of u"),
        ({}, {"data": {}}, "parts differ"),
    ],
)
def test_runs_of_other_data_do_not_compare(tmp_path: Path, first: Any, second: Any, reason: str) -> None:
    write_run(tmp_path, "a", record=first)
    write_run(tmp_path, "b", model="ease", record=second)
    with pytest.raises(ConfigError, match=rf"the runs do not compare: .*{reason}"):
        _compare(tmp_path)


def test_runs_of_other_folds_do_not_compare_and_the_setting_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, "a", test_fold=1, record={"data": {"split": "b"}})
    write_run(tmp_path, "b", test_fold=2)
    with pytest.raises(ConfigError, match=r"parts differ \(by test_fold\)"):
        _compare(tmp_path)
    found = _compare(tmp_path, descriptive=True)
    assert [group.name for group in found.groups] == ["bprmf test_fold=1", "bprmf test_fold=2"]
    assert found.best == {}
    assert found.notes[0].startswith("no tests, since their train, valid and test parts differ (by test_fold)")


def test_other_numbers_of_users_do_not_compare(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", values=values_of_users(1, 0, ("ndcg@20",), n_users=39), model="ease")
    with pytest.raises(ConfigError, match="evaluated on different numbers of test users"):
        _compare(tmp_path)


DRAWN = {"candidates": 99, "candidates_by": "uniform", "candidates_seed": 1}


def test_rankings_of_all_items_and_of_candidates_do_not_compare(tmp_path: Path) -> None:
    write_run(tmp_path, "a", candidates=99, protocol=DRAWN)
    write_run(tmp_path, "b", model="ease", candidates=None)
    words = r"ranked among 99 candidates drawn uniformly \(seed 1\), not among all items; among all items"
    with pytest.raises(ConfigError, match=rf"what is ranked differs \({words}\): \S+/a against \S+/b"):
        _compare(tmp_path)
    found = _compare(tmp_path, descriptive=True)
    assert {group.name for group in found.groups} == {"bprmf candidates=99", "ease candidates=null"}
    assert (found.best, found.protocol) == ({}, None)


def test_rankings_of_the_same_candidates_compare_and_name_them(tmp_path: Path) -> None:
    write_run(tmp_path, "a", candidates=99, protocol=DRAWN)
    write_run(tmp_path, "b", model="ease", candidates=99, protocol=DRAWN)
    found = _compare(tmp_path)
    assert found.document()["protocol"] == DRAWN
    assert "ranked among 99 candidates drawn uniformly (seed 1)" in means_caption(found)
    for id, path in (("c", "lists.csv"), ("d", "/elsewhere/lists.csv")):
        given = {"candidates_path": path, "sha256": "1" * 64}
        write_run(tmp_path / "given", id, model=id, candidates_path=path, protocol=given)
    assert len(_compare(tmp_path / "given").tests) == 2


def test_other_code_of_an_own_metric_does_not_compare(tmp_path: Path) -> None:
    name = "/mine/my.py:first_hit@10"
    write_run(tmp_path, "a", metrics=(name,), record={"code": {"/mine/my.py": "1"}, "which4best": name})
    write_run(tmp_path, "b", metrics=(name,), model="ease", record={"code": {"/mine/my.py": "2"}, "which4best": name})
    with pytest.raises(ConfigError, match="the file that defines first_hit@10 differs"):
        _compare(tmp_path)
    found = _compare(tmp_path, descriptive=True)
    assert found.metrics == (name,)


def test_numbers_without_tests_are_shown_with_their_best(three_groups: Path) -> None:
    found = _compare(three_groups, descriptive=True)
    assert (found.baseline, found.tests, found.undistinguished) == (None, (), {})
    assert found.best == {"ndcg@20": "bprmf", "recall@20": "bprmf"}
    assert found.document()["baseline"] is None


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"split": "valid"}, "no valid metrics in .*: compare on test with --split test"),
        ({"metrics": ("ndcg@3",)}, r"ndcg@3 is not among the metrics of .*monitors=\[ndcg@3\]'` computes it; all runs"),
        ({"metrics": ("ndcg",)}, "ndcg needs a cutoff"),
        ({"metrics": ("nosuch@3",)}, "unknown metric 'nosuch'"),
        ({"baseline": "slim"}, "no group is called 'slim'"),
        ({"over": "both", "test": "wilcoxon"}, "wilcoxon exchanges values one by one"),
        ({"test": "permutation"}, "permutation exchanges values one by one"),
        ({"correction": "bonferroni"}, "expected a correction among holm, bh, none, found 'bonferroni'"),
        ({"test": "z"}, "expected a test among t, wilcoxon, permutation, bootstrap, found 'z'"),
    ],
)
def test_what_cannot_be_compared_so_is_refused(tmp_path: Path, how: dict[str, Any], message: str) -> None:
    for seed in (1, 2):
        write_run(tmp_path, f"a{seed}", seed, 0.1, splits=("test",))
        write_run(tmp_path, f"b{seed}", seed, model="ease", splits=("test",))
    with pytest.raises(ConfigError, match=message):
        _compare(tmp_path, **how)


@pytest.mark.parametrize("over", ["seeds", "both"])
def test_a_test_of_seeds_needs_several_of_each_group(tmp_path: Path, over: str) -> None:
    write_run(tmp_path, "a", 1, 0.1)
    for seed in (1, 2):
        write_run(tmp_path, f"b{seed}", seed, model="ease")
    with pytest.raises(
        ConfigError, match=f"a test over {over} needs at least 2 seeds of each group, and bprmf has one"
    ):
        _compare(tmp_path, over=over)


def test_trials_of_a_sweep_are_compared_on_validation(tmp_path: Path) -> None:
    write_run(tmp_path, "a", splits=("valid",), lr=0.1)
    write_run(tmp_path, "b", splits=("valid",), lr=0.2)
    with pytest.raises(ConfigError, match="a sweep's trials never read test; compare on valid with --split valid"):
        _compare(tmp_path)
    assert [group.name for group in _compare(tmp_path, split="valid").groups] == ["bprmf lr=0.1", "bprmf lr=0.2"]


def test_few_seeds_are_noted_where_a_test_can_tell_nothing_of_them(three_groups: Path) -> None:
    found = _compare(three_groups, over="seeds", test="permutation")
    assert "with so few seeds, permutation has no p value below 0.25" in found.notes
    found = _compare(three_groups, test="bootstrap", n_resamples=200)
    assert any(note.startswith("where seeds matter, a bootstrap of 3 of them") for note in found.notes)


def test_versions_of_recrun_are_noted(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", model="ease", record={"versions": {"recrun": "0.2"}})
    assert "the runs were made with different versions of recrun: 0.1, 0.2" in _compare(tmp_path).notes


@pytest.mark.parametrize("record", [{"data": ["a"]}, {"code": {"a": 1}}])
def test_a_damaged_record_is_left_out_and_noted(three_groups: Path, record: dict[str, Any]) -> None:
    write_run(three_groups, "a", record=record)
    *_, note = [note for note in _compare(three_groups).notes if "damaged" in note]
    assert note.startswith("left out: ")
    assert re.search(r"run\.json is damaged: (data|code) is not an object of texts", note)


def test_the_document_is_that_of_the_contract(three_groups: Path) -> None:
    document = json.loads(json.dumps(_compare(three_groups).document(), allow_nan=False))
    assert document["split"] == "test"
    assert set(document["groups"][0]) == {"name", "runs", "n_seeds", "mean", "sd"}
    keys = {"group", "metric", "difference", "interval", "p", "p_corrected", "effect", "test", "over", "n"}
    assert all(keys <= set(test) and len(test["interval"]) == 2 for test in document["tests"])
    assert document["baseline"] == "bprmf"


def test_differences_of_models_that_do_not_depend_on_the_seed_are_not_tested_over_seeds(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path, f"a{seed}", seed, 0.1, whole={"coverage@20": 0.3})
        write_run(tmp_path, f"b{seed}", seed, 0.0, model="ease", whole={"coverage@20": 0.1 + 0.2})
        write_run(tmp_path, f"c{seed}", seed, 0.05, model="ials", whole={"coverage@20": 0.2 + seed / 100})
    found = _compare(tmp_path, metrics=("coverage@20",), baseline="bprmf")
    ease, ials = sorted(found.tests, key=lambda test: test.group)
    assert (ease.p, ease.p_corrected, ease.interval, ease.effect) == (None, None, (None, None), None)
    assert ease.difference == pytest.approx(0.0)
    assert ials.p is not None
    assert any(note.startswith("these do not depend on the seed") and "ease, bprmf" in note for note in found.notes)


def test_an_older_run_that_does_not_count_needs_no_values_of_users(three_groups: Path) -> None:
    before = _compare(three_groups)
    write_run(three_groups, "b", 1, BEST, per_user=False, record={"started": "2020-01-01T00:00:00+00:00"})
    found = _compare(three_groups)
    assert found.tests == before.tests
    assert [note for note in found.notes if "has the settings and the seed of" in note]


def test_runs_at_different_levels_below_a_folder_are_all_compared(three_groups: Path, tmp_path: Path) -> None:
    moved = next(three_groups.glob("mf/Synthetic/close2"))
    moved.rename(three_groups / "moved")
    other = next(three_groups.glob("mf/Synthetic/worse3"))
    other.rename(three_groups / "mf" / "other")
    assert [group.n_seeds for group in _compare(three_groups).groups] == [3, 3, 3]


def test_a_metric_that_is_undefined_is_not_said_to_be_the_same_for_all_seeds(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path, f"a{seed}", seed, whole={"gauc": None, "coverage@20": 0.1 * seed})
        write_run(tmp_path, f"b{seed}", seed, model="ease", whole={"gauc": None, "coverage@20": 0.2 * seed})
    assert not [note for note in _compare(tmp_path, over="seeds").notes if "do not depend on the seed" in note]


def test_the_marks_are_corrected_for_all_tests_that_are_made(tmp_path: Path) -> None:
    base = np.linspace(0.2, 0.6, 40)
    noise = np.resize([0.1, -0.1, 0.05, -0.05], 40)
    for name, values in (("bprmf", base), ("ease", base + noise + 0.03), ("ials", base + 2 * noise + 0.02)):
        write_run(tmp_path, name, model=name, metrics=("ndcg@20",), values={"ndcg@20": values})
    found = _compare(tmp_path, metrics=("ndcg@20",), baseline="bprmf")
    corrected = {test.group: test.p_corrected for test in found.tests}
    (p,) = [test.p for test in found.tests if test.group == "ease"]
    assert p is not None
    assert found.best == {"ndcg@20": "ease"}
    assert corrected["ease"] == pytest.approx(2 * p)
    assert 2 * p < 0.05 < 3 * p  # of two tests that are shown, and of three that are made
    assert set(found.undistinguished["ndcg@20"]) == {"bprmf", "ials"}
