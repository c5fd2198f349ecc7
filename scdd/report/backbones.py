"""The report on squeezed backbones: what a reader needs to judge the paper's claim about them.

backbones.{csv,md,tex} have a row for each squeeze and network, means and deviations over the
squeeze's seeds; layers.csv has a line for each seed and BatchNorm layer. The quantities are defined
in scdd.informativeness.
"""

import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scdd.artifacts.informativeness import Informativeness, Layer
from scdd.report.typeset import bullets, comma_separated, latex, markdown

NOTES = (
    "Spread of the channel-wise running means m and variances v of a BatchNorm layer. std: their "
    "standard deviation over the channels, which grows with the scale of the weights. relative: "
    "without that scale, std(m) / sqrt(mean of v) and std(v) / (mean of v). entropy: bits, of the "
    "histograms of m / sqrt(mean of v) and log2(v / mean of v), bins of width 0.5 from -3 to 3 and "
    "one on either side, with Miller and Madow's correction. All are means over the layers.",
    "CE, BN: the two terms of the recovery's loss, before r_bn; ∇CE, ∇BN: the L2 norms of their "
    "gradients with respect to all images of the first class block; on noise (start) and after a "
    "short recovery (end) with the r_bn of the row.",
    "The claim (arXiv 2404.07976): as networks grow, supervised statistics flatten and say less; "
    "self-supervised ones spread more and give the recovery a larger loss and gradient. Where it "
    "holds, spread and entropy fall from the smaller to the larger network for supervised squeezes "
    "and not for self-supervised ones, and BN and ∇BN are larger for the latter.",
)


@dataclass(frozen=True)
class Look:
    """One squeezed backbone. probe: its top-1 in percent on the validation images; knn: that of
    nearest neighbours on held-out training images, None where it was not monitored."""

    title: str
    network: str
    seed: int | None
    probe: float
    knn: float | None
    found: Informativeness


Row = tuple[str, str]  # title and network
Quantity = Callable[[Look], float | None]


def _over_layers(value: Callable[[Layer], float]) -> Quantity:
    return lambda look: statistics.fmean(value(layer) for layer in look.found.layers)


STATISTICS: dict[str, Quantity] = {
    "Probe %": lambda look: look.probe,
    "k-NN %": lambda look: look.knn,
    "Means: std": _over_layers(lambda layer: layer.mean.std),
    "Means: relative": _over_layers(lambda layer: layer.mean.relative),
    "Means: entropy": _over_layers(lambda layer: layer.mean.entropy),
    "Variances: std": _over_layers(lambda layer: layer.var.std),
    "Variances: relative": _over_layers(lambda layer: layer.var.relative),
    "Variances: entropy": _over_layers(lambda layer: layer.var.entropy),
}
SIGNALS: dict[str, Quantity] = {
    "CE start": lambda look: look.found.start.ce,
    "CE end": lambda look: look.found.end.ce,
    "BN start": lambda look: look.found.start.bn,
    "BN end": lambda look: look.found.end.bn,
    "∇CE start": lambda look: look.found.start.ce_gradient,
    "∇CE end": lambda look: look.found.end.ce_gradient,
    "∇BN start": lambda look: look.found.start.bn_gradient,
    "∇BN end": lambda look: look.found.end.bn_gradient,
    "r_bn": lambda look: look.found.r_bn,
}


def rows(looks: Sequence[Look]) -> dict[Row, list[Look]]:
    """The looks by row, rows in order of appearance."""
    found: dict[Row, list[Look]] = {}
    for look in looks:
        found.setdefault((look.title, look.network), []).append(look)
    return found


def measured(looks: Sequence[Look], quantity: Quantity) -> list[float]:
    """The values of those looks that have one."""
    return [value for value in map(quantity, looks) if value is not None]


def shown(values: Sequence[float], decimals: int | None = None) -> str:
    """Mean ± standard deviation (n - 1), with three digits of the mean, at most four decimals."""
    if not values:
        return "–"
    mean = statistics.fmean(values)
    if decimals is None:
        size = math.floor(math.log10(abs(mean))) if mean else 0
        decimals = min(max(2 - size, 0), 4)
    text = f"{mean:.{decimals}f}"
    return text if len(values) == 1 else f"{text} ± {statistics.stdev(values):.{decimals}f}"


def cells(looks: Sequence[Look], quantities: dict[str, Quantity]) -> tuple[list[str], list, int]:
    """Header, lines and number of columns of words. What no backbone has is no column."""
    used = {name: one for name, one in quantities.items() if measured(looks, one)}
    lines = [
        [
            *row,
            *(shown(measured(of, one), 1 if "%" in name else None) for name, one in used.items()),
        ]
        for row, of in rows(looks).items()
    ]
    return ["Squeeze", "Network", *used], lines, 2


def notes(looks: Sequence[Look], balance: float) -> list[str]:
    counts = {len(of) for of in rows(looks).values()}
    over = str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    seeds = (
        "One squeeze a row: no standard deviation."
        if counts == {1}
        else f"± is the standard deviation (sample, n − 1) over n = {over} seeds of the squeeze; "
        "probe and start noise have one seed."
    )
    steps = sorted({look.found.iterations for look in looks})
    return [
        *NOTES,
        f"r_bn: the suggestion, {balance:g} × ∇CE / ∇BN at the start, which is what `recover.r_bn: "
        f"auto` uses. The short recovery has {' or '.join(map(str, steps))} iterations.",
        seeds,
    ]


def to_markdown(dataset: str, looks: Sequence[Look], said: list[str]) -> str:
    parts = [
        f"# {dataset}: how informative the backbones are",
        "## BatchNorm statistics",
        markdown(*cells(looks, STATISTICS)),
        "## The recovery's signal",
        markdown(*cells(looks, SIGNALS)),
        bullets(said),
    ]
    return "\n\n".join(parts) + "\n"


def to_latex(dataset: str, looks: Sequence[Look], said: list[str], name: str) -> str:
    label = "tab:" + re.sub(r"[^A-Za-z0-9-]", "-", name)
    captions = {
        "statistics": f"BatchNorm statistics of backbones squeezed on {dataset}.",
        "signal": f"The signal that a recovery gets from backbones squeezed on {dataset}.",
    }
    made = [
        latex(
            *cells(looks, quantities),
            caption=captions[part],
            label=f"{label}-{part}",
            notes=said if part == "signal" else [],
            bold=(),
        )
        for part, quantities in (("statistics", STATISTICS), ("signal", SIGNALS))
    ]
    return "% \\usepackage{booktabs}\n" + "".join(made)


def to_csv(looks: Sequence[Look]) -> str:
    """The table as numbers, mean and std in columns of their own; empty: not measured."""
    quantities = STATISTICS | SIGNALS
    header = ["squeeze", "network", "seeds"]
    header += [f"{name} {part}" for name in quantities for part in ("mean", "std")]
    lines = []
    for row, of in rows(looks).items():
        line = [*row, str(len(of))]
        for quantity in quantities.values():
            values = measured(of, quantity)
            line.append(f"{statistics.fmean(values):.6g}" if values else "")
            line.append(f"{statistics.stdev(values):.6g}" if len(values) > 1 else "")
        lines.append(line)
    return comma_separated(header, lines)


def to_layers_csv(looks: Sequence[Look]) -> str:
    """One line a backbone and BatchNorm layer, layers in module order; empty seed: the default."""
    parts = ("std", "relative", "entropy")
    header = ["squeeze", "network", "seed", "layer", "channels"]
    header += [f"{of}_{part}" for of in ("mean", "var") for part in parts]
    lines = [
        [
            look.title,
            look.network,
            "" if look.seed is None else str(look.seed),
            layer.name,
            str(layer.channels),
            *(f"{getattr(of, part):.6g}" for of in (layer.mean, layer.var) for part in parts),
        ]
        for look in looks
        for layer in look.found.layers
    ]
    return comma_separated(header, lines)
