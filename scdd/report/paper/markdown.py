"""A paper as Markdown."""

import re
from collections.abc import Sequence

from scdd.report import typeset
from scdd.report.paper.compare import cells
from scdd.report.paper.findings import HEADING, INTRODUCTION, findings
from scdd.report.paper.parts import Part, Shown, words


def summary(title: str, parts: Sequence[Part]) -> str:
    """What the screen shows: the contents, and what is found."""
    names = [f"- {part.name}" for part in parts]
    return typeset.document(f"# {title}", "\n".join(names), typeset.bullets(findings(parts)))


def page(title: str, parts: Sequence[Part]) -> str:
    names = [f"- [{part.name}](#{part.slug})" for part in parts]
    found = typeset.bullets(findings(parts))
    shown = [text for part in parts for text in _part(part)]
    return typeset.document(f"# {title}", INTRODUCTION, "\n".join(names), found, *shown)


def _part(part: Part) -> list[str]:
    texts = [f'<a id="{part.slug}"></a>', f"## {part.name}"]
    for shown in part.shown:
        texts += _shown(part, shown)
    if part.comparisons:
        texts += [f"### {HEADING}", typeset.markdown(cells(part.comparisons)[0])]
    return texts


def _shown(part: Part, shown: Shown) -> list[str]:
    """Headings are two levels lower than in the report."""
    tables = re.sub(r"^(#+ )", r"##\1", shown.markdown.strip(), flags=re.MULTILINE)
    pictures = [f"![{part.number}: {words(name, part)}]({name})" for name in shown.in_browsers]
    return [*filter(None, [tables]), *pictures]
