"""How far a batch's statistics are from the real ones, collected in a network's forward pass."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scdd.artifacts.statistics import Real, Row
from scdd.errors import ScddError
from scdd.params.recover import Recover
from scdd.recover.units import Statistics
from scdd.recover.watching import Watch, layers_of, running_statistics


class Beside(NamedTuple):
    """What a step of a teacher needs beside views and labels, of each unit.

    targets: float32 [units, columns], of the classes. kept: float32 [units, convolutions], 0 where
    one is left out. averages: of the statistics, before this step, [units, columns]. average: the
    views of the images' own moving average, [units, n, 3, R, R].
    """

    targets: Statistics | None = None
    kept: Tensor | None = None
    averages: Statistics | None = None
    average: Tensor | None = None


NOTHING = Beside()


def rows_of(network: nn.Module) -> tuple[Row, ...]:
    """The statistics that a network brings itself: those of its BatchNorm2d layers' inputs. Raises
    ScddError if it has no such layer."""
    layers = [(name, p) for name, p in network.named_modules() if isinstance(p, nn.BatchNorm2d)]
    if not layers or any(part.running_var is None for _, part in layers):
        raise ScddError(
            "the teacher has no BatchNorm2d layers with running statistics, which recovery "
            "matches. Choose another architecture."
        )
    return tuple(Row(name, "bn", len(running_statistics(part)[0])) for name, part in layers)


class StatisticsLoss:
    """Distance of a batch's statistics from the real ones, collected in a network's forward pass.

    Sum over statistics, in module order of their layers, of w (||real_var - var||_2 + ||real_mean -
    mean||_2), in float32; w is `first_bn_multiplier` for those of the first layer and 1 for the
    others. The statistics are those of the inputs of BatchNorm2d layers, whose running ones are the
    real ones; or, with `real`, those that it has (of convolutions too).

    With `momentum` it is the distance of the average over the unit's iterations, a <- momentum a +
    (1 - momentum) current, from 0, with the full gradient of the current ones. (As released,
    averages run on from batch to batch; here they begin with each unit, which must not depend on
    the units before it.)

    Raises ScddError if the network has no BatchNorm2d layer, or `real` is of another network. The
    layers get their own forward back when the `with` block ends.
    """

    def __init__(self, network: nn.Module, params: Recover, real: Real | None = None) -> None:
        self.rows = rows_of(network) if real is None else real.rows
        convolutions = any(row.kind != "bn" for row in self.rows)
        layers = layers_of(network, convolutions)
        patch = params.patch if any(row.kind == "patch" for row in self.rows) else 0
        self.watch = Watch(layers, patch)
        places = {name: place for place, (name, _) in enumerate(layers)}
        if missing := [row.layer for row in self.rows if row.layer not in places]:
            raise ScddError(
                f"the real statistics are those of another network: there is no {missing[0]} here."
            )
        self.keys = [(places[row.layer], row.kind) for row in self.rows]
        parts = [part for _, part in layers if isinstance(part, nn.BatchNorm2d)]
        means, variances = zip(*map(running_statistics, parts), strict=True)
        device = means[0].device
        self.real: Statistics = torch.cat(means), torch.cat(variances)
        if real is not None:
            self.real = real.dataset[0].to(device), real.dataset[1].to(device)
        self.momentum = params.momentum
        self.share = params.class_share or 1.0  # of the targets, where there are some
        self.widest = max(row.width for row in self.rows)
        filled = [
            number * self.widest + torch.arange(row.width) for number, row in enumerate(self.rows)
        ]
        self.places = torch.cat(filled).to(device)
        self.weights = torch.ones(len(self.rows), device=device)
        for number, (place, _) in enumerate(self.keys):
            if place == self.keys[0][0]:
                self.weights[number] = params.first_bn_multiplier
        # of a row the place of its convolution among all; the last one is that of all others
        of_convolutions = [name for name, part in layers if isinstance(part, nn.Conv2d)]
        self.convolutions = len(of_convolutions)
        order = [
            self.convolutions if row.kind == "bn" else of_convolutions.index(row.layer)
            for row in self.rows
        ]
        self.order = torch.tensor(order, device=device)
        widths = torch.tensor([row.width for row in self.rows], device=device)
        self.of_columns = torch.arange(len(self.rows), device=device).repeat_interleave(widths)
        self.beside = NOTHING
        self.averages: Statistics | None = None

    def begin(self, units: int, beside: Beside = NOTHING) -> None:
        """Before a forward pass of so many units; a pass that failed is forgotten, with its graph.

        beside: `targets` are matched in place of the dataset's statistics, or in part.
        """
        self.watch.units, self.watch.seen = units, {}
        self.beside, self.averages = beside, None

    def take(self) -> Tensor:
        """The loss of each unit in the forward pass since `begin`, [units]; with momentum,
        `averages` are those after this step."""
        seen, self.watch.seen = [self.watch.seen[key] for key in self.keys], {}
        means, variances = (torch.cat(parts, dim=1) for parts in zip(*seen, strict=True))
        current = self._averaged((means, variances))
        weights = self.weights
        if self.beside.kept is not None:
            weights = weights * self._of_rows(self.beside.kept)
        share = 0.0 if self.beside.targets is None else self.share
        total = torch.zeros(self.watch.units, device=weights.device)
        for real, part in ((self.real, 1 - share), (self.beside.targets, share)):
            if real is None or not part:
                continue
            for statistic, target in zip(current, real, strict=True):
                norms = self._norms(target - statistic)
                distance = norms @ weights if weights.ndim == 1 else (norms * weights).sum(1)
                total = total + (distance if part == 1 else part * distance)
        return total

    def _norms(self, off: Tensor) -> Tensor:
        """[units, rows] of differences [units, columns]."""
        # a row a statistic, filled up with zeros: the norms of all are one kernel
        rows = off.new_zeros(len(off), len(self.rows) * self.widest)
        rows = rows.index_copy(1, self.places, off).view(len(off), -1, self.widest)
        return torch.linalg.vector_norm(rows, dim=2)

    def _of_rows(self, kept: Tensor) -> Tensor:
        """From [units, convolutions] to [units, rows], 1 for BatchNorm's."""
        return F.pad(kept[:, : self.convolutions], (0, 1), value=1.0)[:, self.order]

    def _averaged(self, current: Statistics) -> Statistics:
        """The averages in place of the current statistics, with the gradient of those."""
        before, kept = self.beside.averages, self.beside.kept
        if before is None:
            return current
        after = []
        for old, new in zip(before, current, strict=True):
            mixed = self.momentum * old + (1 - self.momentum) * new.detach()
            if kept is not None:
                stays = self._of_rows(kept)[:, self.of_columns] == 0
                mixed = torch.where(stays, old, mixed)
            after.append(mixed)
        self.averages = after[0], after[1]
        first, second = (
            mixed + (new - new.detach()) for mixed, new in zip(after, current, strict=True)
        )
        return first, second

    def unwatched(self, network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Outputs of the network, or of a part of it; of this pass no statistics are taken."""
        self.watch.paused = True
        try:
            outputs: Tensor = network(x)
        finally:
            self.watch.paused = False
        return outputs

    def start(self, units: int) -> Statistics | None:
        """The averages of units before their first step, [units, columns]; None without."""
        if not self.momentum:
            return None
        zeros = torch.zeros(2, units, len(self.places), device=self.places.device)
        return zeros[0], zeros[1]

    def __enter__(self) -> "StatisticsLoss":
        self.watch.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self.watch.__exit__(*details)
