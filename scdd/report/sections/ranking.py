"""ranking.{csv,md,tex}, ranking_notes.tex: DD-Ranking's scores, and the accuracies behind them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from scdd.report import html, latex
from scdd.report.ddranking import (
    Arms,
    augmentation_robust,
    hard_label_recovery,
    improvement_over_random,
    label_robust,
)
from scdd.report.measured import Measured, read_metrics, student_files
from scdd.report.scores import Score, Table, score, shown
from scdd.report.section import TABLES, Contents, Entry, Params, Section
from scdd.report.typeset import Cells, Layout, bullets, csv_of, document, markdown, number

SCORES: dict[str, Callable[[Arms], float]] = {
    "LRS": label_robust,
    "ARS": augmentation_robust,
    "HLR": hard_label_recovery,
    "IOR": improvement_over_random,
}
ACCURACIES: dict[str, Callable[[Arms], float]] = {
    "Images": attrgetter("images"),
    "Random": attrgetter("random"),
    "Images, hard labels": attrgetter("images_hard"),
    "Whole data, hard labels": attrgetter("whole_hard"),
    "Images, plain": attrgetter("images_plain"),
    "Random, plain": attrgetter("random_plain"),
}
NOTES = (
    "LRS and ARS: the label-robust and the augmentation-robust score of DD-Ranking (arXiv "
    "2505.13300, github.com/NUS-HPC-AI-Lab/DD-Ranking), 0 to 100: 100 (e^x − 1/e) / (e − 1/e). For "
    "LRS x = (IOR − HLR) / 2; for ARS x is the mean of Images − Random and of the same, plain; "
    "both of accuracies as fractions of 1. At x = 0 a score is 26.9.",
    "HLR = Whole data − Images, both with hard labels: the less, the better. IOR = Images − "
    "Random. Both in points.",
    "Random: as many random real images, labelled as the method's images are, by its own teacher "
    "or their classes. Hard labels: the images with the protocol's crops and flips, but not mixed "
    "where it has soft labels; the whole data by the values of protocol whole. Plain: without "
    "crops, flips, mixing, shuffled patches, RandAugment and DSA.",
    "Not as DD-Ranking: one learning rate, the protocol's, for all (it tries five for each and "
    "takes the best); the last epoch (it takes the best one on the test images); one choice of "
    "random images (it has another one in each of its five runs).",
)


class Setting(NamedTuple):
    """Where methods are compared."""

    protocol: str
    student: str
    ipc: int


@dataclass(frozen=True)
class Line:
    """A method in one setting. scores: by their names in SCORES and ACCURACIES."""

    method: str
    setting: Setting
    scores: Mapping[str, Score]


def files(params: Params) -> list[str]:
    if "ranking" not in params:
        return []
    return ["ranking.csv", "ranking.md", "ranking.tex", "ranking_notes.tex"]


def inputs(params: Params) -> list[str]:
    return [*student_files(params), *(cell["metrics"] for cell in params["ranking"])]


def pages(params: Params) -> list[str]:
    return ["ranking.md"]


def make(measured: Measured) -> dict[str, bytes]:
    table, compared, below = measured.table, lines(measured), notes(measured)
    experiment = measured.params["experiment"]
    name = f"{experiment}-ranking"
    return {
        "ranking.csv": to_csv(compared).encode(),
        "ranking.md": to_markdown(table, compared, below, experiment).encode(),
        "ranking.tex": to_latex(table, compared, name).encode(),
        "ranking_notes.tex": latex.notes(below, name).encode(),
    }


def lines(measured: Measured) -> list[Line]:
    """One for each method and setting, those of a setting beside each other. Scores are worked out
    for each seed, from students of that seed alone, and then averaged."""
    top1: dict[tuple[str, Setting], dict[int, dict[str, float]]] = {}
    for cell in measured.params["ranking"]:
        of = cell["of"]
        setting = Setting(of["protocol"], cell["student"], of["ipc"])
        seeds = top1.setdefault((of["title"], setting), {})
        value = read_metrics(measured.results / cell["metrics"], "top1")["top1"]
        seeds.setdefault(cell["seed"], {})[cell["arm"]] = value
    order = [*dict.fromkeys(setting[:2] for _, setting in top1)]
    compared = [
        Line(method, setting, _scores([Arms(**arms) for arms in seeds.values()]))
        for (method, setting), seeds in top1.items()
    ]
    return sorted(compared, key=lambda line: (order.index(line.setting[:2]), line.setting.ipc))


def _scores(seeds: Sequence[Arms]) -> dict[str, Score]:
    quantities = SCORES | ACCURACIES
    return {name: score([of(arms) for arms in seeds]) for name, of in quantities.items()}


def notes(measured: Measured) -> list[str]:
    seeds = {cell["seed"] for cell in measured.params["ranking"]}
    listed = ", ".join(str(seed) for seed in sorted(seeds))
    spread = (
        f"One student each (seed {listed}): no standard deviation."
        if len(seeds) == 1
        else f"Each score is worked out for each seed of the students ({listed}), from students of "
        "that seed alone; then mean ± standard deviation (sample, n − 1) are taken."
    )
    return [*NOTES, spread]


def cells(compared: Sequence[Line], names: Sequence[str]) -> Cells:
    """The table for reading, of these of the scores. Protocol and student are columns where there
    are several."""
    settings = {
        "Protocol": [line.setting.protocol for line in compared],
        "Student": [line.setting.student for line in compared],
    }
    leading = {head: texts for head, texts in settings.items() if len({*texts}) > 1}
    leading["IPC"] = [str(line.setting.ipc) for line in compared]
    leading["Method"] = [line.method for line in compared]
    numbers = [[shown(line.scores[name]) for line in compared] for name in names]
    texts = [list(line) for line in zip(*leading.values(), *numbers, strict=True)]
    return Cells([*leading, *names], texts, len(leading))


def all_cells(compared: Sequence[Line]) -> tuple[Cells, Layout]:
    """All numbers in one table, for print and the browser."""
    groups = ("DD-Ranking",) * len(SCORES) + ("Top-1 (%)",) * len(ACCURACIES)
    return cells(compared, [*SCORES, *ACCURACIES]), Layout(groups)


def to_markdown(
    table: Table, compared: Sequence[Line], below: Sequence[str], experiment: str
) -> str:
    return document(
        f"# {experiment}: DD-Ranking's scores on {table.dataset}{table.where}",
        markdown(cells(compared, [*SCORES])),
        "Top-1 (%) of the students behind them:",
        markdown(cells(compared, [*ACCURACIES])),
        bullets(below),
    )


def to_latex(table: Table, compared: Sequence[Line], name: str) -> str:
    caption = (
        f"DD-Ranking's scores on {table.dataset}{table.where}, and the top-1 accuracies (%) "
        "behind them."
    )
    return latex.file(latex.table(*all_cells(compared), caption=caption, name=name))


def to_csv(compared: Sequence[Line]) -> str:
    columns: dict[str, Callable[[Line], str]] = {
        "method": lambda line: line.method,
        "protocol": lambda line: line.setting.protocol,
        "student": lambda line: line.setting.student,
        "ipc": lambda line: str(line.setting.ipc),
    }
    for name in (*SCORES, *ACCURACIES):
        columns |= {f"{name} mean": _number(name, "mean"), f"{name} std": _number(name, "std")}
    return csv_of(compared, columns)


def _number(name: str, part: str) -> Callable[[Line], str]:
    return lambda line: number(getattr(line.scores[name], part))


def body(measured: Measured, contents: Contents) -> list[str]:
    return [html.table(*all_cells(lines(measured))), html.bullets(notes(measured))]


ENTRY = Entry("ranking", "DD-Ranking's scores", TABLES, body)
SECTION = Section(files, inputs, make, ENTRY, pages)
