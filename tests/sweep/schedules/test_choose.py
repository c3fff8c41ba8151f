"""The schedule of a study by the names of its options, and the faults of these."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.sweep.schedules.choose import OPTIONS, PRUNERS, choose_schedule, notes_on, parse_prune
from recrun.sweep.schedules.halving import Asha, Hyperband
from recrun.sweep.schedules.median import Median
from recrun.sweep.schedules.race import Race
from recrun.sweep.schedules.whole import Whole
from recrun.sweep.schedules.wilcoxon import Wilcoxon

CONFIG = {"model": "bprmf", "epochs": 27, "eval_freq": 1}


def _choose(prune: str | None = None, race: bool = False, n_repeats: int = 6, **config: Any) -> object:
    return choose_schedule(prune, race, n_repeats=n_repeats, config={**CONFIG, **config})


def test_each_name_has_its_schedule() -> None:
    kinds = {"asha": Asha, "hyperband": Hyperband, "median": Median, "wilcoxon": Wilcoxon}
    assert {name: type(_choose(name)) for name in PRUNERS} == kinds
    assert set(OPTIONS) == set(PRUNERS)
    assert type(_choose()) is Whole
    assert type(_choose(race=True)) is Race


def test_options_are_written_with_the_name() -> None:
    schedule = _choose("asha:eta=2, min_epochs=4", eval_freq=4, epochs=40)
    assert isinstance(schedule, Asha)
    assert (schedule.eta, schedule.rungs) == (2, (4, 8, 16, None))
    wilcoxon = _choose("wilcoxon:p=0.2")
    assert isinstance(wilcoxon, Wilcoxon)
    assert wilcoxon.p == 0.2
    median = _choose("median:min_points=3,min_epochs=5")
    assert isinstance(median, Median)
    assert (median.min_points, median.epochs[0]) == (3, 5)


@pytest.mark.parametrize(
    ("prune", "message"),
    [
        ("ahsa", "--prune: unknown pruner 'ahsa'; did you mean 'asha'? Available: asha, hyperband, median, wilcoxon"),
        ("", "--prune: unknown pruner ''. Available: asha, hyperband, median, wilcoxon"),
        ("asha:", "--prune asha: expected options as asha:eta=3,min_epochs=5, found ''"),
        ("asha:eta", "--prune asha: expected options as asha:eta=3,min_epochs=5, found 'eta'"),
        (
            "asha:ets=3",
            "--prune asha: expected options as asha:eta=3,min_epochs=5, found 'ets=3'; did you mean 'eta'?",
        ),
        ("asha:eta=1", "--prune asha: eta: expected a whole number of at least 2, found '1'"),
        ("asha:eta=3,eta=4", "--prune asha: eta is given twice"),
        ("median:min_epochs=1.5", "--prune median: min_epochs: expected a whole number of at least 1, found '1.5'"),
        ("wilcoxon:p=1", "--prune wilcoxon: p: expected a number above 0 and below 1, found '1'"),
        ("wilcoxon:p=nan", "--prune wilcoxon: p: expected a number above 0 and below 1, found 'nan'"),
    ],
)
def test_a_wrong_name_or_option_is_a_fault(prune: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_prune(prune)
    assert str(caught.value) == message


def test_all_faults_of_the_options_are_named_together() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_prune("hyperband:eta=0,min_epochs=-1")
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"race": True, "prune": "asha"}, "--race and --prune both end trials early"),
        ({"race": True, "n_repeats": 1}, "each has 1: give --seeds 3 or more"),
        ({"race": True, "n_repeats": 2}, "each has 2: give --seeds 3 or more"),
        ({"prune": "asha", "epochs": 1}, "--prune asha: there is no rung before the end: trials have 1 epochs"),
        ({"prune": "hyperband", "eval_freq": 27}, "there is no rung before the end"),
        ({"prune": "asha:min_epochs=27"}, "the first rung would be at epoch 27"),
        ({"prune": "median:min_epochs=27"}, "no trial could be stopped"),
        ({"prune": "wilcoxon", "n_repeats": 4}, "with fewer than 4 seeds or folds no p-value is below 0.1"),
        ({"prune": "wilcoxon:p=0.01", "n_repeats": 6}, "give --seeds 8 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _choose(**given)
    assert message in str(caught.value)


def test_a_faulty_option_is_a_fault_even_where_the_model_is_not_pruned() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        _choose("asha:eta=1", model="ease", epochs=None)


def test_models_that_are_not_trained_by_epochs_run_whole_with_a_note() -> None:
    ease: dict[str, Any] = {"model": "ease"}
    for name in ("asha", "hyperband", "median"):
        assert type(_choose(name, model="ease", epochs=None)) is Whole
        note = f"--prune {name}: ease is not trained by epochs; its trials run whole"
        assert notes_on(f"{name}:min_epochs=1", [CONFIG, ease, ease]) == [note]
        assert notes_on(name, [CONFIG]) == []
        with pytest.raises(ConfigError, match=r"nothing is trained by epochs \(ease\), so nothing can be pruned"):
            notes_on(name, [ease, ease])
    assert type(_choose("wilcoxon", model="ease", epochs=None)) is Wilcoxon
    assert notes_on("wilcoxon", [ease]) == notes_on(None, [ease]) == []
    assert type(_choose(race=True, model="ease", epochs=None)) is Race


def test_points_that_are_compared_by_several_metrics_cannot_be_pruned_or_raced() -> None:
    for prune, race in (("asha", False), (None, True)):
        with pytest.raises(ConfigError, match="compares points by one metric, and which4best names 2"):
            choose_schedule(prune, race, n_repeats=6, config=CONFIG, n_criteria=2)
    assert type(choose_schedule(None, False, n_repeats=6, config=CONFIG, n_criteria=2)) is Whole


def test_closed_form_models_have_no_epochs_in_their_configs() -> None:
    from recrun.config.resolve import resolve

    assert resolve("ease", []).config.get("epochs") is None
    assert resolve("bprmf", ["epochs=3"]).config.get("epochs") == 3


def test_naming_pruners_imports_nothing_heavy() -> None:
    code = (
        "import sys; from recrun.sweep.schedules.choose import choose_schedule as c; "
        "[c(p, False, n_repeats=6, config={'epochs': 27}) for p in ('asha', 'hyperband', 'median', 'wilcoxon')]; "
        "c(None, True, n_repeats=6, config={}); "
        "print([name for name in ('numpy', 'scipy', 'torch', 'optuna') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
