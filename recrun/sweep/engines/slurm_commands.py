"""Ask Slurm about jobs and signal them, by its commands; submit a script through submitit."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from recrun.errors import ConfigError
from recrun.sweep.engines.processes import APART

_SECONDS: Final = 120
"""The longest that a command of Slurm may take; its own patience with a busy controller is shorter."""

ENDED: Final[Mapping[str, str]] = {
    "BOOT_FAIL": "its node did not boot",
    "CANCELLED": "it was cancelled, by hand or by an administrator",
    "COMPLETED": "it ended, but left no exit code: is the folder of runs on a disk that its node sees?",
    "DEADLINE": "it could not end before its deadline",
    "FAILED": "it ended without leaving an exit code: is the folder of runs on a disk that its node sees?",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it ran out of the memory that it asked for; raise mem_gb",
    "PREEMPTED": "it was preempted",
    "REVOKED": "it was revoked",
    "SPECIAL_EXIT": "it ended with a special exit code",
    "TIMEOUT": "it reached its time limit; raise timeout_min",
}
"""The states in which a job has ended, with what they mean."""


@dataclass(frozen=True)
class JobState:
    """What Slurm says of a job.

    Args:
        id: its number.
        name: its name.
        state: its state, such as PENDING or NODE_FAIL.
    """

    id: str
    name: str
    state: str


class Query:
    """A question to Slurm about the states of jobs, answered some time later.

    Args:
        names: the jobs' names.
    """

    def __init__(self, names: Iterable[str]) -> None:
        # Into a file: a pipe that nobody reads would hold up a long answer.
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        command = ["squeue", "-h", "-a", "-t", "all", "-o", "%i|%j|%T", "-n", ",".join(names)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=subprocess.DEVNULL, **APART
        )

    def is_answered(self) -> bool:
        """Return whether the answer is there."""
        return self._process.poll() is not None

    def answer(self) -> list[JobState] | None:
        """Wait for the answer and return it; None if Slurm could not say."""
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.seek(0)
        lines = self._out.read().decode(errors="replace").splitlines()
        self._out.close()
        if self._process.returncode != 0:
            return None
        parts = [line.strip().split("|", 2) for line in lines]
        return [JobState(*each) for each in parts if len(each) == 3]


def ask(names: Iterable[str]) -> list[JobState]:
    """Return the states of jobs by their names.

    Raises:
        ConfigError: Slurm cannot say.
    """
    try:
        found = Query(names).answer()
    except OSError as error:
        raise ConfigError(f"engine slurm: squeue cannot be run: {error.strerror}") from error
    if found is None:
        raise ConfigError("engine slurm: squeue failed, so it is not known which trials still run; try again later")
    return found


def request_stop(ids: Iterable[str]) -> None:
    """Ask running jobs to save and end, and take back those that wait."""
    _cancel("--batch", "--signal=TERM", "--state=RUNNING", *ids)
    _cancel("--state=PENDING", *ids)


def kill(ids: Iterable[str]) -> None:
    """End jobs at once."""
    _cancel("--batch", "--signal=KILL", "--state=RUNNING", *ids)  # Slurm ends what the batch step leaves behind
    _cancel("--state=PENDING", *ids)


def _cancel(*arguments: str) -> None:
    # If it fails, what still runs is seen at the next poll, and the user can ask again.
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            ["scancel", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_SECONDS
        )


class Submitter:
    """Submits shell commands as jobs, with submitit's names of what they ask for.

    Args:
        parameters: what every job asks for, by submitit's names for Slurm.

    Raises:
        ConfigError: submitit or Slurm is not installed, or it knows no such parameter.
    """

    # submitit pickles functions and results; nothing is pickled here, since it is only given a command.

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        try:
            import submitit
        except ImportError:
            raise ConfigError(
                "the engine slurm needs the package submitit, which is not installed: pip install 'recrun[slurm]'"
            ) from None
        self._folder = tempfile.TemporaryDirectory(prefix="recrun-slurm-")
        try:
            self._executor = submitit.SlurmExecutor(self._folder.name)
            self._executor.update_parameters(**parameters)
        except RuntimeError as error:
            raise ConfigError(f"engine slurm: Slurm's commands are not here: {error}") from None
        except (TypeError, ValueError) as error:
            raise ConfigError(f"engine slurm: {error}") from None

    def check(self) -> None:
        """Ask Slurm whether it would accept such a job.

        Raises:
            ConfigError: it would not, with Slurm's own words.
        """
        script = Path(self._folder.name, "test.sh")
        script.write_text(self._executor._make_submission_file_text("true", ""), encoding="utf-8")
        try:
            said = subprocess.run(
                ["sbatch", "--test-only", str(script)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(f"engine slurm: sbatch cannot be run: {error}") from error
        if said.returncode != 0:
            raise ConfigError(f"engine slurm: Slurm would not accept a trial: {_last_line(said.stderr)}")

    def submit(self, command: str, name: str, log: Path) -> str:
        """Submit a shell command and return the job's number.

        Args:
            command: the command, one line.
            name: the job's name.
            log: the file to which its output is appended.

        Raises:
            OSError: it cannot be submitted, with Slurm's own words.
        """
        import submitit

        given = dict(self._executor.parameters.get("additional_parameters") or {})
        own = {"output": str(log.absolute()).replace("%", "%%")}
        executor = submitit.SlurmExecutor(self._folder.name)
        executor.update_parameters(
            **{**self._executor.parameters, "job_name": name, "additional_parameters": {**given, **own}}
        )
        try:
            return str(executor._submit_command(command).job_id)
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise OSError(f"cannot be submitted: {_last_line(str(error))}") from error


def _last_line(text: str) -> str:
    """Return the last line that Slurm said, without its prefix."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line or ": unrecognized" in line] or lines[-1:]
    return errors[-1].rpartition("error: ")[2] if errors else "no reason was given"
