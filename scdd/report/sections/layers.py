"""layers.csv: the statistics of squeezed backbones, one line a seed and BatchNorm layer."""

from collections.abc import Sequence

from scdd.artifacts.informativeness import Layer
from scdd.report.looks import Look
from scdd.report.measured import Measured, look_files
from scdd.report.section import TABLES, Entry, Params, Section, lines_of_csv
from scdd.report.typeset import csv_of, integer


def files(params: Params) -> list[str]:
    return ["layers.csv"] if "backbones" in params else []


def make(measured: Measured) -> dict[str, bytes]:
    return {"layers.csv": to_csv(measured.looks).encode()}


def to_csv(looks: Sequence[Look]) -> str:
    """Layers in module order; empty seed: the default."""
    lines: list[tuple[Look, Layer]] = [
        (look, layer) for look in looks for layer in look.informativeness.layers
    ]
    return csv_of(
        lines,
        {
            "squeeze": lambda line: line[0].title,
            "network": lambda line: line[0].network,
            "seed": lambda line: integer(line[0].seed),
            "layer": lambda line: line[1].name,
            "channels": lambda line: str(line[1].channels),
            "mean_std": lambda line: f"{line[1].mean.std:.6g}",
            "mean_relative": lambda line: f"{line[1].mean.relative:.6g}",
            "mean_entropy": lambda line: f"{line[1].mean.entropy:.6g}",
            "var_std": lambda line: f"{line[1].var.std:.6g}",
            "var_relative": lambda line: f"{line[1].var.relative:.6g}",
            "var_entropy": lambda line: f"{line[1].var.entropy:.6g}",
        },
    )


ENTRY = Entry("layers", "Statistics by layer", TABLES, lines_of_csv(words=4))
SECTION = Section(files, look_files, make, ENTRY)
