"""A small world for sweeps: a config layer with a few settings, and trials that are short Python programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from recrun.config.config import Config
from recrun.config.given.arguments import read_overrides
from recrun.config.parser import Parser
from recrun.config.resolve import Resolved
from recrun.config.settings import RUN, TRAINING
from recrun.registry.component import Parameter
from recrun.sweep.ledger import Ledger, Row
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.planning.request import Request
from recrun.sweep.planning.study import Plan
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt

COMPONENTS = (
    Parameter("lr", PositiveFloat, 1e-3),
    Parameter("weight_decay", NonNegativeFloat, 0.0),
    Parameter("hidden", list[PositiveInt], [64]),
    Parameter("valid_ratio", NonNegativeFloat, 0.1),
)


def resolve_small(config: str | None, overrides: Sequence[str] = ()) -> Resolved:
    """Resolve overrides as `recrun.config.resolve` does, for one fixed set of settings."""
    given = read_overrides(overrides)
    values = Parser([*RUN, *TRAINING, *COMPONENTS]).resolve(given)
    values["description"] = values["description"] or "Small"
    values["which4best"] = values["which4best"] or values["monitors"][-1]
    return Resolved(Config(values), {}, str(config), given)


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """Plan a sweep from its arguments with the small config layer."""
    return lambda *arguments, **asked: plan_sweep(None, arguments, request=Request(**asked), resolver=resolve_small)


# A trial of its own kind: it finds its settings and its run folder as `recrun train` does, then does what the test's
# body says. `done(value)` leaves the files of a finished run.
_PRELUDE = """
import json, os, signal, sys, time
from pathlib import Path
config_path, run = Path(sys.argv[1]), Path(sys.argv[2])
given = dict(argument.split("=", 1) for argument in sys.argv[3:])
run.mkdir(parents=True)
(run / "config.yaml").write_text(config_path.read_text())

def evaluated(epoch, value):
    with (run / "metrics.jsonl").open("a") as lines:
        values = {"recall@20": value}
        line = {"epoch": epoch, "split": "valid", "values": values, "seconds": 0.1, "best": False}
        lines.write(json.dumps(line) + "\\n")

def done(value, **others):
    valid = {"recall@20": value, **others}
    result = {"run": str(run), "status": "done", "best_epoch": 1, "valid": valid, "test": valid,
              "seconds": {"total": 0.5}}
    (run / "metrics.json").write_text(json.dumps(result))
    (run / "run.json").write_text('{"schema_version": 1, "status": "done"}')
"""


@dataclass
class Program:
    """Builds the command of a trial that runs a given body; `started` lists the trials in the order of their starts."""

    body: str
    started: list[int] = field(default_factory=list)

    def __call__(self, ledger: Ledger, row: Row) -> list[str]:
        self.started.append(row.trial.index)
        code = _PRELUDE + self.body
        where = [str(ledger.config_path(row)), str(row.run.path)]
        return [sys.executable, "-S", "-c", code, *where, *row.trial.arguments]


@pytest.fixture
def program() -> type[Program]:
    """The class that makes a trial's command from the body of a program."""
    return Program


# A trial that is trained by epochs: its value rises with the epochs, the faster the larger its lr; it pauses, goes on
# from its checkpoint, and is trained anew without one. Before each epoch it does what the test's body says.
_BY_EPOCHS = """
options = json.loads(given.pop("options"))
last = run / "checkpoints" / "last" / "checkpoint.safetensors"
if not options["continues"]:
    last.parent.mkdir(parents=True)
elif not last.exists():
    sys.exit("error: there is no checkpoint")
def record(status, **others):
    (run / "run.json").write_text(json.dumps({"schema_version": 1, "status": status, **others}))
record("running")
first = int(last.read_text()) + 1 if last.exists() else 1
best = float("-inf")
for epoch in range(1, int(given["epochs"]) + 1):
    value = float(given["lr"]) * epoch
    best = max(best, value)
    if epoch < first:
        continue
    BODY
    with (run / "metrics.jsonl").open("a") as lines:
        line = {"epoch": epoch, "split": "valid", "values": {"recall@20": value}, "seconds": 0.1, "best": True}
        lines.write(json.dumps(line) + "\\n")
    last.write_text(str(epoch))
    ends = epoch == int(given["epochs"])
    if not ends and (epoch == options["until"] or best < options["floors"].get(str(epoch), float("-inf"))):
        record("interrupted", paused={"epoch": epoch})
        sys.exit(0)
done(float(given["lr"]) * int(given["epochs"]))
"""


@dataclass
class Learner(Program):
    """Builds the command of a trial that is trained by epochs; `body` is done before each."""

    def __call__(self, ledger: Ledger, row: Row) -> list[str]:
        self.started.append(row.trial.index)
        options = {"until": row.until, "continues": row.continues, "floors": {str(e): v for e, v in row.floors.items()}}
        code = _PRELUDE.replace("mkdir(parents=True)", "mkdir(parents=True, exist_ok=True)") + _BY_EPOCHS.replace(
            "BODY", self.body.replace("\n", "\n    ")
        )
        where = [str(ledger.config_path(row)), str(row.run.path)]
        return [sys.executable, "-S", "-c", code, *where, *row.trial.arguments, f"options={json.dumps(options)}"]


@pytest.fixture
def learner() -> type[Learner]:
    """The class that makes a command of a trial that is trained by epochs."""
    return Learner


@pytest.fixture
def ledger(plan: Callable[..., Plan], tmp_path: Path) -> Callable[..., Ledger]:
    """Make the ledger of a sweep in a temporary runs folder."""

    def make(*arguments: str, folder: str = "runs", **asked: Any) -> Ledger:
        return Ledger(plan("which4best=recall@20", *arguments, **asked), tmp_path / folder)

    return make
