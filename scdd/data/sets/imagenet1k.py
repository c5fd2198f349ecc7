"""ImageNet-1K (ILSVRC 2012), as `train/<wnid>/` and `val/<wnid>/` below the data root."""

from scdd.data.sets import Facts
from scdd.data.sets.imagefolder import load

__all__ = ["FACTS", "load"]

FACTS = Facts(
    classes=1000,
    resolution=224,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    family="imagenet",
    train=1_281_167,
    per_class=732,
    needs="",
    photos=True,
)
