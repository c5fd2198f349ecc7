"""Coresets by a network's features: real training images, chosen within each class.

One module a method, with one function

    order(features) -> Tensor

which takes the features float [n, d] of the training images of one class and gives all of them in
the order in which the method would take them, int64 [n] on the features' device. So a larger IPC
adds images and changes none. Equal images come in the dataset's order.
"""

from typing import Protocol, cast

from torch import Tensor

from scdd.jobs import plugins


class Method(Protocol):
    def order(self, features: Tensor) -> Tensor: ...


def method(name: str) -> Method:
    """The module of a method. Raises ScddError if there is none of this name."""
    return cast(Method, plugins.load(__name__, name, "coreset"))
