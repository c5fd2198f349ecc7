"""A paper as one page for a browser, which needs no other file."""

import re
from collections.abc import Sequence

from scdd.report import html
from scdd.report.paper.compare import cells
from scdd.report.paper.findings import BOLD, HEADING, INTRODUCTION, findings
from scdd.report.paper.parts import Part

STYLE = """<style>
.scdd h2 {border-top: 1px solid #b6bec8; padding-top: 1.2rem; margin-top: 2.4rem}
.scdd h3 {font-size: 1rem; font-weight: 600; margin: 1.2rem 0 .4rem}
.scdd nav ul {list-style: none; padding: 0}
</style>"""


def page(title: str, parts: Sequence[Part]) -> bytes:
    links = [f'<li><a href="#{part.slug}">{html.text(part.name)}</a></li>' for part in parts]
    return html.page(
        title,
        INTRODUCTION,
        STYLE,
        f"<nav><ul>{''.join(links)}</ul></nav>",
        html.bullets(findings(parts)),
        *map(_part, parts),
    )


def _part(part: Part) -> str:
    inside = [re.sub(r"<(/?)h2>", r"<\1h3>", shown.page) for shown in part.shown]
    if part.comparisons:
        compared, layout = cells(part.comparisons)
        inside += [f"<h3>{html.text(HEADING)}</h3>", html.table(compared, layout)]
        inside += [html.paragraph(BOLD)] * bool(layout.bold)
    head = f"<h2>{html.text(part.name)}</h2>"
    return "\n".join([f'<section id="{part.slug}">', head, *inside, "</section>"])
