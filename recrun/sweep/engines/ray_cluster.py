"""Run trials as tasks of an existing Ray cluster: the engine `ray`."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.errors import ConfigError
from recrun.files import open_to_append, read_regular
from recrun.registry import ENGINES
from recrun.sweep.engines import ray_task
from recrun.sweep.engines.engine import Engine, Job, Outcome
from recrun.sweep.engines.local import child_environment
from recrun.sweep.engines.processes import KILLED
from recrun.types import NonNegativeFloat, PositiveInt

_PROBE_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 10.0
_MAX_ADDRESS: Final = 1024
_LOOPBACK: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Set to 0, it keeps Ray from replacing a loopback address by another one of this machine, where nobody may listen."""


@dataclass
class _Task:
    """A trial that waits or runs."""

    job: Job
    reference: Any
    started: float
    log_offset: int
    is_killed: bool = False


@ENGINES.register("ray")
class RayEngine(Engine):
    """Run trials as tasks of a Ray cluster that is already there, one task for each trial.

    The folder of runs, the working folder and this installation of recrun must be on a disk that all nodes see under
    the same path; that they see the folder is checked before the first trial. If the sweep is killed, Ray ends its
    trials, and the next one continues them.

    Args:
        jobs: how many are handed to the cluster at once.
        inherited: not used.
        address: the cluster, as `ray.init` takes it; "auto" finds the one that this machine belongs to.
        num_cpus: cores of a trial, which are also its threads.
        num_gpus: GPUs of a trial; a fraction shares one.

    Raises:
        ConfigError: Ray is not installed, there is no cluster, or no node of it is large enough for a trial.
    """

    def __init__(
        self,
        jobs: int,
        inherited: Sequence[int] = (),
        *,
        address: str = "auto",
        num_cpus: PositiveInt = 1,
        num_gpus: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(jobs, inherited)
        self._ray = _connected(address)
        self._threads, self._needs = num_cpus, {"CPU": float(num_cpus), "GPU": float(num_gpus)}
        self._refuse_too_much()
        # By itself, Ray would run a trial again whose worker is lost: whether it goes on is for the sweep to decide.
        options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": 0}
        self._run = self._ray.remote(**options)(ray_task.run_command)
        self._running: list[_Task] = []
        self._not_started: list[Outcome] = []
        self._probed: set[Path] = set()

    def _refuse_too_much(self) -> None:
        """Refuse a trial that no node has room for: Ray would let it wait for ever."""
        nodes = [each["Resources"] for each in self._ray.nodes() if each["Alive"]]
        if any(all(node.get(kind, 0.0) >= needed for kind, needed in self._needs.items()) for node in nodes):
            return
        largest = ", ".join(
            f"{node.get('CPU', 0.0):g} CPUs and {node.get('GPU', 0.0):g} GPUs"
            for node in sorted(nodes, key=lambda node: (node.get("GPU", 0.0), node.get("CPU", 0.0)))[-3:]
        )
        needed = f"{self._needs['CPU']:g} CPUs and {self._needs['GPU']:g} GPUs"
        raise ConfigError(f"engine ray: a trial needs {needed}, and no node has that; the largest have {largest}")

    def has_room(self) -> bool:
        """Return whether fewer than `jobs` trials wait or run."""
        return len(self._running) < self.jobs

    def start(self, job: Job) -> None:
        """Hand a trial to the cluster; the command and then its output are appended to the job's log."""
        try:
            self._probe(job.log.absolute().parent)
            _stop_file(job.log).unlink(missing_ok=True)
            with open_to_append(job.log) as log:
                offset = job.write_command(log)
        except OSError as error:
            self._not_started.append(Outcome(job.index, None, 0.0, error=f"cannot be started: {error}"))
            return
        environment = child_environment(None if job.threads is None else self._threads, {}) | dict(job.environment)
        files = str(job.log.absolute()), str(_stop_file(job.log).absolute())
        reference = self._run.remote(list(job.command), environment, os.getcwd(), *files)
        self._running.append(_Task(job, reference, time.monotonic(), offset))

    def _probe(self, folder: Path) -> None:
        """Check that the other nodes see a folder.

        Raises:
            ConfigError: one of them does not.
        """
        if folder in self._probed:
            return
        own = self._ray.get_runtime_context().get_node_id()
        others = [each for each in self._ray.nodes() if each["Alive"] and each["NodeID"] != own]
        if others:
            file, text = folder / f".probe-{secrets.token_hex(6)}", secrets.token_hex(16)
            file.write_text(text, encoding="utf-8")
            try:
                blind = self._nodes_that_do_not_read(others, str(file), text)
            finally:
                file.unlink()
            if blind:
                raise ConfigError(
                    f"engine ray: {', '.join(blind)} cannot read {folder}; put the runs on a disk that all nodes see "
                    "under the same path (--runs)"
                )
        self._probed.add(folder)

    def _nodes_that_do_not_read(self, nodes: Sequence[Any], file: str, text: str) -> list[str]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = {}
        for node in nodes:
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = self._ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=strategy)(ray_task.reads)
            asked[task.remote(file, text)] = str(node["NodeManagerHostname"])
        ready, late = self._ray.wait(list(asked), num_returns=len(asked), timeout=_PROBE_SECONDS)
        found = [asked[each] for each in late]
        for each in ready:
            try:
                found += [] if self._ray.get(each) else [asked[each]]
            except self._ray.exceptions.RayError:
                found.append(asked[each])
        return sorted(found)

    def poll(self) -> list[Outcome]:
        """Return the trials that ended since the last call."""
        outcomes, self._not_started = self._not_started, []
        if self._running:
            references = [each.reference for each in self._running]
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
            for task in [each for each in self._running if each.reference in ready]:
                self._running.remove(task)
                outcomes.append(self._outcome(task))
        return outcomes

    def _outcome(self, task: _Task) -> Outcome:
        index, seconds = task.job.index, time.monotonic() - task.started
        with suppress(OSError):
            _stop_file(task.job.log).unlink(missing_ok=True)
        try:
            exit_code, seconds, error = self._ray.get(task.reference)
        except self._ray.exceptions.RayError as problem:
            if task.is_killed:
                return Outcome(index, KILLED, seconds, task.log_offset)
            lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
            what = (
                "its task failed" if isinstance(problem, self._ray.exceptions.RayTaskError) else "its worker was lost"
            )
            cause = f"{what}: {type(problem).__name__}: {lines[0] if lines else 'no reason was given'}"
            return Outcome(index, None, seconds, task.log_offset, error=cause)
        return Outcome(index, exit_code, seconds, task.log_offset, error=error)

    def stop(self) -> None:
        """Ask every trial to save and end, by a file that its task looks for; one that waits is cancelled."""
        for task in self._running:
            self._stop(task)

    def kill(self) -> None:
        """End every trial at once."""
        for task in self._running:
            self._kill(task)

    def stop_job(self, index: int) -> bool:
        """Ask one trial to save and end."""
        return any(self._stop(task) for task in self._running if task.job.index == index)

    def kill_job(self, index: int) -> bool:
        """End one trial at once."""
        return any(self._kill(task) for task in self._running if task.job.index == index)

    def _stop(self, task: _Task) -> bool:
        try:
            _stop_file(task.job.log).touch()
        except OSError:
            return False
        return True

    def _kill(self, task: _Task) -> bool:
        task.is_killed = True
        self._ray.cancel(task.reference, force=True)
        return True


def _stop_file(log: Path) -> Path:
    """Return the file that asks the trial with this log to end."""
    return log.with_suffix(".stop")


def _connected(address: str) -> Any:
    """Return the module `ray`, connected to a cluster.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    where = _find(address)
    if where.startswith(("127.", "localhost")):
        os.environ.setdefault(_LOOPBACK, "0")
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "the engine ray needs the package ray, which is not installed: pip install 'recrun[ray]'"
        ) from None
    if ray.is_initialized():
        return ray
    _refuse_silence(where)
    with _keeping_the_handler():
        try:
            ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except Exception as error:  # Ray raises many kinds, RuntimeError and ConnectionError among them
            said = " ".join(str(error).split())
            raise ConfigError(f"engine ray: the cluster at {where} refuses: {said[:300]}") from error
    return ray


def _find(address: str) -> str:
    """Return where the cluster is, as HOST:PORT; "auto" is looked up as Ray does.

    Raises:
        ConfigError: no cluster is known here.
    """
    found = address
    if address == "auto":
        found = os.environ.get("RAY_ADDRESS", "auto")
    if found == "auto":
        file = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
        try:
            found = read_regular(file, limit=_MAX_ADDRESS).decode().strip()
        except (OSError, UnicodeDecodeError):
            found = ""
    if "://" in found:
        raise ConfigError(f"engine ray: {found}: run the sweep on a node of the cluster, without a Ray client")
    host, _, port = found.rpartition(":")
    if not host or not port.isdecimal():
        what = (
            "no cluster runs on this machine" if address == "auto" else f"expected HOST:PORT or auto, found {found!r}"
        )
        raise ConfigError(f"engine ray: {what}; start one with 'ray start --head', or set address")
    return found


def _refuse_silence(where: str) -> None:
    """Refuse an address at which nobody listens, for which Ray would wait several minutes."""
    host, _, port = where.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"engine ray: nobody answers at {where} ({error}); start a cluster with 'ray start --head', or set address"
        ) from None


@contextmanager
def _keeping_the_handler() -> Iterator[None]:
    """Put back what handles SIGTERM, which Ray takes for itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
