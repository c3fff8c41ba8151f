"""The base of sequential models: which histories they read, in which groups, and which items they predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.architectures.attention import SelfAttention
from recrun.architectures.sequence import SequenceArch, similar_lengths
from recrun.config.resolve import resolve
from recrun.criterions import BCELoss4Logits, CrossEntropy4Logits
from recrun.data.datasets import File, Synthetic
from recrun.errors import ConfigError, DataError
from recrun.workflows.build import build, prepare

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu", "threads=1", "verbose=0"]


class LastItems(SequenceArch):
    """The state is a one-hot mean of the items so far: scores can be worked out by hand."""

    def __init__(self, data: Any, *, max_length: int = 4) -> None:
        super().__init__(data, max_length)
        self.weight = torch.nn.Parameter(torch.eye(data.n_items))
        self.asked: list[tuple[int, int]] = []

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        self.asked.append(tuple(items.shape))  # type: ignore[arg-type]
        return self.weight[items].cumsum(1)

    def item_vectors(self) -> Tensor:
        return self.weight


@pytest.fixture(scope="module")
def data() -> Any:
    return Synthetic(n_users=60, n_items=40, n_interactions=900, split="leave_one_out")


def test_rows_of_similar_length_make_groups_that_cover_all_but_the_empty() -> None:
    lengths = torch.tensor([3, 0, 40, 8, 9, 1, 16, 17, 0, 33])
    groups = [(sorted(lengths[rows].tolist()), width) for rows, width in similar_lengths(lengths)]
    assert groups == [([1, 3, 8], 8), ([9, 16], 16), ([17], 17), ([33, 40], 40)]
    bounded = [(lengths[rows].tolist(), width) for rows, width in similar_lengths(lengths, 16)]
    assert bounded == [([1, 3], 3), ([8], 8), ([9], 9), ([16], 16), ([17], 17), ([33], 33), ([40], 40)]
    assert list(similar_lengths(torch.zeros(3, dtype=torch.int64))) == []


def test_scores_come_from_the_latest_items_of_the_histories_taken(data: Any) -> None:
    model = LastItems(data.training_data())
    for split, before in (("valid", ["train"]), ("test", ["train", "valid"])):
        model.take_histories(data.histories(split))
        parts = [data.interactions(part) for part in before]
        scores = model.score(torch.arange(60)).detach()
        vectors = model.vectors()
        torch.testing.assert_close(vectors[0] @ vectors[1].T, model.score(torch.arange(60)))
        for user in range(60):
            rows = [(t, i) for part in parts for u, i, t in _rows(part) if u == user]
            latest = [item for _, item in sorted(rows, key=lambda row: row[0])][-4:]
            assert sorted(scores[user].nonzero()[:, 0].tolist()) == sorted(latest)


def _rows(part: Any) -> Any:
    return zip(part.users.tolist(), part.items.tolist(), part.columns["timestamp"].tolist(), strict=True)


def test_each_item_is_predicted_from_those_before_it_and_the_padding_is_not_scored(data: Any) -> None:
    model = LastItems(data.training_data())
    batch = {
        "item": torch.tensor([[5, 7, 9, 0], [3, 4, 0, 0]]),
        "length": torch.tensor([[3], [2]]),
        "negative": torch.tensor([[1, 5, 7, 0], [2, 3, 0, 0]])[:, :, None],
    }
    scores: list[Tensor] = []

    class Spy(BCELoss4Logits):
        def from_scores(self, scores_NK: Tensor) -> Tensor:
            scores.append(scores_NK)
            return super().from_scores(scores_NK)

    loss = model.training_loss(batch, Spy())
    # Of [5, 7, 9]: 7 after {5} against 5, then 9 after {5, 7} against 7; of [3, 4]: 4 after {3} against 3.
    assert sorted(scores[0].tolist()) == [[0, 1], [0, 1], [0, 1]]
    assert loss.item() == pytest.approx((np.log(2) + np.log(1 + np.e)) / 2)


def test_a_loss_over_all_items_receives_the_right_targets(data: Any) -> None:
    model = LastItems(data.training_data())
    targets: list[Tensor] = []

    class Spy(CrossEntropy4Logits):
        def from_all(self, scores: Tensor, positives: Tensor) -> Tensor:
            assert scores.shape == (3, 40)
            targets.append(positives)
            return super().from_all(scores, positives)

    batch = {"item": torch.tensor([[5, 7, 9, 0], [3, 4, 0, 0]]), "length": torch.tensor([[3], [2]])}
    model.training_loss(batch, Spy()).backward()
    assert sorted(targets[0].tolist()) == [4, 7, 9]


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "bert4rec"])
def test_neither_padding_nor_the_other_histories_of_a_batch_change_a_state(name: str) -> None:
    coach = build(resolve(name, [*SMALL, "max_length=12"]))
    model = coach.model.eval()
    rng = torch.Generator().manual_seed(0)
    items = torch.randint(40, (5, 12), generator=rng)
    lengths = torch.tensor([1, 4, 7, 9, 12])
    with torch.no_grad():
        states = model.read(items[:, :12], lengths)
        for row, length in enumerate(lengths):
            alone = model.read(items[row : row + 1, :length], lengths[row : row + 1])
            torch.testing.assert_close(alone[0], states[row])


@pytest.mark.parametrize("name", ["sasrec", "gru4rec"])
def test_no_state_depends_on_later_items(name: str) -> None:
    model = build(resolve(name, [*SMALL, "max_length=12"])).model.eval()
    items = torch.randint(40, (3, 12), generator=torch.Generator().manual_seed(1))
    changed = items.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 40
    lengths = torch.full((3,), 12)
    with torch.no_grad():
        before, after = model(items, lengths), model(changed, lengths)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


def test_attention_is_the_softmax_of_products_written_out() -> None:
    torch.manual_seed(0)
    attention, states = SelfAttention(6, 2), torch.randn(2, 5, 6)
    visible = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    queries, keys, values = attention.inputs(states).chunk(3, dim=-1)
    for seen, mask in ((None, torch.ones(5, 5).tril().bool().expand(2, 5, 5)), (visible, visible[:, None, :])):
        heads = []
        for part in (slice(0, 3), slice(3, 6)):
            products = queries[..., part] @ keys[..., part].transpose(1, 2) / 3**0.5
            heads.append(products.masked_fill(~mask, -torch.inf).softmax(-1) @ values[..., part])
        torch.testing.assert_close(attention(states, seen), attention.output(torch.cat(heads, -1)))


def test_data_without_an_order_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0 1 2 3 4 5\n1 2 3 4 5 6\n2 3 4 5 6 7\n", encoding="utf-8")
    data = File(tmp_path, path="a.txt", format="lightgcn", valid_ratio=0)
    with pytest.raises(DataError, match="the data has no times"):
        LastItems(data.training_data())
    options = ["dataset=File", "path=a.txt", "format=lightgcn", "split=ratio", f"root={tmp_path}", "device=cpu"]
    with pytest.raises(DataError, match="SASRec reads interactions in the order of time"):
        prepare(resolve("sasrec", options), runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["positives=users"], "positives: does not apply to model sasrec, which is trained on sequences"),
        (["draw_on=device"], "draw_on: does not apply to model sasrec"),
        (["loss=multinomial"], "multinomial needs users' whole rows, but model sasrec is trained on sequences"),
        (
            ["sampler=in_batch"],
            "sampler: sampler in_batch does not work with model sasrec, which is trained on sequences",
        ),
        (["sampler=dns"], "sampler: sampler dns does not work with model sasrec"),
        (["loss=sampled_softmax", "logq_correction=true"], "logq_correction: does not apply to model sasrec"),
        (["loss=directau"], "directau compares vectors of users and items, but model sasrec has none"),
    ],
)
def test_what_sequences_cannot_be_trained_with_is_refused(options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("sasrec", [*SMALL, *options])


def test_a_number_of_heads_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="n_heads: expected a divisor of embedding_dim 64, found 3"):
        build(resolve("sasrec", [*SMALL, "n_heads=3"]))


def test_a_model_of_ones_own_file_is_fed_with_sequences(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = """
import torch

from recrun.architectures.sequence import SequenceArch


class Mean(SequenceArch):
    \"\"\"The mean of the embeddings so far.\"\"\"

    def __init__(self, data, *, max_length: int = 20):
        super().__init__(data, max_length)
        self.items = torch.nn.Embedding(data.n_items, 8)
        self.initialize(0.1)

    def forward(self, items, lengths):
        return self.items(items).cumsum(1) / torch.arange(1, items.size(1) + 1)[:, None]

    def item_vectors(self):
        return self.items.weight
"""
    file.write_text(text, encoding="utf-8")
    config = tmp_path / "mine.yaml"
    config.write_text("dataset: Synthetic\nsplit: leave_one_out\nmodel: ./mine.py:Mean\nloss: bpr\n", encoding="utf-8")
    options = [*SMALL, "epochs=3", "batch_size=16", "lr=0.05"]
    coach = prepare(resolve(config, options), runs=tmp_path, reporters=lambda run, epoch: [])
    coach.fit()
    losses = [value for _, value in coach.state.history.values["train"]["loss"]]
    assert losses[-1] < losses[0]
    file.write_text(text.replace("max_length: int = 20", "").replace("*, ", "").replace("max_length)", "9)"))
    with pytest.raises(ConfigError, match="is trained on sequences, so its constructor needs a setting max_length"):
        resolve(config, options)
