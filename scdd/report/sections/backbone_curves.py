"""backbones.{png,svg,pdf}: squeezed backbones beside each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scdd.artifacts.informativeness import Layer
from scdd.report.looks import SIGNALS, STATISTICS, Look, Row, rows
from scdd.report.measured import Measured, look_files
from scdd.report.section import FIGURES, Entry, Params, Section, figure_files

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

BY_LAYER: dict[str, tuple[str, Callable[[Layer], float]]] = {
    "Means: relative": ("Spread of the means, relative", lambda layer: layer.mean.relative),
    "Variances: relative": ("Spread of the variances, relative", lambda layer: layer.var.relative),
    "Means: entropy": ("Entropy of the means (bits)", lambda layer: layer.mean.entropy),
    "Variances: entropy": ("Entropy of the variances (bits)", lambda layer: layer.var.entropy),
}
FROM_START_TO_END = {
    "BN": "BN loss",
    "∇BN": "Gradient of the BN loss",
    "∇CE": "Gradient of the cross-entropy",
}
START = {"linestyle": "-", "marker": "o", "markersize": 4}
END = {"linestyle": "--", "marker": "o", "markersize": 4, "markerfacecolor": "white"}


def files(params: Params) -> list[str]:
    return figure_files("backbones") if "backbones" in params else []


def make(measured: Measured) -> dict[str, bytes]:
    return draw(measured.looks, measured.params["figures"]["dpi"])


def draw(looks: Sequence[Look], dpi: int) -> dict[str, bytes]:
    """Statistics by BatchNorm layer, then by network, from the narrow to the wide, as means over
    the layers; below, the recovery's signal by network.

    A colour is a squeeze and, by layer, a kind of line a network. Bands and bars are one standard
    deviation (n - 1) over the squeeze's seeds.
    """
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from scdd.report import plots

    groups = rows(looks)
    networks = sorted({look.network: _channels(look) for look in looks}.items(), key=lambda n: n[1])
    dashes = dict(zip((name for name, _ in networks), itertools.cycle(plots.DASHES), strict=False))
    titles = dict.fromkeys(title for title, _ in groups)
    colours = dict(zip(titles, itertools.cycle(plots.PALETTE), strict=False))
    with plots.style():
        figure = Figure(figsize=(plots.PAGE, 3 * plots.PANEL[1] + 0.3), layout="constrained")
        above, middle, below = figure.subplots(3, plots.COLUMNS)
        for axes, (title, value) in zip(above, BY_LAYER.values(), strict=True):
            axes.set(title=title, xlabel="BatchNorm layer")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            for (squeeze, network), seeds in groups.items():
                curves = np.array(
                    [[value(layer) for layer in look.informativeness.layers] for look in seeds]
                )
                mean, std = _spread(curves)
                x = np.arange(1, len(mean) + 1)
                colour = colours[squeeze]
                axes.plot(x, mean, color=colour, linestyle=dashes[network])
                axes.fill_between(x, mean - std, mean + std, color=colour, **plots.BAND)
        for axes, (name, (title, _)) in zip(middle, BY_LAYER.items(), strict=True):
            axes.set(title=f"{title},\nmean over the layers")
            _by_network(axes, groups, dashes, colours, {name: START})
        for axes, (name, title) in zip(below, FROM_START_TO_END.items(), strict=False):
            axes.set(title=title)
            _by_network(axes, groups, dashes, colours, {f"{name} start": START, f"{name} end": END})
            plots.log_axis(axes)
        below[-1].set(title="Suggested r_bn")
        _by_network(below[-1], groups, dashes, colours, {"r_bn": START})
        below[-1].set_ylim(bottom=0)
        key: dict[str, plots.Look] = {
            title: {"color": colour, "linewidth": 3} for title, colour in colours.items()
        }
        key |= {name: {"color": "0.35", "linestyle": dash} for name, dash in dashes.items()}
        key |= {"on noise": START | {"color": "0.35"}}
        key |= {"after a short recovery": END | {"color": "0.35"}}
        plots.legend(figure, key)
        return plots.files(figure, "backbones", dpi)


def _channels(look: Look) -> int:
    return sum(layer.channels for layer in look.informativeness.layers)


def _spread(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample standard deviation over the rows; 0 for one row."""
    return numbers.mean(0), numbers.std(0, ddof=1) if len(numbers) > 1 else 0 * numbers[0]


def _by_network(
    axes: Axes,
    groups: Mapping[Row, Sequence[Look]],
    networks: Iterable[str],
    colours: Mapping[str, str],
    lines: Mapping[str, Mapping[str, Any]],
) -> None:
    """A line a squeeze and quantity, of which `lines` says how it is drawn; x is the network."""
    import numpy as np

    names = list(networks)
    for (title, colour), (name, line) in itertools.product(colours.items(), lines.items()):
        quantity = (STATISTICS | SIGNALS)[name]
        seeds_at = {x: groups[title, n] for x, n in enumerate(names) if (title, n) in groups}
        points = [
            _spread(np.array([[quantity(look)] for look in seeds])) for seeds in seeds_at.values()
        ]
        mean, std = np.array(points)[:, :, 0].T
        axes.errorbar(list(seeds_at), mean, std, color=colour, capsize=2, **line)
    axes.set_xticks(range(len(names)), [name.replace("-", "\n") for name in names])
    axes.set_xlim(-0.4, len(names) - 0.6)


SECTION = Section(
    files, look_files, make, Entry("backbone_curves", "Backbones beside each other", FIGURES)
)
