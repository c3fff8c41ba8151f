"""`recrun eval`: the run's own numbers again; and hostile files, which give one line and are never run."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

import recrun.runs.checkpoint
from recrun.cli.main import main
from recrun.metrics.per_user import mean_of_users
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint

from .conftest import OWN, TINY

SMALL = [
    *TINY,
    "lr=0.02",
    "epochs=2",
    "monitors=[recall@5,ndcg@5]",
    "which4best=ndcg@5",
    "device=cpu",
    "threads=1",
    "verbose=0",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs that holds one finished run; tests work on copies of it."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.raises(SystemExit) as exit:
        main(["train", "bprmf", *SMALL, "--runs", str(runs)])
    assert exit.value.code in (0, None)
    return runs


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    copy = tmp_path / "copy"
    shutil.copytree((finished / "latest").resolve(), copy)
    return copy


def _result(run: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return result


def _ledger(run: Path) -> list[dict[str, Any]]:
    ledger: list[dict[str, Any]] = json.loads((run / "run.json").read_text(encoding="utf-8"))["test_evaluations"]
    return ledger


@pytest.mark.parametrize("where", [".", "checkpoints/best", "checkpoints/best/checkpoint.safetensors"])
@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_numbers_of_the_run_come_again_to_the_last_digit(
    recrun: Callable[..., Any], run: Path, where: str, split: str
) -> None:
    outcome = recrun("eval", "--checkpoint", str(run / where), "--split", split, "--json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["metrics"] == _result(run)[split]
    assert document["users"] == _result(run)["users"][split]
    assert (document["split"], document["run"]) == (split, str(run))
    assert document["checkpoint"] == str(run / "checkpoints/best/checkpoint.safetensors")


def test_every_look_at_test_is_entered_into_the_run(recrun: Callable[..., Any], run: Path) -> None:
    assert [entry["by"] for entry in _ledger(run)] == ["train"]
    recrun("eval", "--checkpoint", str(run), "--split", "valid")
    assert len(_ledger(run)) == 1
    recrun("eval", "--checkpoint", str(run))
    recrun("eval", "--checkpoint", str(run / "checkpoints/last"), "monitors=[recall@3]")
    assert [(entry["by"], entry["checkpoint"]) for entry in _ledger(run)] == [
        ("train", "best"),
        ("eval", "best"),
        ("eval", "last"),
    ]
    assert _ledger(run)[1]["metrics"] == _result(run)["test"]
    assert list(_ledger(run)[2]["metrics"]) == ["recall@3"]


def test_a_look_at_test_that_fails_leaves_its_trace(
    recrun: Callable[..., Any], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError("no room for the scores")

    monkeypatch.setattr("recrun.evaluation.ranking.evaluate_ranking", broken)
    assert recrun("eval", "--checkpoint", str(run)).code == 1
    assert [entry["metrics"] for entry in _ledger(run)][1:] == [None]


def test_other_monitors_and_a_table(recrun: Callable[..., Any], run: Path) -> None:
    outcome = recrun("eval", "--checkpoint", str(run), "--split", "valid", "monitors=[hitrate@3,mrr@7]", "-q")
    assert outcome.code == 0, outcome.err
    assert "hitrate@3" in outcome.out
    assert "mrr@7" in outcome.out
    assert outcome.err == ""


def test_metrics_of_each_user_are_added_to_a_finished_run(recrun: Callable[..., Any], run: Path) -> None:
    before = pl.read_parquet(run / "per_user/test.parquet")
    outcome = recrun("eval", "--checkpoint", str(run), "monitors=[ndcg@5,mrr@7]", "--json")
    document = json.loads(outcome.out)
    assert document["per_user"] == str(run / "per_user/test.parquet")
    after = pl.read_parquet(run / "per_user/test.parquet")
    assert after.columns == ["user", "recall@5", "ndcg@5", "mrr@7"]
    assert after.drop("mrr@7").equals(before)
    assert mean_of_users(after["mrr@7"].to_numpy()) == document["metrics"]["mrr@7"]


def test_a_run_without_metrics_of_each_user_gets_them(recrun: Callable[..., Any], run: Path) -> None:
    before = {split: (run / f"per_user/{split}.parquet").read_bytes() for split in ("valid", "test")}
    shutil.rmtree(run / "per_user")
    for split in ("valid", "test"):
        assert recrun("eval", "--checkpoint", str(run), "--split", split).code == 0
        assert (run / f"per_user/{split}.parquet").read_bytes() == before[split]


@pytest.mark.parametrize(
    "arguments", [["per_user=false"], ["last"], ["monitors=[coverage@5]"]], ids=["unwanted", "last", "none"]
)
def test_metrics_of_each_user_that_are_not_those_of_the_run_are_not_kept(
    recrun: Callable[..., Any], run: Path, arguments: list[str]
) -> None:
    shutil.rmtree(run / "per_user")
    where = run / "checkpoints/last" if arguments == ["last"] else run
    outcome = recrun("eval", "--checkpoint", str(where), *(arguments if where == run else []), "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["per_user"] is None
    assert not (run / "per_user").exists()


def test_an_evaluation_is_shown_although_the_metrics_of_each_user_cannot_be_written(
    recrun: Callable[..., Any], run: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("recrun.runs.per_user.atomic_write", full)
    caplog.clear()
    outcome = recrun("eval", "--checkpoint", str(run), "--split", "valid", "monitors=[mrr@7]", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["metrics"]["mrr@7"] > 0
    assert "the metrics of each user are not kept" in caplog.text
    assert "No space left" in caplog.text


def test_a_file_that_was_copied_elsewhere_belongs_to_no_run(recrun: Callable[..., Any], run: Path) -> None:
    alone = run.parent / "elsewhere" / "model.safetensors"
    alone.parent.mkdir()
    shutil.copyfile(run / "checkpoints/best/checkpoint.safetensors", alone)
    outcome = recrun("eval", "--checkpoint", str(alone), "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["run"] is None
    assert json.loads(outcome.out)["metrics"] == _result(run)["test"]
    assert len(_ledger(run)) == 1


def test_what_was_trained_cannot_be_changed_for_an_evaluation(recrun: Callable[..., Any], run: Path) -> None:
    outcome = recrun("eval", "--checkpoint", str(run), "embedding_dim=16", "lrr=1", "--json")
    assert outcome.code == 2
    assert "argument 1:15: embedding_dim: cannot be changed for an evaluation" in outcome.err
    assert "argument 2:5: lrr: cannot be changed" in outcome.err
    assert outcome.out == ""


def test_a_split_that_is_not_there_is_refused(recrun: Callable[..., Any], tmp_path: Path) -> None:
    assert recrun("train", "synthetic/bprmf", *SMALL, "valid_ratio=0").code == 0
    outcome = recrun("eval", "--checkpoint", "runs/latest", "--split", "valid")
    assert outcome.code == 2
    assert "the data has no valid part to evaluate on" in outcome.err


# --- hostile files ---------------------------------------------------------------------------------------------------


class _Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.target),)


def _rewritten(change: Callable[[dict[str, Any]], None]) -> Callable[[Path, Path], None]:
    """Return what changes a checkpoint's content and signs it anew, as one who knows the format can."""

    def make(best: Path, target: Path) -> None:
        content = load_checkpoint(best)
        change(content)
        save_checkpoint(target, content)

    return make


def _bytes_of(change: Callable[[bytearray], None]) -> Callable[[Path, Path], None]:
    def make(best: Path, target: Path) -> None:
        content = bytearray(best.read_bytes())
        change(content)
        target.write_bytes(bytes(content))

    return make


def _flip(content: bytearray) -> None:
    content[len(content) // 2] ^= 4


def _cut(content: bytearray) -> None:
    del content[len(content) // 2 :]


def _weight(content: dict[str, Any]) -> str:
    name: str = next(iter(content["model"]))
    return name


def _truncate_weights(content: dict[str, Any]) -> None:
    content["model"][_weight(content)] = content["model"][_weight(content)][:, :4]


def _rename_weights(content: dict[str, Any]) -> None:
    content["model"]["other"] = content["model"].pop(_weight(content))


def _text_as_weights(content: dict[str, Any]) -> None:
    content["model"][_weight(content)] = "text"


def _set(**settings: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["config"].update(settings)

    return change


def _other_data(content: dict[str, Any]) -> None:
    content["data"] = {"split": "0" * 64, "train.txt": "1" * 64}


HOSTILE: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "empty": (lambda best, target: target.write_bytes(b"") and None, "is damaged or not a checkpoint"),
    "noise": (
        lambda best, target: target.write_bytes(np.random.default_rng(0).bytes(5000)) and None,
        "is damaged or not a checkpoint",
    ),
    "text": (lambda best, target: target.write_text("epochs: 3\n") and None, "is damaged or not a checkpoint"),
    "zip": (lambda best, target: torch.save({"a": torch.ones(1)}, target), "is damaged or not a checkpoint"),
    "truncated": (_bytes_of(_cut), "is damaged or not a checkpoint"),
    "bit flipped": (_bytes_of(_flip), "is damaged"),
    "foreign": (lambda best, target: save_file({"w": torch.ones(2)}, target), "but not a recrun checkpoint"),
    "no model": (_rewritten(lambda content: content.pop("model")), "holds no model with its config"),
    "no config": (_rewritten(lambda content: content.pop("config")), "holds no model with its config"),
    "no data": (_rewritten(lambda content: content.pop("data")), "holds no model with its config"),
    "config is text": (_rewritten(lambda content: content.update(config="lr: 1")), "holds no model with its config"),
    "shape": (_rewritten(_truncate_weights), "does not fit its config and data: size mismatch"),
    "names": (_rewritten(_rename_weights), "does not fit its config and data: Unexpected key"),
    "text as weights": (_rewritten(_text_as_weights), "does not fit its config and data"),
    "other data": (_rewritten(_other_data), "was trained on other data: the file train.txt is no longer read"),
    "unknown key": (_rewritten(_set(leraning_rate=1)), "leraning_rate: unknown setting"),
    "wrong type": (_rewritten(_set(embedding_dim="large")), "embedding_dim: expected an integer"),
    "negative": (_rewritten(_set(embedding_dim=-1)), "embedding_dim: expected"),
    "unknown model": (_rewritten(_set(model="os.system")), "model: unknown model 'os.system'"),
    "other sizes": (_rewritten(_set(embedding_dim=16)), "does not fit its config and data: size mismatch"),
    "too large": (_rewritten(_set(embedding_dim=10**15)), "the model of"),
    "other users": (_rewritten(_set(n_users=61)), "was trained on other data"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("command", ["eval", "resume"])
def test_a_hostile_checkpoint_gives_one_line_and_exit_2(
    recrun: Callable[..., Any], run: Path, kind: str, command: str
) -> None:
    make, message = HOSTILE[kind]
    which = "best" if command == "eval" else "last"
    target = run / "checkpoints" / which / "checkpoint.safetensors"
    content = target.parent / "original"
    target.rename(content)
    make(content, target)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    if command == "resume":
        record["status"] = "interrupted"
        (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
        (run / "metrics.json").unlink()  # with its final numbers it would need no checkpoint
    before = (run / "run.json").read_bytes()
    arguments = ["--checkpoint", str(run), "--json"] if command == "eval" else ["--resume", str(run), "--json"]
    outcome = recrun("eval" if command == "eval" else "train", *arguments)
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("error: ")
    if command == "eval":
        assert message in outcome.err
    assert (run / "run.json").read_bytes() == before, "nothing was started"


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "checkpoint.safetensors", "model.ckpt", "model.bin"])
@pytest.mark.parametrize("command", ["eval", "resume"])
def test_a_pickle_is_never_run(recrun: Callable[..., Any], run: Path, name: str, command: str) -> None:
    created = run.parent / "created-by-the-pickle"
    folder = run / "checkpoints" / ("best" if command == "eval" else "last")
    (folder / "checkpoint.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(_Malicious(created)))
    (folder / "checkpoint.safetensors").write_bytes(pickle.dumps(_Malicious(created)))
    if command == "eval":
        outcome = recrun("eval", "--checkpoint", str(folder / name))
    else:
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        (run / "run.json").write_text(json.dumps({**record, "status": "running"}), encoding="utf-8")
        (run / "metrics.json").unlink()
        outcome = recrun("train", "--resume", str(run))
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert not created.exists()


def test_a_checkpoint_of_a_newer_version_is_told_so(
    recrun: Callable[..., Any], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = run / "checkpoints/best/checkpoint.safetensors"
    content = load_checkpoint(best)
    with monkeypatch.context() as patch:
        patch.setattr(recrun_checkpoint, "SCHEMA", recrun_checkpoint.SCHEMA + 1)
        save_checkpoint(best, content)
    outcome = recrun("eval", "--checkpoint", str(run))
    assert outcome.code == 2
    assert "upgrade recrun" in outcome.err


recrun_checkpoint = recrun.runs.checkpoint

EVIL = """
from pathlib import Path

from recrun.architectures import RecSysArch

Path({target!r}).touch()


class Evil(RecSysArch):
    \"\"\"Leave a trace when imported.\"\"\"

    def __init__(self, data, *, embedding_dim: int = 8) -> None:
        super().__init__()
"""


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("reference", ["{folder}/evil.py:Evil", "./evil.py:Evil"])
def test_a_checkpoint_that_names_code_does_not_run_it(
    recrun: Callable[..., Any], run: Path, tmp_path: Path, alone: bool, reference: str
) -> None:
    created = tmp_path / "created-by-the-code"
    (tmp_path / "evil.py").write_text(EVIL.format(target=str(created)), encoding="utf-8")
    best = run / "checkpoints/best/checkpoint.safetensors"
    content = load_checkpoint(best)
    content["config"]["model"] = reference.format(folder=tmp_path)
    target = tmp_path / "model.safetensors" if alone else best
    save_checkpoint(target, content)
    outcome = recrun("eval", "--checkpoint", str(target))
    assert outcome.code == 2
    named = f"names code that you have not run here before: model={content['config']['model']}"
    assert f"{named}; if you trust it, add --trust, or name it yourself: model=" in outcome.err
    assert not created.exists()


def test_a_model_of_ones_own_is_evaluated_from_its_run_and_by_name_from_a_file(
    recrun: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    assert recrun("train", "bprmf", "model=./own.py:Own", *SMALL).code == 0
    run = (tmp_path / "runs/latest").resolve()
    outcome = recrun("eval", "--checkpoint", "runs/latest", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["metrics"] == _result(run)["test"]
    assert list(json.loads((run / "run.json").read_text(encoding="utf-8"))["code"]) == [str(tmp_path / "own.py")]
    shutil.copyfile(run / "checkpoints/best/checkpoint.safetensors", tmp_path / "alone.safetensors")
    assert recrun("eval", "--checkpoint", "alone.safetensors").code == 0
    outcome = recrun("eval", "--checkpoint", "alone.safetensors", "model=./own.py:Own", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["metrics"] == _result(run)["test"]


def test_a_damaged_run_json_is_told_so(recrun: Callable[..., Any], run: Path) -> None:
    (run / "run.json").write_text('{"schema_version": 99}', encoding="utf-8")
    outcome = recrun("eval", "--checkpoint", str(run))
    assert (outcome.code, "upgrade recrun" in outcome.err) == (2, True)
    (run / "run.json").write_text("{half", encoding="utf-8")
    outcome = recrun("eval", "--checkpoint", str(run))
    assert (outcome.code, "damaged: it is not JSON" in outcome.err) == (2, True)


def test_nothing_at_the_path_is_told_so(recrun: Callable[..., Any], tmp_path: Path) -> None:
    outcome = recrun("eval", "--checkpoint", "nowhere")
    assert outcome.code == 2
    assert "there is nothing at nowhere; expected a run folder or a checkpoint" in outcome.err


def test_groups_are_printed_and_are_in_the_document(recrun: Callable[..., Any], run: Path) -> None:
    shown = recrun("eval", "--checkpoint", str(run), "groups=[activity:2,popularity:2]", "-q")
    assert shown.code == 0, shown.err
    assert "test by activity:2\ngroup" in shown.out
    assert "test by popularity:2\ngroup" in shown.out
    document = json.loads(recrun("eval", "--checkpoint", str(run), "groups=[activity:2]", "--json").out)
    assert list(document["groups"]) == ["activity:2"]
    assert sum(group["users"] for group in document["groups"]["activity:2"]["groups"]) == document["users"]
    assert document["metrics"] == _result(run)["test"]


def test_groups_that_there_cannot_be_are_one_line_and_no_evaluation(recrun: Callable[..., Any], run: Path) -> None:
    before = _ledger(run)
    for groups, message in (
        ("[activity]", "groups: activity needs a number of groups; write for example 'activity:4'"),
        ("[gender]", "groups: there is no column 'gender' to group by"),
    ):
        outcome = recrun("eval", "--checkpoint", str(run), f"groups={groups}")
        assert outcome.code == 2
        assert message in outcome.err
        assert len(outcome.err.strip().splitlines()) == 1
    assert _ledger(run) == before
