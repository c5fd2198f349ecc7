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

so that the norm's scale and shift, and the sums of its backward pass, work on pooled maps, a
quarter as large: the sum of ∂L/∂y v over an image is that of ∂L/∂p pool m v. The tangent of h is
h' = r z' - κ h with κ = r² mean z z'. The bias of a convolution is removed by the norm: its
gradient is 0.

The first block's maps are the largest. Its z = A U is a product of the filters, as a matrix
[C, 27], with the images' patches U [27, pixels] less their means. So mean z² is the diagonal of
A G Aᵀ with G = U Uᵀ / pixels, and the backward pass does without z.

Only the order of sums differs from autograd's. Images go through in passes that a cache holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scdd.learn.features import BLOCK, LAST, Weights, images_a_pass
from scdd.views.products import exact_products

EPSILON = 1e-5  # of the norm
NHWC = torch.channels_last
ONES = [1, 1]


@dataclass(frozen=True)
class Block:
    """A block's weights, or their tangents or gradients. filters: [C, inputs, 3, 3], channels last,
    of the first block [C, 27]; scale, shift: [1, C, 1, 1]."""

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
            filters = filters.contiguous(memory_format=NHWC) if start else filters.flatten(1)
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
class Norm:
    """From a block's z to its output, of n images. T is 2 with tangents, else 1.

    on, m: [n, C, H, W], channels last; pooled: M, H and, with tangents, pool m h',
    [T + 1, n, C, H/2, W/2]; rate, r, and fall, κ, 0 without tangents: [n, C, 1, 1].
    """

    on: Tensor
    pooled: Tensor
    rate: Tensor
    fall: Tensor

    @classmethod
    def of(cls, z: Tensor, products: Tensor, block: Block, on: Tensor, masked: Tensor) -> "Norm":
        """z: z and, with tangents, z', [T, n, C, H, W]; products: the means over an image of z z
        and z z', [T, n, C, 1, 1]; on: where m is written; masked: where m z is, perhaps z itself.
        """
        rate = (products[0] + EPSILON).rsqrt()
        torch.addcmul(block.shift, z[0], block.scale * rate, out=on).gt_(0)
        torch.mul(z, on, out=masked)
        pooled = _maps(len(z) + 1, on, on.shape[-2] // 2, on.shape[-1] // 2)
        _pool(on, pooled[0])
        _pool(masked.flatten(0, 1), pooled[1:].flatten(0, 1))
        pooled[1:] *= rate
        fall = torch.zeros_like(rate)
        if len(z) > 1:
            torch.mul(rate.square(), products[1], out=fall)
            pooled[2].addcmul_(pooled[1], fall, value=-1)
        return cls(on, pooled, rate, fall)

    def output(self, block: Block, along: Block | None) -> Tensor:
        """p and, with the block's tangents `along`, p': [T, n, C, H/2, W/2]."""
        on, normed, *tangents = self.pooled
        out = _maps(1 + len(tangents), self.on, *on.shape[-2:])
        torch.mul(on, block.shift, out=out[0]).addcmul_(normed, block.scale)
        if along is not None:
            torch.mul(on, along.shift, out=out[1]).addcmul_(normed, along.scale)
            out[1].addcmul_(tangents[0], block.scale)
        return out

    def backward(
        self, by_output: Tensor, block: Block, along: Block | None, sums: Block
    ) -> tuple[Tensor, Tensor, Tensor]:
        """a, b and c with ∂L/∂z = m a + b + c z, where a, [T, n, C, H/2, W/2], holds for the pixels
        of a window, b and c, [T, n, C, 1, 1], for a map. by_output: ∂L/∂p. The gradients of scale
        and shift are added to `sums`.

        With tangents all of these are first those of s, then those of L, and
        ∂s/∂z = m a + b + c z + c' z', where c' is the c of L.
        """
        plain, share = by_output[-1], self.rate / self.on[0, 0].numel()
        totals = _total(self.pooled * plain)
        shares = totals[:2] * (block.scale * share)
        windows = plain * (block.scale * self.rate / 4)
        if along is None:
            _add_norm(sums, totals)
            return windows[None], -shares[:1], -shares[1:] * self.rate
        dual = _total(self.pooled[:2] * by_output[0])
        dual[1] += totals[2]
        _add_norm(sums, dual)
        dual = (dual * block.scale).addcmul_(totals[:2], along.scale).mul_(share)
        fallen = shares * self.fall
        flat = torch.stack([fallen[0] - dual[0], -shares[0]])
        of_z = torch.stack([2 * fallen[1] - dual[1], -shares[1]]).mul_(self.rate)
        moved = (along.scale - self.fall * block.scale) * (self.rate / 4)
        of_s = (by_output[0] * (block.scale * self.rate / 4)).addcmul_(plain, moved)
        return torch.stack([of_s, windows]), flat, of_z


class Space:
    """Memory for the first block's maps, which all passes use: in a CPU's cache, and not given back
    to the system. images: those of the largest pass; maps: [T, size, pixels, C]; on:
    [size, C, R, R], channels last."""

    def __init__(self, own: Parts, images: Tensor, count: int) -> None:
        size, side, channels = len(images), images.shape[-1], len(own.blocks[0].filters)
        self.maps = images.new_empty(count, size, side * side, channels)
        self.on = images.new_empty(size, side, side, channels).movedim(-1, -3)


class Patches:
    """The first block's convolution of n images. rows: U, [n, 27, pixels]; gram: G, [n, 27, 27]."""

    def __init__(self, images: Tensor, space: Space) -> None:
        self.n, self.side = len(images), images.shape[-1]
        # as F.unfold, which on a GPU takes one image after the other
        windows = F.pad(images, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)
        self.rows = windows.permute(0, 1, 4, 5, 2, 3).reshape(self.n, 27, -1)
        self.rows -= self.rows.mean(2, keepdim=True)
        self.space = space.maps[:, : self.n]
        self.on = space.on[: self.n]
        with exact_products():
            self.gram = self.rows @ self.rows.mT / self.rows.shape[2]

    def norm(self, block: Block, along: Block | None) -> Norm:
        kinds = [block.filters] if along is None else [block.filters, along.filters]
        for filters, z in zip(kinds, self.space, strict=True):
            torch.bmm(self.rows.mT, filters.T.expand(self.n, -1, -1), out=z)
        with exact_products():
            products = [((block.filters @ self.gram) * filters).sum(2) for filters in kinds]
        z = self._as_maps()
        return Norm.of(z, torch.stack(products)[..., None, None], block, self.on, masked=z)

    def backward(
        self, norm: Norm, by_output: Tensor, block: Block, along: Block | None, sums: Block
    ) -> Tensor | None:
        """The gradient of s with respect to the images, None without tangents; that of the weights
        is added to `sums`."""
        windows, *factors = norm.backward(by_output, block, along, sums)
        height, width = windows.shape[-2:]
        maps = self._as_maps()
        if self.side % 2:
            maps.zero_()  # the last row and column are in no window
        spread = _windows(maps, height, width)
        torch.mul(_windows(self.on, height, width), _over_windows(windows), out=spread)
        flat, of_z = (each.squeeze(-1) for each in factors)  # [T, n, C, 1]
        a = block.filters
        seen = of_z[0] * (a @ self.gram)
        if along is not None:
            seen += of_z[1] * (along.filters @ self.gram)
        pixels = self.rows.shape[2]
        sums.filters.add_(torch.baddbmm(seen, self.space[0].mT, self.rows.mT, beta=pixels).sum(0))
        if along is None:
            return None
        b = along.filters
        mixed = a.T @ (of_z[0] * a + of_z[1] * b) + b.T @ (of_z[1] * a)
        by_rows = torch.baddbmm(a.T @ flat[0] + b.T @ flat[1], mixed, self.rows)
        of_s, of_l = self.space.flatten(1, 2)
        by_rows += torch.addmm(of_s @ a, of_l, b).unflatten(0, (self.n, pixels)).mT
        return F.fold(by_rows, self.side, 3, padding=1)

    def _as_maps(self) -> Tensor:
        """The memory as maps [T, n, C, R, R]."""
        return self.space.unflatten(2, (self.side, self.side)).movedim(-1, -3)


@dataclass(frozen=True)
class Convolution:
    """A later block's convolution. x: its input, [T, n, inputs, H, W]; z: z and, with tangents, z',
    [T, n, C, H, W]; space: as z, to be written to."""

    x: Tensor
    z: Tensor
    products: Tensor
    space: Tensor

    @classmethod
    def of(cls, x: Tensor, block: Block, along: Block | None) -> "Convolution":
        z = F.conv2d(x.flatten(0, 1), block.filters, padding=1).unflatten(0, x.shape[:2])
        if along is not None:
            z[1] += F.conv2d(x[0], along.filters, padding=1)
        z -= _mean(z)
        space = z * z[0]
        return cls(x, z, _mean(space), space)

    def norm(self, block: Block) -> Norm:
        on = torch.empty_like(self.z[0])
        return Norm.of(self.z, self.products, block, on, masked=self.space)

    def backward(
        self, norm: Norm, by_output: Tensor, block: Block, along: Block | None, sums: Block
    ) -> Tensor:
        """∂L/∂x, [1, n, inputs, H, W], or with tangents ∂s/∂x and ∂L/∂x; the gradient of the
        weights is added to `sums`."""
        windows, flat, of_z = norm.backward(by_output, block, along, sums)
        by_z = torch.addcmul(flat, self.z[0], of_z, out=self.space)
        if along is not None:
            by_z[0].addcmul_(self.z[1], of_z[1])
        height, width = windows.shape[-2:]
        on = _windows(norm.on, height, width)
        _windows(by_z, height, width).addcmul_(on, _over_windows(windows))
        # that of the filters is the one by z with x and, with tangents, the one of L with x'
        by_x, by_filters = _convolution_backward(
            by_z.flatten(0, 1), self.x.flatten(0, 1), block.filters, True
        )
        sums.filters.add_(by_filters)
        by_x = by_x.unflatten(0, self.x.shape[:2])
        if along is not None:
            by_x[0] += _convolution_backward(by_z[1], self.x[0], along.filters, False)[0]
        return by_x


@torch.no_grad()
def gradient(weights: Weights, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the mean cross-entropy with respect to the weights, [P].

    images: float [n, 3, R, R]; labels: probabilities float [n, K].
    """
    own, passes = Parts.of(weights), _passes(weights, images)
    sums, space = own.zeros(), Space(own, passes[0], 1)
    for some, targets in zip(passes, labels.tensor_split(len(passes)), strict=True):
        _pass(own, None, some, targets, sums, space)
    return sums.flat() / len(images)


@torch.no_grad()
def slopes(
    weights: Weights, directions: Weights, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """s, [], and its gradients with respect to the images and the weights, [P].

    directions: λ by weight. Else as `gradient`.
    """
    own, along, passes = Parts.of(weights), Parts.of(directions), _passes(weights, images)
    sums, space, n = own.zeros(), Space(own, passes[0], 2), len(images)
    product, by_images = images.new_zeros(()), []
    for some, targets in zip(passes, labels.tensor_split(len(passes)), strict=True):
        part, by_some = _pass(own, along, some, targets, sums, space)
        assert by_some is not None
        product += part
        by_images.append(by_some)
    return product / n, torch.cat(by_images) / n, sums.flat() / n


def _passes(weights: Weights, images: Tensor) -> Sequence[Tensor]:
    """The images in passes of about equal size, the first of which has the most."""
    most = images_a_pass(weights, images.shape[-1])
    passes: Sequence[Tensor] = images.tensor_split(max(1, round(len(images) / most)))
    return passes


def _pass(
    own: Parts, along: Parts | None, images: Tensor, labels: Tensor, sums: Parts, space: Space
) -> tuple[Tensor, Tensor | None]:
    """Add the gradient, summed over the images, of L, or with tangents `along` of s, to `sums`.
    Returns s, 0 without tangents, and its gradient with respect to the images.

    Values and tangents are side by side, [T, n, ...]. In the backward pass what is of s comes
    first.
    """
    tangents = along.blocks if along is not None else [None] * len(own.blocks)
    first = Patches(images, space)
    norms, convolutions = [first.norm(own.blocks[0], tangents[0])], list[Convolution]()
    for number in range(1, len(own.blocks)):
        x = norms[-1].output(own.blocks[number - 1], tangents[number - 1])
        convolutions.append(Convolution.of(x, own.blocks[number], tangents[number]))
        norms.append(convolutions[-1].norm(own.blocks[number]))
    last = norms[-1].output(own.blocks[-1], tangents[-1])
    product, by_output = _classified(own, along, last, labels, sums)
    for number in reversed(range(1, len(own.blocks))):
        block, tangent, total = own.blocks[number], tangents[number], sums.blocks[number]
        by_output = convolutions.pop().backward(norms.pop(), by_output, block, tangent, total)
    by_images = first.backward(norms[0], by_output, own.blocks[0], tangents[0], sums.blocks[0])
    return product, by_images


def _classified(
    own: Parts, along: Parts | None, last: Tensor, labels: Tensor, sums: Parts
) -> tuple[Tensor, Tensor]:
    """s, 0 without tangents, and the gradients by the last block's output; those of the linear
    layer are added to `sums`."""
    features, *moved = last.flatten(2)
    shares = torch.addmm(own.bias, features, own.matrix.T).softmax(1)
    mass = labels.sum(1, keepdim=True)  # 1 but for rounding
    plain = shares * mass - labels
    by_features = [plain @ own.matrix]
    product = plain.new_zeros(())
    if along is None:
        sums.matrix.addmm_(plain.T, features)
        sums.bias.add_(plain.sum(0))
    else:
        logits = torch.addmm(along.bias, moved[0], own.matrix.T).addmm_(features, along.matrix.T)
        product = (plain * logits).sum()
        dual = shares * mass * (logits - (shares * logits).sum(1, keepdim=True))
        sums.matrix.addmm_(dual.T, features).addmm_(plain.T, moved[0])
        sums.bias.add_(dual.sum(0))
        by_features.insert(0, torch.addmm(dual @ own.matrix, plain, along.matrix))
    by_output = _maps(len(last), last[0], *last.shape[-2:])
    return product, by_output.copy_(torch.stack(by_features).view(last.shape))


def _convolution_backward(
    by_z: Tensor, x: Tensor, filters: Tensor, by_filters: bool
) -> tuple[Tensor, Tensor]:
    """The gradients of a convolution's input and, if they are wanted, of its filters."""
    by_x, of_filters, _ = torch.ops.aten.convolution_backward(
        by_z, x, filters, None, ONES, ONES, ONES, False, [0, 0], 1, [True, by_filters, False]
    )
    return by_x, of_filters


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


def _over_windows(pooled: Tensor) -> Tensor:
    """Pooled maps as what is the same for all pixels of a window."""
    return pooled[..., :, None, :, None]
