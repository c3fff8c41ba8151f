"""Run trials as jobs of a Slurm cluster: the engine `slurm`."""

from __future__ import annotations

import secrets
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.files import open_to_append
from recrun.registry import ENGINES
from recrun.sweep.engines import slurm_commands as commands
from recrun.sweep.engines.engine import Engine, Job, Outcome
from recrun.sweep.engines.exit_file import (
    Ended,
    Submitted,
    exit_file,
    read_ended,
    read_submitted,
    write_submitted,
)
from recrun.sweep.engines.local import child_environment
from recrun.types import NonNegativeInt, PositiveFloat, PositiveInt

_HELPER: Final = Path(__file__).with_name("batch_job.py")
_LONGEST_SIGNAL_DELAY: Final = 90
_SECONDS_PER_FILE: Final = 0.02
"""Seconds between two looks at the files of jobs, for each job: many looks would burden the disk that nodes share."""
_PATIENCE: Final = 10.0
"""Seconds that the file of an ended job may take to be seen here."""
_MISSING_PATIENCE: Final = 60.0
"""Seconds in which Slurm may not know a new job yet, or may have forgotten one that ended."""


@dataclass
class _Job:
    """A job that waits or runs."""

    job: Job
    submitted: Submitted
    started: float
    id: str | None = None
    state: str = "PENDING"
    is_adopted: bool = False
    asked: str = ""
    ended_since: float | None = None


@ENGINES.register("slurm")
class SlurmEngine(Engine):
    """Run trials as jobs of a Slurm cluster, submitted through submitit.

    The folder of runs, and this installation of recrun, must be on a disk that all nodes see under the same path. A job
    goes on if the sweep is killed, and the next one takes it over. Before its time limit it is asked to save.

    Args:
        jobs: how many are submitted at once.
        inherited: not used.
        partition: the partition; None for the cluster's default.
        timeout_min: minutes after which Slurm ends a trial.
        cpus_per_task: cores of a trial, which are also its threads.
        gpus_per_node: GPUs of a trial; None asks for none.
        mem_gb: memory of a trial in GB; None for the cluster's default.
        poll_seconds: seconds between two questions to Slurm about the jobs.
        slurm_account: the account that is charged.
        slurm_qos: the quality of service.
        slurm_constraint: features that nodes must have.
        slurm_gres: generic resources.
        slurm_exclude: nodes that are not used.
        slurm_nodelist: nodes that are used.
        slurm_setup: shell commands that are run first in each job.
        slurm_additional_parameters: any other option of `sbatch`, by its name.

    Raises:
        ConfigError: submitit or Slurm is not installed, or Slurm would not accept a trial.
    """

    def __init__(
        self,
        jobs: int,
        inherited: Sequence[int] = (),
        *,
        partition: str | None = None,
        timeout_min: PositiveInt = 60,
        cpus_per_task: PositiveInt = 1,
        gpus_per_node: NonNegativeInt | None = None,
        mem_gb: PositiveFloat | None = None,
        poll_seconds: PositiveFloat = 3.0,
        slurm_account: str | None = None,
        slurm_qos: str | None = None,
        slurm_constraint: str | None = None,
        slurm_gres: str | None = None,
        slurm_exclude: str | None = None,
        slurm_nodelist: str | None = None,
        slurm_setup: list[str] | None = None,
        slurm_additional_parameters: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(jobs, inherited)
        asked = {
            "partition": partition,
            "time": timeout_min,
            "cpus_per_task": cpus_per_task,
            "gpus_per_node": gpus_per_node,
            "mem": None if mem_gb is None else f"{round(mem_gb * 1024)}MB",
            "account": slurm_account,
            "qos": slurm_qos,
            "constraint": slurm_constraint,
            "gres": slurm_gres,
            "exclude": slurm_exclude,
            "nodelist": slurm_nodelist,
            "setup": slurm_setup,
        }
        # The trial is warned by SIGTERM, not by submitit's SIGUSR2, and early enough to save. Slurm does not run it a
        # second time by itself: how it goes on is for the sweep to decide.
        delay = min(_LONGEST_SIGNAL_DELAY, timeout_min * 60 // 6)
        own = {"signal": f"B:TERM@{delay}", "no-requeue": True, **(slurm_additional_parameters or {})}
        given = {key: value for key, value in asked.items() if value is not None}
        self._threads, self._poll_seconds = cpus_per_task, poll_seconds
        self._submitter = commands.Submitter(
            {**given, "use_srun": False, "stderr_to_stdout": True, "additional_parameters": own}
        )
        self._submitter.check()
        self._running: dict[int, _Job] = {}
        self._not_started: list[Outcome] = []
        self._query: commands.Query | None = None
        self._next_query = self._next_look = 0.0

    def has_room(self) -> bool:
        """Return whether fewer than `jobs` jobs wait or run."""
        return len(self._running) < self.jobs

    def start(self, job: Job) -> None:
        """Submit a job; the command and then its output are appended to the job's log."""
        name = f"recrun-{job.index}-{secrets.token_hex(6)}"
        try:
            with open_to_append(job.log) as log:
                submitted = Submitted(name, job.write_command(log))
            # A parent that is killed right here leaves a name, by which the job is found if there is one.
            write_submitted(job.log, submitted)
            id = self._submitter.submit(self._shell_command(job, name), name, job.log)
        except OSError as error:
            self._not_started.append(Outcome(job.index, None, 0.0, error=str(error.strerror or error)))
        else:
            self._running[job.index] = _Job(job, submitted, time.monotonic(), id)

    def _shell_command(self, job: Job, name: str) -> str:
        variables = child_environment(None if job.threads is None else self._threads, {}) | dict(job.environment)
        pairs = [f"{key}={value}" for key, value in variables.items()]
        helper = [sys.executable, "-S", "-E", str(_HELPER), str(exit_file(job.log).absolute()), name]
        # The shell is replaced, so that Slurm's signals to the batch step reach the helper.
        return "exec " + shlex.join(["env", *pairs, *helper, *job.command])

    def adopt(self, job: Job) -> bool:
        """Take over the job that was last submitted for a trial, if it still waits or runs.

        Raises:
            ConfigError: Slurm cannot say whether it does.
        """
        submitted = read_submitted(job.log)
        if submitted is None or read_ended(job.log, submitted.name) is not None:
            return False
        for found in commands.ask([submitted.name]):
            if found.name == submitted.name and found.state not in commands.ENDED:
                adopted = _Job(job, submitted, time.monotonic(), found.id, found.state, is_adopted=True)
                self._running[job.index] = adopted
                return True
        return False

    def poll(self) -> list[Outcome]:
        """Return the jobs that ended since the last call."""
        outcomes, self._not_started = self._not_started, []
        self._update_states()
        if time.monotonic() < self._next_look:
            return outcomes
        self._next_look = time.monotonic() + _SECONDS_PER_FILE * len(self._running)
        for each in list(self._running.values()):
            if (outcome := self._outcome(each)) is not None:
                del self._running[each.job.index]
                outcomes.append(outcome)
        return outcomes

    def _update_states(self) -> None:
        """Take in what Slurm says of the jobs, without waiting for it."""
        now = time.monotonic()
        if self._query is not None and self._query.is_answered():
            answer, self._query = self._query.answer(), None
            self._next_query = now + self._poll_seconds
            if answer is not None:
                states = {each.name: each for each in answer}
                for each in self._running.values():
                    found = states.get(each.submitted.name)
                    each.state = "MISSING" if found is None else found.state
                    each.id = each.id if found is None else found.id
        elif self._query is None and self._running and now >= self._next_query:
            try:
                self._query = commands.Query(each.submitted.name for each in self._running.values())
            except OSError:  # it is tried again: jobs go on without us
                self._next_query = now + self._poll_seconds

    def _outcome(self, each: _Job) -> Outcome | None:
        """Return how a job ended, or None while it waits or runs."""
        seconds, offset = time.monotonic() - each.started, each.submitted.log_offset
        ended = read_ended(each.job.log, each.submitted.name)
        if ended is not None:
            return _from_file(each, ended)
        if each.state not in commands.ENDED and each.state != "MISSING":
            each.ended_since = None
            return None
        each.ended_since = each.ended_since or time.monotonic()
        patience = _MISSING_PATIENCE if each.state == "MISSING" else 0.0 if each.asked else _PATIENCE
        if time.monotonic() - each.ended_since < patience:
            return None
        if each.asked:
            return Outcome(each.job.index, -9 if each.asked == "kill" else -15, seconds, offset)
        cause = commands.ENDED.get(each.state, "Slurm does not know it any more")
        error = f"Slurm job {each.id}: {cause} ({each.state})"
        return Outcome(each.job.index, None, seconds, offset, error=error)

    def stop(self) -> None:
        """Ask every job to save and end; those that wait are cancelled."""
        self._ask_to_end(self._running.values(), "stop")

    def kill(self) -> None:
        """End every job at once."""
        self._ask_to_end(self._running.values(), "kill")

    def stop_job(self, index: int) -> bool:
        """Ask the job of one trial to save and end."""
        return self._ask_to_end([each for each in self._running.values() if each.job.index == index], "stop")

    def kill_job(self, index: int) -> bool:
        """End the job of one trial at once."""
        return self._ask_to_end([each for each in self._running.values() if each.job.index == index], "kill")

    def _ask_to_end(self, jobs: Iterable[_Job], how: str) -> bool:
        found = [each for each in jobs if each.id is not None]
        if found:
            ids = [str(each.id) for each in found]
            (commands.kill if how == "kill" else commands.request_stop)(ids)
            self._next_query = 0.0
        for each in found:
            each.asked = how
        return bool(found)


def _from_file(each: _Job, ended: Ended) -> Outcome:
    """Return what a job's own file says."""
    index, offset = each.job.index, each.submitted.log_offset
    if ended.error:
        return Outcome(index, None, ended.seconds, offset, error=ended.error)
    by_slurm = ended.was_asked and not each.asked
    error = f"Slurm asked job {each.id} to end: its time limit came near, or it was preempted" if by_slurm else ""
    return Outcome(index, ended.exit_code, ended.seconds, offset, error=error)
