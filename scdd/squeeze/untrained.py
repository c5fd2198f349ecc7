"""A freshly initialised network: the control that says what training adds."""

from typing import Any

import torch

from scdd.models import ResNet


def make(params: dict[str, Any], network: ResNet, draw: torch.Generator) -> None:
    return None
