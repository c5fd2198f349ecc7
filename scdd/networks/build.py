"""Backbones by name: every network that has a last linear layer, students of the same name too."""

import torch

from scdd.networks import resnet, students
from scdd.networks.backbone import Backbone, headed
from scdd.params.architectures import RESNETS
from scdd.params.network import Network


def build(
    architecture: Network, classes: int, resolution: int, draw: torch.Generator | None = None
) -> Backbone:
    """A backbone with a classifier, in training mode on the CPU, for images of `resolution` pixels
    a side; its weights are drawn from `draw`, as those of a student are.

    Raises ScddError as `students.build` does.
    """
    if architecture.arch in RESNETS:
        return resnet.build(architecture, classes, draw)
    draw = draw or torch.Generator()
    return headed(students.build(architecture, classes, resolution, draw))
