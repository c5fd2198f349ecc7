"""A row of CIFAR-100, from its pixels to the table, as far as the time allows."""

import json
import time
from typing import Any

from gpu.place import ROOT, Place
from gpu.report import Outcome
from gpu.workflows import configured, page, plan_from, snakemake
from scdd.plan.load import read_config
from scdd.plan.presets import merge

DATA = ROOT / "data" / "cifar-100-python"
BRING = "python -c \"from torchvision.datasets import CIFAR100; CIFAR100('data', download=True)\""
MOST = 200  # epochs of the squeeze, the paper's
SHARE = 0.5  # of the time, for both squeezes
BOTH = 1.4  # times MoCo v2's epoch: the supervised squeeze runs beside it
GUESS = 15_000  # images/s of the squeeze where part 2 has not measured it
# CIFAR-100's place on a CPU: digits, a narrow network and few epochs
SMALL: dict[str, Any] = {
    "dataset": "digits",
    "backbone": {"arch": "resnet10", "width": 0.125},
    "students": [{"arch": "resnet10", "width": 0.125}],
    "ipc": [1],
    "methods": ["scdd", "sre2l"],
    "seeds": [0],
    "squeeze": {
        "mocov2": {"epochs": 1, "batch": 64, "queue": 128, "bn_groups": 2},
        "supervised": {"epochs": 1, "batch": 64},
    },
    "probe": {"epochs": 1},
    "recover": {"iterations": 4, "block": 10, "shift": 1},
    "protocol": {"scdd-paper": {"epochs": 2}, "fadrm": {"epochs": 2}},
    "machine": {"jobs_per_gpu": 1, "compile": "none", "threads": 1},
}


def epochs(place: Place) -> int:
    """Of the squeezes; what a first start has chosen holds for the next ones."""
    path = place.folder / "epochs.json"
    if not path.exists():
        rate = GUESS
        report = place.folder.with_suffix(".json")
        if report.exists():
            step = json.loads(report.read_text())["steps"].get("squeeze", {})
            rate = step.get("figures", {}).get("squeeze images/s", GUESS)
        number = int(SHARE * place.left / (BOTH * 50_000 / rate))
        path.write_text(json.dumps(max(1, min(MOST, number))))
    return int(json.loads(path.read_text()))


def run(place: Place, file: str) -> Outcome:
    config = read_config(ROOT / "experiments" / file)
    note = ""
    if place.small:
        config = merge(config, SMALL)
    elif not DATA.is_dir():
        return Outcome("failed", 0, [f"{DATA.relative_to(ROOT)} is missing. Bring it: `{BRING}`."])
    else:
        number = epochs(place)
        dataset = {"dataset": {"root": str(ROOT / "data")}}
        squeeze = {name: {"epochs": number} for name in ("mocov2", "supervised")}
        config = merge(config, dataset, {"squeeze": squeeze})
        note = f"Squeezed for {number} epochs, which is what the time allowed (at most {MOST})."
    path = configured(place, config["experiment"], config)
    plan, started = plan_from(path), time.monotonic()
    code, failed = snakemake(place, path, "all")
    seconds = time.monotonic() - started
    students = plan.of("validate")
    metrics = [place.runs / plan.targets(node)[0] for node in students]
    done = [
        f"- {node.label}: {json.loads(file.read_text())['top1']:.2f} %"
        for node, file in zip(students, metrics, strict=True)
        if file.exists()
    ]
    lines = [note, "", f"{seconds:.0f} s; {len(done)} of {len(students)} students.", "", *failed]
    table = page(place, plan)
    whole = code == 0 and bool(table)
    return Outcome("done" if whole else "failed", seconds, lines + (table if table else done))


def row(place: Place) -> Outcome:
    return run(place, "cifar100-gpu.yaml")


def fadrm(place: Place) -> Outcome:
    return run(place, "cifar100-gpu-fadrm.yaml")
