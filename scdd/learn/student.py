"""A student of trajectory matching: a ConvNet as a function of one vector of parameters."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

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
        flat = flat.detach().requires_grad_()
        loss = F.cross_entropy(self.logits(flat, images), labels)
        (gradient,) = torch.autograd.grad(loss, flat)
        return gradient

    def slopes(
        self, flat: Tensor, images: Tensor, labels: Tensor, along: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The scalar product of `gradient` and the vector `along` [P], and its own gradients with
        respect to the images and the parameters: the graph of one step."""
        flat, images = flat.detach().requires_grad_(), images.detach().requires_grad_()
        loss = F.cross_entropy(self.logits(flat, images), labels)
        (gradient,) = torch.autograd.grad(loss, flat, create_graph=True)
        product = gradient @ along
        of_images, of_flat = torch.autograd.grad(product, (images, flat))
        return product.detach(), of_images, of_flat
