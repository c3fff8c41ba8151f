"""Evaluations that find the items in an approximate index: exact where the search is exhaustive, measured elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.data.interactions import CSR
from recrun.errors import ConfigError, TrainingError
from recrun.evaluation import index_search
from recrun.evaluation.index_search import IndexSearch, measured_users, share_found
from recrun.evaluation.protocol import Protocol
from recrun.evaluation.protocol_text import measured_text, protocol_text
from recrun.evaluation.ranking import evaluate_ranking
from recrun.evaluation.top_lists import Lists
from recrun.workflows.build import prepare
from recrun.workflows.evaluate import evaluate
from recrun.workflows.reproduce import reproduce

pytest.importorskip("faiss")

METRICS = ["recall@5", "ndcg@20", "map@20", "coverage@5", "novelty@5", "diversity@5"]
SMALL = [
    "dataset=Synthetic",
    "epochs=2",
    "eval_freq=1",
    "plots=false",
    "device=cpu",
    "embedding_dim=8",
    "batch_size=4096",
]
SMALL = [*SMALL, "monitors=[recall@10,ndcg@10,coverage@10]", "which4best=ndcg@10", "verbose=0"]


class Factors:
    """A model of given vectors."""

    def __init__(self, users: torch.Tensor, items: torch.Tensor) -> None:
        self._vectors = users, items

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._vectors


def _rows(n_users: int, n_items: int, n: int, seed: int) -> CSR:
    random = np.random.default_rng(seed)
    return CSR.from_pairs(random.integers(0, n_users, n), random.integers(0, n_items, n), n_users)


def _given(n_users: int = 500, n_items: int = 900, seed: int = 0) -> dict[str, Any]:
    # The first users have seen much more than an index is asked for beside the list.
    seen = _rows(n_users, n_items, 12 * n_users, seed)
    users, items = seen.pairs()
    much = np.random.default_rng(5).integers(0, n_items, (3, 700))
    users = np.concatenate([users, np.repeat(np.arange(3), 700)])
    seen = CSR.from_pairs(users, np.concatenate([items, much.ravel()]), n_users)
    return {"seen": seen, "relevant": _rows(n_users, n_items, 900, seed + 1), "n_items": n_items, "device": "cpu"}


def _factors(n_users: int = 500, n_items: int = 900, dim: int = 16) -> Factors:
    generator = torch.Generator().manual_seed(0)
    return Factors(torch.randn(n_users, dim, generator=generator), torch.randn(n_items, dim, generator=generator))


def test_an_exhaustive_search_is_an_exact_ranking_to_the_digit() -> None:
    given, model = _given(), _factors()
    exact = evaluate_ranking(model, metrics=METRICS, keep_users=True, **given)
    found = evaluate_ranking(model, metrics=METRICS, keep_users=True, search=IndexSearch("ivf", 10_000), **given)
    assert found.values == exact.values
    assert found.per_user is not None
    assert exact.per_user is not None
    for name, values_U in exact.per_user.values.items():
        assert np.array_equal(found.per_user.values[name], values_U, equal_nan=True)
    assert found.search is not None
    assert found.search["recall"] == 1
    assert set(found.search["differences"].values()) == {0}
    assert (found.n_users, found.n_skipped) == (exact.n_users, exact.n_skipped)


def test_the_measured_recall_and_differences_are_those_of_all_users_where_all_are_measured() -> None:
    given, model = _given(), _factors()
    exact = evaluate_ranking(model, metrics=METRICS, **given)
    found = evaluate_ranking(model, metrics=METRICS, search=IndexSearch("ivf", 3), **given)
    assert found.search is not None
    assert 0.2 < found.search["recall"] < 0.95
    assert found.search["users"] == found.n_users
    assert found.values != exact.values
    for name in METRICS:
        assert found.search["differences"][name] == pytest.approx(found.values[name] - exact.values[name], abs=1e-12)


def test_a_broader_search_finds_more() -> None:
    given, model = _given(n_items=4000), _factors(n_items=4000)
    shares = [
        evaluate_ranking(model, metrics=["recall@20"], search=IndexSearch(kind, breadth), **given).search["recall"]  # type: ignore[index]
        for kind, breadth in (("ivf", 2), ("ivf", 30), ("ivf", None), ("hnsw", 20), ("hnsw", 400))
    ]
    assert shares[0] < shares[1]
    assert shares[3] < shares[4]
    assert shares[4] > 0.95


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_the_numbers_are_the_same_each_time_and_with_any_number_of_threads(kind: str) -> None:
    given, model, before = _given(n_items=3000), _factors(n_items=3000), torch.get_num_threads()
    results = []
    try:
        for n_threads in (1, 2, 2):
            torch.set_num_threads(n_threads)
            results.append(evaluate_ranking(model, metrics=METRICS, search=IndexSearch(kind, 20), **given))
    finally:
        torch.set_num_threads(before)
    assert results[0].values == results[1].values == results[2].values
    assert results[0].search == results[1].search == results[2].search


def test_users_for_whom_too_few_items_are_found_and_vectors_of_zero_are_ranked_exactly() -> None:
    given, model = _given(), _factors()
    model.vectors()[0][7] = 0
    opened = IndexSearch("ivf", 1).open(model, given["seen"], 900, 20, 1 << 24)
    users = np.arange(500)
    found, is_exact_U = opened.lists(users)
    exact = opened.exact(users)
    assert is_exact_U[7]
    assert is_exact_U[:3].all()
    assert not is_exact_U.all()
    assert np.array_equal(found.items_BK[is_exact_U], exact.items_BK[is_exact_U])
    assert (found.items_BK >= 0).sum() == (exact.items_BK >= 0).sum()
    for user in users:
        assert not set(found.items_BK[user]) & set(given["seen"].row(user))


def test_equal_scores_are_in_the_order_of_ids() -> None:
    model = Factors(torch.ones(4, 1), torch.tensor([[1.0], [2.0], [2.0], [1.0], [2.0]]))
    relevant, empty = CSR.from_pairs(np.arange(4), np.full(4, 4), 4), CSR.empty(4)
    given: Any = {"seen": empty, "relevant": relevant, "n_items": 5, "device": "cpu", "metrics": ["mrr@5"]}
    assert evaluate_ranking(model, search=IndexSearch("ivf", 99), **given).values["mrr@5"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite_are_errors(value: float) -> None:
    model = _factors()
    model.vectors()[1][3, 2] = value
    with pytest.raises(TrainingError, match=r"vectors\(\) returned NaN or infinite numbers for items"):
        evaluate_ranking(model, metrics=["recall@5"], search=IndexSearch("ivf"), **_given())


def test_a_sample_of_users_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_search, "N_MEASURED", 40)
    found = evaluate_ranking(_factors(), metrics=METRICS, search=IndexSearch("ivf", 3), **_given())
    assert found.search is not None
    assert found.search["users"] == 40
    users = np.arange(500)
    assert measured_users(users).tolist() == measured_users(users).tolist() == sorted(measured_users(users))


def test_the_share_found_counts_items_and_no_empty_ranks() -> None:
    def lists(*rows: list[int]) -> Lists:
        return Lists(np.arange(len(rows)), np.array(rows), np.zeros((len(rows), 3)))

    assert share_found(lists([1, 2, 3], [4, -1, -1]), lists([3, 2, 9], [4, 5, -1])) == pytest.approx(3 / 5)
    assert share_found(lists([1, -1, -1]), lists([-1, -1, -1])) is None


def _settings(*overrides: str) -> list[str]:
    return list({each.partition("=")[0]: each for each in (*SMALL, *overrides)}.values())


def _run(tmp_path: Path, *overrides: str, model: str = "bprmf") -> Any:
    coach = prepare(resolve(model, _settings(*overrides)), runs=tmp_path / "runs")
    coach.fit()
    return coach.run


def _json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return _run(tmp_path_factory.mktemp("indexed"), "eval_index=ivf", "eval_index_breadth=5", "eval_users=300")


def test_a_run_names_its_index_and_how_much_it_finds(run: Any) -> None:
    result = _json(run.metrics_file)
    assert result["protocol"] == {
        "eval_index": "ivf",
        "eval_index_parameters": {"lists": 77, "probes": 5},
        "eval_users": 300,
        "eval_users_seed": 1,
        "eval_users_on": "valid_test",
    }
    assert set(result["index"]) == {"valid", "test"}
    assert result["index"]["test"]["users"] == 300
    assert 0 < result["index"]["test"]["recall"] <= 1
    summary = (run.summary_folder / "SUMMARY.md").read_text(encoding="utf-8")
    assert "found by an approximate index (ivf, lists 77, probes 5), not by an exact ranking" in summary
    assert measured_text(result["index"]) in summary


def test_an_evaluation_repeats_the_numbers_and_an_exact_one_has_those_of_the_differences(run: Any) -> None:
    result = _json(run.metrics_file)
    again, exact = evaluate(run.path), evaluate(run.path, ["eval_index=null"])
    assert (again["metrics"], again["index"]) == (result["test"], result["index"]["test"])
    assert "index" not in exact
    assert exact["protocol"] == {"eval_users": 300, "eval_users_seed": 1}
    assert exact["per_user"] is None
    for name, difference in result["index"]["test"]["differences"].items():
        assert result["test"][name] - exact["metrics"][name] == pytest.approx(difference, abs=1e-12)


def test_a_run_with_an_index_is_reproduced(tmp_path: Path, run: Any) -> None:
    assert reproduce(run.path, runs=tmp_path)["differences"] == []


def test_models_of_sequences_are_searched_too(tmp_path: Path) -> None:
    sequences = ["eval_index=ivf", "eval_index_breadth=5000", "epochs=1", "max_length=10"]
    settings = {each for each in sequences if not each.startswith("eval_index")}
    found = _run(tmp_path, *sequences, "split=leave_one_out", model="gru4rec")
    exact = _run(tmp_path, *settings, "split=leave_one_out", model="gru4rec")
    assert _json(found.metrics_file)["test"] == _json(exact.metrics_file)["test"]


def test_protocols_of_other_indexes_are_told_apart() -> None:
    settings = [{}, {"eval_index": "ivf"}, {"eval_index": "hnsw"}, {"eval_index": "ivf", "eval_index_breadth": 3}]
    assert len({Protocol.of(each).choice("test") for each in settings}) == 4
    document = {"eval_index": "hnsw", "eval_index_parameters": {"links": 48}}
    assert protocol_text(document) == (
        "ranked among all items; found by an approximate index (hnsw, links 48), not by an exact ranking"
    )


REFUSED = {
    "auc": (
        "bprmf",
        ["eval_index=ivf", "monitors=[auc,ndcg@10]", "which4best=auc"],
        "monitors: auc needs the scores of all",
    ),
    "candidates": ("bprmf", ["eval_index=ivf", "candidates=9"], "candidates: an index finds items among all"),
    "no index": ("bprmf", ["eval_index_breadth=3"], "eval_index_breadth: .*no index is searched"),
    "another index": ("bprmf", ["eval_index=annoy"], "hnsw"),
    "no vectors": ("multvae", ["eval_index=ivf"], "eval_index: needs scores that are products of vectors"),
    "no rankings": ("deepfm", ["eval_index=ivf"], "eval_index: model deepfm predicts labels"),
}


@pytest.mark.parametrize(("model", "overrides", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_settings_that_do_not_fit_are_refused(model: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(model, overrides)


def test_a_model_without_vectors_is_refused_before_a_run_has_a_folder(tmp_path: Path) -> None:
    settings = ["dataset=Synthetic", "plots=false", "verbose=0", "eval_index=ivf"]
    with pytest.raises(
        ConfigError, match="eval_index needs scores that are products of vectors, and EASE has no vectors"
    ):
        prepare(resolve("ease", settings), runs=tmp_path / "runs").fit()
    assert not list(tmp_path.rglob("run.json"))


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_search, "is_installed", lambda package: False)
    with pytest.raises(ConfigError, match=r"faiss, which is not installed: pip install 'recrun\[faiss\]'"):
        _run(tmp_path, "eval_index=ivf")
    assert not list(tmp_path.rglob("run.json"))
