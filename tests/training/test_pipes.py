"""The training pipe that a config asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recrun.config.resolve import resolve
from recrun.data.postprocessing.on_device import OnDevice
from recrun.errors import ConfigError
from recrun.runs.history import read_history
from recrun.training.pipes import training_pipe
from recrun.workflows.build import build

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

    monkeypatch.setattr("recrun.training.pipes.OnDevice", on_device)
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
    from recrun.workflows.build import prepare

    for option in ("precision=bf16", "draw_on=device"):
        resolved = resolve("bprmf", [*SMALL, "epochs=6", "lr=0.02", "verbose=0", option])
        coach = prepare(resolved, runs=tmp_path_factory.mktemp("runs"), reporters=lambda run, epoch: [])
        coach.fit()
        lines = read_history(coach.run.metrics_lines_file)
        losses = [line["values"]["loss"] for line in lines if line["split"] == "train"]
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


DRAWS = {
    "in_batch": ["sampler=in_batch"],
    "mixed": ["sampler=mixed"],
    "dns": ["sampler=dns", "n_candidates=4"],
    "corrected": ["loss=sampled_softmax", "logq_correction=true", "sampler=popularity"],
    "corrected in batch": ["loss=sampled_softmax", "logq_correction=true", "sampler=in_batch"],
}


@pytest.mark.parametrize(
    ("draw", "positives"),
    [(draw, positives) for draw in DRAWS for positives in ("interactions", "users")],
)
def test_an_epoch_with_any_sampler_can_be_drawn_again_and_has_no_false_negatives(draw: str, positives: str) -> None:
    coach = build(resolve("bprmf", [*SMALL, *DRAWS[draw], f"positives={positives}"]))
    epochs = [list(coach.dataset.iterate("train", seed=1, epoch=epoch)) for epoch in (0, 0, 1)]
    assert [len(batch["user"]) for batch in epochs[0]] == coach.dataset.sizes("train")
    for first, again in zip(*epochs[:2], strict=True):
        assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(a["item"], b["item"]) for a, b in zip(epochs[0], epochs[2], strict=True))
    seen = coach.dataset.base.csr("train").to_scipy(coach.dataset.base.n_items).toarray()
    for batch in epochs[0]:
        users, items = batch["user"][:, 0].numpy(), batch["item"].numpy()
        assert seen[users, items[:, 0]].all()
        negatives = batch["candidates"].flatten(1).numpy() if draw == "dns" else items[:, 1:]
        assert negatives.shape == (len(users), 8 if draw == "dns" else 2)
        assert not seen[users[:, None], negatives].any()
        assert ("log_q" in batch) == draw.startswith("corrected")
    assert coach.model.training_loss(epochs[0][0], coach.criterion).isfinite()


def test_the_model_takes_the_candidate_that_it_scores_highest() -> None:
    coach = build(resolve("bprmf", [*SMALL, "sampler=dns", "n_candidates=4"]))
    batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
    chosen = coach.model.choose_hardest(batch["user"], batch["candidates"])
    with torch.no_grad():
        scores = coach.model.score(batch["user"][:, 0])
    for row in range(10):
        for place in range(2):
            candidates = batch["candidates"][row, place]
            assert chosen[row, place] == candidates[scores[row, candidates].argmax()]
    items = torch.cat([batch["item"], chosen], dim=1)
    expected = coach.criterion.from_scores(coach.model(batch["user"], items))
    torch.testing.assert_close(coach.model.training_loss(batch, coach.criterion), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["sampler=mixed", "n_negatives=1"], "n_negatives: sampler mixed needs at least 2 negatives, found 1"),
        (
            ["sampler=in_batch", "batch_size=1"],
            "batch_size: sampler in_batch takes negatives from the other rows, so a batch needs",
        ),
        (["sampler=dns", "draw_on=device"], "draw_on: only uniform negatives can be drawn on the device"),
        (
            ["sampler=dns", *DRAWS["corrected"][:2]],
            "logq_correction: needs the probabilities of negatives, which sampler dns does",
        ),
        (["loss=directau", "n_negatives=2"], "n_negatives: is a setting of"),
        (
            ["model=neumf", "loss=directau"],
            "loss: loss directau compares vectors of users and items, but model neumf has",
        ),
    ],
)
def test_samplers_and_losses_that_do_not_go_together_are_refused_by_name(options: list[str], message: str) -> None:
    changed = {option.partition("=")[0] for option in options}
    others = [option for option in SMALL if option.partition("=")[0] not in changed]
    with pytest.raises(ConfigError, match=message):
        resolve("bprmf", [*others, *options])


def test_a_model_of_ones_own_without_vectors_is_refused_by_a_loss_of_vectors(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom recrun.architectures import RecSysArch\nclass Mine(RecSysArch):\n    'Score.'\n"
        "    def __init__(self, data): super().__init__(); self.bias = torch.nn.Parameter(torch.zeros(3))\n"
    )
    (tmp_path / "mine.yaml").write_text("model: ./mine.py:Mine\nloss: directau\n")
    resolved = resolve(tmp_path / "mine.yaml", ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu"])
    with pytest.raises(ConfigError, match=r"directau compares vectors .*mine.py:Mine defines no vectors\(\)"):
        build(resolved)


def test_a_sampler_of_ones_own_without_chances_is_refused_by_the_correction(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    'Draw.'\n"
        "    def __init__(self, data, *, n_negatives: int = 1): self.n_negatives = n_negatives\n"
        "    def draw(self, *_): raise AssertionError\n"
    )
    (tmp_path / "mine.yaml").write_text(
        "model: bprmf\nsampler: ./mine.py:Mine\nloss: sampled_softmax\nlogq_correction: true\n"
    )
    resolved = resolve(tmp_path / "mine.yaml", ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu"])
    with pytest.raises(ConfigError, match=r"mine\.py:Mine does not give the probabilities"):
        build(resolved)
