"""In which range the pixels of an imported tensor are: what the numbers say, and what is stated.

Tensors do not say how their pixels were scaled, and a wrong reading gives wrong images, not an
error. The thresholds are from CIFAR-100, Tiny-ImageNet, ImageNet, sign digits, scikit-learn's
digits and digits on a wide black border: 1 and 10 images a class and class means, in each range;
with noise added as learned images have it (standard deviations of 0.5 and 1); noise alone (where DC
and DM start); and images that the authors' programs of DC, DSA, DM, CAFE, MTT and TESLA learned.
MTT's author says that learned pixels are often extreme (mtt-distillation, issue 13): so the largest
value decides nothing.

Whitened images (ZCA) are told if they are not far from real ones: they are pale and rough. When
they were learned so long that their noise has a standard deviation of .6 or more, they look like
noise, where DC and DM start, and nothing tells them: then it must be stated (`whitened: true`).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from scdd.errors import ScddError
from scdd.views.pixels import Scale

# Mean distance of pixels in [0, 1] from this interval, over all values. Normalised sets, learned
# and noise: up to 0.10. Normalised twice: from 0.44. Bytes, also without their mean: from 2.
BEYOND = 0.3
# The same of what is stated to be whitened, back as pixels, on CIFAR-100: real images 0, with noise
# of 1 or 2 below 0.1 and 0.4; not whitened: from 1.7 ([-1, 1]), 3.4 ([0, 1]), 3.6 (normalised).
BEYOND_WHITENED = 1.0
INSIDE, SLACK = 0.999, 1 / 255  # share of values that is in a range widened by this share of it
LOOSE_INSIDE, LOOSE_SLACK = 0.99, 0.25  # of [0, 1], if learned and not clamped
# Misfit to the dataset: how far a mean is off in standard deviations, and the logarithm of the
# ratio of standard deviations. Read as what they are: up to 0.3; as normalised, [-1, 1] has from
# 0.7, [0, 1] and [-0.5, 0.5] from 1.3. Class means, normalised, and read as [-1, 1]: from 0.5.
FITS, BETTER = 0.5, 0.4
FAR, FAR_SHARE = 0.1, 0.2  # beyond [0, 1] by this; up to 0.3 of learned values, none of them inside
# Whitened: means by channel, standard deviation, and correlation of neighbours. Of real images 0,
# 0.11 to 0.36, 0.14 to 0.76 (0.93 for digits that were enlarged fourfold); with noise of 0.3, 0,
# 0.32 to 0.47, below 0.28. Normalised, by the dataset's own numbers, the standard deviation is 1
# with or without noise; that of class means is from 0.38, but their neighbours' correlation 0.98.
CENTRED_BY, PALE, ROUGH = 0.15, 0.6, 0.8
FLAT = 0.02  # standard deviation of values below which no range can be told
ENDS = 0.01  # of a range: its ends are black and white if the values end as near as this to both
NEAR = 8 / 255  # in pixels: readings that differ by less cannot be told apart, and need not be
IMAGES = 256  # images measured at a time, to spare memory


@dataclass(frozen=True)
class Reading:
    """A way in which pixels may be scaled: as if normalised by `mean` and `std`.

    what: for messages; low, high: of its values; advice: how a user states it.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    what: str = ""
    low: float = 0
    high: float = 0
    advice: str = ""


def _evenly(low: float, high: float, what: str, advice: str) -> Reading:
    """Pixels that are black at `low` and white at `high`."""
    size = high - low
    return Reading((-low / size,) * 3, (1 / size,) * 3, what, low, high, advice)


STATED = {
    "unit": _evenly(0, 1, "pixels in [0, 1]", "range: unit"),
    "byte": _evenly(0, 255, "bytes in [0, 255]", "range: byte"),
    "symmetric": _evenly(-1, 1, "pixels in [-1, 1]", "range: symmetric"),
}
CENTRED = _evenly(-0.5, 0.5, "pixels in [-0.5, 0.5]", "mean: [0.5, 0.5, 0.5] and std: [1, 1, 1]")
LIKELY = (*STATED.values(), CENTRED)  # in the order in which they are tried
WHITENED = Reading((0.0,) * 3, (1.0,) * 3, "whitened images (ZCA)", advice="whitened: true")


@dataclass(frozen=True)
class Measured:
    """Of values [n, 3, H, W]: least and largest, and mean and standard deviation by channel [3];
    as pixels in [0, 1]: the share that is clamped, that is clamped by more than FAR, and how far
    beyond they are on average; the shares within each LIKELY range, widened tightly and loosely;
    the correlation of values beside each other in a row."""

    low: float
    high: float
    mean: Tensor
    std: Tensor
    clamped: float
    far: float
    beyond: float
    inside: tuple[float, ...]
    loosely: tuple[float, ...]
    smooth: float


def reading_of(
    file: object, images: Tensor, stated: str | None, scale: Scale, dataset: Scale
) -> tuple[Reading, float]:
    """How to read images [n, 3, H, W], finite, and the share of values that is then clamped.

    stated: `range` of the configuration; scale: by which they are normalised if they are; dataset:
    the dataset's own mean and std. Integers are bytes. Raises ScddError, naming the `file`, where
    the values are plainly in another range.
    """
    if not images.is_floating_point():
        return _of_integers(file, images, stated)
    normalised = Reading(tuple(scale.mean), tuple(scale.std), "normalised pixels")
    reading = STATED.get(stated or "", normalised)
    found = measure(images, reading)
    other = _likelier(found, reading, dataset)
    gone = found.beyond > BEYOND
    if not gone and (stated or other is None):
        return reading, found.clamped
    looks = f"they look like {other.what}" if other else "they look like no range that is known"
    advice = f"Set {other.advice}" if other else "Set mean and std to those of the file"
    if not gone:
        advice += ", or range: normalised if they are"
    raise ScddError(
        f"{file}: its values go from {found.low:.4g} to {found.high:.4g}, with a mean of "
        f"{found.mean.mean():.3g}, and {100 * found.clamped:.0f} % would be clamped: not "
        f"{reading.what}, {looks}. {advice}, in the method's import."
    )


def _of_integers(file: object, images: Tensor, stated: str | None) -> tuple[Reading, float]:
    kind = str(images.dtype).removeprefix("torch.")
    if stated not in {None, "byte"}:
        raise ScddError(
            f"{file} has images of {kind}, which are bytes, but the method's import says "
            f"range: {stated}. Leave range out."
        )
    low, high = int(images.min()), int(images.max())
    if images.dtype == torch.bool or low < 0 or high > 255:
        raise ScddError(
            f"{file} has images of {kind} from {low} to {high}; integers must be bytes, 0 to 255."
        )
    return STATED["byte"], 0.0


def measure(images: Tensor, reading: Scale) -> Measured:
    """The numbers by which a range is told."""
    mean, std = _column(reading.mean), _column(reading.std)
    least, most = math.inf, -math.inf
    total, squares, pairs, ends = torch.zeros(4, 3, dtype=torch.float64)
    shares = torch.zeros(3 + 2 * len(LIKELY), dtype=torch.float64)
    for part in images.split(IMAGES):
        values = part.float()
        least, most = min(least, float(values.min())), max(most, float(values.max()))
        total += values.double().sum((0, 2, 3))
        squares += values.double().square().sum((0, 2, 3))
        left, right = values[..., :-1].double(), values[..., 1:].double()
        pairs += (left * right).sum((0, 2, 3))
        ends += (left + right).sum((0, 2, 3))
        beyond = ((values * std + mean - 0.5).abs() - 0.5).clamp(min=0)
        parts = [beyond > 0, beyond > FAR, beyond]
        for slack in (SLACK, LOOSE_SLACK):
            parts += [_within(values, each, slack) for each in LIKELY]
        shares += torch.stack([each.sum(dtype=torch.float64) for each in parts])
    count = images.numel()
    channel = total / (count / 3)
    spread = (squares / (count / 3) - channel.square()).clamp(min=0).sqrt()
    clamped, far, beyond_by, *inside = (shares / count).tolist()
    split = len(LIKELY)
    tight, loose = tuple(inside[:split]), tuple(inside[split:])
    beside = count / 3 * (1 - 1 / images.shape[-1])  # pairs by channel
    covariance = (pairs - channel * ends) / beside + channel.square()
    smooth = float((covariance / spread.square()).mean())
    return Measured(least, most, channel, spread, clamped, far, beyond_by, tight, loose, smooth)


def _within(values: Tensor, reading: Reading, slack: float) -> Tensor:
    room = slack * (reading.high - reading.low)
    return (values >= reading.low - room) & (values <= reading.high + room)


def _likelier(found: Measured, reading: Reading, dataset: Scale) -> Reading | None:
    """The reading that the numbers plainly show in place of `reading`, if any."""
    if float(found.std.mean()) < FLAT:
        return None
    as_read = _misfit(found, reading, dataset)
    for place, other in enumerate(LIKELY):
        if _same(other, reading):
            continue
        fit = _misfit(found, other, dataset)
        tight, loose = found.inside[place] >= INSIDE, found.loosely[place] >= LOOSE_INSIDE
        fits_better = fit < FITS and fit + BETTER < as_read
        if other is STATED["unit"]:
            # normalised, none of the pixels would be darker than the dataset's mean
            likely = tight or (loose and fits_better)
        elif other is STATED["byte"]:
            likely = tight and found.beyond > BEYOND
        else:
            likely = tight and (fits_better or found.far > FAR_SHARE or _ends_with(found, other))
        if likely:
            return other
    return WHITENED if _looks_whitened(found) else None


def _looks_whitened(found: Measured) -> bool:
    centred = bool((found.mean.abs() < CENTRED_BY).all())
    return centred and float(found.std.mean()) < PALE and found.smooth < ROUGH


def require_whitened(file: object, pixels: Tensor) -> float:
    """The share of values that is clamped in the 8-bit pictures of whitened images.

    pixels: what the whitening's inverse makes of them, float with black 0 and white 1. Raises
    ScddError, naming the `file`, where most of the picture would be lost: the images were not
    whitened, or not on this dataset.
    """
    beyond = ((pixels - 0.5).abs() - 0.5).clamp(min=0)
    if float(beyond.mean()) > BEYOND_WHITENED:
        raise ScddError(
            f"{file}: its values are not images that were whitened (ZCA) on this dataset: back as "
            f"pixels, black 0 and white 1, they go from {float(pixels.min()):.4g} to "
            f"{float(pixels.max()):.4g}. Leave whitened out of the method's import, or set dataset "
            "to theirs."
        )
    return float((beyond > 0.5 / 255).float().mean())  # less is rounded, not clamped


def _ends_with(found: Measured, reading: Reading) -> bool:
    """Whether the values go from one end of the range to the other, as clamped pixels do."""
    room = ENDS * (reading.high - reading.low)
    return found.low - reading.low <= room and reading.high - found.high <= room


def _misfit(found: Measured, reading: Reading, dataset: Scale) -> float:
    """How far the pixels' mean and standard deviation, so read, are from the dataset's."""
    own = torch.tensor([reading.mean, reading.std], dtype=torch.float64)
    theirs = torch.tensor([tuple(dataset.mean), tuple(dataset.std)], dtype=torch.float64)
    mean, std = found.mean * own[1] + own[0], found.std * own[1]
    off = ((mean - theirs[0]) / theirs[1]).mean().abs()
    return float(off + (std / theirs[1]).mean().log().abs())


def _same(one: Reading, other: Reading) -> bool:
    """Whether both make the same pixels of all values in the range of `one`."""
    return all(
        abs(value * s + m - value * t - n) <= NEAR
        for m, s, n, t in zip(one.mean, one.std, other.mean, other.std, strict=True)
        for value in (one.low, one.high)
    )


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values)[:, None, None]
