"""The steps one after the other, each within its share of the time; see the package."""

import argparse
import hashlib
import importlib
import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from gpu.place import ROOT, Place
from gpu.report import Outcome, Report, file_name
from gpu.running import run, tail
from gpu.steps import STEPS, Step

TOTAL = 560.0  # seconds, if nothing else is asked for
SPARE = 5.0  # seconds in which a step that is asked to leave writes what it has
CODE = ("scdd", "rules", "benchmarks", "Snakefile", "config.yaml", "experiments")


def code_key() -> str:
    """Stands for the code that is measured: a hash of its files."""
    total = hashlib.sha256()
    for part in CODE:
        files = [ROOT / part] if (ROOT / part).is_file() else sorted((ROOT / part).rglob("*"))
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                total.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return total.hexdigest()[:12]


def limit_of(step: Step, total: float, left: float, small: bool) -> float | None:
    """Seconds that a step may take; None if that is too little to begin it."""
    limit = left - SPARE if small else min(step.share * total, left - SPARE)
    return limit if limit >= (1 if small else step.least) else None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks/gpu.sh", description=sys.modules["gpu"].__doc__
    )
    parser.add_argument("seconds", nargs="?", type=float, default=TOTAL)
    parser.add_argument("--small", action="store_true", help="all of it in small, on a CPU")
    parser.add_argument("--out", type=Path, default=ROOT / "gpu", help="folder of the reports")
    args = parser.parse_args()
    if not args.small and not torch.cuda.is_available():
        print("torch sees no GPU here. --small does all of it in small, on the CPU.")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through `finally`
    ends = time.monotonic() + args.seconds
    card = "CPU, small" if args.small else torch.cuda.get_device_name()
    folder = args.out.resolve() / file_name(card)
    report = Report.open(folder, card, code_key())
    failed = False
    for name, step in STEPS.items():
        if report.done(name):
            print(f"{name}: done before", flush=True)
            continue
        limit = limit_of(step, args.seconds, ends - time.monotonic(), args.small)
        if limit is None:
            left = max(0.0, ends - time.monotonic())
            line = f"Not begun: {left:.0f} s were left, and it takes {step.least:.0f} at least."
            outcome = Outcome("skipped", 0, [line])
        else:
            outcome = do(name, folder, args.small, limit)
        report.add(name, outcome)
        failed = failed or outcome.state == "failed"
        print(f"{name}: {outcome.state}, {outcome.seconds:.0f} s", flush=True)
    print(f"{folder}.md")
    return int(failed or any(not report.done(name) for name in STEPS))


def do(name: str, folder: Path, small: bool, limit: float) -> Outcome:
    """Run a step by `begin`, in a process of its own."""
    result, log = folder / f"{name}.json", folder / "logs" / f"{name}.log"
    result.unlink(missing_ok=True)
    options = ["--small"] * small
    command = [sys.executable, "-c", f"from gpu.__main__ import begin; begin({name!r})"]
    started = time.monotonic()
    code = run([*command, str(folder), str(limit), *options], log, limit + SPARE, cwd=ROOT)
    seconds = time.monotonic() - started
    if code == 0 and result.exists():
        return Outcome(**{**json.loads(result.read_text()), "seconds": seconds})
    why = f"Ended after {limit:.0f} s." if code is None else f"Exit code {code}."
    return Outcome("failed", seconds, [why, "", "```", *tail(log), "```"])


def begin(name: str) -> None:
    """In the process of a step: do it, and leave what it reports beside its log."""
    folder, limit, *rest = sys.argv[1:]
    place = Place(Path(folder), "--small" in rest, time.monotonic() + float(limit))
    module, function = STEPS[name].function.split(".")
    started = time.monotonic()
    outcome = getattr(importlib.import_module(f"gpu.{module}"), function)(place)
    assert isinstance(outcome, Outcome)
    content = {**asdict(outcome), "seconds": time.monotonic() - started}
    (place.folder / f"{name}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    raise SystemExit(main())
