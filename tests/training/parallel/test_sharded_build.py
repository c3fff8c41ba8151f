"""Which models can be trained with divided tables, and that all others are refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

from recrun.config.resolve import resolve
from tests.training.parallel.ranks import run_ranks

CONFIGS = Path(__file__).parents[3] / "configs" / "synthetic"
SAMPLED = ("loss=sampled_softmax", "n_negatives=4")

DIVIDED = {
    "bprmf": (),
    "gru4rec": (),
    "fmlprec": (),
    "hstu": (),
    "sasrec": (),
    "bsarec": SAMPLED,
    "narm": SAMPLED,
    "stamp": SAMPLED,
}
"""The models with divided tables, with settings."""

COMPUTES = "computes with whole ones"
REASONS = {
    "cl4srec": "no embedding of users or of items",
    "duorec": "needs a loss of sampled items",
    "fearec": "needs a loss of sampled items",
    "simplex": "SimpleX computes with whole tables",
    "youtubednn": "YoutubeDNN computes with whole tables",
    "ultragcn": "compares the rows of a batch",
    "multvae": "needs a model that ranks by vectors",
    "deepfm": "needs a model that ranks by vectors",
    "neumf": "needs a model that ranks by vectors",
    "lightgcn": COMPUTES,
    "transrec": "needs a model that ranks by vectors",
    "fpmc": "needs a model that ranks by vectors",
    "cml": COMPUTES,
}
"""Some that are refused, with words of the reason."""

PROGRAM = """
import json, sys
from functools import partial
from recrun.config.resolve import resolve
from recrun.errors import RecrunError
from recrun.training.coach import Coach
from recrun.training.parallel.shares import refuse_inseparable
from recrun.workflows.build import build
from recrun.workflows.sharded_build import refuse_other_vectors, refuse_unsharded, sharded_model
for config, settings in json.loads({cases!r}):
    processes.tables = None
    said = "trained"
    try:
        resolved = resolve(config, settings)
        refuse_unsharded(resolved)
        coach = build(resolved, model_of=partial(sharded_model, processes=processes))
        refuse_other_vectors(coach.model, coach.dataset.base, processes)
        refuse_inseparable(
            coach.model, coach.criterion, coach.dataset, resolved.config.seed, processes, coach.device
        )
    except RecrunError as error:
        said = str(error).splitlines()[0]
    print(json.dumps([config, said]), flush=True)
"""


def test_models_are_trained_with_divided_tables_or_refused_with_a_reason() -> None:
    small = ["n_users=60", "n_items=30", "n_interactions=900", "batch_size=50", "device=cpu"]
    others = [file.stem for file in CONFIGS.glob("*.yaml") if file.stem not in DIVIDED]
    trains = [name for name in others if resolve(f"synthetic/{name}", []).trains]
    cases = [[f"synthetic/{name}", [*small, *settings]] for name, settings in DIVIDED.items()]
    cases += [[f"synthetic/{name}", []] for name in sorted(trains)]
    ranks = run_ranks(PROGRAM.format(cases=json.dumps(cases)))
    assert [code for code, _ in ranks] == [0, 0], ranks
    for _, output in ranks:
        said = dict(json.loads(line) for line in output.splitlines() if line.startswith("["))
        assert len(said) == len(cases)
        assert {name for name, text in said.items() if text == "trained"} == {f"synthetic/{name}" for name in DIVIDED}
        for name, words in REASONS.items():
            assert words in said[f"synthetic/{name}"], name
