"""Images that are put together of crops, factor x factor in each (RDED's code)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def cells_by_ipc(ipc: int, factor: int) -> Tensor:
    """Which crop, by its rank in the class, is in each cell of each of `ipc` images, as RDED has
    it: int64 [ipc, factor²]. The easiest crops are the first cells; another IPC has other images.
    """
    return torch.arange(ipc * factor**2).view(factor**2, ipc).T


def cells_by_slot(count: int, factor: int) -> Tensor:
    """The same where an image has crops of neighbouring ranks: int64 [count, factor²]. The images
    of a smaller count are the first of a larger one."""
    return torch.arange(count * factor**2).view(count, factor**2)


def mosaic(crops: Tensor, size: int) -> Tensor:
    """Crops float [n, factor², 3, s, s], row by row of the mosaic, as images [n, 3, size, size].

    Where the factor does not divide the size, the first rows and columns are a pixel larger, and
    crops are brought to such a cell by taking the nearest pixels.
    """
    factor = math.isqrt(crops.shape[1])
    side, larger = divmod(size, factor)
    lengths = [side + (place < larger) for place in range(factor)]
    rows = []
    for row, height in enumerate(lengths):
        cells = [
            F.interpolate(crops[:, row * factor + column], size=(height, width), mode="nearest")
            for column, width in enumerate(lengths)
        ]
        rows.append(torch.cat(cells, dim=3))
    return torch.cat(rows, dim=2)
