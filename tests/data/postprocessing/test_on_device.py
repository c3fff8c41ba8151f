"""Rows drawn on the device: the right distribution, a pure function of (seed, epoch), and no seen item as a negative.

There is no GPU here: the same code runs on the CPU, and the memory query of CUDA is faked.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recrun.data.datasets import Synthetic
from recrun.data.postprocessing.on_device import OnDevice, fits
from recrun.errors import DataError


@pytest.fixture(scope="module")
def data() -> Synthetic:
    return Synthetic(n_users=80, n_items=50, n_interactions=1200)


def _pipe(data: Synthetic, *, by_user: bool = False, n_negatives: int = 3, batch_size: int = 100) -> OnDevice:
    return OnDevice(data, batch_size=batch_size, n_negatives=n_negatives, by_user=by_user, device="cpu")


def _epoch(pipe: OnDevice, seed: int = 1, epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
    batches = list(pipe.iterate("train", seed=seed, epoch=epoch))
    return tuple(torch.cat([batch[name] for batch in batches]).numpy() for name in ("user", "item"))  # type: ignore[return-value]


def test_an_epoch_visits_every_interaction_once(data: Synthetic) -> None:
    users, items = _epoch(_pipe(data))
    train = data.interactions("train")
    expected = sorted(zip(train.users.tolist(), train.items.tolist(), strict=True))
    assert sorted(zip(users[:, 0].tolist(), items[:, 0].tolist(), strict=True)) == expected


@pytest.mark.parametrize("by_user", [False, True])
def test_positives_are_seen_and_negatives_are_not(data: Synthetic, by_user: bool) -> None:
    seen = data.csr("train").to_scipy(data.n_items).toarray() > 0
    for epoch in range(20):
        users, items = _epoch(_pipe(data, by_user=by_user), epoch=epoch)
        assert seen[users[:, 0], items[:, 0]].all()
        assert not seen[np.repeat(users, 3, axis=1), items[:, 1:]].any()


def test_an_epoch_can_be_drawn_again_and_another_is_another(data: Synthetic) -> None:
    pipe = _pipe(data)
    first, again, other = _epoch(pipe), _epoch(pipe), _epoch(pipe, epoch=1)
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])
    assert not np.array_equal(first[1], _epoch(pipe, seed=2)[1])


def test_negatives_are_uniform_over_what_a_user_has_not_seen(data: Synthetic) -> None:
    from scipy.stats import chisquare

    pipe = _pipe(data, n_negatives=40)
    user = int(data.csr("train").lengths.argmax())
    counts = np.zeros(data.n_items)
    for epoch in range(40):
        users, items = _epoch(pipe, epoch=epoch)
        np.add.at(counts, items[users[:, 0] == user, 1:].ravel(), 1)
    unseen = np.setdiff1d(np.arange(data.n_items), data.csr("train").row(user))
    assert counts[unseen].sum() == counts.sum() > 10_000
    assert chisquare(counts[unseen]).pvalue > 1e-4


def test_users_are_drawn_uniformly_when_asked(data: Synthetic) -> None:
    from scipy.stats import chisquare

    counts = np.zeros(data.n_users)
    for epoch in range(30):
        np.add.at(counts, _epoch(_pipe(data, by_user=True), epoch=epoch)[0][:, 0], 1)
    assert chisquare(counts[data.csr("train").lengths > 0]).pvalue > 1e-4


def test_only_the_last_batch_is_smaller_and_sizes_are_known(data: Synthetic) -> None:
    pipe = _pipe(data, batch_size=64)
    sizes = [len(batch["user"]) for batch in pipe.iterate("train", seed=1, epoch=0)]
    assert sizes == pipe.sizes("train")
    assert set(sizes[:-1]) == {64}
    assert sum(sizes) == len(data.interactions("train"))


def test_without_negatives_only_positives_come(data: Synthetic) -> None:
    assert _epoch(_pipe(data, n_negatives=0))[1].shape == (len(data.interactions("train")), 1)


def test_it_serves_train_only(data: Synthetic) -> None:
    with pytest.raises(DataError, match="serves train only"):
        next(_pipe(data).iterate("valid", seed=1, epoch=0))


def test_it_fits_where_cuda_has_memory_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 30, 2 << 30))
    assert fits(1_000_000, torch.device("cuda", 0))
    assert not fits(100_000_000, torch.device("cuda", 0))
    assert not fits(10, torch.device("cpu"))
