"""Processes that divide the tables of a model train the model of one, and go on whichever of them was killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from recrun.cli.main import main
from recrun.runs.checkpoint import load_checkpoint
from tests.process_runs import Values, end, measured, rank_of, require_equal, start, train
from tests.run_server import the_run, wait_until

SMALL = ("n_users=150", "n_items=80", "n_interactions=3000", "batch_size=70", "device=cpu", "threads=1", "verbose=1")
MF = ("bprmf", "embedding_dim=8", "lr=0.02", "monitors=[ndcg@10]", "which4best=ndcg@10")
SHARD = "--shard-embeddings"


def test_two_processes_train_the_model_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = ("accumulate=2", "clip_norm=0.1", "ema_decay=0.9", "groups=[activity:2]", "lr_scheduler=cosine_steps")
    arguments = (*MF, *SMALL, *steps, "epochs=3", "optimizer=lazy_adam")
    alone, together = train(tmp_path / "1", 1, *arguments), train(tmp_path / "2", 2, *arguments, SHARD)
    require_equal(together, alone)
    runs = [the_run(tmp_path / n) for n in "12"]
    records = [json.loads((run / "run.json").read_text()) for run in runs]
    assert records[0]["n_parameters"] == records[1]["n_parameters"] == 8 * 230
    assert [(each.get("processes"), each.get("shard_embeddings")) for each in records] == [(None, None), (2, True)]
    of_one, of_two = (load_checkpoint(run / "checkpoints" / "last") for run in runs)
    for name, tensor in of_one["model"].items():
        torch.testing.assert_close(of_two["model"][name], tensor, rtol=1e-3, atol=1e-5)
    sizes = [{key: each.shape for key, each in state["optimizer"]["state"][0].items()} for state in (of_one, of_two)]
    assert sizes[0] == sizes[1], "a checkpoint has whole tables"
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["eval", "--checkpoint", str(runs[1]), "--split", "valid", "--json"])
    assert ended.value.code == 0
    measured_again = json.loads(capsys.readouterr().out)["metrics"]["ndcg@10"]
    assert measured_again == max(values["ndcg@10"] for _, split, values in together if split == "valid")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bprmf", SHARD), "--shard-embeddings divides tables among processes; give --processes, or remove it"),
        (
            ("synthetic/lightgcn", SHARD, "--processes", "2"),
            "model: --shard-embeddings needs a model that looks up rows of its tables, and lightgcn computes with",
        ),
        (
            (*MF, SHARD, "--processes", "2", "eval_index=hnsw"),
            "eval_index: --shard-embeddings does not work with it; remove one of the two",
        ),
        (
            ("bprmf", SHARD, "--processes", "2", "monitors=[auc]", "which4best=auc"),
            "monitors: --shard-embeddings ranks the first items, and auc needs the scores of all",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused(
    arguments: Sequence[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", *arguments, "--runs", str(tmp_path / "r")])
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.lower().count("error:") == 1
    assert not (tmp_path / "r").exists()


FEW_STEPS = tuple("batch_size=300" if each.startswith("batch_size=") else each for each in SMALL)
DROPPED: tuple[str, ...] = (
    *MF,
    *FEW_STEPS,
    "epochs=20",
    "embedding_dropout=0.2",
    "optimizer=lazy_adam",
    "ema_decay=0.9",
)
SAVED = "checkpoint_minutes=0.002"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Values:
    """Return what three processes measure in a run with dropout that is not interrupted."""
    return train(tmp_path_factory.mktemp("whole") / "r", 3, *DROPPED, SHARD)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="ranks are found by /proc")
@pytest.mark.parametrize(("killed", "another"), [(0, 1), (2, 4), ("SIGINT", None)])
def test_a_run_goes_on_whichever_process_was_killed(
    killed: int | str, another: int | None, whole: Values, tmp_path: Path
) -> None:
    process = start(*DROPPED, SAVED, "--no-plots", "--runs", str(tmp_path / "r"), "--processes", "3", SHARD)
    wait_until(lambda: len(measured(tmp_path / "r")) >= 6)
    if isinstance(killed, int):
        os.kill(rank_of(process.pid, killed), signal.SIGKILL)
    else:
        process.send_signal(signal.SIGINT)
    code, errors = end(process)
    assert code == {0: 1, 2: 1, "SIGINT": 130}[killed], errors
    assert "Traceback" not in errors
    resumed = {}
    for n in filter(None, (3, another)):
        copy = tmp_path / f"go-on-{n}"
        shutil.copytree(tmp_path / "r", copy, symlinks=True)
        flags = [] if n == 1 else ["--processes", str(n), SHARD]
        code, errors = end(start("--resume", str(the_run(copy)), "verbose=0", *flags))
        assert code == 0, errors
        resumed[n] = measured(copy)
    assert resumed[3] == whole, "to the last digit, dropout included"
    for found in resumed.values():  # other draws of dropout, so that another epoch may be the best
        assert [line[:2] for line in found if line[1] != "test"] == [line[:2] for line in whole if line[1] != "test"]
