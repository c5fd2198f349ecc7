"""Steps whose kernels a GPU gets all at once, as a CUDA graph.

A step on small batches is hundreds of kernels, each of which ends before the CPU has launched the
next one: the launches take the time. A captured step is a single launch of the same kernels.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Literal, TypeVar, cast

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from scdd.jobs.progress import say

# how a step's kernels come to the device. none: one by one; graphs: on a GPU they are captured;
# full: torch.compile makes them, and on a GPU they are captured
Compiled = Literal["none", "graphs", "full"]

WARM_UP = 3  # plain calls before a capture, in which libraries choose their kernels

R = TypeVar("R")


def captures(compiled: Compiled, device: torch.device) -> bool:
    """Whether steps are captured there."""
    return compiled != "none" and device.type == "cuda"


class Captured(Generic[R]):
    """`function`, captured at its fourth call with arguments of the same shapes.

    Tensors among the arguments are copied to where the graph reads them. Other values, such as
    numbers, are part of the graph: each set of them has its own graph. What the function returns is
    overwritten by the next call. The function must not wait for the device, must change only
    tensors, in place, and must read only its arguments and tensors that stay where they are: a
    number from elsewhere would keep its value at the capture. If it cannot be captured, a line says
    why, and it is called as it is.
    """

    def __init__(self, function: Callable[..., R], device: torch.device) -> None:
        self.function = function
        # one stream for all calls: autograd's nodes stay with the stream that made them
        self.stream = torch.cuda.Stream(device)
        self.calls: Counter[Hashable] = Counter()
        self.graphs: dict[Hashable, _Graph] = {}
        self.possible = True

    def __call__(self, *arguments: Any) -> R:
        leaves, structure = tree_flatten(arguments)
        key = (structure, *map(_kind, leaves))
        if self.possible and key not in self.graphs:
            self.calls[key] += 1
            if self.calls[key] > WARM_UP:
                self._capture(key, leaves, structure)
        if key in self.graphs:
            return cast(R, self.graphs[key](leaves))
        return self._plainly(arguments)

    def _plainly(self, arguments: tuple[Any, ...]) -> R:
        """A call on the stream of the captures."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = self.function(*arguments)
        current.wait_stream(self.stream)
        return result

    def _capture(self, key: Hashable, leaves: list[Any], structure: TreeSpec) -> None:
        """Add a graph for arguments like these, which computes nothing yet."""
        try:
            self.graphs[key] = _Graph(self.function, leaves, structure, self.stream)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if isinstance(error.__context__, torch.OutOfMemoryError):  # it ended the capture
                raise error.__context__ from None
            self.possible = False
            say(
                f"cannot be captured, kernels are launched one by one: {str(error).splitlines()[0]}"
            )


class _Graph:
    """A recorded call. Its inputs and its result stay where they are."""

    def __init__(
        self,
        function: Callable[..., Any],
        leaves: Sequence[Any],
        structure: TreeSpec,
        stream: torch.cuda.Stream,
    ) -> None:
        self.inputs = [x.clone() if isinstance(x, Tensor) else x for x in leaves]
        arguments = tree_unflatten(self.inputs, structure)
        self.graph = torch.cuda.CUDAGraph()
        # other threads, which read files or write a saved state, continue meanwhile; the outer
        # `with` restores the stream if the capture fails
        with (
            torch.cuda.stream(stream),
            torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"),
        ):
            self.result = function(*arguments)

    def __call__(self, leaves: Sequence[Any]) -> Any:
        for own, leaf in zip(self.inputs, leaves, strict=True):
            if isinstance(own, Tensor):
                own.copy_(leaf)
        self.graph.replay()
        return self.result


def _kind(leaf: Any) -> Hashable:
    """What two arguments must share to share a graph."""
    return (leaf.shape, leaf.stride(), leaf.dtype) if isinstance(leaf, Tensor) else leaf


def captured(
    function: Callable[..., R], device: torch.device, compiled: Compiled
) -> Callable[..., R]:
    """`function` as it is, or `Captured` where steps are captured."""
    return Captured(function, device) if captures(compiled, device) else function
