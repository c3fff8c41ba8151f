"""No bundled config is worse than popularity on real data; `benchmarks/floor.py` says by how much each is better."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from recrun.errors import DataError

Floor = Callable[[str], float]


def _script() -> ModuleType:
    folder = Path(__file__).resolve().parents[2] / "benchmarks"
    spec = importlib.util.spec_from_file_location("benchmark_floor", folder / "floor.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


SCRIPT = _script()
PAIRS = [
    (data, model)
    for data in SCRIPT.DATA
    for model in SCRIPT.models(data)
    if model not in SCRIPT.BASELINES and (data, model) not in {*SCRIPT.LONGER, *SCRIPT.UNMEASURED}
]
"""What is checked here: everything would take hours. The script's table has other pairs, and names the unmeasured."""
SECONDS = 240.0
"""A training that is not above popularity after this has failed; it ends as soon as it is, mostly within seconds."""


@pytest.fixture(scope="module")
def popularity(shared_data: Path) -> Floor:
    """Return the value of popularity on the validation part of a data set; skip the test where the data is absent."""
    known: dict[str, float] = {}

    def measure(data: str) -> float:
        if data not in known:
            try:
                known[data] = SCRIPT.run("popularity", data, shared_data, seconds=SECONDS, with_test=False).valid
            except DataError as error:
                pytest.skip(f"{data} is not there: {str(error).splitlines()[0]}")
        return known[data]

    return measure


@pytest.mark.slow
@pytest.mark.parametrize(("data", "model"), PAIRS)
def test_a_bundled_config_is_better_than_popularity(
    data: str, model: str, shared_data: Path, popularity: Floor
) -> None:
    floor = popularity(data)
    outcome = SCRIPT.run(model, data, shared_data, seconds=SECONDS, above=floor, with_test=False)
    assert outcome.valid > floor, outcome


def test_every_ranking_model_is_checked_on_real_data() -> None:
    ranking = {model for data in SCRIPT.DATA for model in SCRIPT.models(data)}
    assert ranking - {model for _, model in (*PAIRS, *SCRIPT.LONGER)} == set(SCRIPT.BASELINES)


def test_a_pair_that_is_not_checked_here_is_better_than_popularity_in_the_table_of_the_script() -> None:
    every = {(data, model) for data in SCRIPT.DATA for model in SCRIPT.models(data)}
    assert set(SCRIPT.LONGER) < every
    assert all(ratio > 1 for ratio, _, _ in SCRIPT.LONGER.values())
