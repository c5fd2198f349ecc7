"""The networks that are trained on distilled images: students by name.

A student and a backbone of one name are the same network. ResNets are those of
scdd.networks.resnet, `convnet1` to `convnet4`, also with `-bn`, are the ConvNets of the classic
papers, `timm:<name>` is one of timm's, other names are torchvision's. docs/students.md explains
what a small-image stem is.
"""

import contextlib
import difflib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from scdd.artifacts.sizes import FILTERS
from scdd.errors import ScddError
from scdd.networks import resnet, scaled, wide_resnet
from scdd.networks.stems import change_stem
from scdd.params.architectures import CONVNETS, WIDE_RESNETS
from scdd.params.network import Network

TIMM = "timm:"


class ConvNet(nn.Module):
    """Blocks of 3x3 convolution, norm, ReLU and 2x2 average pooling, then one linear layer on all
    that is left (DC, arXiv 2006.05929, section 4.1; MTT, arXiv 2203.11932, section 4).

    Images float [n, 3, resolution, resolution], normalised, to logits [n, classes]. Instance norm
    is a group norm with one channel a group, with scale and shift, as in those papers' code.
    """

    def __init__(
        self, depth: int, batch_norm: bool, filters: int, resolution: int, classes: int
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for inputs in (3, *[filters] * (depth - 1)):
            norm = nn.BatchNorm2d(filters) if batch_norm else nn.GroupNorm(filters, filters)
            convolution = nn.Conv2d(inputs, filters, 3, padding=1)
            blocks += [convolution, norm, nn.ReLU(inplace=True), nn.AvgPool2d(2)]
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(filters * (resolution >> depth) ** 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.blocks(x).flatten(1))


def build(architecture: Network, classes: int, resolution: int, draw: torch.Generator) -> nn.Module:
    """A student in training mode on the CPU for images of `resolution` pixels a side, its weights
    drawn from `draw` as its authors' code draws them.

    Raises ScddError, with the nearest names, if the architecture is unknown, and if it does not
    have this stem or does not take images of this size.
    """
    name = architecture.arch
    if name in resnet.RESNETS:
        return resnet.build(architecture, classes, draw)
    with _drawn_from(draw):
        if name in CONVNETS:
            depth, batch_norm = CONVNETS[name]
            filters = round(FILTERS * architecture.width)
            network: nn.Module = ConvNet(depth, batch_norm, filters, resolution, classes)
        elif name in WIDE_RESNETS:
            network = wide_resnet.build(architecture, classes)
        elif name in scaled.SCALED:
            network = scaled.build(name, architecture.width, classes)
        elif name.startswith(TIMM):
            network = _of_timm(name.removeprefix(TIMM), classes)
        else:
            network = _of_torchvision(name, classes, resolution)
        if architecture.stem != "imagenet":
            change_stem(network, name, architecture.stem)
    _try(network, name, resolution)
    return network


def torchvision_names() -> list[str]:
    """Torchvision's classifiers, but for the ResNets that scdd.networks.resnet has."""
    from torchvision import models as theirs

    return [name for name in theirs.list_models(module=theirs) if name not in resnet.RESNETS]


@contextlib.contextmanager
def _drawn_from(draw: torch.Generator) -> Iterator[None]:
    """Within, torch's global numbers, from which modules take their weights, come from `draw`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=draw, device="cpu")))
        yield


def _of_torchvision(name: str, classes: int, resolution: int) -> nn.Module:
    from torchvision import models as theirs

    if name not in torchvision_names():
        known = [*resnet.RESNETS, *CONVNETS, *WIDE_RESNETS, *scaled.SCALED, *torchvision_names()]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
        raise ScddError(f"student {name!r} is unknown; the nearest are {', '.join(near or known)}.")
    own: dict[str, object] = {}
    if name in {"googlenet", "inception_v3"}:  # their second and third output is for training
        own = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        own = {"image_size": resolution}
    elif name.startswith("maxvit_"):
        own = {"input_size": (resolution, resolution)}
    try:
        return theirs.get_model(name, num_classes=classes, **own)
    except (ValueError, AssertionError, RuntimeError) as error:
        raise _wrong_size(name, resolution, error) from None


def _of_timm(name: str, classes: int) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise ScddError(
            f"student {TIMM}{name}: timm is not installed here. Install it: pip install timm."
        ) from None
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.3)
        raise ScddError(f"student {TIMM}{name}: timm has no such model; near: {', '.join(near)}.")
    return timm.create_model(name, pretrained=False, num_classes=classes)


def _wrong_size(name: str, resolution: int, error: Exception) -> ScddError:
    text = str(error).split("\n", maxsplit=1)[0]
    return ScddError(
        f"student {name} does not take images of {resolution}x{resolution} ({text}). "
        "Choose another one."
    )


@torch.no_grad()
def _try(network: nn.Module, name: str, resolution: int) -> None:
    """Raises ScddError, naming the size, where the network cannot work on such images."""
    try:
        network.eval()(torch.zeros(1, 3, resolution, resolution))
    except (ValueError, AssertionError, RuntimeError) as error:
        raise _wrong_size(name, resolution, error) from None
    network.train()
