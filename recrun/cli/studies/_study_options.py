"""Declare the options of studies once: how points are drawn, what ends trials, and where they run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import click

_DURATIONS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


if TYPE_CHECKING:
    _Number = click.ParamType[float]
else:
    _Number = click.ParamType  # older versions of click do not have it generic


class Duration(_Number):
    """A time such as 90, 90s, 30m or 2h; the value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds, or fail with what was expected."""
        text = str(value).strip()
        number, unit = (text[:-1], text[-1]) if text[-1:] in _DURATIONS else (text, "s")
        try:
            seconds = float(number) * _DURATIONS[unit]
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            self.fail(f"expected a time > 0, such as 90s, 30m or 2h, found {text!r}", param, ctx)
        return seconds


class Hours(_Number):
    """A number of hours; `nan` and `inf`, which no limit can be, are refused."""

    name = "hours"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or fail with what was expected."""
        try:
            hours = float(value)
        except ValueError:
            hours = 0.0
        if not 0 < hours < float("inf"):
            self.fail(f"expected a number of hours > 0, such as 8 or 0.5, found {str(value)!r}", param, ctx)
        return hours


_STUDY: Final = (
    click.option(
        "--search",
        metavar="NAME",
        help="What draws the points: grid, random, sobol, tpe, gp, cmaes or nsga2; the last four need "
        "`pip install 'recrun[search]'`.  [default: grid]",
    ),
    click.option("--trials", type=click.IntRange(min=1), help="Points that are drawn, for each config and data set."),
    click.option("--add", type=click.IntRange(min=1), metavar="N", help="Extend the study by N points."),
    click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Train each point with N seeds."),
    click.option(
        "--zip",
        "zips",
        multiple=True,
        metavar="KEY,KEY",
        help="Settings that vary together, their first values, their second ones, ...; repeatable.",
    ),
    click.option(
        "--prune",
        metavar="NAME[:OPTIONS]",
        help="End trials that do badly: asha, hyperband, median or wilcoxon, with options as in asha:eta=4.",
    ),
    click.option("--race", is_flag=True, default=None, help="Add seeds only to points not yet worse than the best."),
    click.option(
        "--generation",
        type=click.IntRange(min=1),
        help="Trials that may start before the first of them has ended, on which what is drawn depends; --jobs if not "
        "given.",
    ),
    click.option("--search-seed", type=click.IntRange(min=0), help="Seed of the search.  [default: 0]"),
    click.option("--max-hours", type=Hours(), help="Start no trial after this time."),
    click.option("--max-epochs", type=click.IntRange(min=1), help="Epochs that all trials may train together."),
    click.option("--timeout", type=Duration(), help="End a trial that takes longer, such as 30m."),
    click.option("--retries", type=click.IntRange(min=0), help="Try a trial that failed so often again.  [default: 0]"),
    click.option("--fail-fast", is_flag=True, help="Stop at the first trial that fails."),
)

_ENGINE: Final = (
    click.option("--jobs", type=click.IntRange(min=1), help="Trials that run at once.  [default: 1]"),
    click.option("--gpus", metavar="N,N", help="GPUs of this machine that trials use, one trial each."),
    click.option("--per-gpu", type=click.IntRange(min=1), help="Trials that share a GPU.  [default: 1]"),
    click.option(
        "--engine",
        "name",
        default="local",
        show_default=True,
        metavar="NAME",
        help="Where trials run: local, slurm, ray, another registered engine, or ./file.py:Name.",
    ),
    click.option(
        "--engine-setting",
        "--engine-options",
        "engine_settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting of the engine; repeatable.",
    ),
)


def study_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a study, which it takes as `request`.

    But for `--zip`, the options have the names of the fields of `Request`.
    """

    @functools.wraps(command)
    def wrapped(zips: tuple[str, ...], **given: Any) -> None:
        from recrun.sweep.planning.request import Request
        from recrun.sweep.space.asked import parse_zips

        groups, faults = parse_zips(zips)
        asked = {field.name: given.pop(field.name) for field in fields(Request) if field.name in given}
        command(request=Request(zips=tuple(groups), faults=tuple(faults), **asked), **given)

    return _with(_STUDY, wrapped)


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where trials run; it takes them as `engine`, with `jobs` and `make`."""

    @functools.wraps(command)
    def wrapped(
        jobs: int | None,
        gpus: str | None,
        per_gpu: int | None,
        name: str,
        engine_settings: tuple[str, ...],
        **others: Any,
    ) -> None:
        settings = list(engine_settings)
        settings += [] if gpus is None else [f"gpus=[{gpus}]"]
        settings += [] if per_gpu is None else [f"per_gpu={per_gpu}"]
        if (gpus is not None or per_gpu is not None) and name != "local":
            raise click.UsageError(f"--gpus and --per-gpu are of the engine local; see the settings of {name}")
        command(engine={"jobs": jobs, "name": name, "settings": settings}, **others)

    return _with(_ENGINE, wrapped)


def _with(options: tuple[Callable[..., Any], ...], command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command
