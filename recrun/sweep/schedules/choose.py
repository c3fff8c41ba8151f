"""Choose the schedule of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from recrun.errors import ConfigError, Fault, nearest, unknown
from recrun.sweep.schedules.schedule import Schedule
from recrun.sweep.schedules.whole import Whole

if TYPE_CHECKING:
    from recrun.sweep.schedules.halving import Halving

PRUNERS: Final[Mapping[str, str]] = {
    "asha": "the best third at each rung goes on, continued to the same digits: asynchronous halving",
    "hyperband": "brackets of successive halving, which begin with many points for few epochs or few for many",
    "median": "a trial is stopped where its best value is below the median of the others' averages",
    "wilcoxon": "a point gets no further seeds or folds once it is worse than the best by a Wilcoxon test",
}
"""What `--prune` accepts, with a line on each."""

OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "asha": {
        "eta": "one of so many points goes on, with so many times the epochs (3)",
        "min_epochs": "the epoch of the first rung (1/eta^2 of all)",
    },
    "hyperband": {
        "eta": "one of so many points goes on, with so many times the epochs (3)",
        "min_epochs": "the epoch of the first rung (1/eta^2 of all)",
    },
    "median": {
        "min_points": "how many other trials must have come as far (5)",
        "min_epochs": "no trial is stopped before this epoch (1/10 of all)",
    },
    "wilcoxon": {"p": "the p-value below which a point is given up (0.1)"},
}
"""The options of each pruner, written as `asha:eta=4,min_epochs=2`."""

BY_EPOCHS: Final = ("asha", "hyperband", "median")
"""The pruners that end trials at an epoch."""


def choose_schedule(
    prune: str | None,
    race: bool,
    *,
    n_repeats: int,
    config: Mapping[str, Any],
    draws_adapt: bool = False,
    n_criteria: int = 1,
) -> Schedule:
    """Return the schedule of a lane.

    A model that is not trained by epochs is fitted whole, whatever `prune` says of epochs; see `notes_on`.

    Args:
        prune: one of `PRUNERS`, with options if need be: `asha:eta=4,min_epochs=2`; None for none.
        race: whether seeds are added only to points that are not worse than the best.
        n_repeats: how many seeds or folds each point has.
        config: the resolved config of a trial of the lane, with the most epochs if these vary.
        draws_adapt: whether points are drawn from results, so that even whole trials have to wait for those before.
        n_criteria: by how many metrics points are compared.

    Raises:
        ConfigError: there is no such pruner or option, or it cannot work with this config or so few repeats.
    """
    epochs = config.get("epochs") or 0
    if n_criteria > 1 and (race or prune is not None):
        raise ConfigError(
            f"{'--race' if race else '--prune'} compares points by one metric, and which4best names {n_criteria}; "
            "give one, or remove the option"
        )
    if race and prune is not None:
        raise ConfigError(
            "--race and --prune both end trials early, and a race needs all epochs of a point; give one of the two"
        )
    if race:
        from recrun.sweep.schedules.race import Race

        if n_repeats <= Race.n_first:
            raise ConfigError(
                f"--race saves seeds beyond the first {Race.n_first}, after which points are first compared; each has "
                f"{n_repeats}: give --seeds {Race.n_first + 1} or more"
            )
        return Race(n_repeats, epochs)
    if prune is None:
        return Whole(n_repeats, epochs, draws_adapt)
    name, options = parse_prune(prune)
    if name in BY_EPOCHS and not epochs:
        return Whole(n_repeats, epochs, draws_adapt)
    return _MAKERS[name](options, _Trials(n_repeats, epochs, config.get("eval_freq") or 1, draws_adapt))


def notes_on(prune: str | None, configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return which models are trained whole although trials are to be pruned.

    Args:
        prune: as for `choose_schedule`.
        configs: a resolved config of each lane, with the most epochs if these vary.

    Raises:
        ConfigError: all of them are, so that nothing would be pruned.
    """
    configs = list(configs)
    name = (prune or "").partition(":")[0]
    whole = list(dict.fromkeys(str(config.get("model")) for config in configs if not config.get("epochs")))
    if name not in BY_EPOCHS or not whole:
        return []
    models = ", ".join(whole)
    if not any(config.get("epochs") for config in configs):
        raise ConfigError(
            f"--prune {name}: nothing is trained by epochs ({models}), so nothing can be pruned; remove it"
        )
    return [f"--prune {name}: {each} is not trained by epochs; its trials run whole" for each in whole]


def parse_prune(text: str) -> tuple[str, dict[str, float]]:
    """Return the name of a pruner and its options.

    Args:
        text: the name, or `name:option=value,...`.

    Raises:
        ConfigError: with every fault.

    >>> parse_prune("asha:eta=4,min_epochs=2")
    ('asha', {'eta': 4, 'min_epochs': 2})
    """
    name, colon, rest = text.partition(":")
    if name not in PRUNERS:
        raise ConfigError(f"--prune: {unknown('pruner', name, PRUNERS)}")
    options: dict[str, float] = {}
    faults: list[str] = []
    for part in rest.split(",") if colon else ():
        key, equals, value = (each.strip() for each in part.partition("="))
        if not equals or key not in OPTIONS[name]:
            guess = nearest(key, OPTIONS[name])
            meant = f"; did you mean {guess!r}?" if guess and guess != key else ""
            faults.append(f"expected options as {_shape(name)}, found {part!r}{meant}")
        elif key in options:
            faults.append(f"{key} is given twice")
        else:
            try:
                options[key] = _number(key, value)
            except ValueError as error:
                faults.append(str(error))
    if faults:
        raise ConfigError([Fault(f"--prune {name}: {fault}") for fault in faults])
    return name, options


def _shape(name: str) -> str:
    return f"{name}:" + ",".join(f"{key}={_EXAMPLES[key]}" for key in OPTIONS[name])


_EXAMPLES: Final = {"eta": "3", "min_epochs": "5", "min_points": "5", "p": "0.1"}
_LEAST: Final = {"eta": 2, "min_epochs": 1, "min_points": 1}


def _number(key: str, text: str) -> float:
    if key == "p":
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not 0 < share < 1:
            raise ValueError(f"{key}: expected a number above 0 and below 1, found {text!r}")
        return share
    least = _LEAST[key]
    if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= 10**9:
        raise ValueError(f"{key}: expected a whole number of at least {least}, found {text!r}")
    return int(text)


class _Trials(NamedTuple):
    """What is known of the trials of a lane."""

    n_repeats: int
    epochs: int
    eval_freq: int
    draws_adapt: bool


def _asha(options: Mapping[str, float], trials: _Trials) -> Schedule:
    from recrun.sweep.schedules.halving import Asha

    given = {key: int(value) for key, value in options.items()}
    return _with_rungs("asha", Asha(*trials[:3], **given, draws_adapt=trials.draws_adapt), trials)


def _hyperband(options: Mapping[str, float], trials: _Trials) -> Schedule:
    from recrun.sweep.schedules.halving import Hyperband

    given = {key: int(value) for key, value in options.items()}
    return _with_rungs("hyperband", Hyperband(*trials[:3], **given), trials)


def _with_rungs(name: str, schedule: Halving, trials: _Trials) -> Schedule:
    if len(schedule.rungs) < 2:
        raise ConfigError(
            f"--prune {name}: there is no rung before the end: trials have {trials.epochs} epochs, are evaluated every "
            f"{trials.eval_freq}, and the first rung would be at epoch {schedule.min_epochs}; raise epochs, or lower "
            "min_epochs or eval_freq"
        )
    return schedule


def _median(options: Mapping[str, float], trials: _Trials) -> Schedule:
    from recrun.sweep.schedules.median import Median

    schedule = Median(*trials[:3], **{key: int(value) for key, value in options.items()})
    if not schedule.epochs:
        raise ConfigError(
            f"--prune median: no trial could be stopped: trials have {trials.epochs} epochs, are evaluated every "
            f"{trials.eval_freq}, and none is stopped before epoch {schedule.min_epochs}; raise epochs, or lower "
            "min_epochs or eval_freq"
        )
    return schedule


def _wilcoxon(options: Mapping[str, float], trials: _Trials) -> Schedule:
    from recrun.sweep.schedules.wilcoxon import Wilcoxon, n_least

    p = options.get("p", 0.1)
    if trials.n_repeats <= n_least(p):
        raise ConfigError(
            f"--prune wilcoxon: with fewer than {n_least(p)} seeds or folds no p-value is below {p:g}, so that nothing "
            f"is saved with {trials.n_repeats}; give --seeds {n_least(p) + 1} or more"
        )
    return Wilcoxon(trials.n_repeats, trials.epochs, p)


_MAKERS: Final[Mapping[str, Callable[[Mapping[str, float], _Trials], Schedule]]] = {
    "asha": _asha,
    "hyperband": _hyperband,
    "median": _median,
    "wilcoxon": _wilcoxon,
}
