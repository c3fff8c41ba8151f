"""A Slurm cluster of one node on this machine, from Debian's packages, with files, key and ports of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")

CONFIG = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=0
EnforcePartLimits=ALL
SlurmdParameters=config_overrides
MailProg=/bin/true
KillWait=5
SlurmdTimeout=10
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000
PartitionName=main Nodes={host} Default=YES MaxTime=60 State=UP
"""


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], seconds: float = 60.0, what: str = "it") -> None:
    """Wait until a condition holds; fail if it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} took too long"
        time.sleep(0.1)


class SlurmCluster:
    """The daemons of a cluster. Its commands need the variable SLURM_CONF.

    Attributes:
        config: the file that SLURM_CONF names.
    """

    def __init__(self) -> None:
        # The path of a socket may have 107 characters, so it does not lie in pytest's folders.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.config = self.folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start the daemons and wait until the node takes jobs."""
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o700)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        host = socket.gethostname().partition(".")[0]
        ports = {"controller": free_port(), "node": free_port()}
        self.config.write_text(CONFIG.format(host=host, folder=self.folder, **ports))
        munge = self.folder / "munge"
        files = ["key-file", "pid-file", "log-file", "seed-file"]
        options = [f"--{name}={munge / name.removesuffix('-file')}" for name in files]
        self._start("munged", "--foreground", "--force", f"--socket={munge / 'socket'}", *options)
        wait_until((munge / "socket").exists, what="munged")
        self._start("slurmctld", "-D", "-f", str(self.config))
        self.start_node()

    def start_node(self) -> None:
        """Start the daemon of the node."""
        self._start("slurmd", "-D", "-f", str(self.config))
        wait_until(lambda: self.run("sinfo", "-h", "-o", "%t").strip() in ("idle", "mix"), what="the node")

    def kill_node(self) -> None:
        """Kill the daemon of the node, not the jobs."""
        self._daemons["slurmd"].kill()
        self._daemons["slurmd"].wait()

    def run(self, *command: str) -> str:
        """Run a command of Slurm and return what it printed."""
        environment = {**os.environ, "SLURM_CONF": str(self.config)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout

    def processes_of(self, job: str) -> list[int]:
        """Return the ids of a job's processes on this machine, by the number that Slurm puts into their environment."""
        mark, found = f"SLURM_JOB_ID={job}".encode(), []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def stop(self) -> None:
        """Cancel every job, and end the daemons."""
        if "slurmctld" in self._daemons:
            self.run("scancel", "--user=root", "--full", "--signal=KILL")
            self.run("scancel", "--user=root")
            until = time.monotonic() + 30
            while self.run("squeue", "-h").strip() and time.monotonic() < until:
                time.sleep(0.2)
        for name in ("slurmd", "slurmctld", "munged"):
            if (daemon := self._daemons.pop(name, None)) is not None and daemon.poll() is None:
                daemon.terminate()
                try:
                    daemon.wait(15)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, *command: str) -> None:
        environment = {**os.environ, "SLURM_CONF": str(self.config)}
        with open(self.folder / f"{command[0]}.out", "ab") as out:
            self._daemons[command[0]] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )


def missing() -> str:
    """Return which programs of Slurm are not installed, or ""."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return ", ".join(name for name in PROGRAMS if shutil.which(name, path=path) is None)
