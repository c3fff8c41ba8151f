from __future__ import annotations

import csv
import io
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from recrun.errors import ConfigError, TrainingError
from recrun.sweep.engines.local import LocalEngine, child_environment
from recrun.sweep.ledger import Ledger
from recrun.sweep.locks.lease import LeaseLostError
from recrun.sweep.locks.lock import SweepLock
from recrun.sweep.row import Row
from recrun.sweep.run import Listener, run_sweep, train_command
from recrun.sweep.view.result import trials_table

MakeLedger = Callable[..., Ledger]
LEARN = "evaluated(0, 0.1)\ndone(float(given['lr']) * 2)\n"


def sweep(ledger: Ledger, command: Any, jobs: int = 1, listener: Listener | None = None) -> int:
    with ledger:
        engine = LocalEngine(jobs)
        return run_sweep(ledger, engine, jobs, listener=listener, command=command)


def written(ledger: Ledger) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ledger.folder / "sweep.json").read_text())
    return document


def statuses(ledger: Ledger) -> list[str]:
    return [trial["status"] for trial in written(ledger)["trials"]]


class Recorder(Listener):
    """Keeps how many trials ran at once, and calls back once a number of trials have started and said so."""

    def __init__(self, when_ready: int = 0, then: Callable[[], None] = lambda: None) -> None:
        self.now = self.most = 0
        self.runs: list[Path] = []
        self._when_ready, self._then = when_ready, then

    def started(self, row: Row) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.runs.append(row.run.path)

    def ended(self, row: Row) -> None:
        self.now -= 1

    def tick(self) -> None:
        if self._when_ready and sum((run / "ready").exists() for run in self.runs) >= self._when_ready:
            self._when_ready = 0
            self._then()


def test_trials_run_in_grid_order_and_the_ledger_says_what_came_out(ledger: MakeLedger, program: Any) -> None:
    ours, command = ledger("lr=1e-3,1e-2,1e-4", "epochs=2"), program(LEARN)
    assert sweep(ours, command) == 0
    assert command.started == [0, 1, 2]
    document = written(ours)
    assert document["sweep"] == str(ours.folder)
    assert document["status"] == "done"
    assert (document["which4best"], document["best"]) == ("recall@20", 1)
    first = document["trials"][0]
    assert first["overrides"] == {"which4best": "recall@20", "lr": 0.001, "epochs": 2}
    assert (first["status"], first["valid"], first["cause"]) == ("done", {"recall@20": 0.002}, None)
    assert Path(first["run"]).name == ours.rows[0].trial.id
    assert [row.trial.index for row in ours.ranked()] == [1, 0, 2]
    with (ours.folder / "sweep.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["trial"], row["lr"], row["recall@20"]) for row in table] == [
        ("0", "0.001", "0.002"),
        ("1", "0.01", "0.02"),
        ("2", "0.0001", "0.0002"),
    ]


def test_results_and_run_names_do_not_depend_on_how_many_run_at_once(
    ledger: MakeLedger, program: Any, tmp_path: Path
) -> None:
    # The first trial takes longest, so that trials end in another order than they start.
    body = "time.sleep(0.3 if given['lr'] == '1e-3' else 0)\n" + LEARN
    documents = []
    for jobs in (1, 3):
        ours, recorder = ledger("lr=1e-3,1e-2,1e-4"), Recorder()
        assert sweep(ours, program(body), jobs, recorder) == 0
        assert recorder.most == jobs
        documents.append(written(ours))
        for trial in documents[-1]["trials"]:
            del trial["seconds"]
        (tmp_path / "runs").rename(tmp_path / f"runs{jobs}")
    assert documents[0] == documents[1]


def test_a_trial_that_dies_is_a_row_with_its_cause_and_does_not_stop_the_others(
    ledger: MakeLedger, program: Any
) -> None:
    body = """
seed = int(given["epochs"])
print("something on stdout", flush=True)
if seed == 1: raise ValueError("the loss is not finite")
if seed == 2: os.kill(os.getpid(), signal.SIGKILL)
if seed == 3:
    print("\\x1b[31merror: there is no data in data/gowalla\\x1b[0m\\na hint below it", file=sys.stderr)
    sys.exit(2)
if seed == 4: sys.exit(1)
if seed == 5: sys.exit(0)
if seed == 6: sys.exit(130)
if seed == 7: done(None)
if seed == 8: done(0.5)
"""
    ours = ledger("epochs=1,2,3,4,5,6,7,8")
    assert sweep(ours, program(body), jobs=2) == 3
    trials = written(ours)["trials"]
    assert [trial["status"] for trial in trials] == [*["failed"] * 5, "interrupted", "failed", "done"]
    assert [trial["exit_code"] for trial in trials] == [1, -9, 2, 1, 0, 130, 0, 0]
    causes = [trial["cause"] for trial in trials]
    assert causes[0] == "ValueError: the loss is not finite (exit code 1)"
    assert causes[1] == "killed by SIGKILL (out of memory?)"
    assert causes[2] == "there is no data in data/gowalla (exit code 2)"
    assert causes[3] == "no error was printed (exit code 1)"
    assert causes[4].startswith("ended without a result in ")
    assert causes[5] == "stopped before its first checkpoint"
    assert causes[6].startswith("no value of recall@20 on validation in ")
    assert causes[7] is None
    assert written(ours)["best"] == 7


def test_issuing_a_sweep_again_skips_what_is_done_and_repeats_the_rest_in_new_run_folders(
    ledger: MakeLedger, program: Any
) -> None:
    failing = program("sys.exit('error: no') if given['lr'] == '1e-2' else done(0.1)")
    ours = ledger("lr=1e-3,1e-2,1e-4")
    assert sweep(ours, failing) == 3
    first = written(ours)["trials"]

    again, mended = ledger("lr=1e-3,1e-2,1e-4"), program(LEARN)
    assert sweep(again, mended) == 0
    assert mended.started == [1]
    second = written(again)["trials"]
    assert [trial["valid"] for trial in second] == [{"recall@20": 0.1}, {"recall@20": 0.02}, {"recall@20": 0.1}]
    assert second[1]["run"] == first[1]["run"] + "-2"
    assert Path(first[1]["run"]).is_dir()
    assert [row.was_done for row in again.rows] == [True, False, True]
    assert second[0]["seconds"] == 0.5
    log = again.log_path(again.rows[1]).read_text()
    assert log.count("\n$ ") + log.startswith("$ ") == 2

    nothing_left = program(LEARN)
    assert sweep(ledger("lr=1e-3,1e-2,1e-4"), nothing_left) == 0
    assert nothing_left.started == []


def test_a_sweep_repeated_with_another_setting_that_changes_no_result_trains_nothing_anew(
    ledger: MakeLedger, program: Any
) -> None:
    first = ledger("lr=1e-3,1e-2", "threads=1")
    assert sweep(first, program(LEARN)) == 0
    for free in ("threads=2", "device=cpu", "eval_memory=64", "root=elsewhere", "checkpoint_minutes=1"):
        again, command = ledger("lr=1e-3,1e-2", free), program(LEARN)
        assert sweep(again, command) == 0
        assert (again.folder, command.started) == (first.folder, [])


def test_the_trials_of_an_axis_that_changes_no_result_are_not_taken_for_each_other(
    ledger: MakeLedger, program: Any
) -> None:
    command = program("done(0.1)")
    assert sweep(ledger("threads=1,2"), command) == 0
    assert sweep(ledger("threads=2,1"), command) == 0
    assert command.started == [0, 1, 0, 1]


def test_a_damaged_ledger_or_one_from_a_killed_sweep_loses_nothing(ledger: MakeLedger, program: Any) -> None:
    ours = ledger("lr=1e-3,1e-2")
    assert sweep(ours, program(LEARN)) == 0
    (ours.folder / "sweep.json").write_text('{"trials": [{"status": "runn')
    command = program(LEARN)
    assert sweep(ledger("lr=1e-3,1e-2"), command) == 0
    assert command.started == []
    assert statuses(ours) == ["done", "done"]


def test_a_run_of_the_same_name_with_another_config_is_not_taken_for_the_trials(
    ledger: MakeLedger, program: Any
) -> None:
    ours = ledger("lr=1e-3,1e-2")
    assert sweep(ours, program(LEARN)) == 0
    config = ours.rows[0].run.config_file
    config.write_text(config.read_text().replace("root: data", f"root: {Path('data').resolve()}"))
    assert sweep(ledger("lr=1e-3,1e-2"), command := program(LEARN)) == 0
    assert command.started == []  # a run writes its paths in full
    config.write_text(config.read_text().replace("epochs: 100", "epochs: 99"))
    command = program(LEARN)
    assert sweep(ledger("lr=1e-3,1e-2"), command) == 0
    assert command.started == [0]


def test_the_cause_is_read_from_the_last_attempt_only(ledger: MakeLedger, program: Any) -> None:
    ours = ledger("lr=1e-3,1e-2")
    sweep(ours, program("sys.exit('error: the first time')"))
    sweep(ours := ledger("lr=1e-3,1e-2"), program("sys.exit(1)"))
    assert written(ours)["trials"][0]["cause"] == "no error was printed (exit code 1)"


def test_values_with_spaces_commas_and_quotes_reach_the_trial_as_they_were_given(
    ledger: MakeLedger, program: Any
) -> None:
    body = "done(0.1); (run / 'given.json').write_text(json.dumps(given))"
    ours = ledger("root='a b, \"c\"',it's $HOME; `x` && *", "monitors=[recall@20, ndcg@20]")
    assert sweep(ours, program(body)) == 0
    found = [json.loads((row.run.path / "given.json").read_text()) for row in ours.rows]
    assert [values["root"] for values in found] == ["'a b, \"c\"'", "it's $HOME; `x` && *"]
    assert [row.trial.overrides["root"] for row in ours.rows] == ['a b, "c"', "it's $HOME; `x` && *"]
    assert found[0]["monitors"] == "[recall@20, ndcg@20]"


SAVES_WHEN_ASKED = """
def save(*_):
    checkpoint = run / "checkpoints" / "last" / "checkpoint.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, save)
(run / "ready").touch()
time.sleep(30)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_running_trials_save_and_starts_no_other(
    ledger: MakeLedger, program: Any, number: signal.Signals
) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    ours, command = ledger("seed=1,2,3"), program(SAVES_WHEN_ASKED)
    assert sweep(ours, command, 2, Recorder(2, lambda: os.kill(os.getpid(), number))) == 130
    assert command.started == [0, 1]
    document = written(ours)
    assert document["status"] == "interrupted"
    assert [trial["cause"] for trial in document["trials"]] == [*["stopped; its state was saved"] * 2, "not started"]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers

    assert sweep(ledger("seed=1,2,3"), again := program("done(0.1)")) == 0
    assert again.started == [0, 1, 2]


def test_the_second_signal_kills_trials_that_do_not_end(ledger: MakeLedger, program: Any) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n(run / 'ready').touch()\ntime.sleep(30)"
    ours = ledger("seed=1,2")

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        recorder.stopping = lambda at_once: at_once or os.kill(os.getpid(), signal.SIGINT)  # type: ignore[method-assign]

    recorder = Recorder(1, twice)
    begun = time.monotonic()
    assert sweep(ours, program(body), 1, recorder) == 130
    assert time.monotonic() - begun < 10
    assert written(ours)["trials"][0]["cause"] == "killed by SIGKILL while stopping"


def test_a_trial_that_ends_well_after_the_signal_is_done(ledger: MakeLedger, program: Any) -> None:
    body = "signal.signal(signal.SIGTERM, lambda *_: (done(0.3), sys.exit(0)))\n(run / 'ready').touch()\ntime.sleep(30)"
    ours = ledger("seed=1,2")
    assert sweep(ours, program(body), 2, Recorder(2, lambda: os.kill(os.getpid(), signal.SIGTERM))) == 0
    assert statuses(ours) == ["done", "done"]


def test_a_command_that_cannot_be_started_is_a_failed_trial(ledger: MakeLedger) -> None:
    ours = ledger("seed=1,2")
    assert sweep(ours, lambda ledger, row: ["/no/such/program"]) == 3
    assert written(ours)["trials"][0]["cause"].startswith("cannot be started: ")


def test_the_same_sweep_is_refused_while_it_runs(ledger: MakeLedger) -> None:
    with ledger("lr=1e-3,1e-2"):
        with pytest.raises(ConfigError, match=f"already running \\(process {os.getpid()}\\)"):
            ledger("lr=1e-3,1e-2").__enter__()
        with ledger("lr=1e-3,1e-5"):
            pass
    with ledger("lr=1e-3,1e-2"):
        pass


def test_the_trials_of_a_killed_sweep_that_still_run_are_taken_over(ledger: MakeLedger, program: Any) -> None:
    ours = ledger("lr=1e-3,1e-2")
    go_on = ours.runs / "go on"
    body = f"(run / 'ready').touch()\nwhile not Path({str(go_on)!r}).exists(): time.sleep(0.02)\ndone(0.1)"

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    class Deaf(LocalEngine):
        def stop(self) -> None:
            """A killed process sends nothing to its children."""

    ours.__enter__()
    engine = Deaf(1)
    with pytest.raises(Killed):
        run_sweep(ours, engine, 1, listener=Recorder(1, die), command=program(body))
    ours.__exit__()
    command = program(LEARN)
    recorder = Recorder(1, go_on.touch)
    again = ledger("lr=1e-3,1e-2")
    assert sweep(again, command, listener=recorder) == 0
    assert command.started == [1]
    assert [trial["valid"] for trial in written(again)["trials"]] == [{"recall@20": 0.1}, {"recall@20": 0.02}]
    assert engine.poll()[0].exit_code == 0


def test_a_failure_of_the_sweep_itself_lets_its_trials_save_and_end(ledger: MakeLedger, program: Any) -> None:
    def fail() -> None:
        raise ValueError("the view failed")

    ours = ledger("seed=1,2,3")
    with pytest.raises(ValueError, match="the view failed"):
        sweep(ours, program(SAVES_WHEN_ASKED), 2, Recorder(2, fail))
    document = written(ours)
    assert [trial["status"] for trial in document["trials"]] == ["interrupted", "interrupted", "pending"]
    assert [trial["cause"] for trial in document["trials"]] == [*["stopped; its state was saved"] * 2, None]


@pytest.fixture
def full_disk() -> Iterator[Callable[[], None]]:
    """Let no file be written from the call on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_gets_full_midway_ends_the_sweep_in_one_line_and_loses_no_trial(
    ledger: MakeLedger, program: Any, full_disk: Callable[[], None]
) -> None:
    go_on = ledger("seed=1,2").runs / "go on"
    body = f"(run / 'ready').touch()\nwhile not Path({str(go_on)!r}).exists(): time.sleep(0.02)\ndone(0.1)"
    ours = ledger("seed=1,2")

    def fill() -> None:
        go_on.touch()
        full_disk()

    with pytest.raises(TrainingError, match=r"^cannot write the sweep .*: File too large; the command continues it"):
        sweep(ours, program(body), 1, Recorder(1, fill))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    assert not list(ours.folder.rglob("*.tmp"))
    assert sweep(ledger("seed=1,2"), again := program("done(0.1)")) == 0
    assert again.started in ([1], [0, 1])  # the first may have been stopped before it was done
    assert statuses(ours) == ["done", "done"]


def test_a_sweep_that_cannot_be_written_is_refused_before_anything_starts(
    ledger: MakeLedger, program: Any, full_disk: Callable[[], None]
) -> None:
    ours, command = ledger("seed=1,2"), program(LEARN)
    ours.runs.parent.mkdir(exist_ok=True)
    ours.runs.write_text("a file")
    with pytest.raises(ConfigError, match=f"^cannot write the sweep {ours.folder}: Not a directory"):
        sweep(ours, command)
    ours.runs.unlink()
    full_disk()
    with pytest.raises(ConfigError, match=f"^cannot lock the sweep {ours.folder}: File too large$"):
        sweep(ours, command)
    assert command.started == []


KINDS: dict[str, Callable[[Path, Path], object]] = {
    "fifo": lambda path, victim: os.mkfifo(path),
    "folder": lambda path, victim: path.mkdir(),
    "link": lambda path, victim: path.symlink_to(victim),
    "link to nothing": lambda path, victim: path.symlink_to(victim.with_name("new")),
    "link to a device": lambda path, victim: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", ["sweep.json", "sweep.csv", "lock", "trials/0.yaml", "trials/1.log"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_in_a_sweeps_folder_is_refused_and_nothing_outside_is_written(
    ledger: MakeLedger, program: Any, tmp_path: Path, name: str, kind: str
) -> None:
    ours, command, victim = ledger("seed=1,2"), program(LEARN), tmp_path / "victim"
    victim.write_text("mine")
    (ours.folder / name).parent.mkdir(parents=True)
    KINDS[kind](ours.folder / name, victim)
    with pytest.raises(ConfigError) as refused:
        sweep(ours, command)
    assert str(refused.value) == f"{ours.folder / name} is not a regular file; move it away"
    assert (victim.read_text(), victim.with_name("new").exists(), command.started) == ("mine", False, [])


@pytest.mark.parametrize("name", ["lock", "trials/0.log"])
def test_a_file_elsewhere_that_a_sweep_has_by_a_hard_link_is_not_written(
    ledger: MakeLedger, program: Any, tmp_path: Path, name: str
) -> None:
    ours, command, victim = ledger("lr=0.1,0.2"), program(LEARN), tmp_path / "victim"
    victim.write_text("mine")
    (ours.folder / name).parent.mkdir(parents=True)
    (ours.folder / name).hardlink_to(victim)
    if name == "lock":
        with pytest.raises(
            ConfigError, match=r"cannot lock the sweep .*: it has another name elsewhere, by a hard link"
        ):
            sweep(ours, command)
    else:
        sweep(ours, command)
        assert [row.status for row in ours.rows] == ["failed", "done"]
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["", "trials"])
def test_a_link_in_place_of_a_sweeps_folder_is_refused(
    ledger: MakeLedger, program: Any, tmp_path: Path, name: str
) -> None:
    ours, elsewhere = ledger("seed=1,2"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (ours.folder / name).parent.mkdir(parents=True)
    (ours.folder / name).symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="is not a folder of a sweep; move it away"):
        sweep(ours, program(LEARN))
    assert list(elsewhere.iterdir()) == []


def test_large_files_of_a_sweep_are_not_read(ledger: MakeLedger, program: Any) -> None:
    ours = ledger("seed=1,2")
    (ours.folder / "trials").mkdir(parents=True)
    for name in ("sweep.json", "sweep.csv", "lock", "trials/0.yaml", "trials/0.log"):
        (ours.folder / name).touch()
        os.truncate(ours.folder / name, 10 << 30)
    assert sweep(ours, program("sys.exit('error: no') if given['seed'] == '1' else done(0.1)")) == 3
    assert [trial["cause"] for trial in written(ours)["trials"]] == ["no (exit code 1)", None]


def test_the_cause_of_a_trial_that_says_nothing_is_not_the_last_line_of_its_log(
    ledger: MakeLedger, program: Any
) -> None:
    body = """
print("config: somewhere/0.yaml", flush=True)
seed = int(given["seed"])
if seed == 1: os._exit(77)
if seed == 2:
    class Boom(Exception): pass
    raise Boom("it went off")
if seed == 3: sys.exit("error: recall@20 is undefined on test: no; leave it out, or set eval_test=false")
"""
    ours = ledger("seed=1,2,3")
    assert sweep(ours, program(body)) == 3
    assert [trial["cause"] for trial in written(ours)["trials"]] == [
        "no error was printed (exit code 77)",
        "Boom: it went off (exit code 1)",
        "recall@20 is undefined on test: no; leave it out, or set eval_test: false in the config (exit code 1)",
    ]


def test_a_trial_killed_between_its_numbers_and_its_end_is_continued_in_its_folder(
    ledger: MakeLedger, program: Any
) -> None:
    killed = 'done(0.1)\n(run / \'run.json\').write_text(\'{"schema_version": 1, "status": "running"}\')\n'
    ours = ledger("lr=1e-3,1e-2")
    assert sweep(ours, program(killed + "os.kill(os.getpid(), signal.SIGKILL)")) == 3
    again = ledger("lr=1e-3,1e-2")
    with again:
        assert [(row.status, row.continues, row.run_id) for row in again.rows] == [
            ("pending", True, row.trial.id) for row in again.rows
        ]
        assert "resume=true" in train_command(again, again.rows[0])
    other = again.rows[0].run.config_file
    other.write_text(other.read_text().replace("epochs: 100", "epochs: 99"))
    with ledger("lr=1e-3,1e-2") as third:
        assert [(row.continues, row.run_id) for row in third.rows] == [
            (False, f"{third.rows[0].trial.id}-2"),
            (True, third.rows[1].trial.id),
        ]


def test_a_finished_attempt_is_found_though_earlier_ones_were_removed(ledger: MakeLedger, program: Any) -> None:
    ours = ledger("lr=1e-3,1e-2")
    assert sweep(ours, program(LEARN)) == 0
    for row, number in zip(ours.rows, (2, 11), strict=True):
        row.run.path.rename(row.run.path.with_name(f"{row.trial.id}-{number}"))
    again, command = ledger("lr=1e-3,1e-2"), program(LEARN)
    assert sweep(again, command) == 0
    assert command.started == []
    assert [row.run_id for row in again.rows] == [f"{again.rows[0].trial.id}-2", f"{again.rows[1].trial.id}-11"]


def test_a_large_sweep_is_saved_less_often_than_it_changes_but_always_at_its_end(
    ledger: MakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_saved = 0
    with ledger("seed=1..30") as ours:
        save = ours.save
        ours._next_save = time.monotonic() + 1000

        def count() -> None:
            nonlocal n_saved
            n_saved += 1
            save()

        monkeypatch.setattr(ours, "save", count)
        assert run_sweep(ours, LocalEngine(1), 1, command=lambda ledger, row: ["/no/such/program"]) == 3
    assert n_saved == 1
    assert statuses(ours) == ["failed"] * 30


def test_threads_are_shared_out_unless_the_config_sets_them(
    ledger: MakeLedger, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    body = "(run / 'omp').write_text(os.environ.get('OMP_NUM_THREADS', 'unset')); done(0.1)"
    found = []
    for epochs, (jobs, threads) in enumerate(((2, "null"), (3, "null"), (20, "null"), (2, "5"), (2, "auto"))):
        ours = ledger("seed=1,2", f"threads={threads}", f"epochs={epochs}")
        assert sweep(ours, program(body), jobs) == 0
        found.append((ours.rows[0].run.path / "omp").read_text())
    assert found == ["4", "2", "1", "unset", "4"]


def test_a_lower_limit_of_threads_that_the_user_set_is_kept() -> None:
    assert child_environment(4, {"OMP_NUM_THREADS": "2"})["OMP_NUM_THREADS"] == "2"
    assert child_environment(4, {"OMP_NUM_THREADS": "16"})["OMP_NUM_THREADS"] == "4"
    assert child_environment(4, {"OMP_NUM_THREADS": "4,2"})["OMP_NUM_THREADS"] == "4"


def test_a_trial_is_a_train_command_on_a_copy_of_its_config_without_test(ledger: MakeLedger) -> None:
    with ledger("lr=1e-3,1e-2", "description='a b'") as ours:
        ours.begin(ours.rows[1])
        command = train_command(ours, ours.rows[1])
        copy = ours.folder / "trials" / "1.yaml"
        assert command == [
            *[sys.executable, "-m", "recrun", "train", str(copy)],
            *["which4best=recall@20", "lr=1e-2", "description='a b'", "eval_test=false", f"id={ours.rows[1].trial.id}"],
            *["--no-plots", "--runs", str(ours.runs), "--json", "--keep-latest"],
        ]
        text = copy.read_text()
    assert "lr: 0.01\n" in text
    assert "eval_test: false\n" in text


def test_a_sweep_that_asks_for_plots_gets_them(ledger: MakeLedger) -> None:
    with ledger("lr=1e-3,1e-2", "plots=true") as ours:
        ours.begin(ours.rows[0])
        command = train_command(ours, ours.rows[0])
    assert "plots=true" in command
    assert "--no-plots" not in command


def test_an_undefined_metric_is_null_unless_it_chooses(ledger: MakeLedger, program: Any) -> None:
    body = """
seed = int(given["epochs"])
if seed == 1: done(0.5, **{"ndcg@20": None})
if seed == 2: done(0.4, **{"ndcg@20": 0.25})
if seed == 3:
    done(None)
    result = json.loads((run / "metrics.json").read_text())
    result["undefined"] = {"valid": {"recall@20": "no user has relevant items"}}
    (run / "metrics.json").write_text(json.dumps(result))
if seed == 4: done(float("nan"))
if seed == 5: done(float("inf"))
"""
    ours = ledger("epochs=1,2,3,4,5")
    assert sweep(ours, program(body)) == 3
    trials = written(ours)["trials"]
    assert [trial["status"] for trial in trials] == ["done", "done", "failed", "failed", "failed"]
    assert [trial["valid"] for trial in trials[:2]] == [
        {"recall@20": 0.5, "ndcg@20": None},
        {"recall@20": 0.4, "ndcg@20": 0.25},
    ]
    assert trials[2]["cause"] == "recall@20 is undefined on valid: no user has relevant items"
    assert all("ended without a result in " in trial["cause"] for trial in trials[3:])
    assert written(ours)["best"] == 0
    header, first, *_ = (ours.folder / "sweep.csv").read_text(encoding="utf-8").splitlines()
    assert first.split(",")[header.split(",").index("ndcg@20")] == ""
    text = io.StringIO()
    Console(file=text, width=150).print(trials_table(ours))
    (row,) = [line.split() for line in text.getvalue().splitlines() if line.split()[1:3] == ["0", "1"]]
    assert row[3:6] == ["done", "0.5000", "-"]


def test_a_trial_that_is_killed_after_it_recorded_that_it_is_done_is_done(ledger: MakeLedger, program: Any) -> None:
    ours, command = ledger("lr=1e-3,1e-2"), program(LEARN + "os.kill(os.getpid(), signal.SIGKILL)")
    assert sweep(ours, command) == 0
    assert statuses(ours) == ["done", "done"]


def test_a_sweep_that_another_process_took_over_ends_and_leaves_its_trials_and_files_alone(
    ledger: MakeLedger, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = ledger("seed=1,2")
    lease = ours.folder / "lease.json"

    def lose() -> None:
        theirs = {**json.loads(lease.read_text()), "token": "theirs", "host": "elsewhere", "machine": "elsewhere"}
        lease.write_text(json.dumps(theirs))

    monkeypatch.setattr("recrun.sweep.ledger.SweepLock", partial(SweepLock, interval=0.1))
    engine, command = LocalEngine(1), program("(run / 'ready').touch()\ntime.sleep(1.5)\ndone(0.1)")
    with ours, pytest.raises(LeaseLostError, match=r"another process took over the sweep .* on elsewhere\)"):
        run_sweep(ours, engine, 1, listener=Recorder(1, lose), command=command)
    assert statuses(ours)[1] == "pending"
    assert json.loads(lease.read_text())["token"] == "theirs"
    until = time.monotonic() + 10
    while not (ended := engine.poll()):  # it goes on to its end
        assert time.monotonic() < until
        time.sleep(0.05)
    assert ended[0].exit_code == 0


def limited(ledger: MakeLedger, *arguments: str, **limits: Any) -> Ledger:
    return ledger("lr=1e-3,1e-2,1e-4", *arguments, **limits)


def test_a_trial_that_fails_is_tried_again_in_a_new_folder_as_often_as_is_asked(
    ledger: MakeLedger, program: Any
) -> None:
    command = program("sys.exit('error: no') if given['lr'] == '1e-2' and run.name.count('-') < 3 else done(0.1)")
    ours = limited(ledger, retries=2)
    assert sweep(ours, command) == 3
    assert command.started == [0, 1, 1, 1, 2]
    assert [path.name for path in sorted(ours.rows[1].run.path.parent.glob(f"{ours.rows[1].trial.id}*"))] == [
        ours.rows[1].trial.id + end for end in ("", "-2", "-3")
    ]
    command = program("sys.exit('error: no') if given['lr'] == '1e-2' and not run.name.endswith('-4') else done(0.1)")
    assert sweep(limited(ledger), command) == 0
    assert command.started == [1]


def test_a_wrong_config_or_data_is_not_tried_again(ledger: MakeLedger, program: Any) -> None:
    command = program("sys.exit(2)")
    assert sweep(limited(ledger, retries=5), command) == 3
    assert command.started == [0, 1, 2]


def test_a_trial_that_takes_too_long_is_stopped_and_is_not_tried_again(ledger: MakeLedger, program: Any) -> None:
    body = f"if given['lr'] != '1e-2': done(0.1); sys.exit()\n{SAVES_WHEN_ASKED}"
    ours, command = limited(ledger, timeout=1.0, retries=2), program(body)
    assert sweep(ours, command) == 3
    assert command.started == [0, 1, 2]
    assert [trial["status"] for trial in written(ours)["trials"]] == ["done", "failed", "done"]
    assert written(ours)["trials"][1]["cause"] == "ran longer than 1 s"


def test_a_trial_that_does_not_save_in_time_is_killed(
    ledger: MakeLedger, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recrun.sweep.time_limits.SECONDS_TO_SAVE", 0.2)
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)"
    begun = time.monotonic()
    ours = ledger("seed=1,2", timeout=0.5)
    assert sweep(ours, program(body), 2) == 3
    assert time.monotonic() - begun < 20
    assert {trial["cause"] for trial in written(ours)["trials"]} == {"ran longer than 0.5 s"}


def test_a_trial_that_ends_well_while_it_is_stopped_is_done(ledger: MakeLedger, program: Any) -> None:
    body = "signal.signal(signal.SIGTERM, lambda *_: (done(0.3), sys.exit(0)))\ntime.sleep(30)"
    ours = ledger("seed=1,2", timeout=0.5)
    assert sweep(ours, program(body), 2) == 0


def test_when_the_time_is_up_trials_save_and_the_command_goes_on_later(ledger: MakeLedger, program: Any) -> None:
    ours, command = limited(ledger, max_hours=1 / 3600), program(SAVES_WHEN_ASKED)
    assert sweep(ours, command) == 0
    assert command.started == [0]
    assert statuses(ours) == ["interrupted", "pending", "pending"]
    assert sweep(limited(ledger, max_hours=1), again := program(LEARN)) == 0
    assert again.started == [0, 1, 2]


def test_the_first_failure_ends_the_sweep_if_that_is_asked_for(ledger: MakeLedger, program: Any) -> None:
    command = program("sys.exit('error: no') if given['lr'] == '1e-2' else done(0.1)")
    ours = limited(ledger, fail_fast=True)
    assert sweep(ours, command) == 3
    assert command.started == [0, 1]
    assert statuses(ours) == ["done", "failed", "pending"]


def test_an_interrupted_trial_continues_in_its_folder_and_a_failed_one_begins_anew(
    ledger: MakeLedger, learner: Any
) -> None:
    body = """
if epoch == 3 and given["lr"] == "1e-2" and not options["continues"]: os.kill(os.getpid(), signal.SIGKILL)
if epoch == 3 and given["lr"] == "1e-3" and run.name.count("-") < 2: record("failed"); sys.exit("error: no")
"""
    ours = limited(ledger, "epochs=5")
    assert sweep(ours, learner(body)) == 3
    assert statuses(ours) == ["failed", "failed", "done"]
    again = limited(ledger, "epochs=5")
    assert sweep(again, command := learner(body)) == 0
    assert command.started == [0, 1]
    assert [row.run_id.removeprefix(row.trial.id) for row in again.rows] == ["-2", "", ""]
    killed = [json.loads(line)["epoch"] for line in again.rows[1].run.metrics_lines_file.read_text().splitlines()]
    assert killed == [1, 2, 3, 4, 5]


def test_a_killed_trial_goes_on_from_its_checkpoint_when_it_is_tried_again(ledger: MakeLedger, learner: Any) -> None:
    body = "if epoch == 3 and not options['continues']: os.kill(os.getpid(), signal.SIGKILL)"
    ours = limited(ledger, "epochs=5", retries=1)
    assert sweep(ours, command := learner(body)) == 0
    assert command.started == [0, 0, 1, 1, 2, 2]
    assert all(row.run_id == row.trial.id for row in ours.rows)
