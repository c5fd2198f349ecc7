"""Steps that run Snakemake, in a folder of their own, and tell which jobs failed."""

import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gpu.place import ROOT, Place
from gpu.report import Outcome
from gpu.running import run, tail
from scdd.plan.load import plan_of, read_config
from scdd.plan.plan import Plan
from scdd.plan.presets import merge

CORES = 16  # of a GPU machine; a CPU's two in small
LEAVE = 30.0  # seconds before a step's end at which its run of Snakemake is ended

# the default experiment in small: one method, one image a class
SHORT = {
    "methods": ["scdd"],
    "ipc": [1],
    "seeds": [0],
    "squeeze": {"mocov2": {"epochs": 2}},
    "probe": {"epochs": 5},
    "recover": {"iterations": 20},
    "protocol": {"scdd-paper": {"epochs": 10}},
}


def configured(place: Place, name: str, config: Mapping[str, Any]) -> Path:
    """A configuration's file in the report's folder, for this step's device."""
    machine: dict[str, Any] = {"device": "cpu", "threads": 1} if place.small else {"device": "cuda"}
    path = place.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(merge(config, {"machine": machine})))
    return path


def snakemake(place: Place, config: Path, *arguments: str) -> tuple[int | None, list[str]]:
    """The exit code, None where its time was up, and what failed, as lines of Markdown."""
    places = yaml.safe_load(config.read_text())["machine"].get("jobs_per_gpu", 1)
    command = [sys.executable, "-m", "snakemake", *arguments]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(place.runs)]
    command += ["--workflow-profile", str(ROOT / "profiles" / "default")]
    command += ["--cores", "2" if place.small else str(CORES), "--resources", f"gpu={places}"]
    command += ["--keep-going", "--nolock", "--configfile", str(config)]
    log = place.folder / "logs" / f"{config.stem}-snakemake.log"
    began = time.time()
    code = run(command, log, place.left - LEAVE, cwd=ROOT, env=place.environment())
    return code, [*faults(place, began), *([] if code in (0, None) else ["```", *tail(log), "```"])]


def faults(place: Place, since: float) -> list[str]:
    """The last lines of the logs of jobs that have failed since that time."""
    lines = []
    for log in sorted((place.runs / "logs").rglob("*.log")):
        end = tail(log)
        if log.stat().st_mtime >= since and end and re.match(r"[\d:]{8} failed after", end[-1]):
            lines += [f"{log.relative_to(place.runs)}:", "", "```", *end[-8:], "```", ""]
    return lines


def plan_from(config: Path) -> Plan:
    return plan_of(read_config(config))


def page(place: Place, plan: Plan) -> list[str]:
    """The experiment's table, if there is one by now."""
    path = place.runs / plan.targets(plan.of("tables")[0])[0]
    return path.read_text().splitlines() if path.exists() else []


def experiment(place: Place, name: str, config: Mapping[str, Any]) -> Outcome:
    """Run it to its end, and show its table."""
    path = configured(place, name, config)
    plan = plan_from(path)
    started = time.monotonic()
    code, failed = snakemake(place, path)
    seconds = time.monotonic() - started
    if code != 0:
        why = "Its time was up." if code is None else "Not all jobs ended well."
        return Outcome("failed", seconds, [why, "", *failed])
    table = [line for line in page(place, plan) if line.startswith("|")]
    jobs = sum(len(list(plan.of(stage))) for stage in {n.stage for n in plan.nodes.values()})
    return Outcome("done", seconds, [f"{jobs} artifacts in {seconds:.0f} s.", "", *table])


def default(place: Place) -> Outcome:
    config = read_config(ROOT / "config.yaml")
    return experiment(place, "default", merge(config, SHORT) if place.small else config)


def everything(place: Place) -> Outcome:
    return experiment(place, "everything", read_config(Path(__file__).parent / "everything.yaml"))


def theirs(place: Place) -> Outcome:
    """Import the images and labels that were exported from `everything`."""
    config = read_config(place.folder / "everything.yaml")
    plan = plan_from(place.folder / "everything.yaml")
    labels = next(n for n in plan.of("relabel") if n.params["mix"] == "none")
    images = plan.parent(labels, "images").folder / "set.json"
    folder = place.runs / "theirs"
    if not folder.exists():
        for words in (
            ["export", images, "--to", "imagefolder", "--out", folder / "images"],
            [
                *("export-labels", labels.folder, "--images", images),
                *("--out", folder / "labels", "--batch", 4),
            ],
        ):
            command = [sys.executable, "-m", "scdd.cli", *map(str, words)]
            subprocess.run(command, cwd=place.runs, check=True, env=place.environment())
    kept = ("dataset", "students", "seeds", "ipc", "machine")
    method = {"name": "theirs", "import": str(folder / "images"), "labels": str(folder / "labels")}
    protocol = config["protocol"]["scdd-paper"]
    return experiment(
        place,
        "theirs",
        {
            **{key: config[key] for key in kept},
            "experiment": "theirs",
            "methods": [method],
            "protocols": ["scdd-paper"],
            "protocol": {"scdd-paper": protocol},
        },
    )
