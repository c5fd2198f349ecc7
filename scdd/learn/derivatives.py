"""First and second derivatives of a ConvNet's loss, written out.

The network is scdd.networks.students.ConvNet with instance norm, its loss L the mean cross-entropy.
`gradient` is what a step of SGD needs. `slopes` is what the derivative of such a step needs: for a
direction λ of the weights w, the number s = ⟨∂L/∂w, λ⟩ and its derivatives with respect to the
images and to w.

s is the derivative of L along λ. So each value v of the forward pass gets a tangent v', its own
derivative along λ, and the backward pass computes, beside each ∂L/∂v, the tangent of it, which is
∂s/∂v. In units of a forward pass this costs 8: three forward, three backward, two for the weights.
Autograd's double backward costs 9, some of them in convolutions that are slow on a CPU.

A block maps x to p. With z, the convolution of x less its mean over the image,

    r = 1 / √(mean z² + ε)    h = r z    y = γ h + β    m = 1 where y > 0, else 0
    M = pool m    H = pool m h    p = pool m y = γ H + β M

so that all but the making of z, m and the gradient of z works on pooled maps, a quarter as large:
also the sums of the norm's backward pass, as the sum of ∂L/∂y v over an image is the sum of
∂L/∂p pool m v. The tangent of h is h' = r z' - κ h with κ = r² mean z z'. The bias of a convolution
is removed by the norm: its gradient is 0.

Only the order of sums differs from autograd's. Images go through in passes that a cache holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scdd.learn.features import BLOCK, LAST, Weights, images_a_pass

EPSILON = 1e-5  # of the norm
NHWC = torch.channels_last


@dataclass(frozen=True)
class Block:
    """A block's weights, or their tangents or gradients. filters: [C, inputs, 3, 3], channels last;
    scale, shift: [1, C, 1, 1]."""

    filters: Tensor
    scale: Tensor
    shift: Tensor


@dataclass(frozen=True)
class Parts:
    """A network's weights but for the biases of convolutions, or their tangents or gradients.
    matrix: [K, F]; bias: [K]."""

    blocks: Sequence[Block]
    matrix: Tensor
    bias: Tensor

    @classmethod
    def of(cls, weights: Weights) -> "Parts":
        blocks = []
        for start in range(0, len(weights) - LAST, BLOCK):
            filters, _, scale, shift = weights[start : start + BLOCK]
            filters = filters.contiguous(memory_format=NHWC)
            blocks.append(Block(filters, scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)))
        return cls(blocks, *weights[-LAST:])

    def zeros(self) -> "Parts":
        new = torch.zeros_like
        blocks = [Block(new(b.filters), new(b.scale), new(b.shift)) for b in self.blocks]
        return Parts(blocks, new(self.matrix), new(self.bias))

    def flat(self) -> Tensor:
        """As one vector in the order of the network's parameters; 0 for what is left out."""
        vectors: list[Tensor] = []
        for block in self.blocks:
            vectors += [block.filters, torch.zeros_like(block.scale), block.scale, block.shift]
        return torch.cat([each.flatten() for each in (*vectors, self.matrix, self.bias)])


@dataclass(frozen=True)
class Maps:
    """A block's maps of n images, channels last. z: [T, n, C, H, W], T = 1, or 2 with z'; on, m:
    [n, C, H, W]; pooled: M, H and, with tangents, pool m h', [T + 1, n, C, H/2, W/2]; rate, r, and
    fall, κ: [n, C, 1, 1]; space: as z, to be written to: memory in the cache is the fastest."""

    z: Tensor
    on: Tensor
    pooled: Tensor
    rate: Tensor
    fall: Tensor | None
    space: Tensor

    @classmethod
    def of(cls, convolved: Tensor, block: Block) -> "Maps":
        """convolved: z, and z', before their means are removed: they are, in place."""
        z = convolved.sub_(_mean(convolved))
        space = z * z[0]
        products = _mean(space)
        rate, fall = (products[0] + EPSILON).rsqrt(), None
        on = torch.addcmul(block.shift, z[0], block.scale * rate).gt_(0)
        pooled = _maps(len(z) + 1, on, on.shape[-2] // 2, on.shape[-1] // 2)
        _pool(on, pooled[0])
        _pool(torch.mul(z, on, out=space).flatten(0, 1), pooled[1:].flatten(0, 1))
        pooled[1:] *= rate
        if len(z) > 1:
            fall = rate.square() * products[1]
            pooled[2].addcmul_(pooled[1], fall, value=-1)
        return cls(z, on, pooled, rate, fall, space)

    def output(self, block: Block, along: Block | None = None) -> Tensor:
        """p and, with the block's tangents `along`, p': [T, n, C, H/2, W/2]."""
        out = _maps(len(self.z), self.on, *self.pooled.shape[-2:])
        torch.mul(self.pooled[0], block.shift, out=out[0]).addcmul_(self.pooled[1], block.scale)
        if along is not None:
            torch.mul(self.pooled[0], along.shift, out=out[1])
            out[1].addcmul_(self.pooled[1], along.scale).addcmul_(self.pooled[2], block.scale)
        return out

    def backward(self, by_output: Tensor, block: Block, sums: Block) -> Tensor:
        """∂L/∂z, [n, C, H, W], from ∂L/∂p; ∂L/∂γ and ∂L/∂β are added to `sums`."""
        totals = _total(self.pooled * by_output)
        _add_norm(sums, totals)
        totals *= block.scale * self.rate / -self.on[0, 0].numel()
        by_z = torch.addcmul(totals[0], self.z[0], totals[1] * self.rate, out=self.space[0])
        self._add_spread(by_z, by_output * (block.scale * self.rate))
        return by_z

    def dual_backward(self, by_output: Tensor, block: Block, along: Block, sums: Block) -> Tensor:
        """∂s/∂z and ∂L/∂z, [2, n, C, H, W], from ∂s/∂p and ∂L/∂p; ∂s/∂γ and ∂s/∂β are added to
        `sums`."""
        assert self.fall is not None
        dual, plain = by_output
        of_plain, of_dual = _total(self.pooled * plain), _total(self.pooled[:2] * dual)
        of_dual[1] += of_plain[2]
        _add_norm(sums, of_dual)
        share = self.rate / self.on[0, 0].numel()
        of_dual = (of_dual * block.scale).addcmul_(of_plain[:2], along.scale).mul_(share)
        of_plain = of_plain[:2] * (block.scale * share)
        flat = torch.stack([self.fall * of_plain[0] - of_dual[0], -of_plain[0]])
        of_z = torch.stack([2 * self.fall * of_plain[1] - of_dual[1], -of_plain[1]])
        by_z = torch.addcmul(flat, self.z[0], of_z.mul_(self.rate), out=self.space)
        by_z[0].addcmul_(self.z[1], of_z[1])
        scale = along.scale - self.fall * block.scale
        by_y = torch.stack([(dual * block.scale).addcmul_(plain, scale), plain * block.scale])
        self._add_spread(by_z, by_y.mul_(self.rate))
        return by_z

    def _add_spread(self, by_z: Tensor, by_pooled: Tensor) -> None:
        """Give each pixel that is on its quarter of what its window gets."""
        height, width = by_pooled.shape[-2:]
        spread = by_pooled[..., :, None, :, None]
        on = _windows(self.on, height, width)
        _windows(by_z, height, width).addcmul_(on, spread, value=0.25)


@torch.no_grad()
def gradient(weights: Weights, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the mean cross-entropy with respect to the weights, [P].

    images: float [n, 3, R, R]; labels: probabilities float [n, K].
    """
    own = Parts.of(weights)
    sums, size = own.zeros(), images_a_pass(weights, images.shape[-1])
    for some, targets in zip(images.split(size), labels.split(size), strict=True):
        _add_gradient(own, some, targets, sums)
    return sums.flat() / len(images)


@torch.no_grad()
def slopes(
    weights: Weights, directions: Weights, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """s, [], and its gradients with respect to the images and the weights, [P].

    directions: λ by weight. Else as `gradient`.
    """
    own, along = Parts.of(weights), Parts.of(directions)
    sums, size = own.zeros(), images_a_pass(weights, images.shape[-1])
    product, by_images = images.new_zeros(()), []
    for some, targets in zip(images.split(size), labels.split(size), strict=True):
        part, by_some = _add_slopes(own, along, some, targets, sums)
        product += part
        by_images.append(by_some)
    n = len(images)
    return product / n, torch.cat(by_images) / n, sums.flat() / n


def _add_gradient(own: Parts, images: Tensor, labels: Tensor, sums: Parts) -> None:
    """Add the gradients of the losses of a pass's images to `sums`."""
    inputs, maps = [images.contiguous(memory_format=NHWC)], list[Maps]()
    for block in own.blocks:
        maps.append(Maps.of(F.conv2d(inputs[-1], block.filters, padding=1)[None], block))
        inputs.append(maps[-1].output(block)[0])
    last = inputs.pop()
    features = last.flatten(1)
    mass = labels.sum(1, keepdim=True)  # 1 but for rounding
    slope = torch.addmm(own.bias, features, own.matrix.T).softmax(1) * mass - labels
    sums.matrix.addmm_(slope.T, features)
    sums.bias.add_(slope.sum(0))
    by_output = (slope @ own.matrix).view(last.shape).contiguous(memory_format=NHWC)
    for number in reversed(range(len(maps))):
        block, total = own.blocks[number], sums.blocks[number]
        by_z = maps.pop().backward(by_output, block, total)
        by_output, by_filters = _conv_backward(by_z, inputs[number], block.filters, number > 0)
        total.filters.add_(by_filters)


def _add_slopes(
    own: Parts, along: Parts, images: Tensor, labels: Tensor, sums: Parts
) -> tuple[Tensor, Tensor]:
    """The sum of s over a pass's images and its gradient with respect to them; those of the weights
    are added to `sums`.

    Values and tangents are side by side: [2, n, ...]. In the backward pass the tangent is the first
    of the two, since the gradient of the filters is that of z' with x and that of z with x'.
    """
    maps, inputs = list[Maps](), list[Tensor]()
    n, size = len(images), images.shape[-1]
    patches = F.unfold(images, 3, padding=1)  # [n, 27, pixels]
    for block, tangent in zip(own.blocks, along.blocks, strict=True):
        if inputs:
            z = F.conv2d(inputs[-1].flatten(0, 1), block.filters, padding=1).unflatten(0, (2, n))
            z[1] += F.conv2d(inputs[-1][0], tangent.filters, padding=1)
        else:  # the images have no tangent
            rows = images.new_empty(2, n, size * size, len(block.filters))
            for filters, out in zip((block.filters, tangent.filters), rows, strict=True):
                torch.bmm(patches.mT, filters.flatten(1).T.expand(n, -1, -1), out=out)
            z = rows.unflatten(2, (size, size)).movedim(-1, -3)
        maps.append(Maps.of(z, block))
        inputs.append(maps[-1].output(block, tangent))
    last = inputs.pop()
    features, moved = last.flatten(2)
    shares = torch.addmm(own.bias, features, own.matrix.T).softmax(1)
    logits = torch.addmm(along.bias, moved, own.matrix.T).addmm_(features, along.matrix.T)
    mass = labels.sum(1, keepdim=True)
    plain = shares * mass - labels
    product = (plain * logits).sum()
    dual = shares * mass * (logits - (shares * logits).sum(1, keepdim=True))
    sums.matrix.addmm_(dual.T, features).addmm_(plain.T, moved)
    sums.bias.add_(dual.sum(0))
    by_features = torch.stack(
        [torch.addmm(dual @ own.matrix, plain, along.matrix), plain @ own.matrix]
    )
    by_output = _maps(2, last[0], *last.shape[-2:]).copy_(by_features.view(last.shape))
    for number in reversed(range(1, len(maps))):
        block, tangent, total = own.blocks[number], along.blocks[number], sums.blocks[number]
        by_z = maps.pop().dual_backward(by_output, block, tangent, total)
        x = inputs[number - 1]
        by_x, by_filters = _conv_backward(by_z.flatten(0, 1), x.flatten(0, 1), block.filters, True)
        total.filters.add_(by_filters)
        by_output = by_x.unflatten(0, (2, n))
        by_output[0] += _conv_input_backward(by_z[1], x[0], tangent.filters)
    block, tangent, total = own.blocks[0], along.blocks[0], sums.blocks[0]
    by_z = maps.pop().dual_backward(by_output, block, tangent, total)
    by_rows = by_z.movedim(-3, -1).flatten(2, 3)  # [2, n, pixels, C]
    by_filters = by_rows[0].flatten(0, 1).T @ patches.mT.flatten(0, 1)
    total.filters.add_(by_filters.view_as(total.filters))
    by_patches = by_rows[0] @ block.filters.flatten(1) + by_rows[1] @ tangent.filters.flatten(1)
    return product, F.fold(by_patches.mT, size, 3, padding=1)


def _conv_backward(by_z: Tensor, x: Tensor, filters: Tensor, by_x: bool) -> tuple[Tensor, Tensor]:
    """The gradients of a convolution's input, if it is wanted, and of its filters."""
    ones = [1, 1]
    first, second, _ = torch.ops.aten.convolution_backward(
        by_z, x, filters, None, ones, ones, ones, False, [0, 0], 1, [by_x, True, False]
    )
    return first, second


def _conv_input_backward(by_z: Tensor, x: Tensor, filters: Tensor) -> Tensor:
    ones = [1, 1]
    by_x: Tensor = torch.ops.aten.convolution_backward(
        by_z, x, filters, None, ones, ones, ones, False, [0, 0], 1, [True, False, False]
    )[0]
    return by_x


def _add_norm(sums: Block, totals: Tensor) -> None:
    """Add the images' gradients of shift and scale, the first two of `totals`."""
    shift, scale, *_ = totals.sum(1, keepdim=True)
    sums.shift.add_(shift)
    sums.scale.add_(scale)


def _mean(maps: Tensor) -> Tensor:
    return maps.mean((-2, -1), keepdim=True)


def _total(maps: Tensor) -> Tensor:
    return maps.sum((-2, -1), keepdim=True)


def _maps(count: int, like: Tensor, height: int, width: int) -> Tensor:
    """Empty [count, n, C, height, width], channels last, for `like` [n, C, ...]."""
    n, channels = like.shape[:2]
    return like.new_empty(count, n, height, width, channels).movedim(-1, -3)


def _pool(maps: Tensor, pooled: Tensor) -> None:
    """2x2 means of maps [n, C, H, W] into `pooled`."""
    torch.ops.aten.avg_pool2d.out(maps, [2, 2], out=pooled)


def _windows(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps [..., H, W] as the windows [..., height, 2, width, 2] that are pooled."""
    maps = maps[..., : 2 * height, : 2 * width]
    return maps.unflatten(-1, (width, 2)).unflatten(-3, (height, 2))
