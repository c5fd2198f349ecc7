"""A GPU that is pretended, for machines without one: real numbers in the CPU's memory.

Within `gpu()`, tensors that are made on, or moved to, GPU are known by their storage, and so is all
that is computed of them. What a GPU would refuse (tensors of both devices, a generator of the
CPU's) raises Mixed. What would wait for it is counted: copies to and fro but those that are
`non_blocking`, reading values, results whose shape depends on values.

Within `graphs()`, torch's CUDA graphs are pretended as well: a capture computes nothing, and a
replay does its operations again, on the tensors and with the numbers that they had.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
READS = (
    Tensor.item,
    Tensor.tolist,
    Tensor.numpy,
    Tensor.__bool__,
    Tensor.__float__,
    Tensor.__int__,
)
SHAPED = ("nonzero", "masked_select", "_unique2", "unique_dim", "bincount", "equal")
_storages: dict[int, Any] = {}  # of the GPU by address, and kept, so that none has it again
_waits: list[str] = []  # of the `gpu()` that is open


class Mixed(Exception):
    """An operation on tensors of both devices."""


def on_gpu(tensor: Tensor) -> bool:
    return tensor.untyped_storage().data_ptr() in _storages


def _put(made: Any) -> Any:
    for tensor in tree_leaves(made):
        if isinstance(tensor, Tensor) and tensor.numel():
            storage = tensor.untyped_storage()
            _storages[storage.data_ptr()] = storage
    return made


class _Operations(TorchDispatchMode):
    """Of all operations, a backward pass's too: where their results are."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self.waits, self.fetching = waits, False

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunction():  # the looks at tensors here are none of the program's
            return self.done(operation, args, kwargs)

    def done(self, operation: Any, args: Any, kwargs: Any) -> Any:
        given = tree_leaves((args, kwargs))
        tensors = [one for one in given if isinstance(one, Tensor) and one.numel()]
        there = [one for one in tensors if on_gpu(one)]
        if not there or self.fetching:
            return operation(*args, **(kwargs or {}))
        name = operation.overloadpacket.__name__
        here = [one for one in tensors if one.dim() and not on_gpu(one)]
        drawn = any(isinstance(one, torch.Generator) for one in given)
        if name in SHAPED or (
            name == "index" and any(one.dtype == torch.bool for one in there[1:])
        ):
            self.waits.append(name)
        if name in {"copy_", "_foreach_copy_"} and here:
            self.waits.append(name)
        elif here or drawn:
            raise Mixed(name)
        return _put(operation(*args, **(kwargs or {})))


class _Calls(TorchFunctionMode):
    """Of calls of torch's functions: which device is asked for."""

    def __init__(self, operations: _Operations) -> None:
        super().__init__()
        self.operations, self.waits = operations, operations.waits

    def __torch_function__(
        self, call: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if call == Tensor.device.__get__ and on_gpu(args[0]):
            return GPU
        if call in {Tensor.to, Tensor.cpu}:
            return self.moved(*args, **({"device": CPU} if call == Tensor.cpu else kwargs))
        if call in READS and on_gpu(args[0]):
            self.waits.append(call.__name__)
        if torch.device(kwargs.get("device") or CPU) == CPU:
            return call(*args, **kwargs)
        if call == torch.tensor:
            self.waits.append("tensor")
        if "generator" in kwargs:
            raise Mixed(call.__name__)
        return _put(call(*args, **{**kwargs, "device": CPU}))

    def moved(self, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """`Tensor.to`."""
        before = GPU if on_gpu(tensor) else CPU
        rest = [one for one in args if not isinstance(one, torch.device | str | Tensor)]
        for one in args:
            if isinstance(one, Tensor):
                kwargs |= {"device": GPU if on_gpu(one) else CPU, "dtype": one.dtype}
            elif isinstance(one, torch.device | str):
                kwargs["device"] = one
        if rest and isinstance(rest[-1], bool):
            kwargs["non_blocking"] = rest.pop()
        after = torch.device(kwargs.pop("device", None) or before)
        waits = not kwargs.pop("non_blocking", False)
        tensor = tensor.to(*rest, **kwargs) if rest or kwargs else tensor
        if after.type == before.type:
            return tensor
        if waits or after == CPU:
            self.waits.append("to")
        self.operations.fetching = True
        try:
            copied = tensor.clone()
        finally:
            self.operations.fetching = False
        return copied if after == CPU else _put(copied)


@contextlib.contextmanager
def gpu() -> Iterator[list[str]]:
    """What waits for the GPU, by name, as it comes."""
    global _waits  # noqa: PLW0603
    operations = _Operations([])
    _waits = operations.waits
    with _Calls(operations), operations:
        yield operations.waits


class Graph:
    """torch.cuda.CUDAGraph."""

    def __init__(self) -> None:
        self.steps: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with torch._C._AutoDispatchBelowAutograd(), torch._C.DisableTorchFunction():
            for operation, args, kwargs, results in self.steps:
                again = operation(*args, **kwargs)
                for old, new in zip(tree_leaves(results), tree_leaves(again), strict=True):
                    if isinstance(old, Tensor) and _storage(old) != _storage(new):
                        old.copy_(new)


class Capture(TorchDispatchMode):
    """torch.cuda.graph."""

    def __init__(self, graph: Graph, **_: Any) -> None:
        super().__init__()
        self.graph, self.waited = graph, len(_waits)
        self.made = set[int]()  # storages of the capture's own
        self.before: list[tuple[Tensor, Tensor]] = []  # what was there, and its content

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for tensor, content in self.before:
            tensor.copy_(content)
        if len(_waits) > self.waited and error[0] is None:
            raise RuntimeError(f"{_waits[-1]} waits, which no captured step may")

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        with torch._C.DisableTorchFunction():
            for tensor in given:
                if _storage(tensor) not in self.made:
                    # all of the storage, whatever part of it this is a view of
                    whole = tensor.new_empty(0).set_(tensor.untyped_storage())
                    self.before.append((whole, whole.clone()))
                    self.made.add(_storage(tensor))
        results = operation(*args, **kwargs)
        fresh = [x for x in tree_leaves(results) if isinstance(x, Tensor)]
        known = {_storage(x) for x in given}
        self.made |= {_storage(x) for x in fresh}
        returns = operation._schema.returns
        views = returns and all(r.alias_info and not r.alias_info.is_write for r in returns)
        if not (views and {_storage(x) for x in fresh} <= known):
            self.graph.steps.append((operation, args, kwargs, results))
        return results


class _Stream:
    """torch.cuda.Stream."""

    device = GPU

    def __init__(self, *_: Any) -> None:
        """Of any device."""

    def wait_stream(self, _: Any) -> None:
        """All streams are one."""


def _storage(tensor: Tensor) -> int:
    with torch._C.DisableTorchFunction():
        return tensor.untyped_storage().data_ptr()


@contextlib.contextmanager
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Graph]]:
    """The graphs that are captured within."""
    captured: list[Graph] = []

    def graph() -> Graph:
        captured.append(Graph())
        return captured[-1]

    grouped = torch.optim.Optimizer._group_tensors_by_device_and_dtype

    def grouped_there(tensors: Any, with_indices: bool = False) -> Any:
        """An optimiser's tensors: torch's own look at where they are is beneath this pretence."""
        groups = grouped(tensors, with_indices)
        return {(GPU, dtype): group for (_, dtype), group in groups.items()}

    with monkeypatch.context() as patch:
        group_tensors = staticmethod(grouped_there)
        patch.setattr(torch.optim.Optimizer, "_group_tensors_by_device_and_dtype", group_tensors)
        patch.setattr(torch.cuda, "CUDAGraph", graph)
        patch.setattr(torch.cuda, "graph", Capture)
        patch.setattr(torch.cuda, "Stream", _Stream)
        patch.setattr(torch.cuda, "current_stream", _Stream)
        patch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
        yield captured
