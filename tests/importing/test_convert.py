"""Values are converted to mean the same: the ranking of iALS as of 2008 is an oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recrun.data.datasets.synthetic import Synthetic
from recrun.importing.convert import condition, halving, least, numbers, shares
from recrun.importing.draft import Unmapped
from recrun.importing.options import Options
from recrun.importing.run_import import import_configs
from recrun.models.ials import IALS


@pytest.mark.parametrize("scaling", ["linear", "log"])
def test_the_settings_of_ials_give_the_ranking_of_the_objective_of_2008(tmp_path: Path, scaling: str) -> None:
    alpha, reg, epsilon, rounds = 7.0, 0.8, 0.5, 30
    path = tmp_path / "theirs.yaml"
    keys = f"factors: 4, n_iterations: {rounds}, alpha: {alpha}, reg: {reg}"
    keys += f", confidence_type: {scaling}, epsilon: {epsilon}"
    path.write_text(f"reader: {{local_path: a.tsv}}\nmodels:\n  iALS2008: {{{keys}}}\n", encoding="utf-8")
    [config] = import_configs("warprec", [str(path)], Options()).configs
    names = ("embedding_dim", "n_iterations", "unobserved_weight", "reg_weight", "reg_exponent")
    data = Synthetic(n_users=40, n_items=30, n_interactions=400).training_data()
    torch.manual_seed(0)
    model = IALS(data, **{name: config.draft.settings[name] for name in names})
    start = model.item_vectors.numpy().astype(np.float64).copy()
    model.fit(data)

    matrix = data.matrix().toarray().astype(np.float64)
    weight = alpha if scaling == "linear" else alpha * np.log(1 + 1 / epsilon)
    confidence = 1 + weight * matrix
    # Scores are in units of (1 + weight) / weight there, so embeddings start in units of its root.
    items, users = start * np.sqrt((1 + weight) / weight), np.zeros((len(matrix), 4))
    for _ in range(rounds):
        users = _solved(items, confidence, matrix, reg)
        items = _solved(users, confidence.T, matrix.T, reg)
    theirs, ours = users @ items.T, (model.user_vectors @ model.item_vectors.T).numpy()
    np.testing.assert_allclose(ours * (1 + weight) / weight, theirs, rtol=2e-3, atol=2e-3)


def _solved(other: np.ndarray, confidence: np.ndarray, wanted: np.ndarray, reg: float) -> np.ndarray:
    """Return the embeddings that minimise the sum of c (p - x y)^2 over all pairs, plus reg times their norms."""
    eye = reg * np.eye(other.shape[1])
    return np.stack(
        [
            np.linalg.solve((other.T * row) @ other + eye, other.T @ (row * p))
            for row, p in zip(confidence, wanted, strict=True)
        ]
    )


@pytest.mark.parametrize("text", ["(a, b)", "", "()", [], [1, "x"], [True], 3, None, "1;2"])
def test_what_is_no_list_of_numbers_is_refused(text: object) -> None:
    with pytest.raises(Unmapped):
        numbers(text)


@pytest.mark.parametrize("text", ["[5,inf);[1,2]", "5", "[x,inf)", "[nan,inf)", "[inf,inf)", None])
def test_an_interval_that_cannot_be_read_is_refused(text: object) -> None:
    with pytest.raises(Unmapped):
        least(text)


@pytest.mark.parametrize("text", ["(-inf,inf)", "[a,b]", "[1,2", "[__import__('os'),inf)", "[1 or 2,inf)"])
def test_a_condition_is_made_of_numbers_only(text: str) -> None:
    with pytest.raises(Unmapped):
        condition("rating", text)


@pytest.mark.parametrize("value", [[0.8, 0.2], [1, 2, "x"], [0, 0, 0], "8:1:1", [float("inf"), 1, 1]])
def test_shares_that_are_no_three_numbers_are_refused(value: object) -> None:
    with pytest.raises(Unmapped):
        shares(value)


@pytest.mark.parametrize("widths", [[64, 32, 8], [32], [64, 32, 16, 8, 4, 2, 1, 0]])
def test_layers_that_do_not_halve_from_the_embedding_are_refused(widths: list[int]) -> None:
    with pytest.raises(Unmapped):
        halving(64, widths)
