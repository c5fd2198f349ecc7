"""The arguments of stage programs: those that all take, and those that several share."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from scdd.jobs.capture import Compiled

SAVE_EVERY = 300.0  # seconds between saves of a long job's state


def span(text: str) -> tuple[int, int]:
    """The half-open range `a:b` of a command line, 0 <= a < b."""
    start, _, end = text.partition(":")
    if not (start.isdigit() and end.isdigit() and int(start) < int(end)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range a:b with a < b")
    return int(start), int(end)


# what several programs need, by name: how it is read, and what it is
SHARED: dict[str, tuple[Callable[[str], Any], str]] = {
    "data": (Path, "the dataset's dataset.json"),
    "root": (Path, "the folder of the dataset's files"),
    "images": (Path, "the image set's set.json"),
    "teacher": (Path, "the probe's checkpoint"),
    "slots": (span, "range of slots, e.g. 1:10"),
    "epochs": (span, "range of epochs, e.g. 0:100"),
    "history": (Path, "CSV of the epochs to write"),
}


def parser(description: str | None, *shared: str, out: str = "") -> argparse.ArgumentParser:
    """The arguments that all stage programs take, and, required, those of SHARED that are named.

    out: what `--out` is; without it the program has no such argument, or adds its own.
    """
    arguments = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--config", type=Path, required=True, help="the frozen config.json of this artifact"
    )
    arguments.add_argument(
        "--device", default="auto", help="auto (a GPU if there is one), cpu, cuda"
    )
    arguments.add_argument(
        "--jobs-per-gpu", type=int, default=1, help="how many jobs share a GPU of this machine"
    )
    arguments.add_argument(
        "--compile",
        choices=get_args(Compiled),
        default="none",
        help="how steps get to the device: kernel by kernel, as CUDA graphs, or compiled as well",
    )
    for name in shared:
        read, meaning = SHARED[name]
        arguments.add_argument(f"--{name}", type=read, required=True, help=meaning)
    if out:
        arguments.add_argument("--out", type=Path, required=True, help=out)
    return arguments


def long_parser(description: str | None, *shared: str, out: str = "") -> argparse.ArgumentParser:
    """`parser` for a program that can be interrupted and resumed."""
    arguments = parser(description, *shared, out=out)
    arguments.add_argument(
        "--work", type=Path, required=True, help="folder of this job's lock and saved state"
    )
    arguments.add_argument(
        "--code",
        type=Path,
        required=True,
        help="print of the code; a state that other code saved is not used",
    )
    arguments.add_argument(
        "--tensorboard", type=Path, help="folder for TensorBoard's event files; without it none"
    )
    arguments.add_argument(
        "--save-every", type=float, default=SAVE_EVERY, help="seconds between saves of the state"
    )
    return arguments
