"""The files of an experiment, by the names that its configuration gives them."""

from pathlib import Path
from typing import Any

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError, nearest
from scdd.plan.plan import Plan

SET = "set.json"


def set_in(path: Path) -> Path:
    """A set.json, or the only one in a folder. Raises ScddError where there is none, or several."""
    if not path.is_dir():
        return path
    files = sorted(path.rglob(SET))
    if len(files) == 1:
        return files[0]
    some = ", ".join(str(file.parent.relative_to(path)) for file in files[:3])
    what = f"has {len(files)}: {some}{', …' * (len(files) > 3)}" if files else "has none"
    raise ScddError(f"a folder with one {SET} is needed, but {path} {what}. Name one.")


def named_set(
    plan: Plan, method: str | None, ipc: int | None, protocol: str | None = None
) -> tuple[Path, Path | None]:
    """The set.json of a method of the configuration with so many images a class, and the folder of
    its soft labels by a protocol.

    None: the plan has only one. The labels are None where no protocol is named, or its students
    have hard labels. Raises ScddError, naming what there is, where no or several image sets are
    meant.
    """
    cells = [cell for tables in plan.of("tables") for cell in tables.params["cells"]]
    cells = [cell for cell in cells if cell["images"]]
    for key, value in {"method": method, "ipc": ipc, "protocol": protocol}.items():
        known = {str(cell[key]) for cell in cells}
        if value is not None and str(value) not in known:
            raise ScddError(f"no images with {key} {value}. {nearest(value, known)}")
        cells = [cell for cell in cells if value in (None, cell[key])]
    if len({cell["images"] for cell in cells}) > 1:
        raise ScddError(f"several image sets are meant. Name one: {_choices(cells)}.")
    student = plan.nodes[str(Path(cells[0]["metrics"]).parent)]
    labels = student.parents.get("labels") if protocol else None
    return RESULTS / cells[0]["images"], RESULTS / labels if labels else None


def _choices(cells: list[dict[str, Any]]) -> str:
    """By which names image sets can be told apart, and which there are."""
    known = {key: sorted({cell[key] for cell in cells}) for key in ("method", "ipc", "protocol")}
    choices = [f"{key} {' or '.join(map(str, v))}" for key, v in known.items() if len(v) > 1]
    return "; ".join(choices)
