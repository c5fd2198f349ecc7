"""Which real images of a class an observer, a probed network, puts first: the easiest crops (RDED,
arXiv 2312.03526, its code), or the images around the median (DELT, arXiv 2411.19946, its code)."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from scdd import rng
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.patches import Ranking, Tensors, empty_rankings, set_ranking
from scdd.data.sample import in_random_order
from scdd.data.source import Split, square
from scdd.jobs.epochs import Epochs
from scdd.jobs.saved import JobState
from scdd.networks.backbone import in_eval_mode
from scdd.params.patches import Patches
from scdd.patches.crops import SQUARE, cut, fitted
from scdd.views.geometry import draw_chances
from scdd.views.pixels import Scale, normalise, standardise

BATCH = 64  # images that are read, cut and scored together


def padded(crops: Tensor, size: int) -> Tensor:
    """Crops float [n, 3, s, s] in the middle of zeros: [n, 3, size, size]."""
    missing = size - crops.shape[-1]
    before, after = missing // 2, missing - missing // 2
    return F.pad(crops, (before, after, before, after))


def probabilities(network: nn.Module, images: Tensor, label: int) -> Tensor:
    """What the network gives the class of normalised images [n, 3, R, R]: float32 [n]."""
    probability: Tensor = network(images).float().softmax(1)[:, label]
    return probability


def difficulty(network: nn.Module, crops: Tensor, label: int, scale: Scale, size: int) -> Tensor:
    """The cross-entropy of crops float [b, m, 3, s, s] in [0, 1] of one class: float32 [b, m].

    They are not enlarged to the `size` of the network's images: normalised, they are in the middle
    of zeros. As in the released code the logarithm is of the rounded probability.
    """
    seen = padded(standardise(crops.flatten(0, 1), scale), size)
    return -probabilities(network, seen, label).log().view(crops.shape[:2])


def easiest_first(scores: Tensor, boxes: Tensor, images: Tensor) -> Ranking:
    """Of each image its easiest crop, and the images from the easiest on; of equal ones the first.

    scores: float32 [n, m]; boxes: int64 [n, m, 4]; images: int64 [n].
    """
    least, which = scores.cpu().min(1)
    order = least.argsort(stable=True)
    best = boxes[torch.arange(len(boxes)), which]
    return Ranking(images[order], least[order], best[order])


@torch.inference_mode()
def easiest(
    network: nn.Module,
    split: Split,
    info: DatasetInfo,
    params: Patches,
    label: int,
    device: torch.device,
) -> Ranking:
    """RDED's ranking of a class: from the easiest crop on, no two of one image.

    network: in eval mode, on the device; split: the training images in their own sizes. Nothing
    waits for the device before all crops are scored.
    """
    images = in_random_order(split, info, label, params.seed)[: params.pool]
    draw = rng.generator(params.seed, "patches", info.classes[label])
    chances = draw_chances(len(images) * params.crops, params.scale, draw, SQUARE)
    chances = chances.view(len(images), params.crops, -1)
    size = info.resolution // params.factor
    scores, boxes = [], []
    batches = zip(chances.split(BATCH), split.whole(images, BATCH), strict=True)
    for of_batch, pictures in batches:
        boxes.append(fitted(pictures, of_batch))
        crops = cut(pictures, boxes[-1], size, device)
        scores.append(difficulty(network, crops, label, info, info.resolution))
    return easiest_first(torch.cat(scores), torch.cat(boxes), images)


def standard_views(
    split: Split, order: Tensor, info: DatasetInfo, device: torch.device
) -> Iterator[Tensor]:
    """Batches uint8 [b, 3, R, R] (device) of training images as DELT sees them: the shorter side is
    resized to 8/7 R, in whole sevenths of R, and the centre is cut out."""
    size = info.resolution
    short = max(size, size // 7 * 8)
    if split.pixels is None:
        for _, images in replace(split, short=short).batches(order, BATCH, device):
            yield images
        return
    for index in order.split(BATCH):
        arrays = split.images(index).permute(0, 2, 3, 1).cpu().numpy()
        views = [square(Image.fromarray(array), size, short) for array in arrays]
        yield torch.stack(views).to(device)


def from_the_middle(n: int) -> Tensor:
    """Places of n sorted items from the median on, outwards by turns, the larger one first: int64
    [n]."""
    middle = min(math.ceil(n / 2), n - 1)
    outwards = sorted(range(n), key=lambda place: (abs(place - middle), place < middle))
    return torch.tensor(outwards)


@torch.inference_mode()
def around_median(
    network: nn.Module, split: Split, info: DatasetInfo, label: int, device: torch.device
) -> Ranking:
    """DELT's ranking of a class: whole images, from the median of the class's probability on.

    network, split: as for `easiest`.
    """
    images = (split.labels == label).nonzero().flatten()
    views = standard_views(split, images, info, device)
    scores = torch.cat(
        [probabilities(network, normalise(seen, info), label) for seen in views]
    ).cpu()
    order = scores.argsort(stable=True)[from_the_middle(len(images))]
    return Ranking(images[order], scores[order], None)


def rankings(
    network: nn.Module,
    split: Split,
    info: DatasetInfo,
    params: Patches | None,
    device: torch.device,
    saved: JobState | None = None,
) -> Tensors:
    """The tensors of patches.safetensors.

    split: the training images in their own sizes; params: of RDED's ranking; None: DELT's, around
    the median. saved: where to resume from, and where to leave the state after each class.
    """
    in_eval_mode(network, device)
    split = split.to(device)
    most = int(split.labels.bincount().max())
    if params is not None:
        most = min(most, params.pool)
    made = empty_rankings(len(info.classes), most, boxes=params is not None)
    for label in Epochs("patches, classes", len(info.classes), 1, saved, {"rankings": made}):
        ranked = (
            around_median(network, split, info, label, device)
            if params is None
            else easiest(network, split, info, params, label, device)
        )
        set_ranking(made, label, ranked)
    return made
