"""A freshly initialised network: the control that says what training adds."""

import torch

from scdd.networks.resnet import ResNet
from scdd.params import squeeze


def make(params: squeeze.Untrained, network: ResNet, draw: torch.Generator) -> None:
    return None
