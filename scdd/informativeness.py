"""Measure how informative a squeezed backbone is: how much its BatchNorm statistics vary, how large
a signal they give a recovery, and which r_bn suits it.

SC-DD's argument (arXiv 2404.07976, abstract and introduction): with labels, the channel-wise means
and variances inside a network become flat as it grows and tell less, H(Θ_ssl) > H(Θ_sl), while
those of self-supervised networks vary more and give the recovery a larger loss and gradient. Here
each part of this argument is a number.

Spread, of the running means m_c and variances v_c over the C channels of a BatchNorm layer:

    std       their standard deviation (biased), as the recovery's loss sees them
    relative  free of the weights' scale, which BatchNorm takes out again:
              std(m) / s with s = sqrt(mean of v), and std(v) / (mean of v)
    entropy   in bits, of the histograms of m_c / s and log2(v_c / mean of v) over 14 bins: 12 of
              width 0.5 between -3 and 3, and one beyond on either side; with Miller and
              Madow's correction (bins in use - 1) / (2 C ln 2), since few channels fill few bins

Signal, at the start noise and at the last iterate of a short recovery of the first class block:
cross-entropy and BN loss, and the L2 norms of their gradients with respect to all images of the
batch; each a mean over some of the unit's views.

r_bn = balance * ‖∇CE‖ / ‖∇BN‖ at the start. Later it would be of less use: once the network
knows the images' classes, ∇CE is small, whereas ∇BN, of a sum of norms, hardly shrinks.
The short recovery itself has this r_bn.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo, load_info
from scdd.artifacts.informativeness import (
    Informativeness,
    Layer,
    Signal,
    Spread,
    save_informativeness,
)
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say
from scdd.networks.teachers import load_teacher
from scdd.params import probe as params
from scdd.params.recover import Recover
from scdd.recover.distance import StatisticsLoss
from scdd.recover.engine import Units, recover_units
from scdd.recover.matching import frozen, objective
from scdd.recover.starts import as_normalised
from scdd.recover.units import Unit, Views, draw_unit
from scdd.recover.watching import running_statistics
from scdd.views.pixels import valid_range

EDGES = torch.arange(-3, 3.01, 0.5, dtype=torch.float64)  # of the histograms' bins
VIEWS = 8  # over which a signal is averaged


def entropy(values: Tensor) -> float:
    """Bits, of the histogram of `values` float64 [C], with the correction (Miller, 1955)."""
    counts = torch.bincount(torch.bucketize(values, EDGES, right=True)).double()
    share = counts[counts > 0] / len(values)
    plain = -(share * share.log2()).sum().item()
    return plain + (len(share) - 1) / (2 * len(values) * math.log(2))


def spread(statistic: Tensor, scale: Tensor, scaled: Tensor) -> Spread:
    """Of one running statistic [C]: `scale` is what its spread is compared with, `scaled` what
    its histogram shows."""
    std = statistic.std(correction=0)
    return Spread(std.item(), (std / scale).item(), entropy(scaled))


def layer_spreads(network: nn.Module) -> tuple[Layer, ...]:
    """Of every BatchNorm2d layer, in module order. Raises ScddError if one is dead: no channel of
    its input varies."""
    layers = []
    for name, part in network.named_modules():
        if isinstance(part, nn.BatchNorm2d):
            mean, var = (statistic.double().cpu() for statistic in running_statistics(part))
            level = var.mean()
            if not level > 0:
                raise ScddError(
                    f"{name}: no channel varies, so the backbone is dead. Train it again."
                )
            root = level.sqrt()
            of_mean = spread(mean, root, mean / root)
            of_var = spread(var, level, (var / level).log2())
            layers.append(Layer(name, len(var), of_mean, of_var))
    return tuple(layers)


def signal(
    network: nn.Module,
    images: Tensor,
    views: Views,
    steps: Sequence[int],
    recover: Recover,
) -> Signal:
    """Of images float32 [n, 3, R, R], the mean over their views at `steps`.

    The network is as `frozen` made it.
    """
    signals = []
    with StatisticsLoss(network, recover) as bn:
        for step in steps:
            leaf = images.detach().clone().requires_grad_()
            ((_, ce, distance),) = objective(
                network, bn, views.of(leaf[None], step), views.labels(step), recover
            )
            (of_ce,) = torch.autograd.grad(ce, leaf, retain_graph=True)
            (of_bn,) = torch.autograd.grad(distance, leaf)
            signals.append(
                torch.stack([ce.detach(), distance.detach(), of_ce.norm(), of_bn.norm()])
            )
    return Signal(*torch.stack(signals).mean(0).tolist())


def suggestion(start: Signal, balance: float) -> float:
    """r_bn to three digits. Raises ScddError if one of the gradients is zero or not finite."""
    for name, size in (("cross-entropy", start.ce_gradient), ("BN loss", start.bn_gradient)):
        if not 0 < size < math.inf:
            raise ScddError(
                f"the gradient of the {name} with respect to start noise is {size}: no r_bn can "
                "balance it. Look at the squeeze's and the probe's logs."
            )
    return float(f"{balance * start.ce_gradient / start.bn_gradient:.3g}")


def examine(
    network: nn.Module,
    unit: Unit,
    recover: Recover,
    valid: tuple[Tensor, Tensor],
    balance: float,
) -> tuple[Signal, Signal, float]:
    """Signals at start and end of a recovery of `unit`, and the r_bn that it had: the suggestion.

    recover, valid: as in `scdd.recover.engine.recover_units`, but for r_bn, which is not used.
    """
    device = valid[0].device
    views, steps = Views([unit], device), range(recover.iterations)
    seen = frozen(network, recover.precision)
    start = signal(seen, unit.start.to(device), views, steps[:VIEWS], recover)
    r_bn = suggestion(start, balance)
    recover = replace(recover, r_bn=r_bn)
    recovered = recover_units(
        [network],
        Units([unit.key], len(unit.labels), lambda _: unit, "short recovery"),
        recover,
        valid,
    )
    last = recovered.images[0].to(device)
    end = signal(seen, last, views, steps[-VIEWS:], recover)
    return start, end, r_bn


def look(
    network: nn.Module, config: Mapping[str, Any], info: DatasetInfo, device: torch.device
) -> tuple[tuple[Layer, ...], Signal, Signal, float]:
    """The layers' spreads, and what `examine` says of the first class block. config: the parameters
    of the stage, as config.json has them."""
    own = params.Informativeness.of(config)
    recover = replace(Recover.of(config["recover"]), iterations=own.iterations)
    info, layers = as_normalised(info, recover), layer_spreads(network)
    labels = torch.arange(recover.block)
    unit = draw_unit(recover, labels, info.resolution, seed=recover.seed, block=0, slot=0)
    valid = valid_range(info, device)
    return layers, *examine(network.to(device), unit, recover, valid, own.balance)


def _work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    info = load_info(args.data)
    network, teacher = load_teacher(args.teacher, config, info.classes, args.data)
    layers, start, end, r_bn = look(network, config.params, info, device)
    say(f"start: {start}")
    say(f"end: {end}")
    arch = teacher.architecture
    say(f"suggested for {arch.arch}, width {arch.width:g}, stem {arch.stem}: recover.r_bn {r_bn:g}")
    informativeness = Informativeness(
        layers, start, end, config.params["iterations"], r_bn, config.digest, teacher.digest
    )
    save_informativeness(args.out, informativeness, runtime.environment(device))


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", "teacher", out="the informativeness.json to write")
    return runtime.run("informativeness", parser, _work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
