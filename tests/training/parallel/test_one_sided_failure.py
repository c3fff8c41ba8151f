"""A process that fails before the others do is told of, and no process waits for it: whole tables or divided ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.parallel.ranks import run_ranks

PROGRAM = """
from recrun.config.resolve import resolve
from recrun.errors import ConfigError, DataError
from recrun.workflows import build, sharded_build, train_together
Processes.join = classmethod(lambda kind: processes)
if rank == {failing}:
    def fail(*arguments):
        raise DataError("the disk of this machine is empty")
    build.{step} = fail
    if "{step}" == "build_model":
        sharded_build.build_model = fail
resolved = resolve("bprmf", ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu"])
about = {{"runs": {runs!r}, "run": None, "latest": False, "verbose": 0, "shards": bool({shards})}}
try:
    train_together.take_part(resolved, **about)
except (ConfigError, DataError) as error:
    print("said", error)
"""


def _cases() -> list[object]:
    every = [
        (failing, step, shards) for failing in (0, 1) for step in ("build_data", "build_model") for shards in (0, 1)
    ]
    usual = (1, "build_data", 1)
    return [pytest.param(*each, marks=[] if each == usual else pytest.mark.slow) for each in every]


@pytest.mark.parametrize(("failing", "step", "shards"), _cases())
def test_a_failure_of_one_process_is_one_line_of_the_leader(
    failing: int, step: str, shards: int, tmp_path: Path
) -> None:
    ranks = run_ranks(PROGRAM.format(failing=failing, step=step, shards=shards, runs=str(tmp_path / "r")))
    assert [code for code, _ in ranks] == [0, 0], ranks
    named = "" if failing == 0 else "process 1 of 2: "
    assert ranks[0][1].strip() == f"said {named}the disk of this machine is empty"
    assert ranks[1][1] == ""
    assert not (tmp_path / "r").exists()
