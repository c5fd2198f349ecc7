"""What curves look like: told apart in colour and in grey, with fonts that embed."""

from itertools import combinations

from matplotlib.colors import to_rgb

from scdd.report import plots


def lightness(colour: str) -> float:
    """CIE L*, from 0 to 100: what a print in grey shows of a colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 116 * luminance ** (1 / 3) - 16


def test_lines_are_told_apart_in_grey() -> None:
    looks = plots.colours([f"line {number}" for number in range(6)])
    for one, other in combinations(looks.values(), 2):
        apart = abs(lightness(one["color"]) - lightness(other["color"]))
        assert one["linestyle"] != other["linestyle"] or apart > 10


def test_no_two_of_many_lines_look_alike() -> None:
    looks = plots.colours([f"line {number}" for number in range(24)])
    assert len({tuple(look.values()) for look in looks.values()}) == 24


def test_figures_have_their_fonts_embedded_and_no_bitmap_font() -> None:
    with plots.style():
        figure, places = plots.panels(1, plots.colours(["A"]))
        next(places).set(title="Top-1 accuracy (%)")
        made = plots.files(figure, "a", 50)
    assert b"/FontFile2" in made["a.pdf"]  # TrueType
    assert b"/Type3" not in made["a.pdf"]
    assert b"font-family" not in made["a.svg"]  # letters are paths
