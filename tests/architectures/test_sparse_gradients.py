"""Models with layers beside their embeddings, trained by an optimizer that moves only the rows of a batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recrun.config.resolve import resolve
from recrun.registry import MODELS
from recrun.workflows.build import build

N_ITEMS, N_USERS = 1500, 200
SMALL = [f"n_users={N_USERS}", f"n_items={N_ITEMS}", "n_interactions=1600", "batch_size=8", "split=leave_one_out"]
GIVEN = [*SMALL, "dataset=Synthetic", "device=cpu", "threads=1", "verbose=0", "loss=sampled_softmax"]
LAYERED = [each.name for each in MODELS if each.traits.gradients == "layered"]
FORMS = {
    "sasrec": ["similarity=cosine", "item_biases=true", "tie_embeddings=false"],
    "gru4rec": ["item_biases=true", "output_form=separate"],
    "youtubednn": ["tower_layers=2", "share_embeddings=false", "similarity=cosine"],
    "simplex": ["aggregator=self_attention", "separate_history=true"],
}
CASES = [*((name, None) for name in LAYERED), *((name, form) for name, forms in FORMS.items() for form in forms)]
SAMPLERS = {
    "rows": ["sampler=uniform", "n_negatives=3"],
    "many": ["sampler=popularity", "n_negatives=40"],
    "shared": ["sampler=shared", "n_negatives=20"],
}


def coach_of(model: str, form: str | None, sampler: str, optimizer: str) -> Any:
    settings = [*GIVEN, *SAMPLERS[sampler], f"optimizer={optimizer}", *([form] if form else [])]
    if any(parameter.name == "embedding_decay" for parameter in MODELS.describe(model).parameters):
        settings.append("embedding_decay=0.01")
    return build(resolve(model, settings))


def gradients(coach: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the gradients of the first batch by the name of their parameter, and that batch."""
    batch = next(iter(coach.dataset.iterate("train", seed=1, epoch=0)))
    coach.model.eval()  # without dropout
    coach.model.training_loss(batch, coach.criterion).backward()
    return {name: each.grad for name, each in coach.model.named_parameters() if each.grad is not None}, batch


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("model", "form"), CASES)
def test_tables_of_items_and_users_get_gradients_of_the_rows_of_a_batch(
    model: str, form: str | None, sampler: str
) -> None:
    coach = coach_of(model, form, sampler, "lazy_adam")
    found, _ = gradients(coach)
    dense, _ = gradients(coach_of(model, form, sampler, "adam"))
    assert found.keys() == dense.keys()
    tables = [name for name, each in coach.model.named_parameters() if len(each) in (N_ITEMS, N_USERS, N_ITEMS + 1)]
    assert tables
    for name, gradient in found.items():
        assert gradient.is_sparse or name not in tables, name
        whole = gradient.to_dense() if gradient.is_sparse else gradient
        torch.testing.assert_close(whole, dense[name], rtol=1e-3, atol=1e-6, msg=name)
    before = {name: each.detach().clone() for name, each in coach.model.named_parameters()}
    coach.optimizer.step()
    for name in tables:
        if name in found:
            rows = found[name].coalesce().indices()[0]
            moved = (coach.model.get_parameter(name) != before[name]).flatten(1).any(1).nonzero()[:, 0]
            assert set(moved.tolist()) <= set(rows.tolist())
            assert len(rows) < 0.8 * N_ITEMS or len(before[name]) == N_USERS


def test_the_models_that_can_are_these() -> None:
    assert {"sasrec", "gru4rec", "hstu", "youtubednn", "simplex"} <= set(LAYERED)
