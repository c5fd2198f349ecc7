"""The report's figures: grids and strips of synthetic images, loss and accuracy curves, backbones.

Functions from arrays and data frames to the bytes of a PNG, GIF or SVG file. Equal input gives
equal bytes: no dates, a fixed hash salt, and no matplotlibrc of the host has a say.
"""

import contextlib
import io
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from PIL import Image, ImageDraw, ImageFont

from scdd.artifacts.informativeness import Layer
from scdd.report import backbones
from scdd.report.backbones import Look
from scdd.report.label_sizes import Point

STYLE = {
    "svg.hashsalt": "scdd",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
}
# Okabe and Ito's palette, told apart by colour-blind readers; a second round is dashed.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", ":", "-.")
REFERENCE = {"color": "0.35", "linestyle": (0, (4, 2)), "linewidth": 1.0}
BAND = {"alpha": 0.2, "linewidth": 0}
COLUMNS = 4  # panels side by side
PANEL = (3.3, 2.1)  # inches, greatest width and height of one
WIDE = (4.6, 3.0)  # of one with words in it
PAGE = 9.2  # inches, width of a row of panels
TILE = 32  # pixels; times `scale` the least edge of an image in a grid
GAP = 2
NAME = 24  # characters of a class name
SHOWN, SHOWN_LAST = 600, 2400  # milliseconds of a moving picture's frames


@dataclass(frozen=True)
class Panel:
    """One setting of the accuracy figure.

    `lines` maps a title to one frame (epoch, top1) a seed; `whole` is the last epoch's mean
    accuracy of students trained on the whole training set, None where not measured.
    """

    title: str
    lines: dict[str, list[pd.DataFrame]]
    whole: float | None


def grid(images: np.ndarray, names: Sequence[str], scale: int) -> bytes:
    """A PNG with one row a class, its name at the left, and one column a slot.

    `images` are uint8 [classes, slots, 3, H, W], drawn as `_sheet` says.
    """
    return _png(_sheet(images, names, scale))


def strip(
    frames: np.ndarray, iterations: Sequence[int], names: Sequence[str], scale: int
) -> dict[str, bytes]:
    """Images of a recovery on their way from noise, as the bytes of a 'png' and of a 'gif'.

    `frames` are uint8 [frames, classes, 3, H, W], drawn as `_sheet` says: in the PNG one row a
    class and one column a frame, in the GIF all classes side by side, one frame after the other.
    """
    still = _sheet(frames.swapaxes(0, 1), names, scale, heads=[str(i) for i in iterations])
    # the moving one is a sheet too, cut into its rows
    sheet = _sheet(frames, [f"iteration {i}" for i in iterations], scale)
    height = (sheet.height + GAP) // len(frames)
    first, *more = (
        sheet.crop((0, top, sheet.width, top + height - GAP))
        for top in range(0, sheet.height, height)
    )
    held = io.BytesIO()
    durations = [SHOWN] * len(more) + [SHOWN_LAST]
    first.save(held, "GIF", save_all=True, append_images=more, duration=durations, loop=0)
    return {"png": _png(still), "gif": held.getvalue()}


def _sheet(
    images: np.ndarray, names: Sequence[str], scale: int, heads: Sequence[str] = ()
) -> Image.Image:
    """Images in rows with `names` at their left, and columns below `heads`, if there are any.

    `images` are uint8 [rows, columns, 3, H, W]. They are enlarged by the least whole factor that
    brings H to 32 * scale pixels or more, by repetition: every pixel shown is one of the image's.
    """
    factor = -(-TILE * scale // images.shape[3])
    tiles = images.transpose(0, 1, 3, 4, 2).repeat(factor, axis=2).repeat(factor, axis=3)
    rows, columns, height, width, _ = tiles.shape
    size = min(max(height // 4, 11), 24)
    face = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(face, size, layout_engine=ImageFont.Layout.BASIC)
    short = [name if len(name) <= NAME else name[: NAME - 1] + "…" for name in names]
    left = round(max(font.getlength(name) for name in short)) + size
    top = 2 * size if heads else 0

    canvas = Image.new(
        "RGB", (left + columns * (width + GAP) - GAP, top + rows * (height + GAP) - GAP), "white"
    )
    draw = ImageDraw.Draw(canvas)
    for row, column in np.ndindex(rows, columns):
        tile = Image.fromarray(np.ascontiguousarray(tiles[row, column]))
        canvas.paste(tile, (left + column * (width + GAP), top + row * (height + GAP)))
    for row, name in enumerate(short):
        middle = top + row * (height + GAP) + height // 2
        draw.text((left - size // 2, middle), name, fill="black", font=font, anchor="rm")
    for column, head in enumerate(heads):
        middle = left + column * (width + GAP) + width // 2
        draw.text((middle, size), head, fill="black", font=font, anchor="mm")
    return canvas


def _png(picture: Image.Image) -> bytes:
    held = io.BytesIO()
    picture.save(held, "PNG", optimize=True)
    return held.getvalue()


def losses(
    squeezes: dict[str, pd.DataFrame],
    recoveries: dict[str, pd.DataFrame],
    titles: Sequence[str],
    dpi: int,
) -> dict[str, bytes]:
    """Loss of each squeeze by epoch; total, CE and BN loss of each recovery by iteration.

    Frames of squeezes have epoch and loss. Those of recoveries have iteration, loss, ce and bn,
    a line a unit (class block and slot) and iteration; drawn are mean and range over the units.
    `titles` come first in the order of colours, so that figures agree. Returns the files' bytes by
    format, 'png' and 'svg'.
    """
    parts = {"loss": "Recovery: total", "ce": "Recovery: cross-entropy", "bn": "Recovery: BN"}
    squeezes = {title: frame for title, frame in squeezes.items() if len(frame)}  # none untrained
    colours = _colours([*titles, *squeezes, *recoveries])
    looks = {title: colours[title] for title in [*squeezes, *recoveries]}
    with _style():
        figure, panels = _panels(bool(squeezes) + (len(parts) if recoveries else 0), looks)
        if squeezes:
            axes = next(panels)
            axes.set(title="Squeeze", xlabel="Epoch", ylabel="Loss")
            for title, frame in squeezes.items():
                _line(axes, frame["epoch"], frame["loss"], colours[title])
        for part, name in parts.items() if recoveries else ():
            axes = next(panels)
            axes.set(title=name, xlabel="Iteration")
            for title, frame in recoveries.items():
                units = frame.groupby("iteration")[part].agg(["mean", "min", "max"])
                _line(axes, units.index, units["mean"], colours[title])
                axes.fill_between(
                    units.index, units["min"], units["max"], color=colours[title]["color"], **BAND
                )
            _log(axes)
        return _files(figure, dpi)


def accuracy(panels: Sequence[Panel], titles: Sequence[str], dpi: int) -> dict[str, bytes]:
    """Students' top-1 by epoch: mean over seeds, with a band of one standard deviation (n - 1).

    `titles` are all lines' in the order of colours. Returns the files' bytes by format, 'png' and
    'svg'.
    """
    looks = colours = _colours(titles)
    if any(panel.whole is not None for panel in panels):
        looks = colours | {"Whole data, last epoch": REFERENCE}
    with _style():
        figure, places = _panels(len(panels), looks, sharey=True)
        for number, (axes, panel) in enumerate(zip(places, panels, strict=True)):
            axes.set(title=panel.title, xlabel="Epoch")
            if number % COLUMNS == 0:
                axes.set_ylabel("Top-1 accuracy (%)")
            for title, frames in panel.lines.items():
                seeds = pd.concat(frames).dropna().groupby("epoch")["top1"]
                mean, std = seeds.mean(), seeds.std()
                _line(axes, mean.index, mean, colours[title])
                axes.fill_between(
                    mean.index, mean - std, mean + std, color=colours[title]["color"], **BAND
                )
            if panel.whole is not None:
                axes.axhline(panel.whole, **REFERENCE)
        return _files(figure, dpi)


def label_sizes(points: Sequence[Point], dpi: int) -> dict[str, bytes]:
    """Accuracy (mean and one standard deviation, n - 1) against the bytes of an image's soft labels
    over a whole training, one panel a student and IPC.

    A colour is a protocol, filled in the first round of colours and hollow in the second; a shape
    is a column of the table. Returns the files' bytes by format, 'png' and 'svg'.
    """
    settings = list(dict.fromkeys((point.row.student, point.row.ipc) for point in points))
    protocols = dict.fromkeys(point.row.protocol for point in points)
    titles = dict.fromkeys(point.title for point in points)
    rounds = itertools.cycle(itertools.product((None, "white"), PALETTE))
    colours = {
        name: {"color": colour, "markerfacecolor": inside or colour}
        for name, (inside, colour) in zip(protocols, rounds, strict=False)
    }
    shapes = dict(zip(titles, itertools.cycle("os^Dv"), strict=False))
    round_one = {"linestyle": "", "marker": "o", "markersize": 5}
    key = {name: round_one | look for name, look in colours.items()}
    if len(titles) > 1:
        grey = {"color": "0.35", "markerfacecolor": "0.35"}
        key |= {title: round_one | grey | {"marker": shape} for title, shape in shapes.items()}
    with _style():
        figure, places = _panels(len(settings), key, WIDE)
        for axes, (student, ipc) in zip(places, settings, strict=True):
            axes.set(title=f"{student}, IPC {ipc}", xlabel="Bytes of soft labels an image")
            axes.set(ylabel="Top-1 accuracy (%)", xscale="log")
            for point in points:
                if (point.row.student, point.row.ipc) == (student, ipc):
                    look = round_one | colours[point.row.protocol]
                    look["marker"] = shapes[point.title]
                    at, spread = (point.size, point.score.mean), point.score.std
                    axes.errorbar(*at, spread, **look, elinewidth=1)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        return _files(figure, dpi)


BY_LAYER: dict[str, tuple[str, Callable[[Layer], float]]] = {
    "Means: relative": ("Spread of the means, relative", lambda layer: layer.mean.relative),
    "Variances: relative": ("Spread of the variances, relative", lambda layer: layer.var.relative),
    "Means: entropy": ("Entropy of the means (bits)", lambda layer: layer.mean.entropy),
    "Variances: entropy": ("Entropy of the variances (bits)", lambda layer: layer.var.entropy),
}
SIGNALS = {
    "BN": "BN loss",
    "∇BN": "Gradient of the BN loss",
    "∇CE": "Gradient of the cross-entropy",
}
START = {"linestyle": "-", "marker": "o", "markersize": 4}
END = {"linestyle": "--", "marker": "o", "markersize": 4, "markerfacecolor": "white"}


def informativeness(looks: Sequence[Look], dpi: int) -> dict[str, bytes]:
    """Squeezed backbones beside each other: statistics by BatchNorm layer, then by network, from
    the narrow to the wide, as means over the layers; below, the recovery's signal by network.

    A colour is a squeeze and, by layer, a kind of line a network. Bands and bars are one standard
    deviation (n - 1) over the squeeze's seeds. Returns the files' bytes by format, 'png' and 'svg'.
    """
    found = backbones.rows(looks)
    networks = sorted({look.network: _channels(look) for look in looks}.items(), key=lambda n: n[1])
    dashes = dict(zip((name for name, _ in networks), itertools.cycle(DASHES), strict=False))
    titles = dict.fromkeys(title for title, _ in found)
    colours = dict(zip(titles, itertools.cycle(PALETTE), strict=False))
    with _style():
        figure = Figure(figsize=(PAGE, 3 * PANEL[1] + 0.3), layout="constrained")
        above, middle, below = figure.subplots(3, COLUMNS)
        for axes, (title, value) in zip(above, BY_LAYER.values(), strict=True):
            axes.set(title=title, xlabel="BatchNorm layer")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            for (squeeze, network), of in found.items():
                curves = np.array([[value(layer) for layer in one.found.layers] for one in of])
                mean, std = _spread(curves)
                x = np.arange(1, len(mean) + 1)
                axes.plot(x, mean, color=colours[squeeze], linestyle=dashes[network])
                axes.fill_between(x, mean - std, mean + std, color=colours[squeeze], **BAND)
        for axes, (name, (title, _)) in zip(middle, BY_LAYER.items(), strict=True):
            axes.set(title=f"{title},\nmean over the layers")
            _by_network(axes, found, dashes, colours, {name: START})
        for axes, (name, title) in zip(below, SIGNALS.items(), strict=False):
            axes.set(title=title)
            looks_of = {f"{name} start": START, f"{name} end": END}
            _by_network(axes, found, dashes, colours, looks_of)
            _log(axes)
        below[-1].set(title="Suggested r_bn")
        _by_network(below[-1], found, dashes, colours, {"r_bn": START})
        below[-1].set_ylim(bottom=0)
        key = {title: {"color": colour, "linewidth": 3} for title, colour in colours.items()}
        key |= {name: {"color": "0.35", "linestyle": dash} for name, dash in dashes.items()}
        key |= {"on noise": START | {"color": "0.35"}}
        key |= {"after a short recovery": END | {"color": "0.35"}}
        _legend(figure, key)
        return _files(figure, dpi)


def _channels(look: Look) -> int:
    return sum(layer.channels for layer in look.found.layers)


def _spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sample standard deviation over the rows; 0 for one row."""
    several = len(values) > 1
    return values.mean(0), values.std(0, ddof=1) if several else np.zeros(values.shape[1])


def _by_network(
    axes: Axes,
    found: Mapping[backbones.Row, Sequence[Look]],
    networks: Iterable[str],
    colours: Mapping[str, str],
    looks: Mapping[str, dict],
) -> None:
    """A line a squeeze and quantity, of which `looks` says how it is drawn; x is the network."""
    names = list(networks)
    for (title, colour), (name, look) in itertools.product(colours.items(), looks.items()):
        quantity = (backbones.STATISTICS | backbones.SIGNALS)[name]
        of = {x: found[title, n] for x, n in enumerate(names) if (title, n) in found}
        points = [_spread(np.array([[quantity(one)] for one in seeds])) for seeds in of.values()]
        mean, std = np.array(points)[:, :, 0].T
        axes.errorbar(list(of), mean, std, color=colour, capsize=2, **look)
    axes.set_xticks(range(len(names)), [name.replace("-", "\n") for name in names])
    axes.set_xlim(-0.4, len(names) - 0.6)


@contextlib.contextmanager
def _style() -> Iterator[None]:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _colours(titles: Sequence[str]) -> dict[str, dict]:
    """How the line of each title is drawn: in the order of their first appearance."""
    kinds = itertools.cycle(itertools.product(("-", "--"), PALETTE))
    unique = dict.fromkeys(titles)
    return {
        title: {"linestyle": dash, "color": colour}
        for title, (dash, colour) in zip(unique, kinds, strict=False)
    }


def _panels(
    count: int,
    looks: dict[str, dict],
    panel: tuple[float, float] = PANEL,
    *,
    sharey: bool = False,
) -> tuple[Figure, Iterator[Axes]]:
    """A figure with `count` pairs of axes and the legend of `looks` below them."""
    columns = min(max(count, 1), COLUMNS, int(COLUMNS * PANEL[0] / panel[0]))
    rows = max(-(-count // columns), 1)
    width = min(panel[0] * columns, PAGE)
    height = panel[1] * rows + 0.18 * -(-len(looks) // _side_by_side(looks, width))
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel()
    for spare in axes[count:]:
        spare.set_axis_off()
    for used in axes[:count]:
        used.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if looks:
        _legend(figure, looks)
    return figure, iter(axes[:count])


def _side_by_side(titles: Collection[str], width: float) -> int:
    """How many entries of a legend fit in a line of so many inches, roughly."""
    entry = 0.5 + 0.065 * max(map(len, titles), default=0)
    return min(max(int(width / entry), 1), max(len(titles), 1))


def _legend(figure: Figure, looks: Mapping[str, dict]) -> None:
    handles = [Line2D([], [], label=title, **look) for title, look in looks.items()]
    entries = _side_by_side(looks, figure.get_figwidth())
    figure.legend(handles=handles, loc="outside lower center", ncols=entries)


def _line(axes: Axes, x: Sequence[float], y: Sequence[float], look: dict) -> None:
    few = {"marker": "o", "markersize": 2.5} if len(x) <= 12 else {}  # a lone point is no line
    axes.plot(x, y, **look, **few)


def _log(axes: Axes) -> None:
    """A log axis labelled in plain numbers, at 1, 2 and 5 where there are few decades."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _files(figure: Figure, dpi: int) -> dict[str, bytes]:
    nameless = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    made = {}
    for kind, metadata in nameless.items():
        held = io.BytesIO()
        figure.savefig(held, format=kind, dpi=dpi, metadata=metadata)
        made[kind] = held.getvalue()
    return made
