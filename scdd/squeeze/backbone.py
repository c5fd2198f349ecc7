"""The backbone of a squeeze from its parameters, as config.json has them: trained, or loaded from a
file of others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.data.source import Split
from scdd.jobs.capture import Compiled
from scdd.jobs.curve import Row
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.networks.backbone import backbone_state
from scdd.networks.build import build
from scdd.params.network import Network
from scdd.params.squeeze import SQUEEZES, Training
from scdd.rng import generator
from scdd.squeeze import engine
from scdd.squeeze.methods import module
from scdd.squeeze.views import crops_of


def load(checkpoint: Path, params: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a backbone that others trained, and where it is from. Raises ScddError if
    the file is missing or does not hold it."""
    state: dict[str, Tensor]
    source: dict[str, Any]
    state, source = module("imported").load(checkpoint, params, Network.of(params))
    say(f"imported from {source['file']}, layout {source['layout']}, {source['sha256']}")
    return state, source


def train(
    params: Mapping[str, Any],
    split: Split,
    info: DatasetInfo,
    device: torch.device,
    saved: JobState | None = None,
    compiled: Compiled = "none",
) -> tuple[dict[str, Tensor], list[Row]]:
    """The trained backbone's tensors, on the device, and the history of its epochs; untrained: on
    the CPU, and none. split: the training images. Raises ScddError as `engine.train` does."""
    own = SQUEEZES[params["method"]].of(params)
    draw = generator(params["seed"], "weights")
    network = build(Network.of(params), len(info.classes), info.resolution, draw)
    method = module(params["method"]).make(own, network, draw)
    if method is None:
        return backbone_state(network), []
    assert isinstance(own, Training)
    crops = crops_of(own, method.views, info.resolution)
    history = engine.train(method, network, split, info, own, crops, device, saved, compiled)
    return backbone_state(network), history
