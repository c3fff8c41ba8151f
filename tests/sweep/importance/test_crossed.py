"""The importance of axes: worked by hand, and on functions whose shares are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from recrun.sweep.importance.crossed import Importance, importance


def _shares(found: Importance | str) -> dict[str, float]:
    assert isinstance(found, Importance)
    return {share.axis: share.share for share in found.shares}


def test_shares_of_a_grid_are_its_main_effects_worked_by_hand() -> None:
    # Means by a: 1 and 5, by b: 2 and 4; the mean is 3, the squares of the effects are 4 * 4, 4 * 1 and 0.
    settings = [{"a": a, "b": b} for a, b in product(("x", "y"), (1, 2))]
    found = importance(settings, [0.0, 2.0, 4.0, 6.0])
    assert _shares(found) == pytest.approx({"a": 0.8, "b": 0.2})
    assert isinstance(found, Importance)
    assert found.rest == pytest.approx(0)
    assert [share.n_levels for share in found.shares] == [2, 2]
    assert [share.by_chance for share in found.shares] == pytest.approx([1 / 3, 1 / 3])


def test_an_interaction_belongs_to_the_rest() -> None:
    settings = [{"a": a, "b": b} for a, b in product((0, 1), (0, 1))]
    found = importance(settings, [0.0, 1.0, 1.0, 0.0])
    assert _shares(found) == pytest.approx({"a": 0, "b": 0}, abs=1e-12)
    assert isinstance(found, Importance)
    assert found.rest == pytest.approx(1)


def test_an_axis_of_many_numbers_is_taken_in_bins() -> None:
    rng = np.random.default_rng(0)
    settings = [{"lr": float(x), "z": float(z)} for x, z in zip(rng.random(200), rng.random(200), strict=True)]
    found = importance(settings, [each["lr"] for each in settings])
    shares = _shares(found)
    # Four bins of a uniform variable explain 1 - 1/16 of its variance.
    assert shares["lr"] == pytest.approx(15 / 16, abs=0.02)
    assert shares["z"] == pytest.approx(0, abs=0.02)
    assert isinstance(found, Importance)
    assert {share.n_levels for share in found.shares} == {4}


def test_the_share_of_an_axis_without_effect_is_near_what_chance_gives() -> None:
    rng = np.random.default_rng(1)
    settings = [{"a": n % 3} for n in range(30)]
    shares = [importance(settings, rng.normal(size=30).tolist()) for _ in range(300)]
    found = [share.shares[0] for share in shares if isinstance(share, Importance)]
    assert np.mean([share.share for share in found]) == pytest.approx(found[0].by_chance, abs=0.01)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_the_size_of_the_values_does_not_matter(scale: float) -> None:
    settings = [{"a": a, "b": b} for a, b in product((0, 1), (0, 1))]
    assert _shares(importance(settings, [0.0, 0.2 * scale, 0.4 * scale, 0.6 * scale])) == pytest.approx(
        {"a": 0.8, "b": 0.2}
    )


def test_a_setting_that_some_trials_lack_is_a_level() -> None:
    found = importance([{"a": 1}, {}, {"a": 1}, {}], [1.0, 2.0, 1.0, 2.0])
    assert _shares(found) == pytest.approx({"a": 1.0})


@pytest.mark.parametrize(
    ("settings", "values", "reason"),
    [
        ([{"a": 1}], [1.0], "there are fewer than two finished trials"),
        ([], [], "there are fewer than two finished trials"),
        ([{"a": 1}, {"a": 2}], [1.0, 1.0], "all trials have the same value"),
        ([{"a": 1}, {"a": 1}], [1.0, 2.0], "no axis has two values"),
        ([{"a": 1}, {"a": 2}], [1.0, 2.0], "2 trials are too few for 2 parameters of the additive model"),
        (
            [{"a": n % 2, "b": n % 2} for n in range(6)],
            [float(n) for n in range(6)],
            "some axes vary together, and their shares cannot be told apart",
        ),
    ],
)
def test_where_shares_mean_nothing_the_reason_is_given(
    settings: list[dict[str, int]], values: list[float], reason: str
) -> None:
    assert importance(settings, values) == reason
