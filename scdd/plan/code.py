"""The code of a stage as an input: prints that change when, and only when, the code does.

Snakemake does not see the modules that a program imports. A print is one small file with a hash
of the syntax trees, without comments and docstrings, of all modules that a program reaches.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from scdd.artifacts.files import sha256, write_text
from scdd.artifacts.run import RESULTS
from scdd.plan.plan import Node
from scdd.plan.stages import STAGES

# How files are laid out, and what is printed, does not change results. Nor does a new parameter,
# since the digests have the parameters' values. Where an edit of these modules does change results,
# raise the version of the stages that it concerns. In scdd.params that may be an edit of a property
# (`blurs` and `multi_crop` of a squeeze), of `Section.of`, or of `param(as_before=...)`.
NEUTRAL = (
    "scdd.artifacts",
    "scdd.params",
    "scdd.jobs.runtime",
    "scdd.jobs.arguments",
    "scdd.jobs.devices",
    "scdd.jobs.signals",
    "scdd.jobs.progress",
    "scdd.jobs.curve",
    "scdd.jobs.events",
    "scdd.jobs.gpus",
    "scdd.errors",
)
PACKAGE = Path(__file__).parents[1]


def print_path(node: Node) -> Path:
    """The print that `node`'s job takes as an input."""
    return RESULTS / "code" / f"{'.'.join((node.stage, *_chosen(node)))}.txt"


def _chosen(node: Node) -> list[str]:
    """The name of the module that the artifact's program loads, if it loads any."""
    plugins = STAGES[node.stage].plugins
    return [node.params[plugins[1]].replace("-", "_")] if plugins else []


def write_prints(nodes: list[Node]) -> None:
    """Write the prints that changed. The files of the others keep their times."""
    for path, node in {print_path(node): node for node in nodes}.items():
        stage = STAGES[node.stage]
        roots = [stage.program, f"{stage.program}.__main__"]
        if stage.plugins:
            roots += [f"{stage.plugins[0]}.{name}" for name in _chosen(node)]
        lines = [f"{name} {tree_hash(_file(name))}" for name in sorted(reach(roots))]
        lines += [f"{name} {sha256(PACKAGE / name)}" for name in stage.reads]
        text = "\n".join(lines) + "\n"
        if not path.exists() or path.read_text() != text:
            write_text(path, text)


def reach(roots: list[str]) -> set[str]:
    """The modules of this package that `roots` import, directly or not, without neutral ones."""
    seen: set[str] = set()
    waiting = [name for name in roots if _file(name)]
    while waiting:
        name = waiting.pop()
        if name in seen or name == "scdd" or name.startswith(NEUTRAL):
            continue
        seen.add(name)
        waiting += imports(_file(name))
    return seen


@cache
def _file(name: str) -> Path | None:
    """The source of a module of this package, None where there is no such module.

    Found by its path, since importlib would import the module's parents, and torch with them.
    """
    place = PACKAGE.joinpath(*name.split(".")[1:])
    return next((f for f in (place.with_suffix(".py"), place / "__init__.py") if f.exists()), None)


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imports(file: Path) -> list[str]:
    """Every `scdd` module that the import statements of a file name, also those in functions."""
    names: list[str] = []
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "scdd" and _file(name)]


@cache
def tree_hash(file: Path) -> str:
    """A hash of a file's syntax tree. It is the same under every Python that can read the file."""
    return hashlib.sha256(repr(_bare(_tree(file))).encode()).hexdigest()[:16]


def _bare(node: Any) -> Any:
    """The tree as nested tuples, without docstrings and empty fields."""
    if isinstance(node, list):
        return [_bare(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
    with_docstring = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    if isinstance(node, with_docstring) and ast.get_docstring(node, clean=False) is not None:
        fields = [(n, v[1:] if n == "body" else v) for n, v in fields]
    return (type(node).__name__, [(name, _bare(value)) for name, value in fields])
