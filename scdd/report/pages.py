"""Which files the tables' program makes. Pure Python: the workflow declares them as outputs."""

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

TABLES = ("main.csv", "main.md", "main.tex", "all.csv", "costs.csv")
ABLATION = ("ablation.csv", "ablation.md", "ablation.tex")
LABELS = ("labels.csv", "labels.png", "labels.svg")
BACKBONES = (
    "backbones.csv",
    "backbones.md",
    "backbones.tex",
    "layers.csv",
    "backbones.png",
    "backbones.svg",
)


def grids(params: dict[str, Any]) -> dict[str, str]:
    """File name of each grid picture -> the set.json that it shows, in the order of the cells.

    `params` are the frozen ones of stage 'tables'. Image sets that would share a name (one
    method, one IPC, several recoveries) have their digest in it.
    """
    stems: dict[str, str] = {}
    for cell in params["cells"]:
        if cell["images"] is not None:
            method = re.sub(r"[^A-Za-z0-9.+_-]", "-", cell["method"])
            stems.setdefault(cell["images"], f"images_{method}_ipc{cell['ipc']}")
    shared = Counter(stems.values())
    names = {}
    for images, stem in stems.items():
        digest = PurePosixPath(images).parent.name.rpartition("-")[2]
        names[f"{stem}.png" if shared[stem] == 1 else f"{stem}_{digest}.png"] = images
    return names


def strips(params: dict[str, Any]) -> dict[str, str]:
    """File name, less .png or .gif, of each picture strip -> the frames that it shows."""
    return {f"recovery_{one['method']}": one["frames"] for one in params["recoveries"]}


def label_sizes(params: dict[str, Any]) -> bool:
    """Whether students of the same images and kind have soft labels of several forms."""
    forms: dict[tuple[Any, ...], set[str]] = {}
    for cell in params["cells"]:
        if cell["stored"]:
            same = tuple(cell[key] for key in ("method", "teacher", "ipc", "student"))
            forms.setdefault(same, set()).add(cell["stored"]["form"])
    return any(len(found) > 1 for found in forms.values())


def pages(params: dict[str, Any]) -> list[str]:
    """The files of the report that are shown on the screen. An ablation's main table has a number
    in few of its places: its own says them all."""
    main = "ablation.md" if "ablation" in params else "main.md"
    return [main] * bool(params["cells"]) + ["backbones.md"] * ("backbones" in params)


def outputs(params: dict[str, Any]) -> list[str]:
    """Names of all files of the report, relative to its folder."""
    made = [*TABLES, *grids(params)] if params["cells"] else []
    if "ablation" in params:
        made += ABLATION
    if label_sizes(params):
        made += LABELS
    if params["probes"] or params["recoveries"]:
        made += ["losses.png", "losses.svg"]
    made += [f"{stem}.{kind}" for stem in strips(params) for kind in ("png", "gif")]
    if any(cell["ipc"] is not None for cell in params["cells"]):
        made += ["accuracy.png", "accuracy.svg"]
    if "backbones" in params:
        made += BACKBONES
    return made


def inputs(params: dict[str, Any]) -> list[str]:
    """Everything the report is made of, relative to the results folder."""
    files = [params["data"], *grids(params).values(), *strips(params).values()]
    for part in (*params["cells"], *params["probes"]):
        files += [part["metrics"], part["history"]]
    files += [one["metrics"] for one in params.get("verified", ())]
    for recovery in params["recoveries"]:
        files += recovery["losses"]
    for look in params.get("backbones", ()):
        files += [look["informativeness"], look["metrics"], look["history"]]
    return files
