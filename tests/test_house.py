"""The house: which folder of scdd imports which.

`python tests/test_house.py` prints what the design page must say.
"""

from graphlib import TopologicalSorter
from pathlib import Path

from scdd.plan.code import imports

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "scdd"
PAGE = ROOT / "docs" / "design.md"


def folder_graph() -> dict[str, set[str]]:
    """By folder of scdd, or module beside the folders: the others that it imports."""
    graph: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        folder = file.relative_to(PACKAGE).with_suffix("").parts[0]
        imported = {module.split(".")[1] for module in imports(file) if "." in module}
        graph.setdefault(folder, set()).update(imported - {folder})
    return graph


def arrows(graph: dict[str, set[str]]) -> str:
    """A line for each folder; it imports only folders of the lines before. Raises CycleError."""
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    lines = []
    while ready := sorted(sorter.get_ready()):
        lines += [f"{folder} → {', '.join(sorted(graph[folder])) or '-'}" for folder in ready]
        sorter.done(*ready)
    return "\n".join(lines)


def test_the_design_page_shows_which_folder_imports_which() -> None:
    assert f"```folders\n{arrows(folder_graph())}\n```\n" in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    print(arrows(folder_graph()))
