"""Statistics of one class, for a recovery that matches by class (LPLD, arXiv 2410.15919, section 4;
WMDD, arXiv 2311.18531)."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from scdd.recover.units import Statistics


@torch.inference_mode()
def class_statistics(network: nn.Module, batches: Iterable[Tensor]) -> Statistics:
    """Mean and biased variance of the input of each BatchNorm2d layer over all images of `batches`,
    normalised float32 [b, 3, R, R]: float32 [channels of all layers in module order] each.

    The network is set to eval mode: what a layer sees is what it sees in the recovery.
    """
    network.eval()
    layers = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    # by layer: sums of 1, x and x squared over all batches
    sums = [torch.zeros(3, part.num_features, dtype=torch.double) for part in layers]

    def noting(row: int) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def note(_: nn.Module, inputs: tuple[Tensor]) -> None:
            x = inputs[0].double()
            seen = [torch.ones_like(x).sum((0, 2, 3)), x.sum((0, 2, 3)), x.square().sum((0, 2, 3))]
            sums[row] = sums[row].to(x.device) + torch.stack(seen)

        return note

    hooks = [part.register_forward_pre_hook(noting(row)) for row, part in enumerate(layers)]
    for images in batches:
        network(images)
    for hook in hooks:
        hook.remove()
    counts, means, squares = torch.cat(sums, dim=1)
    means, squares = means / counts, squares / counts
    return means.float(), (squares - means.square()).float()
