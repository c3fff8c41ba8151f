"""Candidates: drawn without replacement and by their weights, read from files, and ranked like all items would be."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.data.interactions import CSR, union
from recrun.errors import ConfigError, DataError
from recrun.evaluation import score_tiles
from recrun.evaluation.candidates import drawn
from recrun.evaluation.given_candidates import given, notes_on
from recrun.evaluation.protocol import Protocol
from recrun.evaluation.protocol_text import protocol_text
from recrun.evaluation.ranking import evaluate_ranking
from recrun.runs.per_user import read_per_user
from recrun.workflows.build import prepare
from recrun.workflows.evaluate import evaluate

METRICS = ["recall@5", "ndcg@10", "mrr@10", "auc", "coverage@5"]


class Base:
    """A data set of given rows, as far as candidates look at one."""

    def __init__(self, seen: CSR, relevant: CSR, n_items: int, ids: str = "integers") -> None:
        self.parts = {"train": seen, "test": relevant}
        self.n_items, self.n_users = n_items, seen.n_rows
        kinds: dict[str, Callable[[np.ndarray, str], np.ndarray]] = {
            "integers": lambda ids, letter: ids * 10,
            "text": lambda ids, letter: np.char.add(letter, ids.astype(str)),
        }
        self.user_ids = kinds[ids](np.arange(self.n_users), "u")
        self.item_ids = kinds[ids](np.arange(n_items), "i")

    def csr(self, split: str) -> CSR:
        return self.parts[split]

    def seen(self, split: str) -> CSR:
        return self.parts["train"]


def _random_rows(n_users: int, n_items: int, n: int, seed: int) -> CSR:
    random = np.random.default_rng(seed)
    return CSR.from_pairs(random.integers(0, n_users, n), random.integers(0, n_items, n), n_users)


def _base(n_users: int = 300, n_items: int = 80, seed: int = 0) -> Base:
    return Base(
        _random_rows(n_users, n_items, 12 * n_users, seed), _random_rows(n_users, n_items, 600, seed + 1), n_items
    )


@pytest.mark.parametrize("by", ["uniform", "popularity"])
def test_so_many_other_items_are_drawn_for_each_user_with_relevant_ones(by: str) -> None:
    base = _base()
    found, notes = drawn(base, "test", 20, by, 1)
    assert notes == []
    for user in range(base.n_users):
        own, relevant = found.row(user), set(base.csr("test").row(user))
        if not relevant:
            assert not len(own)
            continue
        others = set(own) - relevant
        assert len(own) == len(set(own)) == 20 + len(relevant)
        assert not others & set(base.csr("train").row(user))


def test_the_draw_is_that_of_its_seed_alone() -> None:
    base = _base()
    first, again, other = (drawn(base, "test", 20, "uniform", seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first.indices, again.indices)
    assert not np.array_equal(first.indices, other.indices)


@pytest.mark.parametrize("by", ["uniform", "popularity"])
def test_a_user_with_fewer_other_items_has_all_of_them(by: str) -> None:
    base = _base(n_items=25)
    found, notes = drawn(base, "test", 20, by, 1)
    in_train = np.bincount(base.csr("train").indices, minlength=25) > 0
    short = 0
    for user in np.flatnonzero(base.csr("test").lengths):
        taken = set(base.seen("test").row(user)) | set(base.csr("test").row(user))
        free = {item for item in range(25) if item not in taken and (by == "uniform" or in_train[item])}
        assert len(set(found.row(user)) - set(base.csr("test").row(user))) == min(20, len(free))
        short += len(free) < 20
    assert short > 0
    assert notes == [f"{short} users of test have fewer than 20 other items, and all of these are candidates"]


def _probabilities(weights: list[float], n: int) -> np.ndarray:
    """Return the probability that each item is among n drawn one after the other, by going through all orders."""
    found = np.zeros(len(weights))
    for order in itertools.permutations(range(len(weights)), n):
        left, probability = sum(weights), 1.0
        for item in order:
            probability *= weights[item] / left
            left -= weights[item]
        found[list(order)] += probability
    return found


@pytest.mark.parametrize(("by", "n"), [("uniform", 2), ("popularity", 1), ("popularity", 3)])
def test_items_are_drawn_with_the_probabilities_of_the_method(by: str, n: int) -> None:
    n_users, counts = 20_000, [1, 2, 4, 8, 16]
    # The items' users in train are users without relevant items, who come after those who have some.
    rows = np.concatenate([n_users + np.arange(count) for count in counts])
    train = CSR.from_pairs(rows, np.repeat(np.arange(5), counts), n_users + 16)
    test = CSR.from_pairs(np.arange(n_users), np.full(n_users, 5), n_users + 16)
    found, _ = drawn(Base(train, test, 6), "test", n, by, 1)
    shares = np.bincount(found.indices, minlength=6)[:5] / n_users
    expected = _probabilities([1.0] * 5 if by == "uniform" else [float(count) for count in counts], n)
    assert expected.sum() == pytest.approx(n)
    # Each share has a standard deviation of at most 0.5 / sqrt(20000) = 0.0035.
    assert shares == pytest.approx(expected, abs=0.016)


class Dense:
    """A model with given scores."""

    def __init__(self, scores: np.ndarray, *, whole: bool = False) -> None:
        self.scores, self.whole = torch.from_numpy(scores), whole

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        return None if self.whole else (self.scores, torch.eye(self.scores.shape[1], dtype=self.scores.dtype))

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.scores[users]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_the_numbers_are_those_of_a_data_set_with_only_these_items(whole: bool, ties: bool) -> None:
    base = _base()
    candidates, _ = drawn(base, "test", 15, "popularity", 3)
    scores = np.random.default_rng(5).normal(size=(base.n_users, base.n_items)).round(0 if ties else 9)
    common: dict[str, Any] = {
        "relevant": base.csr("test"),
        "n_items": base.n_items,
        "device": "cpu",
        "metrics": METRICS,
    }
    found = evaluate_ranking(Dense(scores, whole=whole), seen=base.seen("test"), candidates=candidates, **common)
    is_candidate = np.zeros(scores.shape, dtype=bool)
    is_candidate[candidates.pairs()] = True
    masked = CSR.from_pairs(*np.nonzero(~is_candidate), base.n_users)
    expected = evaluate_ranking(Dense(scores), seen=union(masked, base.seen("test")), **common)
    assert found.values == expected.values
    assert found.n_users == expected.n_users


def test_no_number_depends_on_the_memory_or_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_tiles, "PIECE", 32)
    base = _base(n_items=200)
    candidates, _ = drawn(base, "test", 30, "uniform", 3)
    scores = np.random.default_rng(5).normal(size=(base.n_users, base.n_items))
    results = []
    for pieces in (1, 3, 4):
        monkeypatch.setattr(score_tiles, "_MAX_PIECES", pieces)
        results.append(
            evaluate_ranking(
                Dense(scores),
                seen=base.seen("test"),
                relevant=base.csr("test"),
                n_items=200,
                metrics=METRICS,
                device="cpu",
                candidates=candidates,
            ).values
        )
    assert results[0] == results[1] == results[2]


def test_a_perfect_model_finds_all_and_a_seen_candidate_is_not_ranked() -> None:
    seen = CSR.from_pairs(np.array([0]), np.array([0]), 1)
    relevant = CSR.from_pairs(np.array([0]), np.array([1]), 1)
    candidates = CSR.from_pairs(np.array([0, 0, 0]), np.array([0, 1, 2]), 1)
    scores = np.array([[9.0, 2.0, 1.0, 8.0]])
    result = evaluate_ranking(
        Dense(scores),
        seen=seen,
        relevant=relevant,
        n_items=4,
        metrics=["mrr@1", "auc"],
        device="cpu",
        candidates=candidates,
    )
    assert result.values == {"mrr@1": 1.0, "auc": 1.0}


FILES = {
    "csv": ("lists.csv", "user,item\n0,20\n0,30\n10,40\n", "integers"),
    "tsv of text": ("lists.tsv", "item\tuser\ni2\tu0\ni3\tu0\ni4\tu1\n", "text"),
    "negative": ("ml.test.negative", "(0,10)\t20\t30\n(10,0)\t40\n", "integers"),
    "negative of text": ("ml.negative", "(u0,i1)\ti2\ti3\t\n(u1,i9)\ti4\n", "text"),
}


@pytest.mark.parametrize(("name", "text", "ids"), FILES.values(), ids=FILES.keys())
def test_lists_are_read_by_original_ids(tmp_path: Path, name: str, text: str, ids: str) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    found = given(file, Base(CSR.empty(3), CSR.empty(3), 5, ids))
    assert [found.lists.row(user).tolist() for user in range(3)] == [[2, 3], [4], []]
    assert found.notes == []
    targets = [[1], [0], []] if name == "ml.test.negative" else [[1], [], []]
    assert [found.targets.row(user).tolist() for user in range(3)] == (targets if "negative" in name else [[], [], []])


def test_rows_of_others_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "lists.csv"
    file.write_text("user,item\n0,20\n7,20\n0,21\n8,22\n0,20\n", encoding="utf-8")
    found = given(file, Base(CSR.empty(3), CSR.empty(3), 5))
    assert found.lists.nnz == 1
    assert found.notes == [
        "2 of 5 rows of lists.csv are not used: the data does not have their users",
        "2 of 5 rows of lists.csv are not used: the data does not have their items",
        "1 of 5 rows of lists.csv are not used: they repeat others",
    ]


def test_what_is_not_ranked_of_given_lists_is_said(tmp_path: Path) -> None:
    rows = {"seen": [(0, 2), (1, 0), (2, 0)], "relevant": [(0, 1), (1, 1)]}
    seen, relevant = (CSR.from_pairs(*np.array(rows[part]).T, 3) for part in ("seen", "relevant"))
    base = Base(seen, relevant, 5)
    file = tmp_path / "x.negative"
    file.write_text("\ufeff(0,10)\t20\t30\t40\n(10,0)\t0\t30\t20\t40\n(20,abc)\t30\t10\n", encoding="utf-8")
    found = given(file, base)
    assert found.notes == []
    assert list(notes_on(found, "test", base, base.seen("test"))) == [
        "2 given candidates of test are not ranked: their users have seen them",
        "users of test have from 2 to 3 candidates besides the items to be found",
        "2 of 3 lines begin with a (user,item) that is not in test",
    ]


def test_a_few_long_ids_do_not_make_all_ids_long(tmp_path: Path) -> None:
    file = tmp_path / "x.negative"
    candidates = "\t".join(map(str, range(20_000)))
    file.write_text(f"(0,10)\t{candidates}\t{'9' * 1000}\n", encoding="utf-8")
    assert given(file, Base(CSR.empty(3), CSR.empty(3), 5)).lists.nnz == 5
    file.write_text(f"(0,10)\t{candidates}\n(0,10)\t{'9' * 1001}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.negative:2: an id has more than 1,000 characters"):
        given(file, Base(CSR.empty(3), CSR.empty(3), 5))


WRONG = {
    "no extension": ("lists", "0 20\n", "does not tell its format"),
    "a bad line": ("a.negative", "(0,1)\t2\n0\t3\n", r"a\.negative:2: expected \(user,item\)"),
    "not text": ("b.negative", "\udcff", "not text in UTF-8"),
    "no columns": ("c.csv", "a,b\n1,2\n", "user"),
}


@pytest.mark.parametrize(("name", "text", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_list_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=message):
        given(file, Base(CSR.empty(3), CSR.empty(3), 5))


SMALL = [
    "n_users=60",
    "n_items=40",
    "n_interactions=900",
    "batch_size=128",
    "embedding_dim=8",
    "epochs=2",
    "device=cpu",
    "threads=1",
    "verbose=0",
    "plots=false",
]


def _run(tmp_path: Path, *overrides: str) -> Any:
    coach = prepare(resolve("bprmf", [*SMALL, *overrides]), runs=tmp_path / "runs")
    coach.fit()
    return coach


def _json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def test_a_run_names_its_protocol_everywhere(tmp_path: Path) -> None:
    run = _run(tmp_path, "candidates=9").run
    protocol = {"candidates": 9, "candidates_by": "uniform", "candidates_seed": 1}
    text = "ranked among 9 candidates drawn uniformly (seed 1), not among all items"
    assert _json(run.metrics_file)["protocol"] == protocol
    record = _json(run.run_file)
    assert record["protocol"] == protocol
    assert [entry["protocol"] for entry in record["test_evaluations"]] == [protocol]
    assert text in record["notes"]
    assert f"- {text}" in (run.summary_folder / "SUMMARY.md").read_text(encoding="utf-8")
    assert text in run.log_file.read_text(encoding="utf-8")


def test_a_run_that_ranks_all_items_says_nothing_of_it(tmp_path: Path) -> None:
    run = _run(tmp_path).run
    assert "protocol" not in _json(run.metrics_file)
    assert "protocol" not in _json(run.run_file)
    assert protocol_text(None) == ""


def test_models_and_seeds_have_the_same_candidates(tmp_path: Path) -> None:
    coaches = [_run(tmp_path, "candidates=9", f"seed={seed}") for seed in (1, 2)]
    lists = [coach.evaluator.protocol.candidates(coach.dataset.base, "test") for coach in coaches]
    assert np.array_equal(lists[0].indices, lists[1].indices)


def test_a_run_is_evaluated_under_another_protocol_and_its_own_values_stay(tmp_path: Path) -> None:
    run = _run(tmp_path).run
    before = run.per_user_file("test").read_bytes()
    found = evaluate(run.path, ["candidates=9"])
    assert found["protocol"]["candidates"] == 9
    assert found["per_user"] is None
    assert found["metrics"]["recall@10"] > _json(run.metrics_file)["test"]["recall@10"]
    assert run.per_user_file("test").read_bytes() == before
    assert _json(run.run_file)["test_evaluations"][1]["protocol"]["candidates"] == 9
    among_nine = _run(tmp_path, "candidates=9").run
    assert evaluate(among_nine.path, [])["metrics"] == _json(among_nine.metrics_file)["test"]
    everything = evaluate(among_nine.path, ["candidates=null"])
    assert "protocol" not in everything
    assert everything["metrics"] != _json(among_nine.metrics_file)["test"]
    assert read_per_user(among_nine.path, "test") is not None


def _lists(tmp_path: Path) -> Path:
    file = tmp_path / "lists.csv"
    rows = [f"{user},{item}" for user in range(60) for item in range(0, 40, 4)]
    file.write_text("\n".join(["user,item", *rows]), encoding="utf-8")
    return file


def test_given_lists_are_part_of_the_data_of_a_run(tmp_path: Path) -> None:
    file = _lists(tmp_path)
    given_lists = [f"root={tmp_path}", "candidates_path=lists.csv"]
    run = _run(tmp_path, *given_lists).run
    protocol = _json(run.metrics_file)["protocol"]
    assert protocol["candidates_path"] == "lists.csv"
    assert _json(run.run_file)["data"]["lists.csv"] == protocol["sha256"]
    assert evaluate(run.path, [])["metrics"] == _json(run.metrics_file)["test"]
    file.write_text(file.read_text(encoding="utf-8") + "\n1,1", encoding="utf-8")
    with pytest.raises(DataError, match=r"the file lists\.csv has changed"):
        evaluate(run.path, [])
    assert evaluate(run.path, ["candidates=5"])["protocol"]["candidates"] == 5
    with pytest.raises(DataError, match="cannot read"):
        evaluate(run.path, ["candidates_path=nowhere.csv"])


def test_a_file_that_cannot_be_used_is_refused_before_a_run_is_made(tmp_path: Path) -> None:
    file = tmp_path / "lists.csv"
    file.write_text("user,item\n0,1\n", encoding="utf-8")
    for name, message in (("lists.csv", "no candidates for user"), ("none.csv", "cannot read")):
        with pytest.raises(DataError, match=message):
            _run(tmp_path, f"root={tmp_path}", f"candidates_path={name}")
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("run.json"))


@pytest.mark.parametrize("kept", ["seen", "relevant"])
def test_lists_with_nothing_left_to_rank_are_refused(tmp_path: Path, kept: str) -> None:
    coach = prepare(resolve("bprmf", SMALL), runs=tmp_path / "runs")
    base = coach.dataset.base
    parts = {"seen": base.seen("test"), "relevant": base.csr("test")}
    users, items = parts[kept].pairs()
    rows = [f"{base.user_ids[user]},{base.item_ids[item]}" for user, item in zip(users, items, strict=True)]
    (tmp_path / "lists.csv").write_text("\n".join(["user,item", *rows]), encoding="utf-8")
    expected = r"has no candidates for user \S+ and \d+ other users, other than items seen before or to be found in "
    with pytest.raises(DataError, match=expected):
        _run(tmp_path, f"root={tmp_path}", "candidates_path=lists.csv")


def test_ids_of_another_kind_are_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "lists.csv").write_text("user,item\nu0,i1\nu1,i2\n", encoding="utf-8")
    message = r"no candidates for user .*; 2 of 2 rows of lists\.csv are not used: the data does not have their users"
    with pytest.raises(DataError, match=message):
        _run(tmp_path, f"root={tmp_path}", "candidates_path=lists.csv")


REFUSED = {
    "both": (["candidates=9", "candidates_path=a.csv"], "remove one of the two"),
    "no draw": (["candidates_by=popularity"], "no candidates are drawn"),
    "no seed": (["candidates_seed=3"], "no candidates are drawn"),
    "none": (["candidates=0"], ">= 1"),
    "another way": (["candidates=9", "candidates_by=random"], "uniform"),
}


@pytest.mark.parametrize(("overrides", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_settings_that_do_not_fit_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("bprmf", overrides)


def test_a_model_that_predicts_labels_ranks_nothing() -> None:
    with pytest.raises(ConfigError, match="predicts labels and ranks nothing"):
        resolve("deepfm", ["candidates=9"])


def test_test_rows_are_not_read_for_candidates_before_test_is_evaluated(tmp_path: Path) -> None:
    coach = prepare(resolve("bprmf", [*SMALL, "candidates=9", "eval_test=false"]), runs=tmp_path)
    coach.fit()
    assert set(coach.evaluator.protocol._made) == {"valid"}


def test_the_protocol_of_settings_without_one_ranks_all() -> None:
    protocol = Protocol.of({})
    assert protocol.ranks_all
    assert protocol.describe(None) is None
    assert protocol.candidates(SimpleNamespace(), "test") is None
