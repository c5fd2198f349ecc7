"""How every stage program runs: one-line errors, the record of its host and of what it took, and,
for a long job, the frame in which it can be interrupted and resumed."""

import argparse
import contextlib
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from scdd.artifacts.config import Frozen, read_frozen
from scdd.artifacts.files import sha256
from scdd.errors import ScddError, reported
from scdd.jobs import done
from scdd.jobs.costs import Cost, cost_path, job_name, save_cost
from scdd.jobs.devices import pick_device
from scdd.jobs.events import Events, require_tensorboard
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState, SavedState, Stopped
from scdd.jobs.signals import (
    STOPPED,
    end_with_the_driver,
    ignore_signals,
    leaving_when_asked,
)

ENDS = {0: "done", STOPPED: "left"}  # by exit code
COST = "cost.json"  # in a job's folder of finished outputs


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
    """`run` for a job that can be resumed: `work` resumes from the state and offers its own.

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
                with saved.attempt(say), leaving_when_asked(saved), _events(args, saved):
                    work(staged, config, device, saved)
                    seconds = saved.seconds()
                    if seconds is not None:  # a part must not be taken for the whole cost
                        save_cost(staging / COST, _cost(device, seconds))
                    files = done.commit(args.work, key, places)
            saved.require_lock()
            done.deliver(args.work, files, places)
            saved.clear()

    def follow() -> None:
        """All processes but the first take part, and write nothing but their errors.

        They leave when the first one does, so the signal that asks it to must not kill them.
        """
        config = read_frozen(args.config, stage)
        if done.finished(args.work, {"artifact": config.digest, "code": sha256(args.code)}):
            return
        ignore_signals()
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


@contextlib.contextmanager
def _events(args: argparse.Namespace, saved: SavedState) -> Iterator[None]:
    """Within, `saved` has the event files that the job was asked for."""
    if args.tensorboard is None:
        yield
        return
    require_tensorboard()  # the jobs' environment may be another one than the driver's
    with contextlib.closing(Events(args.tensorboard)) as saved.events:
        yield


def _report(job: Callable[[], None]) -> int:
    """Run a job; say how it ended and what it took. Returns the exit code."""
    end_with_the_driver()
    started = time.monotonic()
    code = 1
    try:
        code = reported(lambda: _explained(job))
    except Stopped as stop:
        say(f"asked to leave; {stop}. Run snakemake again to resume.")
        code = STOPPED
    finally:
        peak, gpu = _peaks()
        say(
            f"{ENDS.get(code, 'failed')} after {time.monotonic() - started:.1f} s, "
            f"peak memory {peak:.0f} MiB, of the GPU {gpu:.0f} MiB"
        )
    return code


def _explained(job: Callable[[], None]) -> None:
    """Run a job. What torch says of a batch of one image becomes a message to users."""
    try:
        job()
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ScddError(
            "a network with BatchNorm cannot train on one image of so few pixels: set the batch "
            f"to 2 or more. ({error})"
        ) from None


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


def environment(device: torch.device) -> dict[str, Any]:
    """What does not belong to the method but can change bits; it is in every header."""
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
