"""Images that are not recovered: one module a method, but for coresets, whose order is a parent.

A method's docstring says whether it is nested (IPC 1 is a prefix of IPC 10) or joint, and its
pixel space. Its `make(dataset, slots, seed)` yields, for each class in order, the images uint8
[n, 3, R, R] (CPU) of the slots; n is smaller than their number only where no more exist.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Protocol, cast

from torch import Tensor

from scdd.artifacts.slots import Range
from scdd.data.source import Dataset
from scdd.errors import ScddError


class Method(Protocol):
    def make(self, dataset: Dataset, slots: Range, seed: int) -> Iterator[Tensor]: ...


def method(name: str) -> Method:
    """The module of a method. Raises ScddError where there is none of this name."""
    known = [module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_"]
    if name not in known:
        raise ScddError(f"baseline {name!r} is unknown; it is one of {', '.join(known)}.")
    return cast(Method, importlib.import_module(f"{__name__}.{name}"))
