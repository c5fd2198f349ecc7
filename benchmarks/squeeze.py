"""How fast the squeeze is: its augmentation against torchvision's, its step against a plain loop.

    python benchmarks/squeeze.py [--device cuda] [--resolution 224 --batch 64]

Augmentation: the two views of MoCo v3 of the same images with the same random numbers, in batches
on the device, and image by image with torchvision in two DataLoader workers, on PIL images and on
tensors; the views are compared, and the faster of the two counts. Step: MoCo v2 as the workflow
trains it, and written out in float32 as the papers' pseudocode has it, on the same views. The two
sides of each ratio are timed in turn, and the medians are taken.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from timing import side_of, timed
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional

from scdd.jobs.capture import Compiled
from scdd.networks.resnet import build
from scdd.params.network import Network
from scdd.params.squeeze import MoCoV2
from scdd.params.views import View
from scdd.rng import generator
from scdd.squeeze import engine
from scdd.squeeze.methods import mocov2
from scdd.squeeze.optimizers import optimizer
from scdd.squeeze.views import Crop, Draws
from scdd.views.colour import BRIGHTNESS, CONTRAST, GREY, HUE, REACH, SATURATION, Jitter

ROUNDS, STEPS = 3, 5  # a round is of so many steps: the first captures
ADJUST = {
    BRIGHTNESS: functional.adjust_brightness,
    CONTRAST: functional.adjust_contrast,
    SATURATION: functional.adjust_saturation,
    HUE: functional.adjust_hue,
}
JITTER = Jitter((0.4, 0.4, 0.2, 0.1), 0.8, 0.2)
MOCO = MoCoV2()


def crops(resolution: int) -> list[Crop]:
    """MoCo v3's two views (arXiv 2104.02057, appendix A)."""
    view = View("resized", 0, (0.2, 1.0), True)
    return [Crop(resolution, view, JITTER, 1.0, 0.0), Crop(resolution, view, JITTER, 0.1, 0.2)]


class ImageByImage(Dataset[Tensor]):
    """The same views, one at a time, as float32 [3, R, R]."""

    def __init__(self, images: Tensor, draws: list[Draws], pil: bool) -> None:
        self.images, self.draws, self.pil = images, draws, pil

    def __len__(self) -> int:
        return len(self.images) * len(self.draws)

    def __getitem__(self, index: int) -> Tensor:
        draws, row = self.draws[index // len(self.images)], index % len(self.images)
        image = self.images[row]
        view = functional.to_pil_image(image) if self.pil else image.float() / 255
        size = [draws.crop.size] * 2
        view = functional.resized_crop(view, *draws.boxes[row].tolist(), size, antialias=True)
        if draws.flips[row]:
            view = functional.hflip(view)
        factors = draws.factors[row].tolist()
        for operation, adjust in ADJUST.items():
            if factors[operation] != (0.0 if operation == HUE else 1.0):
                view = adjust(view, factors[operation])
        if factors[GREY]:
            view = functional.rgb_to_grayscale(view, num_output_channels=3)
        if draws.sigmas is not None and (sigma := draws.sigmas[row].item()):
            kernel = 2 * min(REACH, size[0] - 1) + 1
            view = functional.gaussian_blur(view, [kernel, kernel], [sigma, sigma])
        if draws.solarised is not None and draws.solarised[row]:
            view = functional.solarize(view, 128 if self.pil else 0.5)
        return functional.pil_to_tensor(view).float() / 255 if self.pil else view


def augmentation(device: torch.device, resolution: int, batch: int) -> None:
    count = 4 * batch
    images = torch.randint(0, 256, (count, 3, resolution, resolution), generator=generator(0))
    images = images.to(torch.uint8)
    here = [
        Draws.make(crop, count, resolution, generator(number), torch.device("cpu"))
        for number, crop in enumerate(crops(resolution))
    ]
    there = [
        Draws.make(crop, count, resolution, generator(number), device)
        for number, crop in enumerate(crops(resolution))
    ]
    on_device = images.to(device)
    order = list(ADJUST)

    def batched() -> list[Tensor]:
        made = []
        for draws in there:
            for start in range(0, count, batch):
                rows = slice(start, start + batch)
                pixels = on_device[rows].float() / 255
                made.append(draws.apply(pixels, rows, [*order, GREY]))
        return made

    def by_image(pil: bool) -> Callable[[], list[Tensor]]:
        loader = DataLoader(
            ImageByImage(images, here, pil), batch, num_workers=2, persistent_workers=True
        )
        return lambda: list(loader)

    tensors = by_image(False)
    difference = max(
        (one.cpu() - other).abs().max().item()
        for one, other in zip(batched(), tensors(), strict=True)
    )
    jobs = {"batched": batched, "PIL": by_image(True), "tensors": tensors}
    seconds, _ = timed(jobs, device, ROUNDS)
    for name, each in seconds.items():
        print(f"augmentation, {name}: {2 * count / each:.0f} views/s")
    ratio = min(seconds["PIL"], seconds["tensors"]) / seconds["batched"]
    print(f"augmentation: {ratio:.1f} times as fast; largest difference {difference:.1e}")


def plain_step(method: mocov2.MoCoV2, optimize: torch.optim.Optimizer, views: list[Tensor]) -> None:
    """MoCo's algorithm 1 with a symmetric loss: float32, a loop over weights and BN groups."""
    groups = method.groups

    def encode(encoder: nn.Module, images: Tensor) -> Tensor:
        out = torch.empty(len(images), MOCO.dim, device=images.device)
        for group in range(groups):
            hidden = encoder.network.features(images[group::groups])
            out[group::groups] = normalize(encoder.head(hidden), dim=1)
        return out

    losses, fresh = [], []
    for one, other in ((views[0], views[1]), (views[1], views[0])):
        query = encode(method.query, one)
        with torch.no_grad():
            key = encode(method.key, other)
        positive = (query * key).sum(1, keepdim=True)
        logits = torch.cat([positive, query @ method.queue.T], dim=1) / MOCO.temperature
        losses.append(cross_entropy(logits, torch.zeros_like(logits[:, 0], dtype=torch.long)))
        fresh.append(key)
    optimize.zero_grad()
    (losses[0] + losses[1]).backward()
    optimize.step()
    with torch.no_grad():
        for slow, fast in zip(method.key.parameters(), method.query.parameters(), strict=True):
            slow.mul_(MOCO.target_momentum).add_(fast, alpha=1 - MOCO.target_momentum)
        method.enqueue(torch.cat(fresh))


def steps(
    device: torch.device,
    resolution: int,
    batch: int,
    network: Network,
    precision: str,
    ways: Sequence[Compiled] = ("none",),
) -> dict[str, float]:
    """Images a second of MoCo v2's step, plain and as the workflow has it in each of the `ways`."""
    views = list(torch.randn(2, batch, 3, resolution, resolution, generator=generator(0)))
    views = [view.to(device) for view in views]
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    now = engine.Now(0, 1, 1)

    def method(groups: int) -> mocov2.MoCoV2:
        draw = generator(0)
        params = replace(MOCO, batch=batch, bn_groups=groups)
        return mocov2.make(params, build(network, 10, draw), draw).to(device).train()

    def ours(compiled: Compiled) -> Callable[[], object]:
        own = method(8)
        if device.type == "cuda" and own.channels_last:
            own.to(memory_format=torch.channels_last)
        optimize = optimizer("sgd", own, 0.01, 0.9, 5e-4, True)
        slope = engine.slope_of(own, precision, device, compiled)
        return lambda: [
            engine.take_step(own, optimize, slope, views, labels, now) for _ in range(STEPS)
        ]

    theirs = method(1)
    theirs.groups = 8
    weights = [weight for weight in theirs.parameters() if weight.requires_grad]
    plainly = torch.optim.SGD(weights, lr=0.01, momentum=0.9, weight_decay=5e-4, foreach=False)
    jobs = {
        **{side_of(precision, way): ours(way) for way in ways},
        "plain": lambda: [plain_step(theirs, plainly, views) for _ in range(STEPS)],
    }
    seconds, _ = timed(jobs, device, ROUNDS)
    return {side: STEPS * batch / took for side, took in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="as machine.threads of a config")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--precision", default="bf16", choices=["float32", "bf16"])
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    stem = "small" if args.resolution <= 64 else "imagenet"
    network = Network(args.arch, args.width, stem)
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    augmentation(device, args.resolution, args.batch)
    rates = steps(device, args.resolution, args.batch, network, args.precision)
    for side, rate in rates.items():
        ratio = rate / rates["plain"]
        print(f"step, {side}: {rate:.0f} images/s, {ratio:.2f} times as fast as plain")


if __name__ == "__main__":
    main()
