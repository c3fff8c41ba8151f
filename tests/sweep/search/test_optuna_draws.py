"""Optuna's searches: rebuilt from what is told they go on to the same points, and they find what they are made for."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

import pytest

from recrun.errors import ConfigError
from recrun.sweep.search import optuna_draws
from recrun.sweep.search.choose import choose_sampler
from recrun.sweep.search.optuna_draws import OptunaSampler
from recrun.sweep.search.optuna_values import distribution, parameter
from recrun.sweep.search.sampler import Told
from recrun.sweep.space.dimensions import Draw, Interval, Space
from tests.sweep.search.spaces import CONDITIONAL, FLAT, interval, options, study

SEARCHES = ("tpe", "gp", "cmaes", "nsga2")
SQUARE = Space((interval("x", -5.0, 5.0), interval("y", -5.0, 5.0), interval("z", 1e-3, 1e3, log=True)))


def _error(draw: Draw) -> tuple[float, ...]:
    """A function that is smallest at x = 0.3, y = 0.02 where these apply."""
    x, y = draw.get("x", draw.get("beta2", 0.3)), draw.get("y", draw.get("lr", 0.02))
    return ((x - 0.3) ** 2 + (y - 0.02) ** 2 + 0.01 * draw.get("n", draw.get("optimizer", 0)),)


def _in_window(sampler: OptunaSampler, n_points: int, window: int) -> list[Draw]:
    """Return the points of a study in which point i is drawn when the values up to i - window are known.

    Every third point fails.
    """
    draws: list[Draw] = []
    for number in range(n_points):
        told = _told(draws, number - window + 1)
        draw = sampler.draw(told)
        assert number % 9 or sampler.draw(told) == draw
        assert draw is not None
        draws.append(draw)
    return draws


def _told(draws: Sequence[Draw], n_known: int) -> list[Told]:
    return [
        (Told(draw, None, has_failed=True) if number % 3 == 2 else Told(draw, _error(draw)))
        if number < n_known
        else Told(draw)
        for number, draw in enumerate(draws)
    ]


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("space", [FLAT, CONDITIONAL])
def test_a_study_that_is_rebuilt_at_every_point_is_the_one_that_goes_on(name: str, window: int, space: Space) -> None:
    n_points = {"gp": 18, "nsga2": 110}.get(name, 26)
    draws = _in_window(OptunaSampler(name, space, 11, (True,)), n_points, window)
    for number in (1, 2, 12, *range(35, n_points, 11), n_points - 1):
        told = _told(draws[:number], number - window + 1)
        assert OptunaSampler(name, space, 11, (True,)).draw(told) == draws[number]


@pytest.mark.parametrize("name", SEARCHES)
def test_values_that_come_late_and_out_of_order_give_the_study_in_which_they_came_in_order(name: str) -> None:
    n_points = 70 if name == "nsga2" else 24
    draws = _in_window(OptunaSampler(name, FLAT, 2, (True,)), n_points, 1)
    whole = _told(draws, n_points)
    late = OptunaSampler(name, FLAT, 2, (True,))
    for known in ([23, 20, 3, 9], [*range(12)], [*range(5, n_points)]):
        late.draw([each if number in known else Told(each.draw) for number, each in enumerate(whole)])
    assert late.draw(whole) == OptunaSampler(name, FLAT, 2, (True,)).draw(whole)


@pytest.mark.parametrize("name", SEARCHES)
def test_what_was_told_otherwise_before_leaves_no_trace(name: str) -> None:
    draws = _in_window(OptunaSampler(name, FLAT, 2, (True,)), 16, 1)
    whole = _told(draws, 16)
    sampler = OptunaSampler(name, FLAT, 2, (True,))
    sampler.draw([Told(each.draw, (1.0,)) for each in whole])
    sampler.draw(whole[:3])
    assert sampler.draw(whole) == OptunaSampler(name, FLAT, 2, (True,)).draw(whole)


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_adapt_to_values_and_leave_points_without_one_out(name: str) -> None:
    draws = _in_window(OptunaSampler(name, SQUARE, 0, (True,)), 40, 1)

    def following(told: Sequence[Told]) -> Draw | None:
        return OptunaSampler(name, SQUARE, 0, (True,)).draw(told)

    known = [Told(draw, _error(draw)) for draw in draws]
    upside_down = [Told(draw, (-_error(draw)[0],)) for draw in draws]
    assert following(known) != following(upside_down)
    assert following(upside_down) == OptunaSampler(name, SQUARE, 0, (False,)).draw(known)
    infinite = [Told(each.draw, (float("nan"),)) if number % 5 == 0 else each for number, each in enumerate(known)]
    failed = [Told(each.draw, has_failed=True) if number % 5 == 0 else each for number, each in enumerate(known)]
    assert following(infinite) == following(failed)


@pytest.mark.parametrize("name", ["tpe", "cmaes", "nsga2", pytest.param("gp", marks=pytest.mark.slow)])
def test_points_are_the_same_in_processes_that_order_sets_differently(name: str) -> None:
    code = (
        "from tests.sweep.search.test_optuna_draws import _in_window, OptunaSampler, CONDITIONAL\n"
        f"print(_in_window(OptunaSampler({name!r}, CONDITIONAL, 5, (True,)), 20, 2))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


@pytest.mark.parametrize("name", ["tpe", "cmaes", pytest.param("gp", marks=pytest.mark.slow)])
def test_a_search_finds_a_smooth_optimum_that_random_points_miss(name: str) -> None:
    def best(search: str, seed: int) -> float:
        told = study(choose_sampler(search, SQUARE, seed, (True,)), _bowl, 40)
        return min(each.values[0] for each in told if each.values is not None)

    seeds = range(6)
    assert statistics.fmean(best(name, seed) for seed in seeds) < 0.5 * statistics.fmean(
        best("random", seed) for seed in seeds
    )


def _bowl(draw: Draw) -> tuple[float, ...]:
    return ((draw["x"] - 1) ** 2 + (draw["y"] + 2) ** 2 + math.log10(draw["z"]) ** 2,)


def test_tpe_finds_the_branch_of_a_conditional_space_and_its_optimum() -> None:
    def error(draw: Draw) -> tuple[float, ...]:
        return ((draw["momentum"] - 0.9) ** 2 if draw["optimizer"] == 1 else 1.0,)

    found = [study(choose_sampler("tpe", CONDITIONAL, seed, (True,)), error, 40)[-15:] for seed in range(4)]
    share = statistics.fmean(each.draw["optimizer"] == 1 for told in found for each in told)
    assert share > 0.6


@pytest.mark.parametrize(
    ("name", "n_points"), [("tpe", 60), ("nsga2", 200), pytest.param("gp", 40, marks=pytest.mark.slow)]
)
def test_several_criteria_have_their_own_directions(name: str, n_points: int) -> None:
    space = Space((interval("x", -3.0, 3.0), interval("y", -3.0, 3.0)))

    def values(draw: Draw) -> tuple[float, ...]:
        return (draw["x"] ** 2 + draw["y"] ** 2, -((draw["x"] - 1) ** 2) - draw["y"] ** 2)

    # All points between (0, 0) and (1, 0) are on the front; |y| tells how near a point is to it.
    found = study(choose_sampler(name, space, 0, (True, False)), values, n_points)
    early, late = (statistics.fmean(abs(each.draw["y"]) for each in some) for some in (found[:10], found[-20:]))
    assert late < 0.7 * early
    assert choose_sampler(name, space, 0, (True, False)).draw(found[:30]) == found[30].draw


def test_cmaes_refuses_several_criteria_and_a_space_without_ranges() -> None:
    with pytest.raises(ConfigError, match="one criterion; for several, choose one of tpe, gp, nsga2"):
        choose_sampler("cmaes", FLAT, 0, (True, False))
    with pytest.raises(ConfigError, match="needs a range of numbers"):
        choose_sampler("cmaes", Space((options("a", "1", "2"),)), 0)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_draws, "is_installed", lambda package: package != "cmaes")
    with pytest.raises(ConfigError, match=r"needs cmaes, not installed here: pip install 'recrun\[search\]'"):
        choose_sampler("cmaes", FLAT, 0)
    assert choose_sampler("tpe", FLAT, 0).draw([]) is not None


def test_an_old_optuna_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_draws, "version", lambda package: "4.9.0")
    with pytest.raises(ConfigError, match=r"needs optuna 5 or later, found 4.9.0: pip install 'recrun\[search\]'"):
        choose_sampler("nsga2", FLAT, 0)


def test_optunas_log_is_silent_and_its_level_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    level = optuna.logging.get_verbosity()
    for name in SEARCHES:
        study(choose_sampler(name, CONDITIONAL, 0), _error, 12)
    assert optuna.logging.get_verbosity() == level
    assert capfd.readouterr() == ("", "")


def test_steps_are_numbers_of_steps_for_optuna() -> None:
    import optuna

    stepped = Interval("x", 0.1, 0.7, step=0.2)
    assert distribution(stepped) == optuna.distributions.IntDistribution(0, 3)
    assert [parameter(stepped, value) for value in stepped.all_values()] == [0, 1, 2, 3]
    logarithmic = Interval("n", 2, 64, log=True, is_integer=True)
    assert distribution(logarithmic) == optuna.distributions.IntDistribution(2, 64, log=True)
    assert parameter(logarithmic, 8) == 8


@pytest.mark.parametrize("name", ["tpe", "cmaes", "nsga2"])
def test_asking_again_gives_the_same_point(name: str) -> None:
    told = [Told(each.draw, _error(each.draw)) for each in study(choose_sampler("sobol", FLAT, 0), _error, 150)]
    first = OptunaSampler(name, FLAT, 0, (True,))
    draw = first.draw(told)
    assert draw is not None
    assert len(first._settled) == 150
    assert first.draw(told) == draw
