"""Train one model by several processes: start them with torch's launcher, or take part as one of them."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from recrun.config.settings import AUTO
from recrun.errors import ConfigError, Fault, TrainingError
from recrun.runs.folder import RunFolder
from recrun.training.coach import Coach
from recrun.training.parallel.environment import DONE_MARK, stop_after_launcher
from recrun.training.parallel.follow import follow
from recrun.training.parallel.leading_coach import LeadingCoach
from recrun.training.parallel.process_group import Processes, device_of_process
from recrun.training.parallel.shares import refuse_inseparable
from recrun.training.stop_signals import StopRequests
from recrun.workflows.build import build, open_run, settle_seed
from recrun.workflows.sharded_build import refuse_other_vectors, refuse_unsharded, sharded_model

if TYPE_CHECKING:
    from recrun.config.resolve import Resolved


def take_part(
    resolved: Resolved,
    *,
    runs: str | Path,
    run: RunFolder | None,
    latest: bool,
    verbose: int | None,
    shards: bool = False,
) -> Coach | None:
    """Join the processes of a run; return its Coach in the one that leads, and in the others None when all is done.

    Args:
        resolved: as for `recrun.workflows.build.prepare`, like what follows.
        runs: the root of the run folders.
        run: the run to continue.
        latest: whether `latest` is to point at the run.
        verbose: how much is shown.
        shards: whether the processes divide the tables of the model.

    Raises:
        ConfigError, DataError, CheckpointError: it cannot be built, here or in another process.
        SystemExit: another process than the leader cannot go on.
    """
    refuse_alone(resolved, shards=shards)
    processes = Processes.join()
    with processes.all_or_none():
        if processes.leads:
            resolved = settle_seed(resolved, runs)
    if processes.leads:
        processes.tell({"seed": resolved.config.seed})
    else:
        resolved = replace(resolved, config=resolved.config.replace(seed=processes.listen()["seed"]))
    with processes.all_or_none():
        here = replace(resolved, config=resolved.config.replace(device=device_of_process(resolved.config.device)))
        kind = partial(LeadingCoach, processes=processes) if processes.leads else Coach
        coach = build(here, kind=kind, model_of=partial(sharded_model, processes=processes) if shards else None)
    with processes.all_or_none():
        if shards:
            refuse_other_vectors(coach.model, coach.dataset.base, processes)
    with processes.all_or_none():
        if processes.leads or shards:
            refuse_inseparable(
                coach.model, coach.criterion, coach.dataset, resolved.config.seed, processes, coach.device
            )
    with processes.all_or_none():
        if not processes.leads:  # the leader checks when it opens the run
            coach.check(resolved.config, resolved.config.monitors)
    if processes.leads:
        stop_after_launcher()
        open_run(resolved, coach, runs=runs, run=run, latest=latest, verbose=verbose)
        return coach
    follow(coach, processes)
    return None


def refuse_alone(resolved: Resolved, *, shards: bool = False) -> None:
    """Refuse what one process does.

    Args:
        resolved: the config.
        shards: whether the processes are to divide the tables of the model.

    Raises:
        ConfigError: the model is not trained step by step, or steps are to be timed, or tables cannot be divided.
    """
    if not resolved.trains:
        message = f"{resolved.config.model} is fitted at once, by one process; train it without --processes"
        raise ConfigError(Fault(message, key="model"))
    if resolved.config.threads == AUTO:
        message = "auto times the steps of one process; give the number of threads of each process, or null"
        raise ConfigError(Fault(message, key="threads"))
    if shards:
        refuse_unsharded(resolved)


def launch(resolved: Resolved, n: int, arguments: Sequence[str], *, shards: bool = False) -> int:
    """Run the command `recrun` in n processes of this machine, by torch's launcher, and return the leader's exit code.

    Args:
        resolved: the config, checked.
        n: how many processes; without the setting `threads`, each computes with its share of the cores.
        arguments: those of the command.
        shards: whether the processes are to divide the tables of the model.

    Raises:
        ConfigError: that is for one process.
        TrainingError: the leader was killed.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    refuse_alone(resolved, shards=shards)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // n)))
    logging.getLogger("torch.distributed").disabled = True
    for name in [*logging.root.manager.loggerDict]:
        if name.startswith("torch.distributed"):
            logging.getLogger(name).disabled = True  # what a process has to say, it says itself
    try:
        # The launcher has handlers of its own, and passes a request to stop on to the processes.
        with StopRequests(), TemporaryDirectory() as logs:
            done = Path(logs) / "done"
            os.environ[DONE_MARK] = str(done)
            settings = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=n,
                run_id=uuid.uuid4().hex,
                rdzv_backend="c10d",
                rdzv_endpoint="127.0.0.1:0",
                local_addr="127.0.0.1",
                max_restarts=0,
                monitor_interval=0.1,
                logs_specs=DefaultLogsSpecs(logs),
            )
            try:
                elastic_launch(settings, sys.executable)("-m", "recrun", *arguments)
            except ChildFailedError as error:
                codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
                return _exit_code(codes, n, is_done=done.exists())
    except SignalException:
        return 130
    return 0


def _exit_code(codes: dict[int, int], n: int, *, is_done: bool) -> int:
    """Return the exit code of the leader; it has said why, unless it was killed.

    Args:
        codes: of the processes that failed first, by rank.
        n: how many processes there were.
        is_done: whether the run was done before.

    Raises:
        TrainingError: the leader was killed before.
    """
    code = codes.get(0)
    if code is not None and code > 0:
        return code
    if is_done:
        logging.getLogger(__name__).warning("the run is done, but not all of its processes ended by themselves")
        return 0
    if code is None or (code == -signal.SIGTERM and len(codes) > 1):  # another ended first, which the leader has said
        return 1
    raise TrainingError(
        f"the first of the processes was ended by {signal.Signals(-code).name}; continue the run with: "
        f"recrun train --resume RUN --processes {n}"
    )
