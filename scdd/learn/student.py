"""A student of trajectory matching: a ConvNet as a function of one vector of parameters."""

from torch import Tensor
from torch.func import functional_call

from scdd.learn import derivatives
from scdd.learn.flat import Layout
from scdd.networks.students import ConvNet


class Student:
    """network: on the device, of which only the architecture is used. Labels are probabilities
    float [b, K], images float [b, 3, R, R] as the student sees them, parameters float [P]."""

    def __init__(self, network: ConvNet) -> None:
        self.network, self.layout = network, Layout(network)

    def logits(self, flat: Tensor, images: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.network, self.layout.split(flat), (images,))
        return logits

    def gradient(self, flat: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """The gradient of the mean cross-entropy with respect to the parameters, [P]."""
        return derivatives.gradient(self._weights(flat), images, labels)

    def slopes(
        self, flat: Tensor, images: Tensor, labels: Tensor, along: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The scalar product of `gradient` and the vector `along` [P], and its own gradients with
        respect to the images and the parameters."""
        weights, directions = self._weights(flat), self._weights(along)
        return derivatives.slopes(weights, directions, images.detach(), labels)

    def _weights(self, flat: Tensor) -> list[Tensor]:
        return list(self.layout.split(flat).values())
