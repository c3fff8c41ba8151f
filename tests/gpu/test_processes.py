"""Two processes of a GPU each train the model of one, with whole tables and with divided ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.process_runs import train

SMALL = (
    "n_users=1500",
    "n_items=800",
    "n_interactions=30000",
    "batch_size=700",
    "device=cuda",
    "epochs=2",
    "verbose=1",
)
MODELS = {
    "bprmf": (
        "bprmf",
        "embedding_dim=16",
        "lr=0.02",
        "optimizer=lazy_adam",
        "monitors=[ndcg@10]",
        "which4best=ndcg@10",
    ),
    "sasrec": ("synthetic/sasrec", "dropout=0", "loss=sampled_softmax", "n_negatives=8"),
}
LOSS_BOUND, METRIC_BOUND = 1e-5, 1e-2


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="two processes need two GPUs")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("flags", [(), ("--shard-embeddings",)], ids=["whole", "divided"])
def test_two_processes_train_the_model_of_one(model: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    alone = train(tmp_path / "1", 1, *MODELS[model], *SMALL)
    together = train(tmp_path / "2", 2, *MODELS[model], *SMALL, *flags)
    for (epoch, split, ours), (_, _, theirs) in zip(together, alone, strict=True):
        for name, value in theirs.items():
            bound = LOSS_BOUND if name == "loss" else METRIC_BOUND
            assert ours[name] == pytest.approx(value, rel=bound), (epoch, split, name)
