"""A Slurm of one machine for tests: real daemons, two pretended nodes in two partitions, all below one folder.

It needs root and Debian's ``slurm-wlm`` and ``munge`` (``python slurm_lab.py install``), and touches neither the
system's services nor ``/etc``: key, socket, ports, state and logs are its own. ``python slurm_lab.py start`` starts one
for a person and prints what to export; ``stop`` ends it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
PARTITIONS = ("north", "south")
"""One node each; the first is the default."""
CPUS_PER_NODE = 64
_PATIENCE_S = 30.0
_PERSONS_LAB = Path("/tmp/lowtide-slurm-lab")

_CONF = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
MessageTimeout=5
MinJobAge={remembers_s}
KillWait=2
DefMemPerCPU=10
SlurmdParameters=config_overrides
"""


def why_not() -> str:
    """Why a lab cannot run here; empty where it can."""
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if shutil.which(name, path=_path()) is None]
    if missing:
        return f"{', '.join(missing)} not installed (make test-engines installs it on Debian)"
    return "" if os.geteuid() == 0 else "Slurm's daemons of a test need root"


def install() -> None:
    """Debian's packages, with no service started: the policy that forbids that is put there where there is none."""
    policy = Path("/usr/sbin/policy-rc.d")
    own_policy = not policy.exists()
    if own_policy:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    finally:
        if own_policy:
            policy.unlink()


@dataclass
class SlurmLab:
    """Daemons that run, as children of this process.

    Attributes:
        folder: Everything of it; removed at the end. Short, for its path is a part of a socket's.
        remembers_s: How long the controller knows of jobs that have ended.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="lowtide-slurm-")))
    remembers_s: int = 300
    _ports: list[int] = field(default_factory=list)
    _daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs beside its own environment."""
        return {"SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Up, with both nodes idle.

        Raises:
            RuntimeError: They are not, in time; the daemons' logs are in the message.
        """
        self.folder.chmod(0o755)
        for name in ("munge", "state", *(f"spool-{partition}-1" for partition in PARTITIONS)):
            (self.folder / name).mkdir(exist_ok=True)
        key = self.folder / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        self._ports = _free_ports(1 + len(PARTITIONS))
        self._configure()
        self._run("munged", "--foreground", "--force", f"--key-file={key}", *self._munge_files())
        self._until(lambda: (self.folder / "munge" / "socket").exists())
        self.start_controller()
        for partition in PARTITIONS:
            self._run("slurmd", "-D", "-N", f"{partition}-1")
        self._until(self._nodes_idle)

    def start_controller(self, *options: str) -> None:
        """The controller alone: its state is kept over a stop."""
        self._run("slurmctld", "-D", *options)
        self._until(self._listens)  # a client that comes too early waits for seconds
        self._until(lambda: "UP" in self.ask("scontrol", "ping"))

    def stop_controller(self, *, crash: bool = False) -> None:
        """Nobody answers any more, and what runs runs on; in a crash it forgets what it had not saved, as starts."""
        controller = self._daemons.pop("slurmctld", None)
        if controller is not None:
            if crash:
                controller.kill()
            else:
                controller.terminate()
            controller.wait(_PATIENCE_S)

    def ask(self, *argv: str) -> str:
        """What a command of Slurm prints."""
        ran = subprocess.run(argv, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60)
        return ran.stdout

    def clear(self) -> None:
        """Ends every job."""
        waiting = self.ask("squeue", "-h", "-o", "%A").split()
        for first in range(0, len(waiting), 500):
            self.ask("scancel", "-f", "-s", "KILL", *waiting[first : first + 500])
            self.ask("scancel", "-f", *waiting[first : first + 500])
        self._until(lambda: not self.ask("squeue", "-h", "-o", "%A").split())

    def forget(self) -> None:
        """Ends every job, and has the controller know of none."""
        if "slurmctld" not in self._daemons:
            self.start_controller()
        self.clear()
        self.stop_controller()
        self.start_controller("-c")
        self._until(self._nodes_idle)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._ports[0]), 1.0):
            return True
        return False

    def _nodes_idle(self) -> bool:
        return self.ask("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(PARTITIONS)

    def stop(self) -> None:
        """Ends the jobs, then the daemons, then what is left of them, each by its number."""
        if "slurmctld" in self._daemons:
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                self.clear()
        for daemon in self._daemons.values():
            daemon.terminate()
        give_up_s = time.monotonic() + 5
        for daemon in self._daemons.values():
            try:
                daemon.wait(max(0.1, give_up_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for pid in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _left(self) -> list[int]:
        """Processes that were started with this lab's configuration and are still there: steps outlive their daemon."""
        mark = f"SLURM_CONF={self.conf}".encode()
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if mark in (process / "environ").read_bytes().split(b"\0"):
                        found.append(int(process.name))
        return found

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        lines = [_CONF.format(host=host, port=self._ports[0], folder=self.folder, remembers_s=self.remembers_s)]
        for number, partition in enumerate(PARTITIONS):
            node = f"NodeName={partition}-1 NodeHostname={host} NodeAddr=127.0.0.1 Port={self._ports[number + 1]}"
            lines.append(f"{node} CPUs={CPUS_PER_NODE} RealMemory=16000 State=UNKNOWN\n")
            default = "YES" if number == 0 else "NO"
            limits = "MaxTime=24:00:00 DefaultTime=01:00:00 State=UP"
            lines.append(f"PartitionName={partition} Nodes={partition}-1 Default={default} {limits}\n")
        self.conf.write_text("".join(lines))
        (self.folder / "cgroup.conf").touch()

    def _munge_files(self) -> list[str]:
        folder = self.folder / "munge"
        names = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        return [f"--{option}={folder / name}" for option, name in names.items()]

    def _run(self, *argv: str) -> None:
        program = shutil.which(argv[0], path=_path())
        with (self.folder / "started.log").open("ab") as log:
            self._daemons[argv[0] if argv[0] != "slurmd" else argv[-1]] = subprocess.Popen(
                [program or argv[0], *argv[1:]],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _until(self, holds) -> None:  # type: ignore[no-untyped-def]
        give_up_s = time.monotonic() + _PATIENCE_S
        while not holds():
            if time.monotonic() > give_up_s:
                logs = [*self.folder.glob("*.log"), self.folder / "munge" / "log"]
                said = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in logs if log.exists())
                raise RuntimeError(f"the lab in {self.folder} does not come to where it should be\n{said}")
            time.sleep(0.05)


def _path() -> str:
    """Daemons are in sbin, which not everybody's PATH has."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


def _start_for_a_person() -> None:
    """A lab that runs until ``stop``: a process of its own holds it."""
    _PERSONS_LAB.mkdir(exist_ok=True)
    holder = os.fork()
    if holder == 0:
        os.setsid()
        lab = SlurmLab(_PERSONS_LAB)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            lab.start()
            (_PERSONS_LAB / "holder").write_text(str(os.getpid()))
            signal.pause()
        finally:
            lab.stop()
            os._exit(0)
    give_up_s = time.monotonic() + _PATIENCE_S
    while not (_PERSONS_LAB / "holder").exists():
        if time.monotonic() > give_up_s or os.waitpid(holder, os.WNOHANG)[0]:
            sys.exit("the lab did not start")
        time.sleep(0.1)
    print(f"export SLURM_CONF={_PERSONS_LAB}/slurm.conf")


def _main(argv: list[str]) -> None:
    if argv == ["install"]:
        if why_not():
            install()
        reason = why_not()
        if reason:
            sys.exit(reason)
    elif argv == ["start"]:
        _start_for_a_person()
    elif argv == ["stop"]:
        holder = _PERSONS_LAB / "holder"
        if holder.exists():
            os.kill(int(holder.read_text()), signal.SIGTERM)
    else:
        sys.exit(f"usage: {sys.argv[0]} install|start|stop")


if __name__ == "__main__":
    _main(sys.argv[1:])
