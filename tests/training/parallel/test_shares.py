"""Each row of a batch belongs to one process, and the weighted losses of the shares add up to that of the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.training.parallel.process_group import Processes
from recrun.training.parallel.shares import Shares, refuse_inseparable, share_of
from recrun.workflows.build import build

CONFIGS = Path(__file__).parents[3] / "configs" / "synthetic"

SMALL = ["n_users=120", "n_items=60", "n_interactions=2400"]

INSEPARABLE = {
    "autoint": "batch normalisation",
    "din": "batch normalisation",
    "finalmlp": "batch normalisation",
    "bert4rec": "draws",
    "diffrec": "draws",
    "freedom": "draws",
    "macridvae": "draws",
    "multvae": "draws",
    "recvae": "draws",
    "cl4srec": "draws",
    "dgcf": "compares",
    "duorec": "draws",
    "fearec": "draws",
    "ncl": "compares",
    "simgcl": "compares",
    "ultragcn": "compares",
    "xsimgcl": "compares",
}
"""The models that one process trains, with a word of the reason."""


class Terms:
    def n_terms(self, batch: dict[str, torch.Tensor]) -> int:
        return int(batch["length"].sum())


@pytest.mark.parametrize(("n_rows", "n"), [(10, 3), (7, 7), (2, 4), (1, 2), (9, 1)])
def test_every_row_belongs_to_one_process(n_rows: int, n: int) -> None:
    batch = {"user": torch.arange(n_rows)[:, None], "length": torch.arange(1, n_rows + 1)}
    shares = [share_of(batch, Terms(), rank, n) for rank in range(n)]
    dealt = torch.cat([share.batch["user"] for share in shares if share.weight])
    assert dealt.flatten().tolist() == list(range(n_rows))
    assert sum(share.weight for share in shares) == pytest.approx(1)
    assert {share.n_rows for share in shares} == {n_rows}
    assert all(len(share.batch["user"]) for share in shares), "a process without rows computes one with weight 0"
    sizes = [len(share.batch["user"]) for share in shares if share.weight]
    assert max(sizes) - min(sizes) <= 1


def test_what_all_rows_share_is_whole() -> None:
    batch = {"length": torch.ones(4, 1), "shared": torch.arange(4), "log_q": torch.zeros(1, 4)}
    piece = share_of(batch, Terms(), 1, 2).batch
    assert (len(piece["length"]), piece["shared"].tolist(), piece["log_q"].shape) == (2, [0, 1, 2, 3], (1, 4))
    with_columns = share_of({"length": torch.ones(4, 1), "log_q": torch.zeros(4, 3)}, Terms(), 1, 2).batch
    assert with_columns["log_q"].shape == (2, 3)


FEW = ("bprmf", "sasrec", "autoint", "bert4rec", "ncl")
"""What is tried in each test run; slow tests try all."""


def _trained() -> list[object]:
    names = sorted(file.stem for file in CONFIGS.glob("*.yaml") if resolve(str(file), []).trains)
    return [pytest.param(name, marks=[] if name in FEW else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("model", _trained())
def test_which_models_several_processes_train(model: str) -> None:
    resolved = resolve(str(CONFIGS / f"{model}.yaml"), [])
    coach = build(resolved)
    before = {name: tensor.clone() for name, tensor in coach.model.state_dict().items()}
    drawn = torch.get_rng_state()
    parts = coach.model, coach.criterion, coach.dataset, resolved.config.seed, Processes(0, 3), coach.device
    if model in INSEPARABLE:
        with pytest.raises(ConfigError, match=INSEPARABLE[model]):
            refuse_inseparable(*parts)
    else:
        refuse_inseparable(*parts)
    assert all(torch.equal(before[name], tensor) for name, tensor in coach.model.state_dict().items())
    assert torch.equal(drawn, torch.get_rng_state())


def test_rows_are_not_divided_twice() -> None:
    coach = build(resolve("bprmf", SMALL))
    divided = coach.dataset.base.shard_().shuffle_().negatives_for_train_().tensor_().split_(100)
    with pytest.raises(ConfigError, match=r"shard_\(\) already"):
        refuse_inseparable(coach.model, coach.criterion, divided, 1, Processes(0, 2), coach.device)


def test_shares_are_drawn_as_whole_batches_are() -> None:
    coach = build(resolve("bprmf", [*SMALL, "batch_size=100"]))
    whole = list(coach.dataset.iterate("train", seed=1, epoch=2))
    of_ranks = [
        list(Shares(coach.dataset, coach.model, rank, 3).iterate("train", seed=1, epoch=2)) for rank in range(3)
    ]
    for batch, shares in zip(whole, zip(*of_ranks, strict=True), strict=True):
        for name, column in batch.items():
            assert torch.equal(torch.cat([share.batch[name] for share in shares]), column)
    assert Shares(coach.dataset, coach.model, 0, 3).n_batches("train") == len(whole)
