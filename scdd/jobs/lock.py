"""One process at a time on a job's saved state, on all hosts that share its file system.

The owner has the file `lock.<n>` with the highest n, and touches it as a sign of life. A process
that finds the owner dead creates `lock.<n + 1>`, which only one process can do.
"""

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from scdd.errors import ScddError

# Seconds. An owner on this host is looked up by its process id. One on another host is alive while
# it beats, and counts as dead after SILENCE; in between nobody knows.
BEAT = 5.0
QUIET = 3 * BEAT
SILENCE = 120.0
PATIENCE = 20.0  # for a live owner that was asked to save and leave; more than QUIET
LOOK = 0.25


@dataclass(frozen=True)
class Owner:
    """A process. `place` is where its pid means something: host, boot and pid namespace."""

    host: str
    place: str
    pid: int
    born: str
    slurm_job: str | None
    slurm_restart: int
    token: str

    def __str__(self) -> str:
        job = f" (Slurm job {self.slurm_job})" if self.slurm_job else ""
        return f"process {self.pid} on {self.host}{job}"

    @property
    def stop(self) -> str:
        """The command that ends it."""
        if self.slurm_job:
            return f"scancel {self.slurm_job}"
        return f"kill {self.pid} on {self.host}"


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().partition("\n")[0]
    except OSError:
        return ""


def _born(pid: int) -> str:
    """When a process was started, in the kernel's ticks; '' if it does not run or is a zombie."""
    if not Path("/proc/self/stat").exists():  # not Linux
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        return "alive"
    fields = _first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in "ZX" else ""


def myself() -> Owner:
    host, namespace = platform.node(), Path("/proc/self/ns/pid")
    space = str(namespace.readlink()) if namespace.exists() else ""
    return Owner(
        host=host,
        place=f"{host} {_first_line('/proc/sys/kernel/random/boot_id')} {space}",
        pid=os.getpid(),
        born=_born(os.getpid()),
        slurm_job=os.environ.get("SLURM_JOB_ID"),
        slurm_restart=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        token=uuid.uuid4().hex,
    )


def locks(folder: Path) -> list[Path]:
    """The lock files of a state, the owner's last."""
    return sorted(folder.glob("lock.[0-9]*"), key=_number)


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def read_owner(path: Path) -> Owner | None:
    """None where the file is gone, or not all of it was written (yet)."""
    try:
        return Owner(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _age(path: Path, token: str) -> float:
    """Seconds since the last beat, by the clock of the file system; 0 where the file is gone."""
    now = path.with_name(f".now.{token}")
    try:
        now.touch()
        with path.open() as file:  # NFS looks at its server when a file is opened
            return now.stat().st_mtime - os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        now.unlink(missing_ok=True)


def dead(path: Path, me: Owner) -> bool | None:
    """Whether the owner of a lock has ended; None while it is silent and nobody can know."""
    owner = read_owner(path)
    if owner and owner.place == me.place:
        return _born(owner.pid) != owner.born
    if (
        owner
        and owner.slurm_job
        and owner.slurm_job == me.slurm_job
        and owner.slurm_restart < me.slurm_restart
    ):
        return True  # Slurm runs a job once at a time
    age = _age(path, me.token)
    return None if QUIET < age <= SILENCE else age > SILENCE


class Lock:
    """Held from `acquire` to `release`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.me = folder, myself()
        self.path: Path | None = None
        self._released = threading.Event()

    def acquire(self, patience: float = PATIENCE) -> None:
        """Become the owner. Raises ScddError, naming the owner, if a live one does not leave."""
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + patience
        while not self._try():
            for path in locks(self.folder)[-1:]:
                owner = read_owner(path)
                if owner and time.monotonic() > deadline and dead(path, self.me) is False:
                    raise ScddError(
                        f"{owner} already works on this ({path}). Wait for it, or end it "
                        f"({owner.stop}; it saves what it has), then run snakemake again."
                    )
            time.sleep(LOOK)
        threading.Thread(target=self._beat, daemon=True).start()

    def _try(self) -> bool:
        """Create the next lock, unless a process that may be alive has one."""
        before = locks(self.folder)
        if not all(dead(path, self.me) for path in before):
            return False
        path = self.folder / f"lock.{_number(before[-1]) + 1 if before else 0}"
        try:
            with path.open("x") as file:
                json.dump(asdict(self.me), file)
        except FileExistsError:
            return False
        except OSError:
            path.unlink(missing_ok=True)
            raise
        # Two processes that saw different locks may each have made one: both then try again.
        others = [other for other in locks(self.folder) if other != path]
        if not all(dead(other, self.me) for other in others):
            path.unlink(missing_ok=True)
            return False
        for other in others:
            other.unlink(missing_ok=True)
        self.path = path
        return True

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            with contextlib.suppress(OSError):
                if self.held() and self.path:
                    os.utime(self.path)

    def held(self) -> bool:
        """Whether this process still has the lock. Another one takes it after a long silence."""
        owner = read_owner(self.path) if self.path else None
        return owner == self.me and locks(self.folder)[-1:] == [self.path]

    def release(self) -> None:
        self._released.set()
        if self.path and self.held():
            self.path.unlink(missing_ok=True)
        self.path = None
