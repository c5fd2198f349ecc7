"""The networks: names, stems for small images, image sizes and norms, without torch.

It lists what scdd.networks builds, so that a wrong name is found before the first job. A test
compares the two.
"""

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from scdd.errors import ScddError, nearest
from scdd.params.architectures import (
    CONVNETS,
    DENSENETS,
    RESNETS,
    SCALED,
    SHUFFLENETS,
    WIDE_RESNETS,
)
from scdd.params.network import Network

SMALL = 64  # pixels up to which `stem: auto` is the small one
TIMM = "timm:"


@dataclass(frozen=True)
class Family:
    """Networks of one kind. least: pixels a side of the smallest images that they take, as
    published; least_small: with the small stem (None: they have no small stem); step: sizes are
    multiples of it; any_size: whether one network takes images of several sizes; batch_norm:
    whether it has BatchNorm; backbone: whether it can be one, its last layer being linear; dots:
    pixels a side of the largest images, as published and with the small stem, of which the last
    maps have one pixel (0: not known)."""

    names: tuple[str, ...]
    least: int = 1
    least_small: int | None = None
    step: int = 1
    any_size: bool = True
    batch_norm: bool = True
    backbone: bool = True
    dots: tuple[int, int] = (0, 0)

    def smallest(self, stem: str) -> int:
        """Pixels a side of the smallest images that they take with a stem."""
        return self.least_small if stem == "small" and self.least_small else self.least


def _each(prefix: str, ends: str) -> tuple[str, ...]:
    return tuple(prefix + end for end in ends.split())


_REGNETS = "400mf 800mf 1_6gf 3_2gf 8gf 16gf 32gf"
FAMILIES = (
    Family(tuple(RESNETS), least_small=1, dots=(32, 8)),
    *(
        Family((name,), least=2**depth, any_size=False, batch_norm=batch_norm)
        for name, (depth, batch_norm) in CONVNETS.items()
    ),
    Family(tuple(WIDE_RESNETS), dots=(4, 4)),
    Family(("alexnet",), least=63, batch_norm=False),
    Family(_each("convnext_", "tiny small base large"), least=32, least_small=16, batch_norm=False),
    Family(tuple(DENSENETS), least=29, least_small=8, dots=(60, 15)),
    Family(
        _each("efficientnet_", "b0 b1 b2 b3 b4 b5 b6 b7 v2_s v2_m v2_l"),
        least_small=1,
        dots=(32, 16),
    ),
    Family(("googlenet",), least=15),
    Family(("inception_v3",), least=75),
    Family(("maxvit_t",), least=224, step=224, any_size=False),
    Family(_each("mnasnet", "0_5 0_75 1_0 1_3")),
    Family(("mobilenet_v2",), least_small=1, dots=(32, 8)),
    Family(_each("mobilenet_v3_", "small large")),
    Family(_each("regnet_x_", _REGNETS), least_small=1),
    Family(_each("regnet_y_", f"{_REGNETS} 128gf"), least_small=1),
    Family(_each("resnext", "50_32x4d 101_32x8d 101_64x4d"), least_small=1),
    Family(tuple(SHUFFLENETS), least_small=1, dots=(32, 8)),
    Family(("squeezenet1_0",), least=21, batch_norm=False, backbone=False),
    Family(("squeezenet1_1",), least=17, batch_norm=False, backbone=False),
    Family(_each("swin_", "t s b v2_t v2_s v2_b"), least_small=1, batch_norm=False),
    Family(_each("vgg", "11 13 16 19"), least=32, batch_norm=False),
    Family(_each("vgg", "11_bn 13_bn 16_bn 19_bn"), least=32),
    Family(_each("vit_", "b_16 l_16"), least=16, step=16, any_size=False, batch_norm=False),
    Family(_each("vit_", "b_32 l_32"), least=32, step=32, any_size=False, batch_norm=False),
    Family(("vit_h_14",), least=14, step=14, any_size=False, batch_norm=False),
    Family(_each("wide_resnet", "50_2 101_2"), least_small=1),
)
STUDENTS = {name: family for family in FAMILIES for name in family.names}


def for_images(network: Network, resolution: int, where: str) -> Network:
    """The network, its stem chosen, for images of `resolution` pixels a side.

    Raises ScddError where there is no such student, or it has no such stem or width, or does not
    take such images.
    """
    name = network.arch
    if name.startswith(TIMM):
        _require_timm(name.removeprefix(TIMM), where)
        family = Family((name,))
    elif name in STUDENTS:
        family = STUDENTS[name]
    else:
        raise ScddError(f"{where}: unknown arch {name!r}. {nearest(name, STUDENTS)}")
    own = name in RESNETS
    if network.width != 1 and name not in SCALED:
        raise ScddError(
            f"{where}: {name} has one width. Leave width out, or take a ResNet, a ConvNet or "
            "another network that has a width (docs/students.md)."
        )
    stem = network.stem
    if stem == "auto":
        small = resolution <= SMALL and family.least_small is not None
        stem = "small" if small else "imagenet"
    elif not own and (stem == "small-pad2" or family.least_small is None):
        raise ScddError(f"{where}: {name} has no stem {stem!r}. Leave stem out.")
    least = family.smallest(stem)
    if resolution < least or resolution % family.step:
        sizes = f"multiples of {family.step} pixels" if family.step > 1 else f"{least} pixels on"
        raise ScddError(
            f"{where}: {name} takes images of {sizes}, and these have {resolution}. Choose another."
        )
    return replace(network, stem=stem)


def require_batch(network: Network, batch: int, resolution: int, where: str) -> None:
    """Raises ScddError where BatchNorm would see a single value: a batch of one image whose last
    maps have one pixel. network: as `for_images` returns it."""
    family = STUDENTS.get(network.arch, Family(()))  # timm's are not known
    if batch == 1 and resolution <= family.dots[network.stem != "imagenet"]:
        raise ScddError(
            f"{where}: 1, but BatchNorm in {network.arch} cannot train on one image of "
            f"{resolution} pixels. Set it to 2 or more."
        )


def _require_timm(name: str, where: str) -> None:
    known = timm_names()
    if known is None:
        raise ScddError(
            f"{where}: {TIMM}{name} needs timm, which is not installed. Install it: "
            "pip install timm."
        )
    if name not in known:
        raise ScddError(f"{where}: timm has no model {name!r}. {_nearest(name, known)}")


def _nearest(name: str, known: Iterable[str]) -> str:
    """As `nearest`, but timm has too many names to list."""
    hint = nearest(name, known)
    return hint if hint.startswith("Did") else "See timm.list_models()."


@cache
def timm_names() -> frozenset[str] | None:
    """The models that timm registers, None where it is not installed.

    They are read from its source, since its import takes torch and seconds.
    """
    spec = importlib.util.find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        return None
    files = Path(spec.submodule_search_locations[0], "models").glob("*.py")
    entry = re.compile(r"^@register_model\ndef (\w+)\(", re.MULTILINE)
    return frozenset(name for file in files for name in entry.findall(file.read_text("utf-8")))
