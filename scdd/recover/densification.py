"""G-VBSM's data densification (arXiv 2311.17950, section 3.1): images of a class that differ."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 32  # pixels to which larger images are pooled
TEMPERATURE = 4.0


def densification(views: Tensor, classes: int) -> Tensor:
    """How far a batch's classes are from images that differ, by unit, [units].

    views: float32 [units, n, 3, R, R], the images of the first of so many classes first, as many
    for each. Of the eigenvalues l of V V^T, where V are a class's images in rows, the sum over
    classes of KL(softmax(l / 4) || softmax(l)); the first has no gradient.
    """
    images = views.flatten(0, 1)
    if views.shape[-1] > SIDE:
        images = F.adaptive_avg_pool2d(images, SIDE)
    rows = images.view(len(views), classes, -1, images[0].numel())
    # in float64: softmax(l) shows what float32's rounding leaves of eigenvalues of thousands
    values = torch.linalg.eigvalsh((rows @ rows.transpose(-1, -2)).double()).float()
    flat = (values / TEMPERATURE).softmax(-1).detach()
    return F.kl_div(values.log_softmax(-1), flat, reduction="none").sum((1, 2))
