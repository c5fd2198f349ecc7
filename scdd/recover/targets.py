"""The real images' statistics that a recovery matches.

Of one class: LPLD, arXiv 2410.15919, section 4; WMDD, arXiv 2311.18531. Of convolutions: G-VBSM,
arXiv 2311.17950. Of the classes of a batch: EDC, arXiv 2404.13733.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from scdd.artifacts.statistics import Real, Row
from scdd.jobs.epochs import Epochs
from scdd.jobs.saved import JobState
from scdd.params.recover import Recover
from scdd.params.statistics import Statistics as Gathered
from scdd.recover.units import Statistics
from scdd.recover.watching import in_tiles, layers_of, running_statistics, tile_statistics


@torch.inference_mode()
def class_statistics(network: nn.Module, batches: Iterable[Tensor]) -> Statistics:
    """Mean and biased variance of the input of each BatchNorm2d layer over all images of `batches`,
    normalised float32 [b, 3, R, R]: float32 [channels of all layers in module order] each.

    The network is set to eval mode: what a layer sees is what it sees in the recovery.
    """
    network.eval()
    layers = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    # by layer: sums of 1, x and x squared over all batches
    sums = [torch.zeros(3, part.num_features, dtype=torch.double) for part in layers]

    def noting(row: int) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def note(_: nn.Module, inputs: tuple[Tensor]) -> None:
            x = inputs[0].double()
            seen = [torch.ones_like(x).sum((0, 2, 3)), x.sum((0, 2, 3)), x.square().sum((0, 2, 3))]
            sums[row] = sums[row].to(x.device) + torch.stack(seen)

        return note

    hooks = [part.register_forward_pre_hook(noting(row)) for row, part in enumerate(layers)]
    for images in batches:
        network(images)
    for hook in hooks:
        hook.remove()
    counts, means, squares = torch.cat(sums, dim=1)
    means, squares = means / counts, squares / counts
    return means.float(), (squares - means.square()).float()


class _Look:
    """Within its `with` block, each pass of the network leaves in `seen` the statistics of each
    image, by the layer's place: pairs of mean and biased variance [images, width]."""

    def __init__(self, layers: Sequence[tuple[str, nn.Module]], patch: int | None) -> None:
        self.layers, self.patch = layers, patch
        self.seen: dict[int, list[Statistics]] = {}

    def _noting(self, place: int) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def note(layer: nn.Module, inputs: tuple[Tensor]) -> None:
            x = inputs[0]
            variance, mean = torch.var_mean(x, (2, 3), correction=0)
            self.seen[place] = [(mean, variance)]
            if self.patch and isinstance(layer, nn.Conv2d):
                tiled = in_tiles(x, self.patch)
                self.seen[place].append(tile_statistics(tiled, len(x), self.patch))

        return note

    def __enter__(self) -> "_Look":
        self.hooks = [
            layer.register_forward_pre_hook(self._noting(place))
            for place, (_, layer) in enumerate(self.layers)
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def of_images(self) -> Statistics:
        """Of the last pass: means and variances, float64 [images, columns]."""
        pairs = [pair for place in range(len(self.layers)) for pair in self.seen[place]]
        means, variances = (torch.cat(parts, dim=1).double() for parts in zip(*pairs, strict=True))
        return means, variances

    def rows(self) -> tuple[Row, ...]:
        """What the columns are."""
        rows = []
        for place, (name, layer) in enumerate(self.layers):
            kinds = ("channel", "patch") if isinstance(layer, nn.Conv2d) else ("bn",)
            for kind, (mean, _) in zip(kinds, self.seen[place], strict=False):
                rows.append(Row(name, kind, mean.shape[1]))
        return tuple(rows)


def real_statistics(
    network: nn.Module,
    batches: Callable[[int], Iterable[tuple[Tensor, Tensor]]],
    params: Gathered,
    *,
    images: int,
    size: int,
    classes: int,
    shape: tuple[int, ...],
    saved: JobState | None = None,
) -> Real:
    """What the layers of a network see of so many real images.

    batches: from batch number `skip` on, pairs of labels int64 [b] (CPU) and images float32
    [b, *shape], normalised, on the network's device, of `size` but the last.

    Of the dataset: the running statistics of BatchNorm2d layers; of Conv2d layers the mean over the
    batches of what a batch has, weighted by its size, so that a variance is the mean of those
    within batches of that size. Of a class: the mean over its images of their own statistics. All
    variances are biased.

    saved: where to resume from, and where to leave the state. The network is set to eval mode. A
    class without images has no finite statistics.
    """
    network.eval()
    layers = layers_of(network, convolutions=params.convolutions != "none")
    device = next(network.parameters()).device
    patch = params.patch if params.convolutions == "patches" else None
    with _Look(layers, patch) as look, torch.no_grad():
        network(torch.zeros(1, *shape, device=device))
        rows = look.rows()
        columns = sum(row.width for row in rows)
        # of the dataset, then of the classes
        means = torch.zeros(1 + classes, columns, dtype=torch.double, device=device)
        variances, counts = torch.zeros_like(means), torch.zeros_like(means[:, :1])
        state = {"means": means, "variances": variances, "counts": counts}
        run = Epochs("statistics", 1, -(-images // size), saved, state)
        for _ in run:
            for labels, x in run.steps_of(batches(run.skip)):
                network(x)
                mean, variance = look.of_images()
                counts[0] += len(x)
                means[0] += mean.sum(0)
                # within the batch: mean of the images' variances, and variance of their means
                variances[0] += len(x) * (variance.mean(0) + mean.var(0, correction=0))
                # by a product, whose sums have one order on a GPU too
                present, which = labels.unique(return_inverse=True)
                of_class = (which == torch.arange(len(present))[:, None]).double().to(device)
                places = present.to(device) + 1
                means[places] += of_class @ mean
                variances[places] += of_class @ variance
                counts[places] += of_class.sum(1, keepdim=True)
    means, variances = (means / counts).float(), (variances / counts).float()
    parts = iter(part for _, part in layers if isinstance(part, nn.BatchNorm2d))
    start = 0
    for row in rows:
        if row.kind == "bn":
            place = slice(start, start + row.width)
            means[0, place], variances[0, place] = running_statistics(next(parts))
        start += row.width
    return Real(rows, (means[0], variances[0]), (means[1:], variances[1:]))


def of_batch(real: Real, labels: Tensor, params: Recover) -> Statistics:
    """The class targets of a batch with these labels int64 [n]: the mean over its images of their
    class's statistics, float32 [columns] each.

    With `class_patches: code` the mean and the variance of tiles are exchanged, as EDC's program
    stores them.
    """
    labels = labels.to(real.classes[0].device)
    means, variances = (by_class[labels].mean(0) for by_class in real.classes)
    if params.class_patches == "code":
        widths = torch.tensor([row.width for row in real.rows])
        tiles = torch.tensor([row.kind == "patch" for row in real.rows]).repeat_interleave(widths)
        tiles = tiles.to(means.device)
        return torch.where(tiles, variances, means), torch.where(tiles, means, variances)
    return means, variances
