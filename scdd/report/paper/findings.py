"""What a paper says of its numbers before it shows them."""

from collections.abc import Sequence

from scdd.report.paper.compare import NOTE
from scdd.report.paper.parts import Part

INTRODUCTION = (
    "The numbers of tables and figures are those of this paper's configuration. All values were "
    "measured here, but for published ones, which have their source beside them and were copied, "
    "each with its own protocol."
)
HEADING = "Measured beside published"
BOLD = "Bold: more than two standard errors."


def findings(parts: Sequence[Part]) -> list[str]:
    """Where measured and published values disagree, and what could not be compared."""
    compared = [part for part in parts if part.comparisons]
    sentences = [
        f"{part.number}: {each.sentence()}"
        for part in compared
        for each in part.comparisons or ()
        if each.differs
    ]
    if compared and not sentences:
        sentences.append("No measured value differs from a published one by more than two errors.")
    if compared:
        sentences.append(NOTE)
    alone = [part for part in parts if part.comparisons == [] and part.is_comparable]
    if alone:
        sentences.append(f"No published value is of a method, IPC and student of {_listed(alone)}.")
    return sentences + _not_comparable(parts)


def _not_comparable(parts: Sequence[Part]) -> list[str]:
    """One sentence on all parts that are of other images than published values."""
    by_images: dict[str, list[Part]] = {}
    for part in parts:
        if part.comparisons is not None and not part.is_comparable:
            by_images.setdefault(part.images, []).append(part)
    if not by_images:
        return []
    which = "; ".join(f"{_listed(of)} ({images})" for images, of in by_images.items())
    return [
        "Not comparable with published values, which are of all classes of a dataset in its usual "
        f"resolution, on its test images: {which}."
    ]


def _listed(parts: Sequence[Part]) -> str:
    return ", ".join(part.number for part in parts)
