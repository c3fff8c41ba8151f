"""What every search does: its draws are a function of the seed and of what it is told, and none repeats."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.errors import ConfigError
from recrun.sweep.search.choose import SEARCHES, choose_sampler
from recrun.sweep.search.draws import key_of
from recrun.sweep.search.optuna_values import is_numeric
from recrun.sweep.search.sampler import Told
from recrun.sweep.space.dimensions import Draw, Space
from tests.sweep.search.spaces import CONDITIONAL, FINITE, FLAT, check_draw, spaces, study

OWN = ("random", "sobol")
BY_OPTUNA = ("tpe", "gp", "cmaes", "nsga2")


def _value(draw: Draw) -> tuple[float, ...]:
    return (sum(float(value) for value in draw.values()),)


def _has_a_range(space: Space) -> bool:
    return any(each.when is None and is_numeric(each) for each in space.dimensions)


@pytest.mark.parametrize("name", [*OWN, "tpe", "cmaes", "nsga2", pytest.param("gp", marks=pytest.mark.slow)])
@settings(deadline=None, max_examples=25)
@given(space=spaces(), seed=st.integers(0, 2**31))
def test_draws_lie_in_the_space_and_none_repeats(name: str, space: Space, seed: int) -> None:
    if name == "cmaes" and not _has_a_range(space):
        with pytest.raises(ConfigError, match="needs a range of numbers"):
            choose_sampler(name, space, seed)
        return
    told = study(choose_sampler(name, space, seed), _value, 15)
    for each in told:
        check_draw(space, each.draw)
    assert len({key_of(each.draw) for each in told}) == len(told)
    count = space.n_points
    assert len(told) == 15 if count is None else min(15, count)


@pytest.mark.parametrize("name", [*OWN, *BY_OPTUNA])
@pytest.mark.parametrize("space", [CONDITIONAL, FLAT])
def test_a_new_sampler_goes_on_as_the_first_one_would(name: str, space: Space) -> None:
    n_points = 13 if name == "gp" else 20
    told = study(choose_sampler(name, space, 3), _value, n_points)
    for number in (0, 1, 7, n_points - 1):
        assert choose_sampler(name, space, 3).draw(told[:number]) == told[number].draw


@pytest.mark.parametrize("name", [*OWN, *BY_OPTUNA])
def test_another_seed_gives_other_points(name: str) -> None:
    one, other = (study(choose_sampler(name, FLAT, seed), _value, 5) for seed in (0, 1))
    assert not {key_of(each.draw) for each in one} & {key_of(each.draw) for each in other}


@pytest.mark.parametrize("name", ["grid", *OWN])
def test_searches_that_do_not_adapt_ignore_values(name: str) -> None:
    assert not type(choose_sampler(name, FINITE, 0)).adapts
    told = study(choose_sampler(name, FINITE, 0), _value, 4)
    unknown = [Told(each.draw) for each in told]
    sampler = choose_sampler(name, FINITE, 0)
    assert sampler.draw(told) == sampler.draw(unknown)


@pytest.mark.parametrize("name", ["grid", *OWN, "tpe", "gp", "nsga2"])
def test_a_finite_space_is_drawn_to_its_end(name: str) -> None:
    told = study(choose_sampler(name, FINITE, 5), _value, 100)
    assert len(told) == 6
    assert {key_of(each.draw) for each in told} == {key_of(draw) for draw in FINITE.grid()}


def test_the_grid_is_row_major_and_refuses_ranges_without_a_step() -> None:
    assert [each.draw for each in study(choose_sampler("grid", FINITE, 0), _value, 100)] == list(FINITE.grid())
    with pytest.raises(ConfigError) as caught:
        choose_sampler("grid", CONDITIONAL, 0)
    assert [fault.key for fault in caught.value.faults] == ["lr", "beta2"]
    assert "0.0001..0.1" in str(caught.value)


def test_an_unknown_search_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="unknown search 'sobel'; did you mean 'sobol'"):
        choose_sampler("sobel", FLAT, 0)


def test_a_sobol_sequence_fills_both_halves_of_every_dimension_evenly() -> None:
    told = study(choose_sampler("sobol", FLAT, 0), _value, 64)
    assert sum(each.draw["x"] < 0 for each in told) == 32
    assert sum(each.draw["y"] < 10**-1.5 for each in told) == 32


def test_naming_searches_imports_nothing_heavy() -> None:
    code = (
        "import sys; from recrun.sweep.search.choose import SEARCHES; "
        "print([name for name in ('numpy', 'scipy', 'torch', 'optuna') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
    assert set(SEARCHES) == {"grid", "random", "sobol", "tpe", "gp", "cmaes", "nsga2"}
