"""What every stage program shares: arguments, one-line errors, the record of its host, and, for a
job that may take long, the frame in which it is interrupted and gone on with."""

import argparse
import contextlib
import ctypes
import json
import os
import platform
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import torch

from scdd.artifacts.config import Frozen, read_frozen
from scdd.artifacts.files import sha256
from scdd.errors import ScddError, reported
from scdd.jobs import done, gpus
from scdd.jobs.capture import Compiled
from scdd.jobs.costs import Cost, cost_path, job_name, save_cost
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState, SavedState, Stopped

SAVE_EVERY = 300.0  # seconds between saves of a long job's state
STOPPED = 128 + signal.SIGTERM  # exit code of a job that was asked to leave
ENDS = {0: "done", STOPPED: "left"}  # by exit code
SIGNALS = (signal.SIGTERM, signal.SIGINT)
COST = "cost.json"  # in a job's folder of finished outputs
PR_SET_PDEATHSIG = 1  # Linux's prctl


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments that all stage programs take."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--config", type=Path, required=True, help="the frozen config.json of this artifact"
    )
    made.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda")
    made.add_argument(
        "--jobs-per-gpu", type=int, default=1, help="how many jobs share a GPU of this machine"
    )
    made.add_argument(
        "--compile",
        choices=get_args(Compiled),
        default="none",
        help="how steps get to the device: kernel by kernel, as CUDA graphs, or compiled as well",
    )
    return made


def long_parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments of a program that is interrupted and gone on with."""
    made = parser(description)
    made.add_argument(
        "--work", type=Path, required=True, help="folder of this job's lock and saved state"
    )
    made.add_argument(
        "--code", type=Path, required=True, help="print of the code; a state of other code is void"
    )
    made.add_argument(
        "--save-every", type=float, default=SAVE_EVERY, help="seconds between saves of the state"
    )
    return made


def span(text: str) -> tuple[int, int]:
    """The half-open range `a:b` of a command line, 0 <= a < b."""
    start, _, end = text.partition(":")
    if not (start.isdigit() and end.isdigit() and int(start) < int(end)):
        raise argparse.ArgumentTypeError(f"{text!r} is no range a:b with a < b")
    return int(start), int(end)


def run(
    stage: str,
    arguments: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace, Frozen, torch.device], None],
    argv: list[str] | None,
) -> int:
    """Parse, read the frozen config, work. Returns the exit code; a user's mistake is one line."""
    args = arguments.parse_args(argv)

    def job() -> None:
        config = read_frozen(args.config, stage)
        device = pick_device(args.device, args.jobs_per_gpu)
        introduce(args, config, device)
        started = time.monotonic()
        work(args, config, device)
        save_cost(_cost_place(args, config), _cost(device, time.monotonic() - started))

    return _report(job)


def run_long(
    stage: str,
    arguments: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace, Frozen, torch.device, JobState], None],
    argv: list[str] | None,
    *,
    outputs: Sequence[str],
) -> int:
    """`run` for a job that resumes: `work` offers its state, and takes up what it finds there.

    outputs: names of the arguments that say where the outputs go. They are written elsewhere and
    linked to their places when all is done (see scdd.jobs.done).
    """
    args = arguments.parse_args(argv)
    places = {getattr(args, name).name: getattr(args, name) for name in outputs}

    def job() -> None:
        config = read_frozen(args.config, stage)
        key = {"artifact": config.digest, "code": sha256(args.code)}
        places[COST] = _cost_place(args, config)
        saved = SavedState(args.work, key, args.save_every)
        with saved.locked():
            if files := done.finished(args.work, key):
                say(f"finished by an earlier attempt: linked from {args.work}")
            else:
                device = pick_device(args.device, args.jobs_per_gpu)
                introduce(args, config, device)
                staging = done.start(args.work)
                inside = {name: staging / getattr(args, name).name for name in outputs}
                staged = argparse.Namespace(**{**vars(args), **inside})
                with saved.attempt(say), _asked_to_leave(saved):
                    work(staged, config, device, saved)
                    seconds = saved.seconds()
                    if seconds is not None:  # a part of the cost would pass for all of it
                        save_cost(staging / COST, _cost(device, seconds))
                    files = done.commit(args.work, key, places)
            saved.require_lock()
            done.deliver(args.work, files, places)
            saved.clear()

    def follow() -> None:
        """Of several processes, all but the first take part and leave no trace but their errors.

        They leave when the first does, and so must not die of the signal that asks it to.
        """
        config = read_frozen(args.config, stage)
        if done.finished(args.work, {"artifact": config.digest, "code": sha256(args.code)}):
            return
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stderr(nowhere),
            contextlib.suppress(Stopped),
        ):
            work(args, config, pick_device(args.device, args.jobs_per_gpu), JobState())

    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    if several and torch.distributed.get_rank() > 0:
        return reported(follow)
    return _report(job)


def _report(job: Callable[[], None]) -> int:
    """Run a job; say how it ended and what it took. Returns the exit code."""
    _end_with_the_driver()
    started = time.monotonic()
    code = 1
    try:
        code = reported(job)
    except Stopped as stop:
        say(f"asked to leave; {stop}. Run snakemake again to go on from there.")
        code = STOPPED
    finally:
        peak, gpu = _peaks()
        say(
            f"{ENDS.get(code, 'failed')} after {time.monotonic() - started:.1f} s, "
            f"peak memory {peak:.0f} MiB, of the GPU {gpu:.0f} MiB"
        )
    return code


def _peaks() -> tuple[float, float]:
    """The most memory of this process so far, and of torch on the GPU, in MiB."""
    gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, gpu


def _cost(device: torch.device, seconds: float) -> Cost:
    where, peaks = environment(device), (round(peak, 1) for peak in _peaks())
    return Cost(round(seconds, 3), where["device"], where["threads"], *peaks)


def _cost_place(args: argparse.Namespace, config: Frozen) -> Path:
    given = vars(args)
    job = job_name(config, given.get("work"), given.get("slots"))
    return cost_path(args.config.parent, job)


def _end_with_the_driver() -> None:
    """Be asked to leave when the process dies that started this one: Snakemake, if it is killed.

    By hand, a program may outlive its shell.
    """
    if "SCDD_PLAN" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


@contextlib.contextmanager
def _asked_to_leave(saved: SavedState) -> Iterator[None]:
    """Within, SIGTERM or Ctrl-C makes the job save and leave; a second Ctrl-C kills it.

    SIGTERM may come several times at one end: from Slurm, and since the parent has died of it.
    """

    def leave(number: int, _: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not saved.leaving:
            saved.leaving = True
            # not by print, which this may have interrupted
            os.write(2, f"{signal.Signals(number).name}: saving, then leaving\n".encode())

    before = {each: signal.signal(each, leave) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def pick_device(name: str, jobs_per_gpu: int = 1) -> torch.device:
    """The device of that name. 'auto' and 'cuda' take a GPU that fewer than so many of our jobs
    have."""
    if name == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ScddError(f"device {name} is asked for, but torch sees no GPU on {platform.node()}.")
    if name in {"auto", "cuda"}:
        device = torch.device(
            "cuda", gpus.take(gpus.visible(torch.cuda.device_count()), jobs_per_gpu)
        )
    else:
        device = torch.device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # of which torch then tells the peak memory
        _tune()
    return device


def _tune() -> None:
    """Make a GPU fast: float32 matrix products in TF32, as convolutions are by torch's default, but
    those within `scdd.views.products.exact_products`; and of cuDNN's algorithms, for each shape,
    the one that a trial finds fastest. Not for the CPU, where the first would change oneDNN's
    products."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True


def environment(device: torch.device) -> dict[str, Any]:
    """What does not belong to the method but can change bits; stands in every header."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


def introduce(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    """The first lines of a log."""
    slurm = os.environ.get("SLURM_JOB_ID")
    job = f", Slurm job {slurm}" if slurm else ""
    say(f"{config.stage} {config.label}-{config.digest}: config {args.config}")
    say(f"host {platform.node()}, process {os.getpid()}{job}, device {device}")
    say(json.dumps(environment(device)))
