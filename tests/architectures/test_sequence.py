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
from recrun.runs.history import read_history
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


class LastMean(LastItems):
    """One state for a history: the mean of its items."""

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        is_filled = torch.arange(items.size(1)) < lengths[:, None]
        return (self.weight[items] * is_filled[..., None]).sum(1) / lengths[:, None]


@pytest.mark.parametrize("kind", [LastItems, LastMean])
def test_of_a_prefix_what_follows_is_predicted_and_nothing_else(data: Any, kind: type[LastItems]) -> None:
    model = kind(data.training_data())
    histories = {0: [5, 7, 9, *range(20, 30)], 1: [3], 2: [4, 6]}
    items = torch.zeros(3, 13, dtype=torch.int64)
    for row, history in histories.items():
        items[row, : len(history)] = torch.tensor(history)
    batch = {
        "item": items,
        "length": torch.tensor([[13], [1], [2]]),
        "target": torch.tensor([[1, 2], [5, 6], [7, 8]]),
        "negative": torch.arange(12).reshape(3, 2, 2),
    }
    expected = []
    for row, history in histories.items():
        state = model.weight[history].sum(0) if kind is LastItems else model.weight[history].mean(0)
        for place in range(2):
            chosen = [int(batch["target"][row, place]), *batch["negative"][row, place].tolist()]
            expected.append(state[chosen])
    seen: list[Tensor] = []

    class Spy(BCELoss4Logits):
        def from_scores(self, scores_NK: Tensor) -> Tensor:
            seen.append(scores_NK)
            return super().from_scores(scores_NK)

    loss = model.training_loss(batch, Spy())
    torch.testing.assert_close(loss, BCELoss4Logits().from_scores(torch.stack(expected)))
    assert sorted(seen[0].tolist()) == sorted(torch.stack(expected).tolist())
    del batch["negative"]
    told = torch.stack(
        [
            model.read(items[row : row + 1, : len(history)], torch.tensor([len(history)]))[0]
            for row, history in histories.items()
        ]
    )
    logits = (told @ model.weight.T).repeat_interleave(2, 0)
    expected_loss = torch.nn.functional.cross_entropy(logits, batch["target"].flatten())
    torch.testing.assert_close(model.training_loss(batch, CrossEntropy4Logits()), expected_loss)


def test_prefixes_of_a_recurrent_model_add_up_to_all_positions() -> None:
    options = [*SMALL, "max_length=200", "dropout=0", "loss=cross_entropy", "batch_size=10000", "split=leave_one_out"]
    losses = []
    for rows in ("all_positions", "prefixes"):
        coach = build(resolve("gru4rec", [*options, f"sequence_rows={rows}"]))
        batches = list(coach.dataset.iterate("train", seed=1, epoch=0))
        assert len(batches) == 1
        losses.append(coach.model.training_loss(batches[0], coach.criterion))
    torch.testing.assert_close(losses[0], losses[1])


def test_the_rows_are_those_of_the_settings() -> None:
    def n_rows(*options: str) -> int:
        coach = build(resolve("gru4rec", [*SMALL, "split=leave_one_out", *options]))
        return sum(coach.dataset.sizes("train") or ())

    lengths = Synthetic(n_users=60, n_items=40, n_interactions=900, split="leave_one_out").csr("train").lengths
    lengths = lengths[lengths >= 2]
    assert n_rows() == len(lengths)
    assert n_rows("sequence_rows=prefixes") == (lengths - 1).sum()
    windows = sum(1 + -(-max(length - 5, 0) // 4) for length in lengths)
    assert n_rows("sequence_rows=windows", "max_length=4") == windows
    assert n_rows("sequence_rows=windows", "max_length=4", "window_step=1") > windows


@pytest.mark.parametrize(
    "name",
    [
        "sasrec",
        "gru4rec",
        "bert4rec",
        "bsarec",
        "fmlprec",
        "hstu",
        "stamp",
        "narm",
        "cl4srec",
        "duorec",
        "fearec",
        "caser",
        "fpmc",
    ],
)
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


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "hstu", "cl4srec"])
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
    (tmp_path / "a.csv").write_text("user,item\n" + "".join(f"{u},{u + i}\n" for u in range(4) for i in range(6)))
    options = ["dataset=File", "path=a.csv", "split=ratio", f"root={tmp_path}", "device=cpu", "shuffled_time=true"]
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
        (["optimizer=lazy_adam", "loss=cross_entropy"], "optimizer: .* but loss cross_entropy changes all items"),
        (["optimizer=sparse_adam"], "optimizer: sparse_adam trains embeddings only, but sasrec has other parameters"),
        (["window_step=3"], "window_step: does not apply: it is for sequence_rows=windows, found all_positions"),
        (["loss=directau"], "directau compares vectors of users and items, but model sasrec has none"),
    ],
)
def test_what_sequences_cannot_be_trained_with_is_refused(options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("sasrec", [*SMALL, *options])


def test_settings_of_sequences_are_refused_elsewhere() -> None:
    for option in ("sequence_rows=prefixes", "window_step=3"):
        with pytest.raises(ConfigError, match="does not apply to model bprmf, which reads no histories; remove it"):
            resolve("bprmf", [*SMALL, option])


def test_a_model_with_one_state_for_a_history_is_trained_on_prefixes(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = """
import torch

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS


@MODELS.register("mean", loss="bce", gradients="mixed", states="last")
class Mean(SequenceArch):
    \"\"\"The mean of the embeddings of a history.\"\"\"

    def __init__(self, data, *, max_length: int = 20):
        super().__init__(data, max_length)
        self.items = torch.nn.Embedding(data.n_items, 8)
        self.initialize(0.1)

    def forward(self, items, lengths):
        is_filled = torch.arange(items.size(1)) < lengths[:, None]
        return (self.items(items) * is_filled[..., None]).sum(1) / lengths[:, None]

    def item_vectors(self):
        return self.items.weight
"""
    file.write_text(text, encoding="utf-8")
    options = [*SMALL, f"model={file}:Mean", "split=leave_one_out", "epochs=2"]
    resolved = resolve(None, options)
    assert resolved.config.sequence_rows == "prefixes"
    prepared = prepare(resolved, runs=tmp_path / "runs")
    assert prepared.fit()["epochs"] == 2
    with pytest.raises(
        ConfigError, match="Mean has a state after the last item only: expected prefixes, found windows"
    ):
        resolve(None, [*options, "sequence_rows=windows"])


def test_a_number_of_heads_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="n_heads: expected a divisor of embedding_dim 50, found 3"):
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
    lines = read_history(coach.run.metrics_lines_file)
    losses = [line["values"]["loss"] for line in lines if line["split"] == "train"]
    assert losses[-1] < losses[0]
    file.write_text(text.replace("max_length: int = 20", "").replace("*, ", "").replace("max_length)", "9)"))
    with pytest.raises(ConfigError, match="is trained on sequences, so its constructor needs a setting max_length"):
        resolve(config, options)


TINY = ["n_users=60", "n_items=40", "n_interactions=900", "max_length=8", "embedding_dim=8", "device=cpu", "threads=1"]
TIMES = {"early": (0, 1, 2, 3, 4, 5), "late": (6, 7, 8)}
OWN_SPLITS = """
import numpy as np
def latest(rows):
    "Hold out what is late."
    return np.where(rows.times > 6, 2, np.where(rows.times > 5, 1, 0))
def earliest(rows):
    "Hold out what is early."
    return np.where(rows.times < 1, 2, np.where(rows.times < 2, 1, 0))
"""
SHUFFLED = """
from recrun.registry import SPLITS
@SPLITS.register("shuffled", keeps_order=False)
def shuffled(rows):
    "Hold out anything."
    return rows.times % 3
"""


@pytest.mark.parametrize(
    "model", ["sasrec", "gru4rec", "bert4rec", "bsarec", "fmlprec", "hstu", "cl4srec", "duorec", "fearec"]
)
@pytest.mark.parametrize("split", ["ratio", "k_fold", "cold_items"])
def test_a_split_that_tears_time_apart_is_refused_by_name_with_the_remedy(model: str, split: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(model, [f"split={split}"])
    assert str(caught.value) == (
        f"argument 1:7: split: split={split} holds out at random, so that {model}, which reads histories, would read "
        f"items from after the held-out ones; use leave_one_out, user_time or time, or set shuffled_time to true"
    )
    resolved = resolve(model, [f"split={split}", "shuffled_time=true"])
    assert resolved.notes == ("shuffled_time: the histories that are read may hold items from after the held-out ones",)
    assert resolved.config.shuffled_time is True
    assert resolve("bprmf", [f"split={split}"]).notes == ()


def test_a_config_of_ones_own_that_leaves_the_split_at_its_default_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text("dataset: Synthetic\nmodel: sasrec\n")
    with pytest.raises(ConfigError, match=r"a.yaml:2:8: split: split=ratio holds out at random"):
        resolve(config)


@pytest.mark.parametrize("split", ["leave_one_out", "leave_k", "user_time", "time", "cold_users"])
def test_a_split_that_keeps_the_order_of_time_is_taken(split: str, tmp_path: Path) -> None:
    coach = prepare(resolve("sasrec", [*TINY, f"split={split}"]), runs=tmp_path / "runs")
    assert coach.settings.validates


def test_models_that_read_no_histories_do_not_take_the_setting() -> None:
    with pytest.raises(ConfigError, match="shuffled_time: does not apply to model bprmf, which reads no histories"):
        resolve("bprmf", ["shuffled_time=true"])
    assert "shuffled_time" not in resolve("bprmf").config


def _log(path: Path, times: tuple[int, ...], n_users: int = 12) -> None:
    lines = [f"{user},{(user + time) % 15},{time}" for user in range(n_users) for time in times]
    path.write_text("\n".join(["user,item,timestamp", *lines]), encoding="utf-8")


def _prepare_files(folder: Path, *options: str) -> None:
    fixed = ["dataset=File", f"root={folder}", "device=cpu", "threads=1", "max_length=4", "embedding_dim=8"]
    fixed.append("early_stop_patience=null")
    prepare(resolve("sasrec", [*fixed, *options]), runs=folder / "runs")


def test_given_parts_in_the_order_of_time_are_taken_and_validated_on_the_latest_of_train(tmp_path: Path) -> None:
    _log(tmp_path / "early.csv", TIMES["early"])
    _log(tmp_path / "late.csv", TIMES["late"])
    given = ["train_path=early.csv", "test_path=late.csv", "valid_ratio=0.2"]
    resolved = resolve("sasrec", ["dataset=File", *given])
    assert (resolved.config.valid_from, resolved.config.split) == ("end", "ratio")
    _prepare_files(tmp_path, *given)
    with pytest.raises(ConfigError, match="valid_from: validation is held out at random, so that sasrec"):
        _prepare_files(tmp_path, *given, "valid_from=random")
    assert resolve("popularity", ["dataset=File", *given]).config.valid_from == "random"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["train_path=late.csv", "test_path=early.csv", "valid_ratio=0"], "test"),
        (["train_path=late.csv", "test_path=early.csv"], "test"),
        (["train_path=late.csv", "valid_path=early.csv", "test_path=last.csv"], "valid"),
        (["train_path=early.csv", "valid_path=last.csv", "test_path=late.csv"], "test"),
    ],
)
def test_given_parts_that_are_not_in_the_order_of_time_are_refused_before_anything_starts(
    tmp_path: Path, options: list[str], part: str
) -> None:
    for name, times in {**TIMES, "last": (9, 10)}.items():
        _log(tmp_path / f"{name}.csv", times)
    message = rf"^12 of 12 users in {part} have interactions in an earlier part that are later than one of theirs in"
    with pytest.raises(DataError, match=message):
        _prepare_files(tmp_path, *options)
    assert not (tmp_path / "runs").exists()
    _prepare_files(tmp_path, *options, "shuffled_time=true")


def test_a_single_torn_user_is_counted(tmp_path: Path) -> None:
    _log(tmp_path / "early.csv", TIMES["early"])
    _log(tmp_path / "late.csv", TIMES["late"])
    with (tmp_path / "early.csv").open("a", encoding="utf-8") as file:
        file.write("\n3,14,7\n99,1,50\n")
    with pytest.raises(DataError, match=r"^1 of 12 users in test have interactions"):
        _prepare_files(tmp_path, "train_path=early.csv", "test_path=late.csv", "valid_ratio=0")


def test_equal_times_are_no_contradiction(tmp_path: Path) -> None:
    _log(tmp_path / "early.csv", (1, 2, 3))
    lines = [f"{user},{(user + 9) % 15},3" for user in range(12)]
    (tmp_path / "late.csv").write_text("\n".join(["user,item,timestamp", *lines]), encoding="utf-8")
    _prepare_files(tmp_path, "train_path=early.csv", "test_path=late.csv", "valid_ratio=0")


def test_a_split_of_ones_own_is_judged_by_what_it_says_and_by_the_data(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN_SPLITS)
    _log(tmp_path / "log.csv", (0, 1, 2, 3, 4, 5, 6, 7))
    own = f"split={tmp_path}/mine.py"
    _prepare_files(tmp_path, "path=log.csv", f"{own}:latest")
    with pytest.raises(DataError, match="12 of 12 users in valid have interactions in an earlier part"):
        _prepare_files(tmp_path, "path=log.csv", f"{own}:earliest")
    (tmp_path / "says.py").write_text(SHUFFLED)
    with pytest.raises(ConfigError, match=r"says.py:shuffled holds out at random"):
        _prepare_files(tmp_path, "path=log.csv", f"split={tmp_path}/says.py:shuffled")
