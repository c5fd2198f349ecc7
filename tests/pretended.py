"""A GPU that is pretended, for machines without one: real numbers in the CPU's memory.

Within `gpu()`, tensors that are made on, or moved to, GPU are known by their storage, and so is all
that is computed of them. What a GPU would refuse (tensors of both devices, a generator of the
CPU's) raises Mixed. What would wait for it is counted: copies to and fro but those that are
`non_blocking`, reading values, results whose shape depends on values.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

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
    operations = _Operations([])
    with _Calls(operations), operations:
        yield operations.waits
