"""`recrun rm`: what goes, what is refused, and what is asked."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.files import hold
from recrun.runs.folder import RunFolder
from recrun.runs.new_folder import have_latest_follow
from recrun.runs.scan import find_folders
from tests.cli.conftest import TINY, modules_after


def _run(
    root: Path, id: str, *, status: str = "done", valid: float | None = 0.1, parts: str = "0", **settings: Any
) -> RunFolder:
    run = RunFolder.create(root, {"description": "mf", "dataset": "Synthetic", "model": "bprmf", "id": id, **settings})
    data = {"split": parts}
    run.update_run(status=status, which4best=settings.get("which4best", "ndcg@20"), data=data)
    if valid is not None:
        run.write_json(run.metrics_file, {"best_epoch": 3, "valid": {settings.get("which4best", "ndcg@20"): valid}})
    have_latest_follow(run.path, is_new=True)
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four runs on the same data, of which "best" is the best, and "failed" failed."""
    root = tmp_path / "runs"
    _run(root, "low", valid=0.1)
    _run(root, "best", valid=0.3)
    _run(root, "mid", valid=0.2)
    _run(root, "failed", valid=None, status="failed")
    return root


def _sweep(root: Path, *, best: int | None = 1) -> Path:
    """Make a sweep of two trials, the first of which was begun twice."""
    for id in ("0123456789-0", "0123456789-0-2", "0123456789-1"):
        _run(root, id, valid=0.25, parts="other")
    folder = root / "sweeps/mf-0123456789"
    (folder / "trials").mkdir(parents=True)
    for name in ("lock", "sweep.csv", "trials/0.yaml", "trials/1.log"):
        (folder / name).write_text("", encoding="utf-8")
    trials = [{"run": f"elsewhere/mf/Synthetic/0123456789-{i}"} for i in ("0-2", "1")]
    ledger = {"best_point": best, "points": [{"trials": [0]}, {"trials": [1]}], "trials": trials}
    (folder / "sweep.json").write_text(json.dumps(ledger), encoding="utf-8")
    return folder


def _left(root: Path) -> list[str]:
    return sorted(Path(path).name for path in find_folders(root))


def test_a_run_goes_with_its_folder_and_latest_points_at_the_newest_one_left(
    recrun: Callable[..., Any], runs: Path
) -> None:
    outcome = recrun("rm", "runs/latest")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("removed 1 run, ")
    assert "latest is now runs/mf/Synthetic/mid\n" in outcome.out
    assert _left(runs) == ["best", "low", "mid"]
    assert os.readlink(runs / "latest") == "mf/Synthetic/mid"
    assert sorted(path.name for path in (runs / "mf/Synthetic").iterdir()) == ["best", "low", "mid"]


def test_conditions_choose_what_goes(recrun: Callable[..., Any], runs: Path) -> None:
    assert recrun("rm", "status=done", "valid.ndcg@20<0.25", "--json").code == 0
    assert _left(runs) == ["best", "failed"]
    outcome = recrun("rm", "status=interrupted")
    assert (outcome.code, outcome.out) == (0, "")
    assert "no runs in runs meet the conditions" in outcome.err
    assert json.loads(recrun("rm", "status=interrupted", "--json").out)["removed"] == []


def test_nothing_is_left_of_the_last_run(recrun: Callable[..., Any], runs: Path) -> None:
    assert recrun("rm", "name!=x", "--yes").code == 0
    assert [path for path in runs.rglob("*") if not path.is_dir() or path.is_symlink()] == []
    assert recrun("list", "runs").out == ""


def test_a_dry_run_says_what_would_go_and_removes_nothing(recrun: Callable[..., Any], runs: Path) -> None:
    outcome = recrun("rm", "status=done", "--dry-run")
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1].startswith("would remove 3 runs, ")
    assert "it is the best of 3 done runs on this Synthetic by ndcg@20 (valid ndcg@20 0.3000)" in outcome.out
    document = json.loads(recrun("rm", "status=done", "--dry-run", "--json").out)
    assert [bool(each["reasons"]) for each in document["would_remove"]] == [False, True, False]
    assert document["bytes"] == sum(each["bytes"] for each in document["would_remove"]) > 0
    assert len(_left(runs)) == 4


def test_the_best_run_is_removed_only_with_yes(recrun: Callable[..., Any], runs: Path) -> None:
    outcome = recrun("rm", "runs/mf/Synthetic/low", "runs/mf/Synthetic/best")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: runs/mf/Synthetic/best is removed only with --yes: it is the best of 3 done runs on this Synthetic by "
        "ndcg@20 (valid ndcg@20 0.3000)\n"
    )
    assert len(_left(runs)) == 4
    assert recrun("rm", "runs/mf/Synthetic/best", "--yes").code == 0
    assert _left(runs) == ["failed", "low", "mid"]


def test_an_equally_good_run_that_stays_makes_the_best_one_of_two(recrun: Callable[..., Any], runs: Path) -> None:
    _run(runs, "copy", valid=0.3)
    assert recrun("rm", "name=best", "--dry-run", "--json").out.count("best of") == 0
    assert recrun("rm", "valid.ndcg@20=0.3", "--dry-run", "--json").out.count("best of") == 2


def test_runs_on_other_data_or_with_another_criterion_are_not_compared(recrun: Callable[..., Any], runs: Path) -> None:
    _run(runs, "other", valid=0.05, parts="1")
    _run(runs, "drawn", valid=0.9, candidates=99)
    _run(runs, "error", valid=0.05, dataset="Other", which4best="rmse")
    _run(runs, "worse", valid=0.5, dataset="Other", which4best="rmse")
    document = json.loads(recrun("rm", "name!=x", "--dry-run", "--json").out)
    reasons = {Path(each["path"]).name: each["reasons"] for each in document["would_remove"]}
    assert sorted(name for name, why in reasons.items() if why) == ["best", "drawn", "error", "other"]
    assert reasons["other"] == ["it is the only done run on this Synthetic by ndcg@20 (valid ndcg@20 0.0500)"]
    assert reasons["error"] == ["it is the best of 2 done runs on this Other by rmse (valid rmse 0.0500)"]


def test_a_run_that_another_record_names_is_removed_only_with_yes(recrun: Callable[..., Any], runs: Path) -> None:
    again = _run(runs, "again", valid=0.1)
    again.update_run(argv=["recrun", "reproduce", "/old/place/runs/mf/Synthetic/low"])
    outcome = recrun("rm", "name=low")
    assert outcome.code == 2
    assert "the run runs/mf/Synthetic/again names it" in outcome.err
    assert recrun("rm", "valid.ndcg@20=0.1").code == 0, "they go together"


def test_a_sweep_goes_with_the_runs_of_its_trials(recrun: Callable[..., Any], runs: Path) -> None:
    folder = _sweep(runs)
    outcome = recrun("rm", str(folder))
    assert outcome.code == 2
    assert "0123456789-1 is removed only with --yes" in outcome.err
    assert "the best trial" not in outcome.err
    alone = recrun("rm", str(runs / "mf/Synthetic/0123456789-1"))
    assert alone.code == 2
    assert "it is the best trial of the sweep runs/sweeps/mf-0123456789" in alone.err
    outcome = recrun("rm", str(folder), "--yes")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("removed 3 runs and 1 sweep, ")
    assert _left(runs) == ["best", "failed", "low", "mid"]
    assert list((runs / "sweeps").iterdir()) == []


def test_a_run_on_the_front_of_a_sweep_is_removed_only_with_yes(recrun: Callable[..., Any], runs: Path) -> None:
    folder = _sweep(runs, best=None)
    document = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    (folder / "sweep.json").write_text(json.dumps({**document, "front": [0, 7, "x"]}), encoding="utf-8")
    outcome = recrun("rm", str(runs / "mf/Synthetic/0123456789-0-2"))
    assert outcome.code == 2
    assert "it is on the front of the sweep runs/sweeps/mf-0123456789" in outcome.err


def test_a_ledger_cannot_have_the_runs_of_others_removed(recrun: Callable[..., Any], runs: Path) -> None:
    folder = _sweep(runs, best=None)
    trials = [{"run": "runs/mf/Synthetic/mid"}, {"run": "../../mf/Synthetic/low"}, {"run": 7}, None]
    (folder / "sweep.json").write_text(json.dumps({"trials": trials, "best": 9}), encoding="utf-8")
    assert recrun("rm", str(folder), "--yes").code == 0
    assert _left(runs) == ["best", "failed", "low", "mid"]


def test_what_is_running_is_refused_and_then_nothing_goes(recrun: Callable[..., Any], runs: Path) -> None:
    run = _run(runs, "now", status="running", valid=None)
    with run.lock():
        outcome = recrun("rm", "status=failed", "--yes")
        assert outcome.code == 0
        outcome = recrun("rm", "name!=x", "--yes")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: cannot remove the run runs/mf/Synthetic/now: it is running; stop it first\n"
    assert _left(runs) == ["best", "low", "mid", "now"]
    assert recrun("rm", "status=killed").code == 0


def test_the_runs_of_a_running_sweep_are_refused(recrun: Callable[..., Any], runs: Path) -> None:
    folder = _sweep(runs)
    with hold(folder / "lock", patience=0.0):
        outcome = recrun("rm", "name=0123456789-1", "--yes")
        assert outcome.code == 2
        assert "the sweep runs/sweeps/mf-0123456789 is running" in outcome.err
        assert recrun("rm", str(folder), "--yes").code == 2
    assert recrun("rm", "name=0123456789-1", "--yes").code == 0


def test_foreign_files_are_named_and_the_folder_is_left_alone(recrun: Callable[..., Any], runs: Path) -> None:
    folder = runs / "mf/Synthetic/low"
    (folder / "notes\x1b.md").write_text("mine", encoding="utf-8")
    (folder / "summary/data").symlink_to("/etc")
    outcome = recrun("rm", str(folder), "runs/mf/Synthetic/mid", "--yes")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: cannot remove the run runs/mf/Synthetic/low: recrun did not make notes\\x1b.md, summary/data in it; "
        "move that away\n"
    )
    assert len(_left(runs)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/mf/Synthetic/none"], "argument 1: there is no run or sweep at runs/mf/Synthetic/none"),
        (["low"], "did you mean 'runs/mf/Synthetic/low'?"),
        (["runs"], "argument 1: runs is neither a run nor a sweep: expected a folder with run.json"),
        (["runs/mf/Synthetic/low", "status=done"], "not both: runs/mf/Synthetic/low is no condition"),
        (["status=don"], "did you mean 'done'?"),
        (["statu=done"], "did you mean 'status'?"),
        ([], "Missing argument"),
        ([""], "argument 1: expected a run, a sweep or a condition, found nothing"),
    ],
)
def test_what_names_no_run_is_refused(
    recrun: Callable[..., Any], runs: Path, arguments: list[str], message: str
) -> None:
    outcome = recrun("rm", *arguments, "--yes")
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(_left(runs)) == 4


@pytest.mark.parametrize("name", ["config.yaml", "run.json"])
def test_a_folder_of_the_users_own_is_no_run(recrun: Callable[..., Any], tmp_path: Path, name: str) -> None:
    mine = tmp_path / "runs/my/thesis/results" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("{}", encoding="utf-8")
    for argument in ("runs/my/thesis/results", "status=damaged"):
        outcome = recrun("rm", argument, "--yes")
        assert (outcome.code, outcome.out) == (2, "")
        assert "runs/my/thesis/results" in outcome.err
        assert mine.exists()


def test_a_damaged_run_can_be_removed(recrun: Callable[..., Any], runs: Path) -> None:
    (runs / "mf/Synthetic/low/run.json").write_text("{half", encoding="utf-8")
    (runs / "mf/Synthetic/mid/config.yaml").unlink()
    assert recrun("rm", "status=damaged").code == 0
    assert _left(runs) == ["best", "failed"]


def test_a_run_that_was_copied_elsewhere_is_removed_without_touching_its_neighbours(
    recrun: Callable[..., Any], runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    (runs / "mf/Synthetic/best").rename(tmp_path / "kept/best")
    (tmp_path / "kept/.removing-notes").write_text("mine", encoding="utf-8")
    assert recrun("rm", "kept/best").code == 0
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [".removing-notes"]


def test_a_run_that_cannot_be_removed_is_named_and_the_others_go(
    recrun: Callable[..., Any], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "low":
            raise PermissionError(13, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    outcome = recrun("rm", "status=done", "--yes")
    assert outcome.code == 1
    assert outcome.out.startswith("removed 2 runs")
    assert "error: runs/mf/Synthetic/low was not removed: Permission denied: runs/mf/Synthetic/low" in outcome.err
    assert _left(runs) == ["failed", "low"]


def test_a_trained_run_holds_nothing_that_recrun_did_not_make(recrun: Callable[..., Any], tmp_path: Path) -> None:
    assert recrun("train", "bprmf", *TINY, "epochs=2", "monitors=[ndcg@5]", "which4best=ndcg@5", "device=cpu").code == 0
    outcome = recrun("rm", "runs/latest")
    assert outcome.code == 2
    assert "it is the only done run on this Synthetic" in outcome.err
    assert recrun("rm", "runs/latest", "--yes").code == 0
    assert [path for path in (tmp_path / "runs").rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 3), ("\n", 1, 4), ("\x03", 130, 4), ("\x04", 130, 4)])
def test_on_a_terminal_the_command_asks(runs: Path, answer: str, code: int, left: int) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "recrun", "rm", "runs/mf/Synthetic/best"],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        cwd=runs.parent,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, answer.encode())
    printed, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == code
    assert b"run runs/mf/Synthetic/best: it is the best of 3 done runs" in shown
    assert b"Remove 1 run, " in shown
    assert (b"removed 1 run" in printed) == (code == 0)
    assert len(_left(runs)) == left


def test_removing_does_not_import_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert modules_after("rm", "status=failed", "--yes", names=("torch", "polars", "scipy")) == []
    assert _left(runs) == ["best", "low", "mid"]


RACING = """
import sys
from pathlib import Path
from recrun.runs.folder import RunFolder
for number in range(60):
    settings = {"description": "mf", "dataset": "Synthetic", "id": f"{sys.argv[2]}-{number}"}
    run = RunFolder.create(sys.argv[1], settings)
    with run.lock():
        run.update_run(status="failed")
"""


def test_runs_are_made_listed_and_removed_at_the_same_time(recrun: Callable[..., Any], tmp_path: Path) -> None:
    recrun("list", "runs")
    commands = [[sys.executable, "-c", RACING, "runs", name] for name in ("a", "b")]
    makers = [subprocess.Popen(command, cwd=tmp_path) for command in commands]
    while any(maker.poll() is None for maker in makers):
        removal = recrun("rm", "status=failed")
        assert removal.code == 0 or "it is running" in removal.err
        listed = recrun("list", "runs", "--json")
        assert listed.code == 0
        assert "damaged" not in {row["status"] for row in json.loads(listed.out)}
    assert [maker.returncode for maker in makers] == [0, 0]
    assert recrun("rm", "status=failed").code == 0
    assert [path for path in (tmp_path / "runs").rglob("*") if not path.is_dir()] == []


def test_a_run_whose_trial_is_about_to_run_is_refused_and_so_is_its_sweep(
    recrun: Callable[..., Any], runs: Path
) -> None:
    folder = _sweep(runs, best=None)
    with hold(folder / "trials/0.lock", patience=0.0):  # its parent was killed; it has not opened its run yet
        for id in ("0123456789-0", "0123456789-0-2"):
            outcome = recrun("rm", f"runs/mf/Synthetic/{id}", "--yes")
            assert outcome.code == 2
            assert outcome.err == (
                f"error: cannot remove the run runs/mf/Synthetic/{id}: its trial is running ({folder}/trials/0.lock)\n"
            ).replace(str(runs), "runs")
        outcome = recrun("rm", str(folder), "--yes")
        assert outcome.code == 2
        assert "cannot remove the sweep runs/sweeps/mf-0123456789: one of its trials is running (" in outcome.err
        assert len(_left(runs)) == 7
        assert recrun("rm", "runs/mf/Synthetic/0123456789-1", "--yes").code == 0, "another trial's run"
    assert recrun("rm", str(folder), "--yes").code == 0


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `squeue` into PATH that prints what is in a file, and fails without it; return the file."""
    programs, answer = tmp_path / "programs", tmp_path / "answer"
    programs.mkdir()
    (programs / "squeue").write_text(f"#!/bin/sh\nexec cat {answer}\n", encoding="utf-8")
    (programs / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return answer


def test_a_run_whose_job_waits_in_a_queue_is_refused(recrun: Callable[..., Any], runs: Path, slurm: Path) -> None:
    folder = _sweep(runs, best=None)
    (folder / "trials/1.job").write_text('{"name": "recrun-1-ab", "log_offset": 0}', encoding="utf-8")
    slurm.write_text("7|recrun-1-ab|PENDING\n", encoding="utf-8")
    outcome = recrun("rm", "name=0123456789-1", "--yes")
    assert outcome.code == 2
    assert "0123456789-1: its trial waits or runs as the Slurm job recrun-1-ab\n" in outcome.err
    assert "one of its trials waits or runs as" in recrun("rm", str(folder), "--yes").err
    slurm.unlink()
    outcome = recrun("rm", "name=0123456789-1")
    assert outcome.code == 2
    assert "0123456789-1 is removed only with --yes: " in outcome.err
    assert "its trial may be running as the Slurm job recrun-1-ab" in outcome.err
    slurm.write_text("7|recrun-1-ab|COMPLETED\n", encoding="utf-8")
    assert "Slurm" not in recrun("rm", "name=0123456789-1").err
    ended = {"name": "recrun-1-ab", "exit_code": 0, "seconds": 1.0, "was_asked": False, "error": ""}
    (folder / "trials/1.exit").write_text(json.dumps(ended), encoding="utf-8")
    slurm.write_text("7|recrun-1-ab|RUNNING\n", encoding="utf-8")
    assert recrun("rm", str(folder), "--yes").code == 0, "its files of jobs are recrun's own"
    assert _left(runs) == ["best", "failed", "low", "mid"]


def test_a_sweep_that_may_run_on_another_host_is_removed_only_with_yes(recrun: Callable[..., Any], runs: Path) -> None:
    folder = _sweep(runs, best=None)
    lease = {"host": "far", "pid": 7, "started": "2026-01-01", "beat": 3, "machine": "far x", "token": "ab"}
    (folder / "lease.json").write_text(json.dumps({**lease, "interval": 5.0}), encoding="utf-8")
    outcome = recrun("rm", "runs/mf/Synthetic/0123456789-0")
    assert outcome.code == 2
    assert "the sweep runs/sweeps/mf-0123456789 may be running (process 7 on far)" in outcome.err
    assert recrun("rm", str(folder), "--yes").code == 0


def _final(root: Path, folder: Path, digest: str = "abcdefabcd") -> list[str]:
    """Make the last step of a sweep, of two seeds, and return the names of its runs."""
    names = [f"{digest}-0", f"{digest}-1"]
    trials = [{"run": f"elsewhere/mf/Synthetic/{_run(root, id, valid=None).path.name}"} for id in names]
    record = {"schema": 1, "sweep": "elsewhere/sweeps/mf-0123456789", "finals": [{"trials": trials}], "earlier": []}
    (folder / "final.json").write_text(json.dumps(record), encoding="utf-8")
    return names


def test_the_runs_of_a_last_step_stay_without_their_sweep_and_are_named(recrun: Callable[..., Any], runs: Path) -> None:
    folder = _sweep(runs, best=None)
    names = _final(runs, folder)
    line = (
        "2 runs of the last step of runs/sweeps/mf-0123456789 stay: "
        "runs/mf/Synthetic/abcdefabcd-0 runs/mf/Synthetic/abcdefabcd-1\n"
    )
    assert line in recrun("rm", str(folder), "--dry-run").out
    planned = json.loads(recrun("rm", str(folder), "--dry-run", "--json").out)["would_remove"]
    assert [each.get("keeps") for each in planned] == [None, None, None, [f"runs/mf/Synthetic/{id}" for id in names]]
    together = recrun("rm", str(folder), "runs/mf/Synthetic/abcdefabcd-0", "--dry-run").out
    assert "1 run of the last step of runs/sweeps/mf-0123456789 stay" in together
    outcome = recrun("rm", str(folder), "--yes")
    assert (outcome.code, line in outcome.out) == (0, True)
    assert set(names) <= set(_left(runs))
    assert recrun("rm", *(f"runs/mf/Synthetic/{id}" for id in names)).code == 0


def test_the_runs_of_a_last_step_that_runs_are_refused(recrun: Callable[..., Any], runs: Path) -> None:
    folder = _sweep(runs, best=None)
    name, _ = _final(runs, folder)
    for lock, reason in (
        ("lock", "the sweep runs/sweeps/mf-0123456789 is running"),
        ("trials/final-abc-1.lock", "its "),
    ):
        with hold(folder / lock, patience=0.0):
            outcome = recrun("rm", f"name={name}", "--yes")
            assert outcome.code == 2
            assert f"cannot remove the run runs/mf/Synthetic/{name}: {reason}" in outcome.err
    assert recrun("rm", f"name={name}", "--yes").code == 0
