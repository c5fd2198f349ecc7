"""Tiny-ImageNet (Stanford CS231N): 200 classes at 64x64, as it comes, or as `train/<wnid>/` and
`val/<wnid>/`."""

from scdd.data.sets import Facts
from scdd.data.sets.imagefolder import load

__all__ = ["FACTS", "load"]

FACTS = Facts(
    classes=200,
    resolution=64,
    mean=(0.4802, 0.4481, 0.3975),
    std=(0.2770, 0.2691, 0.2821),
    family="tiny",
    train=100_000,
    per_class=500,
    needs="",
    photos=True,
)
