"""A freshly initialised network: the control that says what training adds."""

import torch

from scdd.networks.backbone import Backbone
from scdd.params import squeeze


def make(params: squeeze.Untrained, network: Backbone, draw: torch.Generator) -> None:
    return None
