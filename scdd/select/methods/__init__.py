"""Images that are not recovered: one module a method, but for coresets, whose order is a parent.

A method's docstring says whether it is nested (IPC 1 is a prefix of IPC 10) or joint, and its
pixel space. Its `make(dataset, slots, seed)` yields, for each class in order, the images uint8
[n, 3, R, R] (CPU) of the slots; n is smaller than their number only where no more exist.
"""

from collections.abc import Iterator
from typing import Protocol, cast

from torch import Tensor

from scdd.artifacts.slots import Range
from scdd.data.source import Dataset
from scdd.jobs import plugins


class Method(Protocol):
    def make(self, dataset: Dataset, slots: Range, seed: int) -> Iterator[Tensor]: ...


def method(name: str) -> Method:
    """The module of a method. Raises ScddError if there is none of this name."""
    return cast(Method, plugins.load(__name__, name, "image selection"))
