"""What every stage program shares: arguments, one-line errors, progress, the record of its host."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from scdd.artifacts.config import Frozen, read_frozen
from scdd.errors import ScddError

T = TypeVar("T")
LINE_EVERY = 10.0  # seconds between the lines of a log


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments that all stage programs take."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--config", type=Path, required=True, help="the frozen config.json of this artifact"
    )
    made.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda")
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
    try:
        config = read_frozen(args.config, stage)
        device = pick_device(args.device)
        say(f"{stage} {config.label}-{config.digest}: config {args.config}")
        say(json.dumps(environment(device)))
        started = time.monotonic()
        work(args, config, device)
        say(f"done in {time.monotonic() - started:.1f} s")
    except ScddError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def pick_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ScddError(f"device {name} is asked for, but torch sees no GPU on {platform.node()}.")
    return torch.device(name)


def environment(device: torch.device) -> dict[str, Any]:
    """What does not belong to the method but can change bits; stands in every header."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def track(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Iterate with a bar on a terminal, or a line with rate and time left every 10 s in a log."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total)
        return
    total = len(items) if total is None and hasattr(items, "__len__") else total
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_EVERY or done == total:
            last, rate = now, done / max(now - started, 1e-9)
            left = f", {(total - done) / rate:.0f} s left" if total else ""
            say(f"{what}: {done}/{total or '?'}, {rate:.3g}/s{left}")
