"""settings.csv: every parameter that made the results, beside what is published."""

from collections.abc import Mapping, Sequence

from scdd.report import html
from scdd.report.measured import Measured
from scdd.report.section import SETTINGS, Contents, Entry, Params, Section, nothing
from scdd.report.typeset import Cells, comma_separated

Setting = Mapping[str, str]
COLUMNS = {
    "part": "Part",
    "key": "Key",
    "value": "Here",
    "published": "Published",
    "source": "Stated by",
    "of": "For",
    "remark": "Remark",
}


def files(params: Params) -> list[str]:
    return ["settings.csv"]


def make(measured: Measured) -> dict[str, bytes]:
    lines = [[setting[name] for name in COLUMNS] for setting in measured.params["settings"]]
    return {"settings.csv": comma_separated([*COLUMNS.values()], lines).encode()}


def cells(settings: Sequence[Setting], leave_out: Sequence[str] = ()) -> Cells:
    shown = [name for name in COLUMNS if name not in leave_out]
    lines = [[setting[name] for name in shown] for setting in settings]
    return Cells([COLUMNS[name] for name in shown], lines, len(shown))


def body(measured: Measured, contents: Contents) -> list[str]:
    """First what differs from the published values, then all, part by part."""
    settings = measured.params["settings"]
    differing = [setting for setting in settings if setting["remark"] == "differs"]
    parts = [html.heading("What differs from the published values")]
    parts.append(
        html.table(cells(differing, ["remark"]))
        if differing
        else html.paragraph("Nothing: every published value is used as it is.")
    )
    for part in dict.fromkeys(setting["part"] for setting in settings):
        of_part = [setting for setting in settings if setting["part"] == part]
        marked = [row for row, setting in enumerate(of_part) if setting["remark"] == "differs"]
        parts += [html.heading(part), html.table(cells(of_part, ["part"]), marked=marked)]
    return parts


SECTION = Section(files, nothing, make, Entry("settings", "All parameters", SETTINGS, body))
