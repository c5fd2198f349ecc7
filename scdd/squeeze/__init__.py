"""Squeezing a dataset into a backbone: one module a method, one engine for all.

A method's module has one function,

    make(params, network, draw) -> scdd.squeeze.engine.Method | None

which adds what the method trains beside the backbone (heads, a momentum encoder, a queue), with
random numbers from `draw`. None means that there is nothing to train. A new method is a new file.
(`imported` reads what others trained, and has `load` instead.)
"""

import difflib
import importlib
import pkgutil
from types import ModuleType

from scdd.errors import ScddError

SHARED = (
    "engine",
    "heads",
    "knn",
    "norm",
    "optimizers",
    "processes",
    "views",
    "__main__",
)


def methods() -> list[str]:
    """Every method's name, as the config spells it."""
    return [found.name for found in pkgutil.iter_modules(__path__) if found.name not in SHARED]


def module(name: str) -> ModuleType:
    """The method's module. Raises ScddError, with the nearest names, where there is none."""
    if name not in methods():
        near = difflib.get_close_matches(name, methods(), cutoff=0.3) or methods()
        raise ScddError(f"squeeze method {name!r} is unknown; nearest: {', '.join(near)}.")
    return importlib.import_module(f"{__name__}.{name}")
