"""The run folder: never reused, atomically written, locked while it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recrun.errors import CheckpointError, ConfigError
from recrun.runs.find import folder_of_runs, locate_checkpoint, run_for
from recrun.runs.folder import RunFolder, folder_name, open_run
from recrun.runs.new_folder import have_latest_follow
from recrun.runs.scan import find_folders

SETTINGS = {"description": "mf", "dataset": "Synthetic", "lr": 0.001, "id": None, "resume": False}


def test_a_new_run_has_its_folders(tmp_path: Path) -> None:
    first = run_for(SETTINGS, tmp_path)
    second = run_for(SETTINGS, tmp_path)
    assert first.path != second.path
    assert first.path.parent == tmp_path / "mf" / "Synthetic"
    assert second.checkpoint_file("last").parent.is_dir()


def test_an_id_is_never_used_twice(tmp_path: Path) -> None:
    run_for({**SETTINGS, "id": "a"}, tmp_path)
    with pytest.raises(ConfigError, match=r"there is already a run in .*a; choose another id"):
        run_for({**SETTINGS, "id": "a"}, tmp_path)


def test_resume_finds_the_newest_unfinished_run_with_the_same_settings(tmp_path: Path) -> None:
    done = run_for({**SETTINGS, "id": "done"}, tmp_path)
    done.update_run(status="done")
    half = run_for({**SETTINGS, "id": "half"}, tmp_path)
    half.update_run(status="interrupted")
    other = run_for({**SETTINGS, "lr": 0.1, "id": "other"}, tmp_path)
    other.update_run(status="interrupted")
    assert run_for({**SETTINGS, "resume": True}, tmp_path).path == half.path
    half.update_run(status="done")
    fresh = run_for({**SETTINGS, "resume": True}, tmp_path)
    assert fresh.path not in (done.path, half.path, other.path)


def test_resume_by_id_refuses_other_settings(tmp_path: Path) -> None:
    run_for({**SETTINGS, "id": "a"}, tmp_path).update_run(status="interrupted")
    with pytest.raises(CheckpointError, match="has different settings"):
        run_for({**SETTINGS, "lr": 0.5, "id": "a", "resume": True}, tmp_path)


def test_the_ledger_grows_by_every_test_evaluation(tmp_path: Path) -> None:
    run = run_for(SETTINGS, tmp_path)
    run.update_run(status="done", test_evaluations=[])
    run.end_test_evaluation(run.begin_test_evaluation("best", by="train"), {"ndcg@10": 0.1})
    run.end_test_evaluation(run.begin_test_evaluation("best", by="eval"), {"ndcg@10": 0.1})
    ledger = run.read_run()["test_evaluations"]
    assert [entry["by"] for entry in ledger] == ["train", "eval"]
    assert run.read_run()["status"] == "done"


def test_a_second_process_is_refused_and_the_lock_of_a_dead_one_is_free(tmp_path: Path) -> None:
    run = run_for(SETTINGS, tmp_path)
    script = (
        "import sys, time; from recrun.runs.folder import RunFolder\n"
        "with RunFolder(sys.argv[1]).lock():\n    print('locked', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(run.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(CheckpointError, match="by another process"), run.lock():
            pytest.fail("the lock was given twice")
    finally:
        process.kill()
        process.communicate()
    with run.lock():
        assert (run.path / ".lock").exists()


def test_json_never_holds_nan(tmp_path: Path) -> None:
    run = run_for(SETTINGS, tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json(run.metrics_file, {"valid": {"ndcg@10": float("nan")}})
    assert not run.metrics_file.exists()


def test_a_checkpoint_is_found_from_the_run_its_folder_or_its_file(tmp_path: Path) -> None:
    run = run_for(SETTINGS, tmp_path)
    run.update_run(status="done")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        locate_checkpoint(run.path)
    run.checkpoint_file("last").write_bytes(b"last")
    assert locate_checkpoint(run.path)[1] == run.checkpoint_file("last").resolve()
    best = run.checkpoint_file("best")
    best.write_bytes(b"best")
    assert have_latest_follow(run.path, is_new=True) is None
    for path in (run.path, tmp_path / "latest", best.parent, best):
        found, file = locate_checkpoint(path)
        assert found is not None
        assert (found.path, file) == (run.path.resolve(), best.resolve())
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(b"x")
    assert locate_checkpoint(alone) == (None, alone.resolve())
    with pytest.raises(CheckpointError, match="nothing at"):
        locate_checkpoint(tmp_path / "missing")
    with pytest.raises(CheckpointError, match="neither a run folder nor a checkpoint"):
        locate_checkpoint(tmp_path)


def test_damaged_runs_are_found_and_named(tmp_path: Path) -> None:
    run = run_for(SETTINGS, tmp_path)
    run.run_file.write_text("{half", encoding="utf-8")
    assert find_folders(tmp_path) == [str(run.path)]
    with pytest.raises(CheckpointError, match="damaged: it is not JSON"):
        run.read_run()
    run.run_file.write_text(json.dumps([1]), encoding="utf-8")
    with pytest.raises(CheckpointError, match="expected a JSON object"):
        run.read_run()
    with pytest.raises(CheckpointError, match="no run in"):
        open_run(tmp_path)


def test_names_of_own_files_become_plain_folder_names() -> None:
    assert folder_name("./data/own.py:MySet") == "MySet"
    assert folder_name("a/b: c") == "a-b- c"


@pytest.mark.parametrize(
    ("text", "name"),
    [(".", "-"), ("..", "--"), (".hidden", "-hidden"), ("../x", "---x"), ("a.b", "a.b"), ("latest", "latest-")],
)
def test_no_folder_is_hidden_or_called_as_the_link_to_the_latest_run(text: str, name: str) -> None:
    assert folder_name(text) == name


def test_a_run_does_not_write_into_a_folder_that_was_put_in_the_place_of_its_own(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, {**SETTINGS, "id": "a"})
    with run.lock():
        run.update_run(note="mine")
        run.path.rename(tmp_path / "aside")
        run.require_own()
        other = RunFolder.create(tmp_path, {**SETTINGS, "id": "a"})
        with other.lock():
            before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
            for write in (
                run.require_own,
                lambda: run.update_run(note="mine"),
                lambda: run.write_json(run.metrics_file, {}),
                lambda: run.begin_test_evaluation("best", by="train"),
            ):
                with pytest.raises(CheckpointError, match="was replaced by another one while it was trained"):
                    write()
            assert {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()} == before
            other.update_run(note="other")
    run.update_run(note="both are over")


def test_the_folder_of_all_runs_is_above_a_run_only_in_its_place(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "runs", {**SETTINGS, "id": "a"})
    assert folder_of_runs(run) == tmp_path / "runs"
    moved = run.path.rename(tmp_path / "moved")
    assert folder_of_runs(RunFolder(moved)) == tmp_path


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot create a run folder"):
        RunFolder.create(tmp_path / "runs", {**SETTINGS, "id": "a"})
