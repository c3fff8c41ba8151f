"""Draw points with the searches of Optuna. A draw is a function of the seed and of the earlier points and values alone.

Optuna's study lives in memory, for one draw: it is built from the points that recrun has recorded, in their order, and
asked for the next one. So it makes no difference whether a sweep was killed in between, and how often. Points whose
values are not known yet are running trials of the study, failed ones are failed trials.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Final

from recrun.config.trackers import is_installed
from recrun.errors import ConfigError
from recrun.randomness import generator
from recrun.sweep.search.draws import Key, is_exhausted, key_of, keys_of, random_draw, value_at
from recrun.sweep.search.optuna_values import distribution, is_numeric, parameter, suggested
from recrun.sweep.search.sampler import Sampler, Told
from recrun.sweep.space.dimensions import Dimension, Draw, Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

POPULATION: Final = 20
"""The points of a generation of NSGA-II; Optuna's 50 are more than most sweeps can train several times."""

OLDEST_OPTUNA: Final = 5

_ATTEMPTS: Final = 10
"""How often a point that was drawn before is drawn again, before one is drawn at random."""


@dataclass(frozen=True)
class _Traits:
    """What sets a search of Optuna apart.

    Args:
        packages: what must be installed.
        only_numeric: whether options are beyond it.
        is_conditional: whether it models dimensions that apply only sometimes.
        several: whether it takes several criteria.
        has_state: whether a trial has attributes that the search gave it when it was drawn.
    """

    packages: tuple[str, ...] = ("optuna",)
    only_numeric: bool = False
    is_conditional: bool = False
    several: bool = True
    has_state: bool = False


_SEARCHES: Final = {
    "tpe": _Traits(is_conditional=True),
    "gp": _Traits(),
    "cmaes": _Traits(packages=("optuna", "cmaes"), only_numeric=True, several=False, has_state=True),
    "nsga2": _Traits(has_state=True),
}


class OptunaSampler(Sampler):
    """Draws points with a search of Optuna.

    Each draw has a random generator of its own, addressed by the seed and the point's number. A point that was drawn
    before is drawn again, at most ten times; then one is drawn at random.

    *Sources:* tpe: Bergstra et al. (2011), Algorithms for hyper-parameter optimization, and Ozaki et al. (2022),
    Multiobjective tree-structured Parzen estimator; gp: Jones et al. (1998), Efficient global optimization, with the
    logarithm of the expected improvement of Ament et al. (2023); cmaes: Hansen (2016), The CMA evolution strategy: a
    tutorial; nsga2: Deb et al. (2002), A fast and elitist multiobjective genetic algorithm.

    Args:
        name: "tpe", "gp", "cmaes" or "nsga2".
        space: the space.
        seed: the seed of all draws, >= 0.
        smaller_is_better: for each criterion of the study.

    Raises:
        ConfigError: a package is missing, or the search cannot do this.
    """

    adapts: ClassVar[bool] = True

    def __init__(self, name: str, space: Space, seed: int, smaller_is_better: Sequence[bool] = (False,)) -> None:
        super().__init__(space, seed, smaller_is_better)
        self.name = name
        self._traits = _SEARCHES[name]
        self._modelled = {each.name for each in space.dimensions if self._is_modelled(each)}
        self._settled: list[tuple[Told, FrozenTrial]] = []
        self._notes: dict[str, Any] = {}
        _require_packages(name, self._traits.packages)
        if len(self.smaller_is_better) > 1 and not self._traits.several:
            others = ", ".join(other for other, traits in _SEARCHES.items() if traits.several)
            raise ConfigError(f"--search {name} takes one criterion; for several, choose one of {others}")
        if not self._modelled and space.dimensions:
            raise ConfigError(
                f"--search {name} needs a range of numbers, such as lr=1e-4..1e-2:log, that always applies"
            )

    def _is_modelled(self, dimension: Dimension) -> bool:
        if dimension.when is not None and not self._traits.is_conditional:
            return False
        return is_numeric(dimension) or not self._traits.only_numeric

    def draw(self, told: Sequence[Told]) -> Draw | None:
        """Return the next point, which differs from those in `told`, or None if all were drawn."""
        seen = keys_of(told)
        if is_exhausted(self.space, seen):
            return None
        with _quiet():
            draw = self._asked(told, seen)
        return draw if draw is not None else random_draw(self.space, self.seed, len(told), seen)

    def _asked(self, told: Sequence[Told], seen: Collection[Key]) -> Draw | None:
        """Return a point that Optuna proposes, or None if it only proposes earlier ones."""
        study = self._study(told)
        study.sampler = self._optuna_sampler(len(told))
        random = generator(self.seed, len(told), f"point of a sweep, beside {self.name}")
        for _ in range(_ATTEMPTS):
            trial = study.ask()  # An earlier proposal stays in the study as a running trial.
            draw: dict[str, int | float] = {}
            for dimension in self.space.dimensions:
                if self.space.applies(dimension, draw):
                    is_asked = dimension.name in self._modelled
                    value = suggested(trial, dimension) if is_asked else value_at(dimension, random.random())
                    draw[dimension.name] = value
            if key_of(draw) not in seen:
                return draw
        return None

    def _study(self, told: Sequence[Told]) -> Study:
        """Return a study with the points that were drawn, each as it would be had all values been known at once."""
        import optuna

        direction = optuna.study.StudyDirection
        directions = [direction.MINIMIZE if smaller else direction.MAXIMIZE for smaller in self.smaller_is_better]
        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(directions=directions, sampler=self._optuna_sampler(0), storage=storage)
        key = storage.get_study_id_from_name(study.study_name)
        if [known for known, _ in self._settled] != list(told[: len(self._settled)]):
            self._settled, self._notes = [], {}
        study.add_trials([trial for _, trial in self._settled])
        for name, note in self._notes.items():
            storage.set_study_system_attr(key, name, note)
        for number in range(len(self._settled), len(told)):
            self._add(study, told[number])
            if number == len(self._settled) and _is_settled(told[number]):
                self._settled.append((told[number], study.get_trials(deepcopy=False)[number]))
                self._notes = dict(storage.get_study_system_attrs(key))  # NSGA-II: the parents of each generation
        return study

    def _add(self, study: Study, point: Told) -> None:
        """Add a point to a study, with the attributes that the search gives to a trial there."""
        from optuna.trial import TrialState, create_trial

        dimensions = [each for each in self.space.dimensions if each.name in point.draw and each.name in self._modelled]
        study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params={each.name: parameter(each.values, point.draw[each.name]) for each in dimensions},
                distributions={each.name: distribution(each.values) for each in dimensions},
            )
        )
        trial = study.get_trials(deepcopy=False)[-1]
        if self._traits.has_state:
            study.sampler.sample_relative(study, trial, study.sampler.infer_relative_search_space(study, trial))
        values = _finite_values(point)
        if values is not None:
            study.tell(trial.number, list(values))
        elif _is_settled(point):
            study.tell(trial.number, state=TrialState.FAIL)

    def _optuna_sampler(self, number: int) -> BaseSampler:
        """Return Optuna's sampler for the point of a number."""
        from optuna import samplers

        seed = int(generator(self.seed, number, f"point of a sweep, by {self.name}").integers(2**32))
        if self.name == "gp":
            return samplers.GPSampler(seed=seed)
        if self.name == "cmaes":
            return samplers.CmaEsSampler(seed=seed)
        if self.name == "nsga2":
            return samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
        is_joint = len(self.smaller_is_better) == 1
        is_conditional = any(each.when is not None for each in self.space.dimensions)
        return samplers.TPESampler(seed=seed, multivariate=is_joint, group=is_joint and is_conditional)


def _require_packages(name: str, packages: Sequence[str]) -> None:
    """Refuse a search whose packages are not installed, or too old."""
    missing = [package for package in packages if not is_installed(package)]
    if missing:
        found = f"{' and '.join(missing)}, not installed here"
    elif int(version("optuna").partition(".")[0]) < OLDEST_OPTUNA:
        found = f"optuna {OLDEST_OPTUNA} or later, found {version('optuna')}"
    else:
        return
    raise ConfigError(f"--search {name} needs {found}: pip install 'recrun[search]'")


def _is_settled(point: Told) -> bool:
    return point.has_failed or point.values is not None


def _finite_values(point: Told) -> tuple[float, ...] | None:
    """Return the values of a point; None if they are not known, or it has none that can be compared."""
    if point.has_failed or point.values is None or not all(map(math.isfinite, point.values)):
        return None
    return point.values


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's log and its warnings, about features that it calls experimental, from the user."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
