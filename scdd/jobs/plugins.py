"""Plug-ins: packages with one module a method, dataset or ordering. A new one is a new file."""

import importlib
import pkgutil
from types import ModuleType

from scdd.errors import ScddError, nearest


def names(package: str) -> list[str]:
    """The modules of a package in alphabetical order, spelt as in the configuration. Those whose
    names start with an underscore are helpers."""
    path = importlib.import_module(package).__path__
    modules = (module.name for module in pkgutil.iter_modules(path))
    return sorted(name.replace("_", "-") for name in modules if name[0] != "_")


def load(package: str, name: str, what: str) -> ModuleType:
    """The module of that name; `what` says what it is. Raises ScddError, with the nearest name, if
    there is none."""
    if name not in (known := names(package)):
        raise ScddError(f"{what} {name!r} is unknown. {nearest(name, known)}")
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")
