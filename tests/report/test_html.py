"""Pages of Snakemake's report."""

from html.parser import HTMLParser

from scdd.report import html
from scdd.report.typeset import Cells, Layout


class Tags(HTMLParser):
    """Fails where tags do not close in order."""

    OPEN = ("meta", "img", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.seen: list[str] = []
        self.feed(page)
        assert self.inside == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.OPEN:
            self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag


def test_a_page_is_whole_and_escapes_what_it_shows():
    table = html.table(Cells(["A<b>", "N"], [["x & y", "1"]], 1))
    page = html.page("<title>", "First & last.\n\nSecond.", table, html.bullets(["<li>"])).decode()
    assert Tags(page).seen.count("p") == 2
    assert "<h1>&lt;title&gt;</h1>" in page
    assert "<p>First &amp; last.</p>" in page
    assert '<td class="words">x &amp; y</td><td>1</td>' in page
    assert "http" not in page  # it needs no other file


def test_groups_span_their_columns_and_the_best_is_bold():
    cells = Cells(["Method", "1", "10", "1"], [["a", "5", "6", "7"], ["b", "1", "2", "3"]], 1)
    layout = Layout(("dc", "dc", "paper"), rules=(1,), bold=frozenset({(0, 2)}))
    text = html.table(cells, layout, marked=[0])
    Tags(text)
    assert '<th class="group" colspan="2">dc</th><th class="group" colspan="1">paper</th>' in text
    assert text.count('class="best"') == 1
    assert '<td class="best">6</td>' in text
    assert '<tr class="differs"><td class="words">a' in text
    assert '<tr class="rule"><td class="words">b' in text


def test_pictures_are_in_the_page():
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+"' in html.figure(b"<svg/>", "a")
    sized = html.figure(b'<svg viewBox="0 0 9 9" width="100pt" height="9pt"/>', "a")
    assert f"width: {100 * html.LARGER:.0f}pt" in sized
    assert 'class="tile"' in html.picture(b"GIF", "gif", "a", "tile")
