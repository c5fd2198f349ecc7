"""A paper: put together from hand-written reports, and what it says of published values."""

import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_html import Tags

from scdd.report import html, latex
from scdd.report.paper.__main__ import main
from scdd.report.paper.compare import Comparison, cells, compare, read_students
from scdd.report.paper.files import outputs
from scdd.report.scores import Column, Row, Score
from scdd.report.typeset import Cells

SCDD, WHOLE = Column("scdd", "SC-DD", "scdd"), Column("whole", "Whole data", None)
TABLE = Cells(["Method", "IPC 50"], [["SC-DD", "50.0 ± 1.0"]], 1)
PNG = bytes.fromhex(  # one grey pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c63680000008200817701e94e0000000049454e44ae426082"
)
TABLES = ["main.md", "main.tex", "main_notes.tex"]


def report(folder: Path, top1: tuple[float, ...] = (49.0, 50.0, 51.0)) -> None:
    """Of an experiment: its main table, a figure, and the students of SC-DD at IPC 50."""
    folder.mkdir(parents=True)
    page = html.page("one: Main table", "A line is a method.", html.heading("Published values"))
    (folder / "main.html").write_bytes(page)
    (folder / "main.md").write_text("# one: accuracy\n\n| a |\n\n## Seconds by stage\n\n| 41 |\n")
    (folder / "main.tex").write_text(latex.file(latex.table(TABLE, caption="One.", name="one")))
    (folder / "main_notes.tex").write_text(latex.notes(["A note of 5 %."], "one"))
    (folder / "images.html").write_bytes(html.page("one: Images", "", "<p>tiles</p>"))
    (folder / "images.png").write_bytes(PNG)
    lines = [f"cifar100,scdd,SC-DD,scdd,50,scdd-paper,resnet18,{value}" for value in top1]
    header = "dataset,method,title,teacher,ipc,protocol,student,top1"
    (folder / "all.csv").write_text("\n".join([header, *lines, ""]))


def part(number: str, experiment: str, *names: str) -> dict[str, Any]:
    files = {"main": TABLES, "images": ["images.png"]}
    return {
        "number": number,
        "title": "What & why",
        "experiment": experiment,
        "sections": [
            {"name": name, "page": f"{name}.html", "files": files[name]} for name in names
        ],
    }


def experiment(name: str, **facts: Any) -> dict[str, Any]:
    usual = {"dataset": "cifar100", "classes": 100, "holdout": 0.0, "resolution": 32}
    return {"folder": f"tables/{name}-0", **usual, **facts}


def run(folder: Path, experiments: dict[str, Any], *parts: dict[str, Any]) -> int:
    params = {"title": "A & B", "experiments": experiments, "parts": [*parts]}
    frozen = {"stage": "paper", "version": 1, "label": "mine", "digest": "p", "parents": {}}
    (folder / "config.json").write_text(json.dumps(frozen | {"params": params}))
    options = ["--config", folder / "config.json", "--results", folder, "--out", folder / "out"]
    return main([*map(str, options), "--device", "cpu"])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The paper of a table at a benchmark, and of a figure."""
    report(tmp_path / "tables/one-0")
    parts = part("Table 1", "one", "main"), part("Figure 3", "one", "images")
    assert run(tmp_path, {"one": experiment("one")}, *parts) == 0
    return tmp_path / "out"


# ---- measured beside published -----------------------------------------------------------------


def test_values_are_compared_with_those_of_the_same_method_student_and_ipc() -> None:
    row = Row("scdd-paper", "resnet18", 50)
    students = [(SCDD, row, 50.0), (SCDD, row, 52.0), (SCDD, row._replace(ipc=1), 9.0)]
    students += [
        (SCDD, row._replace(student="convnet3"), 50.0),
        (SCDD._replace(method="mine", title="Mine"), row, 50.0),
        (WHOLE, Row("whole", "resnet18", None), 80.0),
    ]
    found = compare(students, "cifar100", 100, 32)
    assert [(each.title, each.row.ipc, each.count, each.published) for each in found] == [
        ("SC-DD", 50, 2, Score(53.4, 1.1)),
        ("Whole data", None, 1, Score(79.1, None)),
    ]
    assert compare(students, "cifar100", 10, 32) == []


def test_a_method_that_several_papers_report_is_compared_with_each() -> None:
    sre2l = Column("sre2l", "SRe2L", "sre2l")
    found = compare([(sre2l, Row("p", "resnet18", 50), 49.0)], "cifar100", 100, 32)
    assert [each.source for each in found] == ["SC-DD paper", "G-VBSM"]


def of(mean: float, std: float | None, count: int, published: Score) -> Comparison:
    return Comparison("A", Row("p", "r18", 50), Score(mean, std), count, published, "B et al.")


def test_a_difference_has_the_standard_error_of_both() -> None:
    both = of(50.0, 1.5, 9, Score(52.0, 1.2))
    assert both.difference == -2
    assert both.error == pytest.approx(math.sqrt(1.5**2 / 9 + 1.2**2))  # 1.3
    assert not both.differs
    alone = replace(both, published=Score(52.0, None))
    assert alone.error == pytest.approx(0.5)
    assert alone.differs
    assert "published 52.0 (B et al., without ±)" in alone.sentence()
    assert "the difference of −2.0 is more than two standard errors of 0.5." in alone.sentence()
    assert replace(alone, measured=Score(51.2, 1.5)).differs is False  # 0.8 of 2 x 0.5


def test_one_student_has_no_error_and_disagrees_with_nothing() -> None:
    single = of(10.0, None, 1, Score(90.0, 0.1))
    assert (single.error, single.differs) == (None, False)
    assert cells([single])[0].lines[0][-1] == "−80.0"


def test_the_comparison_names_the_protocol_where_there_are_several() -> None:
    one = of(50.0, 1.5, 9, Score(52.0, 1.2))
    table, layout = cells([one, replace(one, published=Score(40.0, None))])
    assert table.header[: table.words] == ["Method", "IPC", "Student", "Reported by"]
    assert table.lines[1] == [
        *("A", "50", "r18", "B et al."),
        *("40.0", "50.0 ± 1.5", "+10.0 ± 0.5"),
    ]
    assert layout.bold == {(1, 6)}
    two, _ = cells([one, replace(one, row=one.row._replace(protocol="q"))])
    assert two.header[two.words - 2] == "Protocol"


@pytest.mark.parametrize("content", [None, "", "method,title\nscdd,SC-DD\n"])
def test_a_missing_or_damaged_table_of_students_is_named(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "all.csv"
    if content is not None:
        file.write_text(content)
    if content == "":
        assert read_students(file) == []  # no student was asked for
        return
    with pytest.raises(Exception, match=re.escape(str(file))):
        read_students(file)


# ---- the page ----------------------------------------------------------------------------------


def test_a_paper_has_the_files_that_it_says(made: Path) -> None:
    params = json.loads((made.parent / "config.json").read_text())["params"]
    assert {file.name for file in made.iterdir()} == {*outputs(params)}
    assert "figure_3_images.png" in outputs(params)


def test_markdown_has_every_part_under_its_number(made: Path) -> None:
    text = (made / "index.md").read_text()
    assert text.startswith("# A & B\n")
    assert re.findall("^##? (.*)", text, re.MULTILINE) == [
        "A & B",
        "Table 1. What & why",
        "Figure 3. What & why",
    ]
    assert "\n### one: accuracy\n\n| a |\n" in text
    assert "Seconds" not in text
    assert "![Figure 3: images](figure_3_images.png)" in text
    # 50 ± 1 of three students beside 53.4 ± 1.1: √(1/3 + 1.21) = 1.24
    line = next(line for line in text.splitlines() if "SC-DD paper" in line and "|" in line)
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [
        *("SC-DD", "50", "resnet18", "SC-DD paper"),
        *("53.4 ± 1.1", "50.0 ± 1.0", "−3.4 ± 1.2"),
    ]


def test_the_screen_and_all_pages_say_where_values_disagree(made: Path) -> None:
    said = (
        "Table 1: SC-DD, IPC 50, resnet18, scdd-paper: measured 50.0 ± 1.0, published 53.4 ± 1.1 "
        "(SC-DD paper); the difference of −3.4 is more than two standard errors of 1.2."
    )
    for name in ("summary.md", "index.md", "index.html"):
        assert said in " ".join((made / name).read_text().split())
    assert latex.escape(said) in (made / "paper.tex").read_text()


def test_html_is_one_whole_page_with_links_to_its_parts(made: Path) -> None:
    page = (made / "index.html").read_text()
    Tags(page)
    assert re.findall('<section id="(.*?)"', page) == ["table_1", "figure_3"]
    assert re.findall('href="#(.*?)"', page) == ["table_1", "figure_3"]
    assert page.count("<h1>") == 1
    assert "<p>A line is a method.</p>" in page
    assert "<h3>Published values</h3>" in page
    assert "<p>tiles</p>" in page


def test_what_is_not_comparable_is_said_once(tmp_path: Path) -> None:
    """A class subset, and training images that are held out."""
    for name in ("few", "held"):
        report(tmp_path / f"tables/{name}-0")
        (tmp_path / f"tables/{name}-0/all.csv").unlink()  # it is not read
    experiments = {"few": experiment("few", classes=10), "held": experiment("held", holdout=0.1)}
    parts = [part(f"Table {n}", "few", "main") for n in (1, 2)] + [part("Table 4", "held", "main")]
    assert run(tmp_path, experiments, *parts, part("Figure 1", "few", "images")) == 0
    text = " ".join((tmp_path / "out/index.md").read_text().split())
    assert text.count("Not comparable") == 1
    assert (
        "Table 1, Table 2 (cifar100, 10 classes of 32 pixels a side); "
        "Table 4 (cifar100, 100 classes of 32 pixels a side, held-out training images)."
    ) in text
    assert "Measured beside published" not in text
    assert "differs" not in text


def test_a_benchmark_where_nothing_disagrees_or_nothing_is_published_says_so(
    tmp_path: Path,
) -> None:
    report(tmp_path / "tables/one-0", top1=(52.0, 54.0))
    report(tmp_path / "tables/two-0", top1=())
    experiments = {name: experiment(name) for name in ("one", "two")}
    parts = part("Table 1", "one", "main"), part("Table 2", "two", "main")
    assert run(tmp_path, experiments, *parts) == 0
    text = " ".join((tmp_path / "out/summary.md").read_text().split())
    assert "No measured value differs from a published one by more than two errors." in text
    assert "No published value is of a method, IPC and student of Table 2." in text


@pytest.mark.parametrize("name", ["main.html", "main.tex", "images.png", "all.csv"])
def test_a_file_that_is_gone_is_named(tmp_path: Path, capsys: Any, name: str) -> None:
    report(tmp_path / "tables/one-0")
    (tmp_path / "tables/one-0" / name).unlink()
    parts = part("Table 1", "one", "main"), part("Figure 3", "one", "images")
    assert run(tmp_path, {"one": experiment("one")}, *parts) == 1
    (error,) = (line for line in capsys.readouterr().err.splitlines() if line[:6] == "error:")
    assert str(tmp_path / "tables/one-0" / name) in error


# ---- LaTeX -------------------------------------------------------------------------------------


def test_a_table_beside_a_figure_is_not_numbered_as_the_papers_tables_are(made: Path) -> None:
    numbers = re.findall(r"the(table|figure)\}\{(.*?)\\ifnum", (made / "paper.tex").read_text())
    assert ("table", "1") in numbers
    assert ("figure", "of Table 1") in numbers
    assert ("figure", "3") in numbers
    assert ("table", "of Figure 3") in numbers


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_latex_compiles_and_has_the_papers_numbers(made: Path) -> None:
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):  # references need the second
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "undefined" not in done.stdout
    numbered = (made / "paper.aux").read_text()
    assert re.findall(r"numberline \{(.*?)\}", numbered) == ["1", r"1\ (b)", "3"]
    assert r"\newlabel{tab:one}{{1}" in numbered
    assert "pk>" not in done.stdout  # a bitmap font
