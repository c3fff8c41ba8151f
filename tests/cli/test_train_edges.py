"""`recrun train` at the edges: data with hardly anything in it, and numbers that go wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from recrun.config.find import find_config

TRAINED = ["synthetic/bprmf", "epochs=2", "embedding_dim=4", "batch_size=16"]
COMMON = [
    "dataset=File",
    "root=.",
    "device=cpu",
    "threads=1",
    "verbose=0",
    "monitors=[recall@20,ndcg@20]",
    "which4best=ndcg@20",
]


def _write(name: str, pairs: Iterable[tuple[int, int]]) -> str:
    Path(name).write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in pairs), encoding="utf-8")
    return name


def _result(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "runs/latest/metrics.json").read_text(encoding="utf-8"))
    return result


def _refusal(outcome: Any) -> str:
    assert outcome.code == 2, outcome.err
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.is_untouched, "nothing was started"
    text: str = outcome.err
    return text


@pytest.mark.parametrize("model", [TRAINED, ["popularity"], ["ease"]])
def test_a_single_user(recrun: Callable[..., Any], model: list[str]) -> None:
    path = _write("one.csv", [(7, item) for item in range(10)])
    outcome = recrun("train", *model, *COMMON, f"path={path}", "valid_ratio=0.2", "test_ratio=0.2")
    assert outcome.code == 0, outcome.err
    result = _result(outcome.folder)
    assert result["users"] == {"valid": 1, "test": 1, "skipped": 0}
    # Six items are in train: the four others are all ranked within the first 20.
    assert result["valid"]["recall@20"] == result["test"]["recall@20"] == 1


def test_a_single_item(recrun: Callable[..., Any]) -> None:
    path = _write("item.csv", [(user, 3) for user in range(8)])
    text = _refusal(recrun("train", "popularity", *COMMON, f"path={path}"))
    assert text == "error: eval_test: the data has no test part to evaluate; set eval_test=false\n"
    text = _refusal(recrun("train", *TRAINED, *COMMON, f"path={path}", "eval_test=false"))
    assert "8 of 8 users have seen every item" in text
    outcome = recrun("train", "popularity", *COMMON, f"path={path}", "eval_test=false")
    assert outcome.code == 0, outcome.err
    assert _result(outcome.folder)["valid"] is _result(outcome.folder)["test"] is None


def _parts(train: Iterable[tuple[int, int]], test: Iterable[tuple[int, int]]) -> list[str]:
    return [f"train_path={_write('train.csv', train)}", f"test_path={_write('test.csv', test)}", "valid_ratio=0"]


def test_users_without_train_items_are_ranked_like_others(recrun: Callable[..., Any]) -> None:
    train = [(1, 0), (1, 1), (2, 1), (2, 2), (3, 1)]
    parts = _parts(train, [(9, 1), (9, 0), (1, 2)])
    outcome = recrun("train", "popularity", *COMMON, *parts)
    assert outcome.code == 0, outcome.err
    # Popularity: item 1 three times, items 0 and 2 once, the smaller id first. User 9 finds both at the first two
    # ranks; user 1 has seen 0 and 1, and finds 2 at the first.
    assert _result(outcome.folder)["test"] == {"recall@20": 1.0, "ndcg@20": 1.0}
    assert _result(outcome.folder)["users"]["test"] == 2
    outcome = recrun("train", *TRAINED, *COMMON, *parts)
    assert outcome.code == 0, outcome.err
    assert _result(outcome.folder)["users"]["test"] == 2


def test_users_who_have_seen_every_item(recrun: Callable[..., Any]) -> None:
    train = [(1, item) for item in range(4)] + [(2, 0), (3, 1)]
    parts = _parts(train, [(2, 1), (3, 2)])
    text = _refusal(recrun("train", *TRAINED, *COMMON, *parts))
    assert "1 of 3 users have seen every item (the first: user 1)" in text
    assert "leave such users out" in text
    outcome = recrun("train", "popularity", *COMMON, *parts)
    assert outcome.code == 0, outcome.err
    # Items 0 and 1 are liked twice, 2 and 3 once. User 2 has seen 0 and finds 1 first; user 3 has seen 1 and finds 2
    # behind 0.
    assert _result(outcome.folder)["test"]["ndcg@20"] == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert _result(outcome.folder)["users"] == {"test": 2, "skipped": 1}


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (
            [*TRAINED, "early_stop_patience=2"],
            "early_stop_patience: there is no validation part to stop by; set early_stop_patience=null and the number "
            "of epochs",
        ),
        (
            [*TRAINED, "lr_scheduler=plateau"],
            "lr_scheduler: plateau follows the validation metric, but there is no validation part; set "
            "lr_scheduler=none",
        ),
    ],
)
def test_what_needs_validation_is_refused_when_no_row_is_left_for_it(
    recrun: Callable[..., Any], options: list[str], key: str
) -> None:
    path = _write("few.csv", [(user, (user + step) % 5) for user in range(6) for step in range(2)])
    text = _refusal(recrun("train", *options, *COMMON, f"path={path}", "test_ratio=0.4", "valid_ratio=0.01"))
    assert key in text


def test_all_that_needs_a_missing_part_is_named_at_once_and_the_remedies_work(recrun: Callable[..., Any]) -> None:
    path = _write("few.csv", [(user, user % 4) for user in range(12)])
    given = [*TRAINED, *COMMON, f"path={path}", "early_stop_patience=2", "lr_scheduler=plateau"]
    outcome = recrun("train", *given)
    assert (outcome.code, outcome.is_untouched) == (2, True)
    assert outcome.err.splitlines() == [
        "error: early_stop_patience: there is no validation part to stop by; set early_stop_patience=null and the "
        "number of epochs",
        "error: lr_scheduler: plateau follows the validation metric, but there is no validation part; set "
        "lr_scheduler=none",
        "error: eval_test: the data has no test part to evaluate; set eval_test=false",
    ]
    outcome = recrun("train", *given[:-2], "early_stop_patience=null", "lr_scheduler=none", "eval_test=false")
    assert outcome.code == 0, outcome.err


def test_a_validation_part_without_rows_is_none(recrun: Callable[..., Any]) -> None:
    path = _write("few.csv", [(user, (user + step) % 5) for user in range(6) for step in range(2)])
    outcome = recrun("train", *TRAINED, *COMMON, f"path={path}", "test_ratio=0.4", "valid_ratio=0.01")
    assert outcome.code == 0, outcome.err
    result = _result(outcome.folder)
    assert (result["valid"], result["best_epoch"]) == (None, 2)
    assert "valid" not in result["users"]


def test_a_train_part_without_rows_is_refused(recrun: Callable[..., Any]) -> None:
    text = _refusal(recrun("train", "popularity", *COMMON, *_parts([], [(1, 1)])))
    assert "train.csv" in text or "no interaction is left for train" in text


OWN = """
import torch

from recrun.architectures import ClosedFormArch, RecSysArch


class Tied(ClosedFormArch):
    \"\"\"Score all items alike.\"\"\"

    def __init__(self, data) -> None:
        super().__init__()
        self.shape = data.n_users, data.n_items

    def fit(self, data):
        pass

    def score(self, users):
        return torch.zeros(len(users), self.shape[1])


class NotANumber(Tied):
    \"\"\"Keep what is no number.\"\"\"

    def fit(self, data):
        self.register_buffer("weights", torch.full((3,), float("nan")))


class Base(RecSysArch):
    def __init__(self, data, *, embedding_dim: int = 4) -> None:
        super().__init__()
        self.users = torch.nn.Embedding(data.n_users, embedding_dim)
        self.items = torch.nn.Embedding(data.n_items, embedding_dim)
        self.bias = torch.nn.Parameter(torch.zeros(2))
        self.initialize(0.1)
        self.steps = 0

    def forward(self, users, items):
        self.steps += 1
        return (self.users(users) * self.items(items)).sum(-1)

    def vectors(self):
        return self.users.weight, self.items.weight


class BadGradient(Base):
    \"\"\"Give a gradient that is no number, while the loss stays one.\"\"\"

    def penalty(self, users, items):
        term = torch.nan_to_num(self.bias).sum() * 0
        if self.steps == 3:
            term.register_hook(lambda gradient: gradient * float("nan"))
            return torch.nan_to_num(self.bias * self.bias.new_full((), float("inf"))).sum() * 0 + term
        return term


class BadScores(Base):
    \"\"\"Rank by what is no number once it has been trained.\"\"\"

    def vectors(self):
        return self.users.weight * (float("nan") if self.steps else 1.0), self.items.weight


class BadLoss(Base):
    \"\"\"Give an infinite loss at one step.\"\"\"

    def penalty(self, users, items):
        return float("inf") if self.steps == 5 else 0.0
"""


def _fails(outcome: Any) -> str:
    assert outcome.code == 1, outcome.err
    assert len(outcome.err.splitlines()) == 1, outcome.err
    record = json.loads((outcome.folder / "runs/latest/run.json").read_text(encoding="utf-8"))
    assert record["status"] == "failed"
    text: str = outcome.err
    return text


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    return f"{tmp_path / 'own.py'}"


def test_all_tied_scores_are_ranked_by_the_smaller_id(recrun: Callable[..., Any], own: str) -> None:
    parts = _parts([(1, 0), (2, 1), (3, 3), (3, 0)], [(1, 2), (2, 2)])
    outcome = recrun("train", "popularity", f"model={own}:Tied", *COMMON, *parts)
    assert outcome.code == 0, outcome.err
    # User 1 is offered 1, 2, 3 and user 2 is offered 0, 2, 3: item 2 is at rank 2 for both.
    assert _result(outcome.folder)["test"]["ndcg@20"] == pytest.approx(1 / math.log2(3))


SMALL = ["dataset=Synthetic", "n_users=40", "n_items=30", "n_interactions=600", "batch_size=64", "epochs=3"]
QUIET = ["device=cpu", "threads=1", "verbose=0"]


def test_a_gradient_that_is_no_number_is_named(recrun: Callable[..., Any], own: str) -> None:
    text = _fails(recrun("train", "bprmf", f"model={own}:BadGradient", *SMALL, *QUIET))
    assert "the model is not finite in epoch 1, by step " in text
    assert ": bias, the gradient of bias" in text or ": bias. " in text
    assert "The last good checkpoint is runs/" in text


def test_scores_that_are_no_numbers_stop_the_run(recrun: Callable[..., Any], own: str) -> None:
    text = _fails(recrun("train", "bprmf", f"model={own}:BadScores", *SMALL, *QUIET))
    assert "NaN" in text
    assert "(evaluating valid after epoch 1). The last good checkpoint is runs/" in text


def test_an_infinite_loss_is_told_with_its_step(recrun: Callable[..., Any], own: str) -> None:
    text = _fails(recrun("train", "bprmf", f"model={own}:BadLoss", *SMALL, *QUIET))
    assert "the loss is not finite in epoch 1, step 5" in text


def test_a_closed_form_that_is_no_number_is_named(recrun: Callable[..., Any], own: str) -> None:
    options = [option for option in SMALL if not option.startswith(("batch_size", "epochs"))]
    text = _fails(recrun("train", "popularity", f"model={own}:NotANumber", *options, *QUIET))
    assert "the model is not finite after its fit: weights. There is no checkpoint yet" in text


def test_a_dry_run_prints_what_a_run_prints_at_its_start(recrun: Callable[..., Any]) -> None:
    path = _write("pairs.csv", [*((user, (user * step) % 7) for user in range(9) for step in range(1, 6)), (8, 1)])
    given = [*TRAINED, "dataset=File", "root=.", f"path={path}", "device=cpu"]
    outcome = recrun("train", *given, "--dry-run")
    assert outcome.code == 0, outcome.err
    estimated = ("time: ", "memory: ", "disk: ", "measured: ")
    assert [line for line in outcome.out.splitlines() if not line.startswith(estimated)] == [
        "model: bprmf, 64 parameters, on cpu",
        "data: File: 9 users, 7 items, 23 train, 7 valid, 7 test, density 0.587",
        "more: interactions per user 4.11, interactions per item 5.29",
        "epochs: 2, 2 steps each",
        f"note: the settings of {find_config('synthetic/bprmf')} were chosen for Synthetic, not for File",
        "note: 9 repeated interactions of a user with an item; the last ones are kept",
    ]
    (first,) = outcome.err.splitlines()
    assert first.startswith("config: ")
    document = json.loads(recrun("train", *given, "--dry-run", "--json").out)
    assert document["steps_per_epoch"] == 2
