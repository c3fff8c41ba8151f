"""The loader: batches of one epoch, from a given step on, drawn ahead or not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from recrun.data.postprocessing.tensor import to_device
from recrun.training.loader import Loader, n_rows

CPU = torch.device("cpu")


class _Numbers:
    """A pipe of five batches that depend on (seed, epoch)."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at = fail_at

    def iterate(self, mode: str, *, seed: int, epoch: int) -> Iterator[dict[str, torch.Tensor]]:
        for step in range(5):
            if step == self.fail_at:
                raise ValueError("the pipe broke")
            yield {"user": torch.full((2, 1), 100 * seed + 10 * epoch + step)}

    def n_batches(self, mode: str) -> int | None:
        return 5 if mode == "train" else None


def _load(**options: Any) -> list[int]:
    settings: dict[str, Any] = {"mode": "train", "seed": 1, "epoch": 2, "device": CPU, **options}
    return [int(batch["user"][0]) for batch in Loader(_Numbers(), **settings)]  # type: ignore[arg-type]


def test_drawing_ahead_changes_no_batch() -> None:
    assert _load() == _load(ahead=True) == [120, 121, 122, 123, 124]


def test_a_loader_that_skips_starts_in_the_middle_of_the_epoch() -> None:
    assert _load(skip=3) == [123, 124]
    assert _load(skip=3, ahead=True) == [123, 124]
    assert _load(skip=5) == []


def test_a_step_is_reported_after_the_work_on_its_batch() -> None:
    events: list[str] = []
    loader = Loader(
        _Numbers(),  # type: ignore[arg-type]
        mode="train",
        seed=0,
        epoch=0,
        device=CPU,
        skip=3,
        on_step=lambda step: events.append(f"step {step}"),
    )
    for batch in loader:
        events.append(f"work {int(batch['user'][0])}")
    assert events == ["work 3", "step 4", "work 4", "step 5"]


@pytest.mark.parametrize("ahead", [False, True])
def test_an_error_of_the_pipe_reaches_the_consumer(ahead: bool) -> None:
    loader = Loader(_Numbers(fail_at=2), mode="train", seed=0, epoch=0, device=CPU, ahead=ahead)  # type: ignore[arg-type]
    batches = iter(loader)
    assert [int(next(batches)["user"][0]) for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="the pipe broke"):
        next(batches)


def test_the_drawing_thread_ends_when_the_consumer_stops() -> None:
    before = threading.active_count()
    batches = iter(Loader(_Numbers(), mode="train", seed=0, epoch=0, device=CPU, ahead=True))  # type: ignore[arg-type]
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_the_length_is_known_only_where_the_pipe_knows_it() -> None:
    assert len(Loader(_Numbers(), mode="train", seed=0, epoch=0, device=CPU)) == 5  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not known"):
        len(Loader(_Numbers(), mode="valid", seed=0, epoch=0, device=CPU))  # type: ignore[arg-type]


def test_rows_are_counted_and_moved_in_nested_batches() -> None:
    batch = ({"user": torch.zeros(3, 1)}, {"item": torch.zeros(3, 2), "name": "kept"})
    moved = to_device(batch, torch.device("meta"))
    assert n_rows(batch) == 3
    assert moved[1]["item"].device.type == "meta"
    assert moved[1]["name"] == "kept"
