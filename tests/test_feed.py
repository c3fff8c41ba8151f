"""The training pipe that a config asks for."""

from __future__ import annotations

import pytest
import torch

from recrun.data.postprocessing.on_device import OnDevice
from recrun.errors import ConfigError
from recrun.experiment import build
from recrun.feed import training_pipe
from recrun.resolve import resolve

SMALL = ["n_users=60", "n_items=40", "n_interactions=600", "batch_size=64", "device=cpu", "threads=1", "n_negatives=2"]


def _pipe(*overrides: str) -> tuple[object, dict[str, torch.Tensor]]:
    coach = build(resolve("bprmf", [*SMALL, *overrides]))
    return coach.dataset, next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))


@pytest.mark.parametrize("positives", ["interactions", "users"])
@pytest.mark.parametrize("draw_on", ["auto", "host", "device"])
def test_batches_have_one_shape_wherever_they_are_drawn(positives: str, draw_on: str) -> None:
    pipe, batch = _pipe(f"positives={positives}", f"draw_on={draw_on}")
    assert isinstance(pipe, OnDevice) == (draw_on == "device")
    assert batch["user"].shape == (64, 1)
    assert batch["item"].shape == (64, 3)
    assert batch["item"].dtype == torch.int64


@pytest.mark.parametrize("positives", ["interactions", "users"])
@pytest.mark.parametrize("draw_on", ["host", "device"])
def test_a_loss_over_all_items_is_fed_positives_only(positives: str, draw_on: str) -> None:
    small = [text for text in SMALL if not text.startswith("n_negatives")]
    options = [*small, "loss=cross_entropy", f"positives={positives}", f"draw_on={draw_on}"]
    coach = build(resolve("bprmf", options))
    batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
    assert batch["item"].shape == (64, 1)
    loss = coach.model.training_loss(batch, coach.criterion)
    assert loss.isfinite()


def test_a_gpu_with_room_draws_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[torch.device] = []

    def on_device(source: object, *, device: torch.device, **options: object) -> str:
        built.append(device)
        return "on the device"

    monkeypatch.setattr("recrun.feed.OnDevice", on_device)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 30, 2 << 30))
    resolved = resolve("bprmf", SMALL)
    base = build(resolved).dataset.base
    gpu = torch.device("cuda", 0)
    assert training_pipe(resolved, base, base.training_data(), gpu) == "on the device"
    assert built == [gpu]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1 << 10, 2 << 30))
    assert training_pipe(resolved, base, base.training_data(), gpu) != "on the device"


def test_only_uniform_negatives_are_drawn_on_the_device() -> None:
    with pytest.raises(ConfigError, match="only uniform negatives can be drawn on the device"):
        resolve("bprmf", [*SMALL, "draw_on=device", "sampler=popularity"])


def test_low_precision_and_training_on_the_device_still_learn(tmp_path_factory: pytest.TempPathFactory) -> None:
    from recrun.experiment import prepare

    for option in ("precision=bf16", "draw_on=device"):
        resolved = resolve("bprmf", [*SMALL, "epochs=6", "lr=0.02", "verbose=0", option])
        coach = prepare(resolved, runs=tmp_path_factory.mktemp("runs"), reporters=lambda run, epoch: [])
        coach.fit()
        losses = [value for _, value in coach.progress.history.values["train"]["loss"]]
        assert losses[-1] < losses[0]


def test_a_model_trained_on_rows_gets_every_user_once_an_epoch_in_an_order_of_its_own() -> None:
    options = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu", "batch_size=25"]
    coach = build(resolve("enmf", options))
    epochs = [list(coach.dataset.iterate("train", seed=1, epoch=epoch)) for epoch in (0, 1, 0)]
    assert [batch["user"].shape for batch in epochs[0]] == [(25, 1), (25, 1), (10, 1)]
    orders = [torch.cat([batch["user"][:, 0] for batch in epoch]).tolist() for epoch in epochs]
    assert sorted(orders[0]) == list(range(60))
    assert orders[0] == orders[2] != orders[1]
    assert coach.dataset.n_batches("train") == 3
