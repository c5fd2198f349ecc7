"""ZCA whitening, with the formula of kornia's ZCAWhitening, which the code of MTT and TESLA uses.

A whitened image is nearly the image with its pixels made uncorrelated: of the training images'
covariance C = U S U', the components are scaled by (S + eps)^(-1/2) and put back in their places.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from scdd.views.pixels import unit
from scdd.views.products import exact_products


@dataclass(frozen=True)
class Whitening:
    """mean [D], transform [D, D] and inverse [D, D], float32 or float64, on one device.

    D = 3 * R * R: an image's values in [0, 1], channel by channel, row by row.
    """

    mean: Tensor
    transform: Tensor
    inverse: Tensor

    def to(self, target: torch.device | torch.dtype) -> "Whitening":
        """On a device, or in another dtype."""
        return Whitening(self.mean.to(target), self.transform.to(target), self.inverse.to(target))

    @exact_products()
    def whiten(self, images: Tensor) -> Tensor:
        """uint8 [n, 3, R, R], or floats in [0, 1], whitened: float [n, 3, R, R] in the whitening's
        dtype."""
        values = unit(images).flatten(1).to(self.mean.dtype)
        return ((values - self.mean) @ self.transform).view(images.shape)

    @exact_products()
    def unwhiten(self, images: Tensor) -> Tensor:
        """Whitened float [n, 3, R, R] as pixels, black 0 and white 1, not clipped: in the
        whitening's dtype."""
        values = images.flatten(1).to(self.mean.dtype)
        return (values @ self.inverse + self.mean).view(images.shape)


def fit(batches: Iterable[Tensor], eps: float) -> Whitening:
    """The whitening of all images of `batches`, uint8 [n, 3, R, R] or floats in [0, 1]; float64.

    At least two images are needed. Takes the memory of some six matrices [D, D]: 75 MB each at 32
    pixels.
    """
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    for images in batches:
        # without the middle grey, so that squares and means do not cancel each other
        values = unit(images).flatten(1).double() - 0.5
        count += len(values)
        total = total + values.sum(0)
        products = products + values.T @ values
    mean = total / count
    covariance = (products - count * mean.outer(mean)) / (count - 1)
    sizes, vectors = torch.linalg.eigh(covariance)
    roots = (sizes.clamp(min=0) + eps).sqrt()
    return Whitening(mean + 0.5, (vectors / roots) @ vectors.T, (vectors * roots) @ vectors.T)
