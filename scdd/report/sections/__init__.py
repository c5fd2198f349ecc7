"""The report's tables and figures, one file each.

A new one is a file here with a `SECTION`, a line in SECTIONS and a caption in
scdd/report/captions/. The plan and the rules import this package to know which files there are, and
a dry run must stay fast: a section imports torch, numpy, pandas, matplotlib and the modules that
need them (scdd.report.plots and pictures, artifacts of tensors) inside the functions that use them,
never at its top.
"""

from scdd.report.section import Entry, Params, Section
from scdd.report.sections import (
    ablation,
    accuracy_curves,
    backbone_curves,
    backbones,
    continual,
    costs,
    image_grids,
    label_sizes,
    layers,
    learned_curves,
    loss_curves,
    main_table,
    ranking,
    recovery_strips,
    scaling,
    settings,
    snapshots,
    students,
    sweeps,
)

SECTIONS = (
    main_table.SECTION,
    students.SECTION,
    snapshots.SECTION,
    costs.SECTION,
    ablation.SECTION,
    ranking.SECTION,
    continual.SECTION,
    sweeps.SECTION,
    scaling.SECTION,
    label_sizes.SECTION,
    image_grids.SECTION,
    recovery_strips.SECTION,
    loss_curves.SECTION,
    learned_curves.SECTION,
    accuracy_curves.SECTION,
    backbones.SECTION,
    layers.SECTION,
    backbone_curves.SECTION,
    settings.SECTION,
)


def shown(params: Params) -> list[Section]:
    """The sections that have something to show for these parameters."""
    return [section for section in SECTIONS if section.files(params)]


def files(params: Params) -> list[str]:
    """Names of all files of the report, relative to its folder."""
    return [
        name for section in shown(params) for name in (*section.files(params), section.entry.file)
    ]


def inputs(params: Params) -> list[str]:
    """Everything the report is made of, relative to the results folder."""
    return list(dict.fromkeys(file for part in shown(params) for file in part.inputs(params)))


def pages(params: Params) -> list[str]:
    """The files of the report that are shown on the screen."""
    return [page for section in shown(params) for page in section.pages(params)]


def entries(params: Params) -> dict[str, Entry]:
    """The files that Snakemake's report shows, each with what it says of itself there."""
    return {section.entry.file: section.entry for section in shown(params)}
