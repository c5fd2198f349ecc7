"""Pages of Snakemake's report: each one is a file that needs no other, pictures among it."""

import base64
import re
from collections.abc import Collection, Iterable, Sequence
from html import escape

from scdd.report.typeset import PLAIN, Cells, Layout

LARGER = 1.7  # times the size in print
# Below the class .scdd alone: Snakemake's first page takes the main table's page as a part of it.
STYLE = """
.scdd {font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: white; 
  padding: 1rem 1.5rem}
.scdd h1 {font-size: 1.5rem; font-weight: 600; margin: 0 0 .5rem}
.scdd h2 {font-size: 1.15rem; font-weight: 600; margin: 1.6rem 0 .4rem}
.scdd p, .scdd ul {max-width: 60rem; margin: .4rem 0 .8rem}
.scdd li {margin: .15rem 0}
.scdd .scroll {overflow-x: auto}
.scdd table {border-collapse: collapse; margin: .6rem 0 1rem; font-variant-numeric: tabular-nums}
.scdd th, .scdd td {padding: .2rem .7rem; text-align: right; white-space: nowrap}
.scdd th.words, .scdd td.words {text-align: left; white-space: normal; max-width: 32rem}
.scdd thead th {font-weight: 600; vertical-align: bottom}
.scdd thead tr:last-child th {border-bottom: 1px solid #57606a}
.scdd thead th.group {text-align: center; border-bottom: 1px solid #b6bec8}
.scdd tbody tr:nth-child(even) {background: #f6f8fa}
.scdd tr.rule td {border-top: 1px solid #57606a}
.scdd tr.differs td {background: #fff3d6}
.scdd td.best {font-weight: 700}
.scdd img {image-rendering: pixelated; max-width: none}
.scdd img.figure {display: block; max-width: 100%; height: auto; image-rendering: auto}
"""


def page(title: str, caption: str, *parts: str) -> bytes:
    """caption: plain paragraphs, with an empty line between them; parts: HTML."""
    paragraphs = [f"<p>{escape(text)}</p>" for text in caption.strip().split("\n\n")]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head>",
            f'<body style="margin: 0"><main class="scdd"><h1>{escape(title)}</h1>',
            *paragraphs,
            *parts,
            "</main></body></html>",
            "",
        ]
    ).encode()


def inside(page: str) -> str:
    """What stands on a page below its title, for another page."""
    return page.partition("</h1>")[2].rpartition("</main>")[0].strip()


def text(plain: str) -> str:
    """Plain text as HTML."""
    return escape(plain)


def heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def bullets(notes: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>"


def table(cells: Cells, layout: Layout = PLAIN, marked: Collection[int] = ()) -> str:
    """marked: lines on a coloured ground."""
    body = []
    for row, line in enumerate(cells.lines):
        kinds = ["rule"] * (row in layout.rules) + ["differs"] * (row in marked)
        texts = []
        for place, text in enumerate(line):
            of_cell = ["words"] * (place < cells.words) + ["best"] * ((row, place) in layout.bold)
            texts.append(f"<td{_kinds(of_cell)}>{escape(text)}</td>")
        body.append(f"<tr{_kinds(kinds)}>{''.join(texts)}</tr>")
    heads = "".join(
        f"<th{_kinds(['words'] * (place < cells.words))}>{escape(head)}</th>"
        for place, head in enumerate(cells.header)
    )
    head = f"{_groups(layout.groups, cells.words)}<tr>{heads}</tr>"
    return (
        f'<div class="scroll"><table><thead>{head}</thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _groups(groups: Sequence[str], words: int) -> str:
    spans: list[tuple[str, int]] = []
    for name in groups:
        if spans and spans[-1][0] == name:
            spans[-1] = name, spans[-1][1] + 1
        else:
            spans.append((name, 1))
    heads = [f'<th class="group" colspan="{count}">{escape(name)}</th>' for name, count in spans]
    return f'<tr><th colspan="{words}"></th>{"".join(heads)}</tr>' if heads else ""


def _kinds(names: Sequence[str]) -> str:
    return f' class="{" ".join(names)}"' if names else ""


def figure(svg: bytes, title: str) -> str:
    """Curves, larger than in print, and at most as wide as the page."""
    points = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', svg)
    width = f' style="width: {LARGER * float(points[1]):.0f}pt"' if points else ""
    return f'<img class="figure" alt="{escape(title)}"{width} src="{_uri(svg, "svg+xml")}">'


def picture(content: bytes, kind: str, title: str, name: str = "picture") -> str:
    """kind: png or gif; name: of its CSS class."""
    look = f' class="{name}"'
    return f'<img alt="{escape(title)}" title="{escape(title)}"{look} src="{_uri(content, kind)}">'


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
