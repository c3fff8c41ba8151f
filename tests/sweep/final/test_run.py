"""The last step of a sweep: what is trained, how often test is scored, and what is recorded."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import t

from recrun.cli.main import main
from recrun.config.yaml_reader import read_mapping
from recrun.errors import CheckpointError, ConfigError, TrainingError
from recrun.runs.listing import list_runs
from recrun.sweep.engines.engine import Outcome
from recrun.sweep.engines.local import LocalEngine
from recrun.sweep.final.record import read_final, spread
from recrun.sweep.final.run import Wish, run_final
from recrun.sweep.locks.lease import LeaseLostError
from recrun.sweep.locks.lock import SweepLock
from tests.sweep.final.conftest import InThisProcess

Swept = Callable[..., Path]
Make = Callable[..., Any]


def _json(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _settings(run: str | Path) -> dict[str, Any]:
    return {key: given.value for key, given in read_mapping(Path(run) / "config.yaml").checked().items()}


def test_the_best_point_is_trained_on_train_and_valid_for_each_seed_and_scored_once(swept: Swept, final: Make) -> None:
    folder = swept("lr=1e-4,5e-2", "seed=1..3")
    sweep = _json(folder / "sweep.json")
    best = sweep["best_point"]
    finished, commands = final(folder)
    assert finished.exit_code == 0
    assert len(commands) == 3
    (found,) = finished.finals
    epochs = [sweep["trials"][index]["best_epoch"] for index in sweep["points"][best]["trials"]]
    assert found["point"] == best
    assert found["epochs"] == statistics.median(epochs)
    assert found["best_epochs"] == epochs
    assert found["chosen_by"] == {
        "metric": "ndcg@20",
        "split": "valid",
        "mean": pytest.approx(sweep["points"][best]["mean"]["ndcg@20"]),
        "n": 3,
        "points": 2,
        "trials": 6,
        "by": "rank",
    }
    assert [trial["seed"] for trial in found["trials"]] == [1, 2, 3]
    for trial in found["trials"]:
        settings, record = _settings(trial["run"]), _json(Path(trial["run"], "run.json"))
        assert settings["lr"] == sweep["points"][best]["settings"]["lr"]
        assert (settings["train_on"], settings["stop_epoch"], settings["epochs"]) == ("train_valid", found["epochs"], 3)
        assert settings["description"] == "bprmf-final"
        assert len(record["test_evaluations"]) == 1
        assert trial["test"] == record["test_evaluations"][0]["metrics"]
        assert record["final_of"]["point"] == best
        assert record["final_of"]["chosen_by"] == found["chosen_by"]
        assert len(record["final_of"]["runs"]) == 3
    values = [trial["test"]["ndcg@20"] for trial in found["trials"]]
    half = t.ppf(0.975, 2) * statistics.stdev(values) / math.sqrt(3)
    assert found["mean"]["ndcg@20"] == pytest.approx(statistics.fmean(values))
    assert found["interval"]["ndcg@20"] == pytest.approx(
        [statistics.fmean(values) - half, statistics.fmean(values) + half]
    )
    assert _json(folder / "sweep.json")["final"] == found == read_final(folder)["final"]
    assert {key: value for key, value in _json(folder / "sweep.json").items() if not key.startswith("final")} == sweep


def test_a_repeated_command_trains_and_scores_nothing_and_a_repeated_sweep_keeps_the_entry(
    swept: Swept, final: Make
) -> None:
    folder = swept("lr=1e-3,5e-2", "seed=1,2")
    first, _ = final(folder)
    assert swept("lr=1e-3,5e-2", "seed=1,2") == folder
    assert _json(folder / "sweep.json")["final"] == first.finals[0]
    again, commands = final(folder)
    assert commands == []
    assert again.finals == first.finals


def test_another_choice_is_said_and_made_with_again_alone_and_the_old_one_is_kept(swept: Swept, final: Make) -> None:
    folder = swept("lr=1e-3,5e-2")
    first, _ = final(folder)
    other = 1 - first.finals[0]["point"]
    kept, commands = final(folder, point=other)
    assert commands == []
    assert kept.finals == first.finals
    (note,) = kept.notes
    assert f"the last step of {first.finals[0]['at'][:10]} is of another choice; now it would be lr=" in note
    made, commands = final(folder, point=other, again=True)
    assert len(commands) == 1
    assert made.finals[0]["point"] == other
    assert made.finals[0]["chosen_by"]["by"] == "user"
    assert _json(folder / "final.json")["earlier"] == first.finals


def test_runs_trained_on_train_alone_are_scored_as_they_are_and_never_twice(swept: Swept, final: Make) -> None:
    folder = swept("lr=1e-3,5e-2", "seed=1,2")
    sweep = _json(folder / "sweep.json")
    first, *_ = runs = [Path(sweep["trials"][i]["run"]) for i in sweep["points"][sweep["best_point"]]["trials"]]
    with pytest.raises(SystemExit):  # what a user has scored already counts
        main(["eval", "--checkpoint", str(first), "--split", "test", "--json"])
    finished, commands = final(folder, train_only=True)
    assert len(commands) == 1
    assert finished.finals[0]["train_on"] == "train"
    assert finished.finals[0]["epochs"] is None
    assert final(folder, train_only=True)[1] == []
    for run, trial in zip(runs, finished.finals[0]["trials"], strict=True):
        evaluations = _json(run / "run.json")["test_evaluations"]
        assert [each["metrics"] for each in evaluations] == [trial["test"]]


def test_of_several_data_sets_the_best_of_each_is_trained(swept: Swept, final: Make) -> None:
    finished, commands = final(swept("n_items=40,50", "lr=1e-3,5e-2"))
    assert len(commands) == len(finished.finals) == 2
    assert [each["settings"]["n_items"] for each in finished.finals] == [40, 50]
    entry = read_final(finished.folder)
    assert entry["final"] is None
    assert entry["finals"] == finished.finals


def test_a_closed_form_model_has_no_epochs(swept: Swept, final: Make) -> None:
    finished, _ = final(swept("reg_weight=1,100", config="ease"))
    assert finished.exit_code == 0
    assert finished.finals[0]["epochs"] is None
    assert finished.finals[0]["sd"]["ndcg@20"] is None


def test_a_rate_that_depends_on_the_number_of_epochs_keeps_its_course(swept: Swept, final: Make) -> None:
    finished, _ = final(swept("lr_scheduler=cosine", "lr=1e-4,5e-2", "early_stop_patience=2"))
    settings = _settings(finished.finals[0]["trials"][0]["run"])
    assert (settings["epochs"], settings["stop_epoch"]) == (3, finished.finals[0]["epochs"])
    assert settings["early_stop_patience"] is None


def test_a_sample_of_the_users_of_valid_alone_is_dropped_and_one_of_both_parts_stays(swept: Swept, final: Make) -> None:
    finished, _ = final(swept("lr=1e-4,5e-2", "eval_users=100", "eval_users_on=valid"))
    settings = _settings(finished.finals[0]["trials"][0]["run"])
    assert (settings["eval_users"], settings["eval_users_on"]) == (None, "valid_test")
    finished, _ = final(swept("lr=1e-4,5e-2", "eval_users=100", "eval_users_seed=3"))
    settings = _settings(finished.finals[0]["trials"][0]["run"])
    assert (settings["eval_users"], settings["eval_users_seed"]) == (100, 3)


def test_a_rate_that_follows_validation_is_refused(swept: Swept, final: Make) -> None:
    folder = swept("lr_scheduler=plateau", "lr=1e-4,5e-2")
    with pytest.raises(ConfigError, match=r"plateau of .* follows the validation metric, of which there is none once"):
        final(folder)
    assert final(folder, train_only=True)[0].exit_code == 0


def test_folds_are_trained_each_on_its_own_parts(swept: Swept, final: Make) -> None:
    finished, _ = final(swept("split=k_fold", "n_folds=2", "test_fold=1,2", "lr=1e-3,5e-2"))
    folds = [_settings(trial["run"])["test_fold"] for trial in finished.finals[0]["trials"]]
    assert folds == [1, 2]


def test_further_seeds_are_trained_and_those_that_are_done_are_kept(swept: Swept, final: Make) -> None:
    folder = swept("lr=1e-4,5e-2", "seed=3,1")
    first, _ = final(folder)
    more, commands = final(folder, seeds=4)
    assert len(commands) == 2
    (found,) = more.finals
    trials = found["trials"]
    assert [trial["seed"] for trial in trials] == [3, 1, 4, 5]
    assert [_settings(trial["run"])["seed"] for trial in trials] == [3, 1, 4, 5]
    assert trials[:2] == first.finals[0]["trials"]
    assert [trial["trial"] for trial in trials[2:]] == [None, None]
    assert [trial["overrides"]["seed"] for trial in trials[2:]] == [4, 5]
    assert (found["n"], found["n_seeds"], len({str(trial["test"]) for trial in trials})) == (4, 4, 4)
    same = ("point", "epochs", "best_epochs", "digest", "at", "chosen_by")
    assert {key: found[key] for key in same} == {key: first.finals[0][key] for key in same}
    assert read_final(folder)["final"] == found
    assert _json(folder / "final.json")["earlier"] == []
    of = [_json(Path(trial["run"]) / "run.json")["final_of"] for trial in trials]
    assert of == [of[0]] * 4
    # Without the option it is the same last step; with fewer seeds, what was scored on test stays in the means.
    assert final(folder) == (more, [])
    fewer, commands = final(folder, seeds=1)
    assert commands == []
    assert fewer.finals[0]["trials"] == trials
    assert fewer.notes == ["3 runs with further seeds, scored on test before, stay in the means"]
    assert (final(folder)[0].finals[0]["trials"], final(folder, seeds=5)[1] == []) == (trials, False)


def test_fewer_seeds_than_the_search_had_and_seeds_for_each_fold(swept: Swept, final: Make) -> None:
    folder = swept("split=k_fold", "n_folds=2", "test_fold=1,2", "seed=1,2", "lr=1e-3,5e-2", "epochs=1")

    def trained(**asked: Any) -> list[tuple[int, int]]:
        finished, commands = final(folder, **asked)
        settings = [_settings(trial["run"]) for trial in finished.finals[0]["trials"]]
        counts.append(len(commands))
        return sorted((each["test_fold"], each["seed"]) for each in settings)

    counts: list[int] = []
    assert trained(seeds=1) == [(1, 1), (2, 1)]
    assert trained(seeds=3) == [(fold, seed) for fold in (1, 2) for seed in (1, 2, 3)]
    assert trained() == [(fold, seed) for fold in (1, 2) for seed in (1, 2, 3)]
    assert counts == [2, 4, 0]


def test_seeds_that_were_not_begun_go_when_fewer_are_asked_for(swept: Swept, final: Make) -> None:
    folder = swept("lr=1e-4,5e-2", "epochs=1")
    final(folder, seeds=3)
    record = _json(folder / "final.json")
    third = Path(record["finals"][0]["trials"][2]["run"])
    shutil.rmtree(third)
    finished, commands = final(folder, seeds=2)
    assert ([trial["seed"] for trial in finished.finals[0]["trials"]], commands, finished.notes) == ([1, 2], [], [])
    record["finals"][0] |= {"n_seeds": 10**9}
    record["finals"][0]["trials"] = [{**trial, "seed": 10**12} for trial in record["finals"][0]["trials"]]
    (folder / "final.json").write_text(json.dumps(record), encoding="utf-8")
    assert [trial["seed"] for trial in final(folder)[0].finals[0]["trials"]] == [1], "a record that cannot be"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"seeds": 0}, "seeds: expected a number of seeds from 1 to 1000, found 0"),
        ({"seeds": 1001}, "seeds: expected a number of seeds from 1 to 1000, found 1001"),
        ({"seeds": 2, "train_only": True}, "seeds: train_only trains nothing, so it takes the seeds of the search"),
    ],
)
def test_seeds_that_cannot_be_are_refused(asked: dict[str, Any], message: str, final: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        final(tmp_path, **asked)
    assert str(error.value) == message


def test_a_failed_run_is_trained_anew_in_a_folder_of_its_own(swept: Swept, final: Make) -> None:
    folder = swept("lr=1e-3,5e-2")
    finished, _ = final(folder)
    run = Path(finished.finals[0]["trials"][0]["run"])
    (run / "run.json").write_text(json.dumps({**_json(run / "run.json"), "status": "failed"}), encoding="utf-8")
    again, commands = final(folder)
    assert len(commands) == 1
    assert again.finals[0]["trials"][0]["run"] == f"{run}-2"
    assert again.finals[0]["mean"] == finished.finals[0]["mean"]


class Broken(LocalEngine):
    """An engine that cannot start anything."""

    def start(self, job: Any) -> None:
        raise ValueError("no queue")


def test_the_folder_of_the_trials_is_made_anew_and_nothing_strange_in_its_place_is_taken(
    swept: Swept, final: Make
) -> None:
    folder = swept("lr=1e-3,5e-2")
    shutil.rmtree(folder / "trials")
    (folder / "trials").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="trials is not a folder of a sweep; move it away"):
        final(folder)
    (folder / "trials").unlink()
    finished, commands = final(folder)
    assert (finished.exit_code, len(commands)) == (0, 1)


def test_a_disk_that_fills_up_is_named_and_the_next_command_goes_on(
    swept: Swept, final: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = swept("lr=1e-3,5e-2")

    def full(path: Path, content: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr("recrun.sweep.final.trials.atomic_write", full)
        with pytest.raises(TrainingError, match=r"cannot write the sweep .*: No space left"):
            final(folder)
    finished, commands = final(folder)
    assert (finished.exit_code, len(commands)) == (0, 1)


def test_an_engine_that_fails_is_named_and_the_next_command_goes_on(swept: Swept, final: Make) -> None:
    folder = swept("lr=1e-3,5e-2")
    with pytest.raises(TrainingError, match=re.escape("the engine Broken failed in start(): ValueError: no queue")):
        run_final(folder, Wish(), lambda jobs, inherited=(): Broken(1))
    finished, commands = final(folder)
    assert (finished.exit_code, len(commands)) == (0, 1)


class BreaksLater(InThisProcess):
    """An engine that starts one job and no other."""

    def has_room(self) -> bool:
        return True

    def start(self, job: Any) -> None:
        if self.commands:
            raise ValueError("the queue is full")
        super().start(job)


def test_a_run_that_was_started_before_the_engine_failed_is_recorded_as_it_ended(swept: Swept, final: Make) -> None:
    folder = swept("lr=1e-3,5e-2", "seed=1,2")
    with pytest.raises(
        TrainingError, match=r"the engine BreaksLater failed in start\(\): ValueError: the queue is full"
    ):
        run_final(folder, Wish(), lambda jobs, inherited=(): BreaksLater(2))
    assert [trial["status"] for trial in _json(folder / "final.json")["finals"][0]["trials"]] == ["done", "pending"]
    finished, commands = final(folder)
    assert (finished.exit_code, len(commands)) == (0, 1)


def test_a_last_step_whose_sweep_another_process_took_over_ends_and_leaves_the_files_alone(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = swept("lr=1e-3,5e-2", "seed=1,2")
    lease = folder / "lease.json"
    written: list[bytes] = []
    until = time.monotonic() + 30

    class Loses(InThisProcess):
        def poll(self) -> list[Outcome]:
            if not written:
                theirs = {**_json(lease), "token": "theirs", "host": "elsewhere", "machine": "elsewhere"}
                lease.write_text(json.dumps(theirs), encoding="utf-8")
                written.append((folder / "final.json").read_bytes())
            assert time.monotonic() < until
            return []

    monkeypatch.setattr("recrun.sweep.final.run.SweepLock", partial(SweepLock, interval=0.1))
    with pytest.raises(LeaseLostError, match=r"another process took over the sweep .* on elsewhere\)"):
        run_final(folder, Wish(), lambda jobs, inherited=(): Loses(1))
    assert (folder / "final.json").read_bytes() == written[0]
    assert _json(lease)["token"] == "theirs"


class Killed(InThisProcess):
    """An engine whose jobs are killed when they have done all that they had to do."""

    def poll(self) -> list[Outcome]:
        return [Outcome(each.index, -9, each.seconds) for each in super().poll()]


@pytest.mark.parametrize("train_only", [False, True])
def test_a_run_that_is_killed_after_it_recorded_its_metrics_is_done(swept: Swept, train_only: bool) -> None:
    folder = swept("lr=1e-3,5e-2")
    finished = run_final(folder, Wish(train_only=train_only), lambda jobs, inherited=(): Killed(1))
    assert (finished.exit_code, finished.finals[0]["status"]) == (0, "done")
    assert finished.finals[0]["trials"][0]["cause"] is None


def test_a_sweep_that_is_running_is_refused(swept: Swept, final: Make) -> None:
    folder = swept("lr=1e-3,5e-2")
    lock = SweepLock(folder)
    try:
        with pytest.raises(ConfigError, match=r"already running|is run by"):
            final(folder)
    finally:
        lock.release()


@pytest.mark.parametrize("content", ["[]", "{", '{"schema": 1, "finals": 3, "earlier": []}', '{"schema": 9}'])
def test_a_damaged_record_is_refused_in_one_line(swept: Swept, final: Make, content: str) -> None:
    folder = swept("lr=1e-3,5e-2")
    (folder / "final.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"final\.json"):
        final(folder)


def test_the_last_step_is_listed_compared_and_kept_from_removal(
    swept: Swept, final: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = swept("lr=1e-3,5e-2", "seed=1,2")
    finished, _ = final(folder)
    runs = [trial["run"] for trial in finished.finals[0]["trials"]]
    assert {row["run"] for row in list_runs(tmp_path / "runs", ["train_on=train_valid"])} == set(runs)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main([*arguments, "--runs", str(tmp_path / "runs")])
        printed = capsys.readouterr()
        return int(exit.value.code or 0), printed.out + printed.err

    code, out = run("compare", str(tmp_path / "runs" / "bprmf-final"), "--json")
    assert code == 0
    assert [group["n_seeds"] for group in json.JSONDecoder().raw_decode(out)[0]["groups"]] == [2]
    code, out = run("rm", runs[0])
    assert code == 2
    assert f"the last step of the sweep {folder} names it" in out
    code, out = run("rm", str(folder), "--yes", "--json")
    assert code == 0
    assert Path(runs[0]).is_dir()


def test_intervals_are_those_of_a_table_of_students_t() -> None:
    # t of 4 degrees of freedom is 2.7764; the deviation of 1..5 is sqrt(2.5).
    found = spread([{"a": float(value), "b": None} for value in (1, 2, 3, 4, 5)])
    half = 2.7764451 * math.sqrt(2.5) / math.sqrt(5)
    assert found["mean"] == {"a": 3.0, "b": None}
    assert found["sd"] == {"a": pytest.approx(math.sqrt(2.5)), "b": None}
    assert found["interval"] == {"a": pytest.approx([3 - half, 3 + half]), "b": None}
    assert spread([{"a": 1.0}]) == {"mean": {"a": 1.0}, "sd": {"a": None}, "interval": {"a": None}}
    assert spread([]) == {"mean": {}, "sd": {}, "interval": {}}


@pytest.mark.slow
def test_a_last_step_that_is_killed_again_and_again_scores_test_once_with_the_same_digits(
    swept: Swept, final: Make, tmp_path: Path
) -> None:
    folder = swept("lr=1e-3,5e-3", "seed=1,2", "epochs=150", "eval_freq=50")
    runs = tmp_path / "runs"

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "recrun", "final", str(folder)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def children(process: subprocess.Popen[bytes]) -> list[int]:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        return [int(each) for each in found.read_text().split()] if found.exists() else []

    for _ in range(3):
        process, started = start(), time.monotonic()
        while not list((runs / "bprmf-final").glob("*/*/metrics.jsonl")) and time.monotonic() < started + 60:
            time.sleep(0.05)
        time.sleep(0.7)
        for pid in [process.pid, *children(process)]:
            os.kill(pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.3)
    assert subprocess.run([sys.executable, "-m", "recrun", "final", str(folder), "-q"], check=False).returncode == 0
    (found,) = read_final(folder)["finals"]
    evaluations = [_json(Path(trial["run"], "run.json"))["test_evaluations"] for trial in found["trials"]]
    assert [len([each for each in of_run if each["metrics"]]) for of_run in evaluations] == [1, 1]
    assert len(list((runs / "bprmf-final" / "Synthetic").iterdir())) == 2
    (runs / "bprmf-final").rename(tmp_path / "killed")
    (folder / "final.json").unlink()
    whole, _ = final(folder)
    assert whole.finals[0]["mean"] == found["mean"]
