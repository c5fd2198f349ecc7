"""Several processes that train one network, each with its share of every batch.

    torchrun --nproc_per_node=N python -m scdd.squeeze ...

Image i of a batch belongs to process i mod N. A process alone has all of it, and nothing here
communicates.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, distributed

from scdd.jobs.saved import JobState, Snapshot, Stopped


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Within, the processes that torchrun started know each other."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def count() -> int:
    """How many processes train the network."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """This process's number; 0 is the one that writes."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def own() -> slice:
    """This process's rows of what is ordered as a batch."""
    return slice(rank(), None, count())


@torch.no_grad()
def gathered(part: Tensor) -> Tensor:
    """The rows [n, ...] of all processes in the batch's order, each of which has `part`
    [n / count, ...]; without a gradient."""
    if count() == 1:
        return part.detach()
    parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(count())]
    distributed.all_gather(parts, part.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Replace float tensors by their means over the processes, in one exchange."""
    if count() == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    parts = (flat / count()).split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


class SharedState(JobState):
    """The state of a job that several processes share: the first one's, broadcast to all. They
    leave after the same step."""

    def __init__(self, saved: JobState) -> None:
        self.saved = saved
        self.curve, self.events = saved.curve, saved.events
        contents: list[Any] = [saved.content]
        distributed.broadcast_object_list(contents)
        self.content = contents[0]

    def offer(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        leaving = torch.tensor(self.saved.leaving)
        distributed.broadcast(leaving, 0)
        # if the first is asked after the broadcast, all leave at the next step
        if leaving or not self.saved.leaving:
            self.saved.offer(step, snapshot)
        if leaving:
            raise Stopped(f"left at step {step}")
