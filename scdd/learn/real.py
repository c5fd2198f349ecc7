"""Real training images by class, as networks see them, and batches of them."""

from collections.abc import Callable

import torch
from torch import Tensor

from scdd.data.source import Split


class RealImages:
    """The training images on the device.

    as_seen: maps images uint8 [n, 3, R, R] to what networks see, float [n, 3, R, R]: normalised or
    whitened. least: how many images the smallest class has.
    """

    def __init__(self, split: Split, classes: int, as_seen: Callable[[Tensor], Tensor]) -> None:
        self.split, self.as_seen = split, as_seen
        members = [(split.labels == label).nonzero().flatten() for label in range(classes)]
        self.counts = torch.tensor([len(rows) for rows in members])
        self.least = int(self.counts.min())
        self.members = torch.nn.utils.rnn.pad_sequence(members, batch_first=True)  # [K, most]

    def draw(self, size: int, draw: torch.Generator) -> Tensor:
        """Rows int64 [K, b] (CPU) of `size` random images of each class, without replacement; fewer
        where the smallest class has fewer."""
        keys = torch.rand(self.members.shape, generator=draw)
        keys[torch.arange(keys.shape[1]) >= self.counts[:, None]] = 2  # no image: comes last
        order = keys.topk(min(size, self.least), dim=1, largest=False).indices
        return self.members.gather(1, order)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """The images of `rows` int64 [...] (CPU), float [..., 3, R, R] on the device."""
        images = self.as_seen(self.split.images(rows.flatten()))
        return images.view(*rows.shape, *images.shape[1:])
