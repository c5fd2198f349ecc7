"""A private one-node Slurm for as long as a `with` block lasts: root, no systemd, no GPU needed.

Everything it writes lies in one folder and its ports are free ones, so two of them do not meet.
"""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

PROGRAMS = ("slurmctld", "slurmd", "srun", "munged")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
DATABASE_PROGRAMS = ("mariadbd", "slurmdbd")
DATABASE_PACKAGES = ("mariadb-server", "slurmdbd")
MEMORY = 256_000  # MB; like the 16 CPUs and 8 GPUs, it is pretended

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
{accounting}
MinJobAge=300
PropagatePrioProcess=1
KillWait=10
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={node} NodeAddr=127.0.0.1 CPUs=16 RealMemory={memory} Gres=gpu:8 State=UNKNOWN
PartitionName=cpu Nodes={node} Default=YES PreemptMode=OFF
PartitionName=gpu Nodes={node} PreemptMode=OFF
PartitionName=low Nodes={node} PreemptMode=CANCEL GraceTime=0
PartitionName=lowgrace Nodes={node} PreemptMode=CANCEL GraceTime=20
PartitionName=high Nodes={node} PreemptMode=OFF PriorityTier=10
"""

ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={database_port}
AccountingStoragePass={folder}/run/munge.sock
AccountingStorageTRES=gres/gpu"""

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.sock
DbdHost=localhost
DbdPort={database_port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mariadb_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
"""

GRANT = """\
create database slurm_acct_db;
create user 'slurm'@'%' identified by 'slurm';
create user 'slurm'@'localhost' identified by 'slurm';
grant all on slurm_acct_db.* to 'slurm'@'%';
grant all on slurm_acct_db.* to 'slurm'@'localhost';
flush privileges;
"""


def why_not(accounting: bool) -> str:
    """Why this machine can have no Slurm; empty where it can. Installs what is missing."""
    missing = [name for name in PROGRAMS + DATABASE_PROGRAMS * accounting if not find(name)]
    if os.geteuid() != 0:
        return "a Slurm of its own needs root"
    if not missing:
        return ""
    if not shutil.which("apt-get"):
        return f"{', '.join(missing)} not found, and no apt-get to install Slurm with"
    packages = PACKAGES + DATABASE_PACKAGES * accounting
    update = run(["apt-get", "update", "-q"])
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    with patch.dict(os.environ, DEBIAN_FRONTEND="noninteractive"):
        done = run(install)
    return f"apt-get cannot install it: {update.stderr}{done.stderr}" if done.returncode else ""


@contextmanager
def slurm(accounting: bool) -> Iterator[None]:
    """Start Slurm; its commands find it in the environment of this process.

    All that was started is stopped at the end, jobs first, and all that was written deleted.
    """
    names = ("controller_port", "node_port", "database_port", "mariadb_port")
    places: dict[str, object] = dict(zip(names, free_ports(len(names)), strict=True))
    places |= {"node": socket.gethostname().partition(".")[0], "memory": MEMORY}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="slurm-")))
        folder.chmod(0o755)  # the servers insist
        places["folder"] = folder
        stack.enter_context(patch.dict(os.environ, configure(folder, places, accounting)))
        start_munge(stack, folder)
        if accounting:
            start_database(stack, folder, places)
        stack.enter_context(daemon(folder, "slurmctld", "-D", "-i"))
        stack.enter_context(daemon(folder, "slurmd", "-D", "-N", str(places["node"])))
        wait_for(lambda: "idle" in output("sinfo", "-h", "-o", "%t"), "an idle node", folder)
        stack.callback(stop_jobs)
        yield


def configure(folder: Path, places: dict[str, object], accounting: bool) -> dict[str, str]:
    """Write the configuration; returns the environment that leads to it."""
    for name in ("etc", "run", "log", "state", "spool", "dev", "bin"):
        (folder / name).mkdir(parents=True)
    conf = folder / "etc" / "slurm.conf"
    database = ACCOUNTING.format(**places) if accounting else ""
    conf.write_text(SLURM_CONF.format(**places, accounting=database))
    for number in range(8):  # Slurm wants character devices
        os.mknod(folder / "dev" / f"nvidia{number}", 0o20666, os.makedev(1, 3))
    gres = "NodeName={node} Name=gpu File={folder}/dev/nvidia[0-7] Flags=nvidia_gpu_env\n"
    (folder / "etc" / "gres.conf").write_text(gres.format(**places))
    # the executor plugin hides SLURM_CONF from the srun that it starts inside a job
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {find("srun")} "$@"\n')
    srun.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "SLURM_CONF": str(conf)}


def start_munge(stack: ExitStack, folder: Path) -> None:
    """The authentication service, with a key of its own."""
    home, run = folder / "munge", folder / "run"
    home.mkdir(mode=0o700)
    key = home / "key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(1024))
    options = {
        "key-file": key,
        "socket": run / "munge.sock",
        "pid-file": run / "munged.pid",
        "log-file": home / "log",
        "seed-file": home / "seed",
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    stack.enter_context(daemon(folder, "munged", "--foreground", *given))
    wait_for((run / "munge.sock").exists, "munge", folder)


def start_database(stack: ExitStack, folder: Path, places: dict[str, object]) -> None:
    """MariaDB and slurmdbd, so that there is a `sacct` to ask."""
    data = folder / "mysql"
    data.mkdir()
    shutil.chown(data, "mysql", "mysql")
    where = ["--no-defaults", "--user=mysql", f"--datadir={data}"]
    rights = ["--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(["mariadb-install-db", *where, *rights], capture_output=True, check=True)
    port = ["--bind-address=127.0.0.1", f"--port={places['mariadb_port']}"]
    files = [f"--socket={data}/socket", f"--pid-file={data}/pid"]
    patience = "--innodb-lock-wait-timeout=900"  # slurmdbd insists
    stack.enter_context(daemon(folder, "mariadbd", *where, *port, *files, patience))
    ask = ["mariadb", "--no-defaults", "-S", f"{data}/socket", "-uroot"]
    wait_for(lambda: "1" in output(*ask, "-e", "select 1"), "MariaDB", folder)
    subprocess.run(ask, input=GRANT, text=True, check=True)
    conf = folder / "etc" / "slurmdbd.conf"
    conf.touch(mode=0o600)
    conf.write_text(SLURMDBD_CONF.format(**places))
    stack.enter_context(daemon(folder, "slurmdbd", "-D"))
    show = ["sacctmgr", "-n", "show", "cluster"]
    wait_for(lambda: run(show).returncode == 0, "slurmdbd", folder)
    run(["sacctmgr", "-i", "add", "cluster", "test"])


@contextmanager
def daemon(folder: Path, name: str, *arguments: str) -> Iterator[None]:
    """One server, in a session of its own so that a Ctrl-C reaches only the tests.

    Should the tests be killed outright, the kernel ends it (`--pdeathsig`).
    """
    with (folder / "log" / f"{name}.out").open("w") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", find(name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stop_jobs() -> None:
    """Cancel what is in the queue, and wait until it has left the node."""
    run(["scancel", "--full", "--signal=KILL", *jobs()])
    run(["scancel", *jobs()])
    with suppress(TimeoutError):
        wait_for(lambda: not jobs(), "an empty queue")


def jobs(*options: str) -> list[str]:
    """The numbers of the jobs in the queue."""
    return output("squeue", "-h", "-o", "%A", *options).split()


def find(program: str) -> str:
    """Where a program lies; daemons are often not on a user's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin") or ""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all held for a moment, so that no two are the same."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def output(*command: str) -> str:
    return run(list(command)).stdout


def wait_for(come: Callable[[], object], what: str, folder: Path | None = None) -> None:
    """Wait until it has come, half a minute at most; the error has the servers' last words."""
    end = time.monotonic() + 30
    while not come():
        if time.monotonic() > end:
            logs = sorted((folder / "log").iterdir()) if folder else []
            said = "".join(f"\n{log.name}:\n{log.read_text()[-2000:]}" for log in logs)
            raise TimeoutError(f"{what} did not come{said}")
        time.sleep(0.1)
