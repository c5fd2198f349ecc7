"""Coresets by a network's features: real training images, chosen within each class.

One module a method, with one function

    order(features) -> Tensor

which takes the features float [n, d] of the training images of one class and gives all of them in
the order in which the method would take them, int64 [n] on the features' device. So a larger IPC
adds images and changes none. Equal images come in the dataset's order.
"""

import importlib
import pkgutil
from typing import Protocol, cast

from torch import Tensor

from scdd.errors import ScddError


class Method(Protocol):
    def order(self, features: Tensor) -> Tensor: ...


def method(name: str) -> Method:
    """The module of a method. Raises ScddError where there is none of this name."""
    known = [found.name for found in pkgutil.iter_modules(__path__) if found.name[0] != "_"]
    if name not in known:
        raise ScddError(f"coreset {name!r} is unknown; it is one of {', '.join(known)}.")
    return cast(Method, importlib.import_module(f"{__name__}.{name}"))
