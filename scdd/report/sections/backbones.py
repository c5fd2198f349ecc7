"""backbones.{csv,md,tex}, backbones_notes.tex: what a reader needs to judge the paper's claim about
squeezed backbones.

A row for each squeeze and network, means and deviations over the squeeze's seeds. The quantities
are defined in scdd.informativeness.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from scdd.report import html, latex
from scdd.report.looks import SIGNALS, STATISTICS, Look, Quantity, rows, values
from scdd.report.measured import Measured, look_files
from scdd.report.scores import score, signed, standard_error, tested_on
from scdd.report.section import TABLES, Contents, Entry, Params, Section
from scdd.report.typeset import (
    Cells,
    bullets,
    comma_separated,
    document,
    markdown,
)

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


# of which the claim is, whatever the scale of the weights
CLAIMED = ("Means: relative", "Means: entropy", "Variances: relative", "Variances: entropy")


def files(params: Params) -> list[str]:
    if "backbones" not in params:
        return []
    return ["backbones.csv", "backbones.md", "backbones.tex", "backbones_notes.tex"]


def pages(params: Params) -> list[str]:
    return ["backbones.md"]


def make(measured: Measured) -> dict[str, bytes]:
    looks, params = measured.looks, measured.params
    below, name = _notes(measured), params["experiment"]
    return {
        "backbones.csv": to_csv(looks).encode(),
        "backbones.md": to_markdown(params["dataset"], looks, below).encode(),
        "backbones.tex": to_latex(params["dataset"], looks, name).encode(),
        "backbones_notes.tex": latex.notes(below, f"{name}-signal").encode(),
    }


def _notes(measured: Measured) -> list[str]:
    params = measured.params
    # frozen parameters of an earlier version lack them
    found = findings(measured.looks, params.get("sizes", {}))
    return [*found, *notes(measured.looks, params["balance"], params["holdout"]), *params["notes"]]


def body(measured: Measured, contents: Contents) -> list[str]:
    return [
        html.heading("BatchNorm statistics"),
        html.table(cells(measured.looks, STATISTICS)),
        html.heading("The recovery's signal"),
        html.table(cells(measured.looks, SIGNALS)),
        html.bullets(_notes(measured)),
    ]


def shown(numbers: Sequence[float], decimals: int | None = None) -> str:
    """Mean ± standard deviation (n - 1), with three digits of the mean, at most four decimals."""
    if not numbers:
        return "–"
    mean = statistics.fmean(numbers)
    if decimals is None:
        size = math.floor(math.log10(abs(mean))) if mean else 0
        decimals = min(max(2 - size, 0), 4)
    text = f"{mean:.{decimals}f}"
    return text if len(numbers) == 1 else f"{text} ± {statistics.stdev(numbers):.{decimals}f}"


def cells(looks: Sequence[Look], quantities: Mapping[str, Quantity]) -> Cells:
    """The table for reading. A quantity that no backbone has is not a column."""
    columns = {name: of for name, of in quantities.items() if values(looks, of)}
    lines = [
        [
            *row,
            *(shown(values(group, of), 1 if "%" in name else None) for name, of in columns.items()),
        ]
        for row, group in rows(looks).items()
    ]
    return Cells(["Squeeze", "Network", *columns], lines, 2)


def findings(looks: Sequence[Look], sizes: Mapping[str, int]) -> list[str]:
    """How the statistics of each squeeze change from its smallest to its largest network, as
    sentences; none where it has a single one. sizes: by network."""
    of_title: dict[str, dict[str, list[Look]]] = {}
    for (title, network), group in rows(looks).items():
        if network in sizes:
            of_title.setdefault(title, {})[network] = group
    told = []
    for title, networks in of_title.items():
        ordered = sorted(networks, key=sizes.__getitem__)
        if len(ordered) > 1:
            small, large = ordered[0], ordered[-1]
            changes = [
                f"{name.lower()} {_change(STATISTICS[name], networks[small], networks[large])}"
                for name in CLAIMED
            ]
            told.append(f"{title}, from {small} to {large}: {'; '.join(changes)}.")
    if told:
        told.append(
            "± of such a change is its standard error over the squeeze's seeds. Below twice its "
            "error a change may be chance."
        )
    return told


def _change(quantity: Quantity, small: Sequence[Look], large: Sequence[Look]) -> str:
    before, after = score(values(small, quantity)), score(values(large, quantity))
    error = standard_error(after, len(large), before, len(small))
    change = signed(after.mean - before.mean, error, 3)
    if error is None:
        return change
    if abs(after.mean - before.mean) <= error:
        return f"{change} (no change beyond its standard error)"
    return f"{change} ({'more' if after.mean > before.mean else 'less'})"


def notes(looks: Sequence[Look], balance: float, holdout: float) -> list[str]:
    counts = {len(group) for group in rows(looks).values()}
    over = str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    seeds = (
        "One squeeze a row: no standard deviation."
        if counts == {1}
        else f"± is the standard deviation (sample, n − 1) over n = {over} seeds of the squeeze; "
        "probe and start noise have one seed."
    )
    steps = sorted({look.informativeness.iterations for look in looks})
    return [
        f"Probe %: top-1 of the probe on {tested_on(holdout)}.",
        *NOTES,
        f"r_bn: the suggestion, {balance:g} × ∇CE / ∇BN at the start, which is what `recover.r_bn: "
        f"auto` uses. The short recovery has {' or '.join(map(str, steps))} iterations.",
        seeds,
    ]


def to_markdown(dataset: str, looks: Sequence[Look], below: Sequence[str]) -> str:
    return document(
        f"# {dataset}: how informative the backbones are",
        "## BatchNorm statistics",
        markdown(cells(looks, STATISTICS)),
        "## The recovery's signal",
        markdown(cells(looks, SIGNALS)),
        bullets(below),
    )


def to_latex(dataset: str, looks: Sequence[Look], name: str) -> str:
    return latex.file(
        latex.table(
            cells(looks, STATISTICS),
            caption=f"BatchNorm statistics of backbones squeezed on {dataset}.",
            name=f"{name}-statistics",
        ),
        latex.table(
            cells(looks, SIGNALS),
            caption=f"The signal that a recovery gets from backbones squeezed on {dataset}.",
            name=f"{name}-signal",
        ),
    )


def to_csv(looks: Sequence[Look]) -> str:
    """The table as numbers, mean and std in columns of their own; empty: not measured."""
    quantities = STATISTICS | SIGNALS
    header = ["squeeze", "network", "seeds"]
    header += [f"{name} {part}" for name in quantities for part in ("mean", "std")]
    lines = []
    for row, group in rows(looks).items():
        line = [*row, str(len(group))]
        for quantity in quantities.values():
            numbers = values(group, quantity)
            line.append(f"{statistics.fmean(numbers):.6g}" if numbers else "")
            line.append(f"{statistics.stdev(numbers):.6g}" if len(numbers) > 1 else "")
        lines.append(line)
    return comma_separated(header, lines)


ENTRY = Entry("backbones", "How informative the backbones are", TABLES, body)
SECTION = Section(files, look_files, make, ENTRY, pages)
