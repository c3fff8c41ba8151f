"""Models of sequences that read the times of items: that these reach them from the data, everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.architectures.networks import UserNetwork
from recrun.architectures.sequence import SequenceArch
from recrun.config.resolve import resolve
from recrun.criterions import CrossEntropy4Logits
from recrun.data.datasets import Synthetic
from recrun.data.interactions import CSR, TIMESTAMP, Interactions
from recrun.errors import ConfigError, DataError
from recrun.recommendation.recommender import Recommender
from recrun.recommendation.targets import new_users, told_users
from recrun.workflows.build import build

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu", "threads=1", "split=leave_one_out"]
TEXT = '''
import torch

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS


@MODELS.register("mine", loss="cross_entropy", gradients="mixed", timed_by="timed")
class Mine(SequenceArch):
    """The mean of the embeddings so far."""

    def __init__(self, data, *, max_length: int = 20):
        super().__init__(data, max_length)
        self.items = torch.nn.Embedding(data.n_items, 16)

    def forward(self, items, lengths):
        return self.items(items).cumsum(1) / torch.arange(1, items.size(1) + 1)[:, None]

    def item_vectors(self):
        return self.items.weight
'''


class Clock(SequenceArch):
    """The state after an item is its number and its time, so that scores can be worked out by hand."""

    def __init__(self, data: Any, *, max_length: int = 4) -> None:
        super().__init__(data, max_length)
        self.timed = True
        self.weight = torch.nn.Parameter(torch.rand(data.n_items, 2).double())

    def forward(self, items: Tensor, lengths: Tensor, times: Tensor | None = None) -> Tensor:
        assert times is not None
        assert times.shape == items.shape
        return torch.stack([items, times], dim=2).double()

    def item_vectors(self) -> Tensor:
        return self.weight


@pytest.fixture(scope="module")
def data() -> Any:
    return Synthetic(n_users=60, n_items=40, n_interactions=900, split="leave_one_out")


def _last(data: Any, before: str) -> Tensor:
    """Return the last item of each user before a part, and its time, (U, 2)."""
    found = torch.zeros(60, 2, dtype=torch.float64)
    for part in ["train", "valid"] if before == "test" else ["train"]:
        rows = data.interactions(part)
        order = np.lexsort((rows.columns[TIMESTAMP], rows.users))
        for row in order.tolist():
            found[rows.users[row]] = torch.tensor([rows.items[row], rows.columns[TIMESTAMP][row]], dtype=torch.float64)
    return found


@pytest.mark.parametrize("before", ["valid", "test"])
def test_users_are_ranked_by_the_times_of_their_histories(data: Any, before: str) -> None:
    model = Clock(data.training_data())
    model.take_histories(data.histories(before))
    states, items = model.vectors()
    assert torch.equal(states, _last(data, before))
    users = torch.tensor([41, 3, 3, 17])
    torch.testing.assert_close(model.score(users), states[users] @ items.T)
    network = model.network()
    assert isinstance(network, UserNetwork)
    torch.testing.assert_close(network(users), states[users] @ items.T)


@pytest.mark.parametrize("rows", ["all_positions", "prefixes", "windows"])
def test_training_rows_hold_the_times_of_their_items(rows: str) -> None:
    resolved = resolve("hstu", [*SMALL, f"sequence_rows={rows}", "n_time_buckets=9", "max_length=5", "batch_size=64"])
    pipe = build(resolved).dataset
    met = pipe.base.interactions("train")
    time_of = {
        (user, item): time for user, item, time in zip(met.users, met.items, met.columns[TIMESTAMP], strict=True)
    }
    assert len(time_of) == len(met), "no user met an item twice"
    n_rows = 0
    for batch in pipe.iterate("train", seed=1, epoch=1):
        for user, items, times, (length,) in zip(
            batch["user"][:, 0].tolist(), batch["item"], batch["times"], batch["length"].tolist(), strict=True
        ):
            expected = [time_of[user, item] for item in items[:length].tolist()]
            assert times[:length].tolist() == expected
            assert not times[length:].any()
            assert expected == sorted(expected)
            n_rows += 1
    assert n_rows >= 60


@pytest.mark.parametrize("as_prefixes", [False, True])
def test_what_predicts_an_item_is_handed_the_times_of_those_before_it(data: Any, as_prefixes: bool) -> None:
    model = Clock(data.training_data(), max_length=20)
    items = torch.zeros(3, 13, dtype=torch.int64)
    items[0], items[1:, 0], items[2, :3] = torch.arange(13), 5, torch.tensor([8, 9, 7])
    times = torch.arange(39).reshape(3, 13) * 1000
    batch = {"user": torch.tensor([[7], [50], [8]]), "item": items, "times": times}
    batch["length"] = torch.tensor([[13], [1], [3]])
    if as_prefixes:
        batch["target"] = torch.tensor([[1], [6], [4]])
        rows = [(0, 12, 1), (1, 0, 6), (2, 2, 4)]
    else:
        rows = [(0, place - 1, place) for place in range(1, 13)] + [(2, 0, 9), (2, 1, 7)]
    states = torch.tensor([[items[row, place], times[row, place]] for row, place, _ in rows]).double()
    expected = torch.nn.functional.cross_entropy(states @ model.weight.T, torch.tensor([target for *_, target in rows]))
    torch.testing.assert_close(model.training_loss(batch, CrossEntropy4Logits()), expected)


def test_new_users_are_ranked_by_the_times_that_a_file_tells(data: Any, tmp_path: Path) -> None:
    recommender = Recommender(Clock(data.training_data()), data)
    ids = [data.item_ids[item] for item in (3, 8, 5)]
    timed, untimed = tmp_path / "timed.csv", tmp_path / "untimed.csv"
    timed.write_text(f"user,item,timestamp\na,{ids[0]},1000000009\na,{ids[1]},1000000004\nb,{ids[2]},1000000007\n")
    untimed.write_text(f"user,item\na,{ids[0]}\na,{ids[1]}\nb,{ids[2]}\n")
    targets = new_users(recommender, timed)
    assert targets.histories is not None
    model = recommender.model
    states = model.embed_histories(targets.histories)
    assert states.tolist() == [[3, 1000000009], [5, 1000000007]]
    lists = next(recommender.recommend_to_new(targets.histories, 2))
    scores = states @ model.item_vectors().T
    assert torch.equal(torch.from_numpy(lists.items_BK.astype(np.int64)), scores.topk(2).indices)
    for untold in (new_users(recommender, untimed), told_users(recommender, {"a": ids[:2]})):
        assert untold.histories is not None
        with pytest.raises(ConfigError, match="Clock as it was trained reads the times of interactions, which these"):
            next(recommender.recommend_to_new(untold.histories, 2))


def test_times_of_new_users_are_in_the_unit_that_the_model_learned(data: Any, tmp_path: Path) -> None:
    recommender = Recommender(Clock(data.training_data()), data)
    one, other = (data.item_ids[item] for item in (3, 8))
    files = {
        "ms.csv": (f"user,item,timestamp\na,{one},1000000009000\na,{other},1000000004000\n", "milliseconds since 1970"),
        "days.csv": (f"user,item,timestamp\na,{one},17\na,{other},12\n", "no times since 1970"),
    }
    for name, (text, told) in files.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(
            DataError, match=f"its times are {told}, and those that the model was trained on are seconds"
        ):
            new_users(recommender, tmp_path / name)
    (tmp_path / "dates.csv").write_text(
        f"user,item,date\na,{one},2001-09-09T01:46:49Z\na,{other},2001-09-09T01:46:44Z\n"
    )
    dated = new_users(recommender, tmp_path / "dates.csv").histories
    assert dated is not None
    assert recommender.model.embed_histories(dated).tolist() == [[3, 1000000009]]
    (tmp_path / "ordered.csv").write_text(f"user,item\na,{one}\na,{other}\n")
    ordered = new_users(recommender, tmp_path / "ordered.csv").histories
    assert ordered is not None
    assert ordered.times is None


def test_rows_and_their_times_are_selected_together() -> None:
    rows = Interactions(
        np.array([1, 0, 1, 1], np.int32), np.arange(4, dtype=np.int32), {TIMESTAMP: np.array([7.5, 2.0, 1.0, 9.0])}
    ).histories(3)
    assert rows.times is not None
    assert (rows.indices.tolist(), rows.times.tolist()) == ([1, 2, 0, 3], [2.0, 1.0, 7.5, 9.0])
    taken = rows.take(np.array([1, 2, 1]))
    assert taken.times is not None
    assert taken.times.tolist() == [1.0, 7.5, 9.0, 1.0, 7.5, 9.0]
    assert rows.times_before(np.array([1, 0]), np.array([3, 1]), 3).tolist() == [[1.0, 7.5, 0.0], [2.0, 0.0, 0.0]]
    assert CSR.empty(1).take(np.array([0])).times is None


def test_the_setting_that_a_model_names_must_be_its_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(TEXT, encoding="utf-8")
    with pytest.raises(ConfigError, match="its constructor needs a setting timed"):
        resolve(None, [*SMALL, f"model={file}:Mine"])
