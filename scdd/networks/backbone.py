"""What squeezes, probes, recoveries and labels see of a network: features, and a linear layer."""

from abc import ABC, abstractmethod
from typing import TypeVar

import torch
from torch import Tensor, nn

from scdd.errors import ScddError
from scdd.networks.precision import autocast
from scdd.params.base import Precision

N = TypeVar("N", bound=nn.Module)
# how keys begin: those of the classifier, and those of what others call the network
FC, BODY = "fc.", "body."


class Backbone(nn.Module, ABC):
    """Images float [n, 3, H, W], normalised, to logits [n, classes].

    `fc` is the last layer, and `features` gives what it sees, [n, fc.in_features].
    """

    fc: nn.Linear

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Float [n, fc.in_features]."""

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


class Headed(Backbone):
    """A network whose last layer stands by itself, and so has a name that all backbones share.

    body: all that is before it, with the keys of its authors; dropout: the probability that a
    feature is left out before `fc` in training. Heads of self-supervision see features without it.
    """

    def __init__(self, body: nn.Module, dropout: float, fc: nn.Linear) -> None:
        super().__init__()
        self.body, self.dropout, self.fc = body, nn.Dropout(dropout), fc

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.body(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(x)))


def headed(network: nn.Module) -> Backbone:
    """The network as a backbone. One of others is taken apart: from it comes its last layer, which
    must be linear, and a dropout right before that."""
    if isinstance(network, Backbone):
        return network
    where, _, last = last_linear(network).rpartition(".")
    parent, dropout = network.get_submodule(where), 0.0
    fc = parent.get_submodule(last)
    assert isinstance(fc, nn.Linear)
    setattr(parent, last, nn.Identity())
    if isinstance(parent, nn.Sequential) and isinstance(before := parent[-2], nn.Dropout):
        dropout, parent[-2] = before.p, nn.Identity()
    return Headed(network, dropout, fc)


def last_linear(network: nn.Module) -> str:
    """The name of a network's last linear layer."""
    return [name for name, part in network.named_modules() if isinstance(part, nn.Linear)][-1]


def in_eval_mode(network: N, device: torch.device) -> N:
    """The network, moved in place, for passes in which no convolution is trained. On a GPU it is
    channels_last, which tensor cores need; on the CPU that would change the rounding."""
    network.to(device)
    if device.type == "cuda":
        network.to(memory_format=torch.channels_last)
    return network.eval()


def in_channels_last(network: N) -> N:
    """The network, its weights channels_last in place: faster on CPUs and GPUs.

    It stays as it is where a convolution of 1 x 1 with strides has fewer than 8 channels before it:
    on a CPU with AVX2 and no more, the backward pass of such a one ended the process ("free():
    invalid next size", torch 2.14.1).
    """
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    if any(c.in_channels < 8 and max(c.stride) > max(c.kernel_size) for c in convolutions):
        return network
    return network.to(memory_format=torch.channels_last)


def features_of(network: Backbone, images: Tensor, precision: Precision) -> Tensor:
    """float32 [n, fc.in_features] of normalised float32 [n, 3, H, W]."""
    with autocast(images.device, precision):
        seen = network.features(images)
    return seen.float()


def backbone_state(network: Backbone) -> dict[str, Tensor]:
    """The state dict without `fc`; tensors share memory with the network."""
    return {key: t for key, t in network.state_dict().items() if not key.startswith(FC)}


def load_backbone(network: Backbone, state: dict[str, Tensor]) -> None:
    """Load all but `fc`, which `state` may have. Raises ScddError if keys or shapes do not fit
    the network."""
    own = backbone_state(network)
    state = {key: tensor for key, tensor in state.items() if not key.startswith(FC)}
    wrong = sorted(own.keys() ^ state.keys()) or [
        key for key in own if own[key].shape != state[key].shape
    ]
    if wrong:
        raise ScddError(
            f"the backbone does not fit the architecture: {wrong[0]} and {len(wrong) - 1} more "
            "tensors are missing, unexpected or of another shape."
        )
    network.load_state_dict(state, strict=False)
