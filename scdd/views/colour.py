"""Colour jitter, grey, blur and solarising of whole batches on the device, image by image.

Drawing and applying are separate. Factors are drawn on the CPU for any number of images (the
squeeze draws an epoch at once); applying them is arithmetic without a branch on their values.
torchvision draws the order of the operations for each image; here a batch shares one order.
"""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from scdd.views.products import exact_products

BRIGHTNESS, CONTRAST, SATURATION, HUE, GREY = range(5)
SIGMAS = (0.1, 2.0)  # of the blur, in pixels: SimCLR, arXiv 2002.05709, appendix A
REACH = 6  # pixels that the blur covers to each side: three of its largest sigmas


@dataclass(frozen=True)
class Jitter:
    """torchvision's ColorJitter with probability `p`, then RandomGrayscale with `grey_p`.

    strengths: of brightness, contrast, saturation, hue; factors are uniform in 1 ± strength (not
    below 0), the hue's shift in ± strength. A strength of 0 leaves the operation out.
    """

    strengths: tuple[float, float, float, float]
    p: float
    grey_p: float


def draw_factors(jitter: Jitter, n: int, draw: torch.Generator) -> Tensor:
    """float32 [n, 5]: factors of brightness, contrast and saturation, shift of hue (a share of the
    circle), grey (0 or 1). An image without jitter has factors 1, 1, 1 and shift 0."""
    strengths = torch.tensor(jitter.strengths)
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0])
    low = torch.maximum(neutral - strengths, torch.tensor([0.0, 0.0, 0.0, -0.5]))
    factors = low + torch.rand(n, 4, generator=draw) * (neutral + strengths - low)
    jittered = torch.rand(n, 1, generator=draw) < jitter.p
    grey = torch.rand(n, 1, generator=draw) < jitter.grey_p
    return torch.cat([torch.where(jittered, factors, neutral), grey.float()], dim=1)


def draw_order(jitter: Jitter, draw: torch.Generator) -> list[int]:
    """The operations (BRIGHTNESS, ...) to apply to a batch, in random order; GREY, if any, last."""
    order = torch.randperm(4, generator=draw).tolist()
    order = [number for number in order if jitter.p > 0 and jitter.strengths[number] > 0]
    return [*order, GREY] if jitter.grey_p > 0 else order


def luminance(images: Tensor) -> Tensor:
    """Grey [n, 1, H, W] of [n, 3, H, W], with torchvision's weights (ITU-R 601-2)."""
    red, green, blue = images.split(1, dim=1)
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of RGB in [0, 1] by `shift` [n] of the circle (HSV, continuous form)."""
    value, minimum = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    chroma = value - minimum
    red, green, blue = images.split(1, dim=1)
    is_red, is_green = value == red, value == green
    sector = torch.where(is_red, green - blue, torch.where(is_green, blue - red, red - green))
    sector = sector / torch.where(chroma == 0, 1.0, chroma)
    sector = sector + torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0))
    # 5, 3, 1, made on the device: a list would have to be copied there
    offsets = torch.arange(5.0, 0.0, -2.0, device=images.device)[:, None, None]
    turned = offsets + sector + 6 * shift[:, None, None, None]
    turned = turned - 6 * (turned / 6).floor()  # the remainder, but faster
    return value - chroma * torch.minimum(turned, 4 - turned).clamp(0, 1)


def colour(images: Tensor, factors: Tensor, order: list[int]) -> Tensor:
    """Apply the operations in `order` with each image's `factors` (of `draw_factors`, on the
    device) to float [n, 3, H, W] in [0, 1]; the same range is returned.
    """
    for operation in order:
        factor = factors[:, operation, None, None, None]
        if operation == BRIGHTNESS:
            images = (images * factor).clamp(0, 1)
        elif operation == CONTRAST:
            mean = luminance(images).mean((1, 2, 3), keepdim=True)
            images = torch.lerp(mean, images, factor).clamp(0, 1)
        elif operation == SATURATION:
            images = torch.lerp(luminance(images), images, factor).clamp(0, 1)
        elif operation == HUE:
            images = shift_hue(images, factors[:, HUE])
        else:
            images = torch.where(factor > 0, luminance(images), images)
    return images


def draw_sigmas(p: float, n: int, draw: torch.Generator) -> Tensor:
    """float32 [n]: widths of the blur, uniform in SIGMAS with probability `p`, otherwise 0."""
    sigmas = torch.empty(n).uniform_(*SIGMAS, generator=draw)
    return torch.where(torch.rand(n, generator=draw) < p, sigmas, 0.0)


@cache
def _neighbours(size: int, device: torch.device) -> Tensor:
    """float32 [2 reach + 1, size * size]: 1 at (d, i * size + j) where pixel i + d - reach is
    pixel j, mirrored at the edges without repeating them; else 0."""
    reach = min(REACH, size - 1)
    places = (torch.arange(-reach, reach + 1)[:, None] + torch.arange(size)).abs()
    places = size - 1 - (size - 1 - places).abs()
    return functional.one_hot(places, size).float().flatten(1).to(device)


@exact_products()
def blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """Gaussian blur of float [n, 3, R, R], each image with its own sigma [n] (0: unchanged).

    Equals torchvision's `gaussian_blur` with a kernel of 2 min(REACH, R - 1) + 1. Each axis of an
    image is a product with one small matrix, as in `crop_resize`.
    """
    size = images.shape[-1]
    neighbours = _neighbours(size, images.device)
    reach = len(neighbours) // 2
    steps = torch.arange(-reach, reach + 1, device=images.device)
    weights = torch.exp(-0.5 * (steps / sigmas.clamp(min=1e-3)[:, None]) ** 2)
    weights = weights / weights.sum(1, keepdim=True)
    matrix = (weights @ neighbours).view(-1, 1, size, size).to(images.dtype)
    return matrix @ images @ matrix.transpose(-1, -2)


def solarise(images: Tensor, chosen: Tensor) -> Tensor:
    """Invert the pixels of at least 1/2 in the images (float [n, 3, H, W] in [0, 1]) that bool [n]
    `chosen` marks."""
    inverted = (images >= 0.5) & chosen[:, None, None, None]
    return torch.where(inverted, 1 - images, images)
