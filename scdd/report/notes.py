"""What the notes below the tables say of students, labels and ratios, as plain sentences."""

from collections.abc import Collection, Mapping, Sequence

from scdd.report.scores import Column, Row, Student, Table, labels, merged

WITH_LABELS = "Ratio %, with labels"


def notes(table: Table, students: Sequence[Student], probes: Mapping[str, float]) -> list[str]:
    """What a reader must know to judge the numbers.

    `probes`: top-1 of the teachers in percent, by title.
    """
    if table.holdout:
        images = (
            f"Not the test set: top-1 after the last epoch on {100 * table.holdout:g} % of each "
            "class's training images, which were left out of all training. They are for choosing "
            "settings. The test set was not read."
        )
    else:
        images = (
            "Top-1 on the real validation images after the last epoch; nothing was chosen by them."
        )
    listed = "; ".join(f"{title} {top1:.1f} %" for title, top1 in probes.items())
    teachers = f"Linear probes (the teachers), top-1 on the same images: {listed}."
    return [
        *_protocols(table, students),
        images,
        *_columns(table, students),
        _seeds(students),
        *([teachers] if probes else []),
    ]


def _protocols(table: Table, students: Sequence[Student]) -> list[str]:
    """How the students were trained; protocols with equal students and epochs share a sentence."""
    epochs: dict[tuple[str, bool], dict[str, set[int]]] = {}
    for student in students:
        row = student.row
        by_student = epochs.setdefault((row.protocol, row.ipc is None), {})
        by_student.setdefault(row.student, set()).add(student.epochs)
    alike: dict[tuple[bool, str, str], list[str]] = {}
    for (protocol, whole), by_student in epochs.items():
        training = whole, " and ".join(by_student), _span(set.union(*by_student.values()))
        alike.setdefault(training, []).append(protocol)
    return [
        f"{'Whole data: p' if whole else 'P'}rotocol{'s' * (len(protocols) > 1)} "
        f"{', '.join(protocols)}, student{'s' * (' and ' in names)} {names}, {span} epochs on the "
        + (
            f"{table.train_images} real training images with their own labels."
            if whole
            else "method's images and labels alone."
        )
        for (whole, names, span), protocols in alike.items()
    ]


def _columns(table: Table, students: Sequence[Student]) -> list[str]:
    """Whose images and labels each column has; labels by protocol where they differ."""
    teachers: dict[Column, dict[str | None, list[str]]] = {}
    for student, in_table in zip(students, merged(students), strict=True):
        protocols = teachers.setdefault(in_table.column, {})
        protocols.setdefault(student.column.teacher, []).append(student.row.protocol)

    def whose(by: Mapping[str | None, list[str]]) -> str:
        if len(by) == 1:
            return labels(next(iter(by)))
        return ", ".join(
            f"{labels(teacher)} ({', '.join(dict.fromkeys(protocols))})"
            for teacher, protocols in by.items()
        )

    return [
        f"{header}: images of method {column.method}, {whose(teachers[column])}."
        for header, column in zip(table.headers(), table.columns, strict=True)
    ]


def _seeds(students: Sequence[Student]) -> str:
    seeds: dict[tuple[Row, Column], set[int]] = {}
    for student in merged(students):
        seeds.setdefault((student.row, student.column), set()).add(student.seed)
    counts = {len(of_cell) for of_cell in seeds.values()}
    names = ", ".join(str(seed) for seed in sorted(set.union(*seeds.values())))
    if counts == {1}:
        return f"One student a cell (seed {names}): no standard deviation."
    return (
        f"± is the standard deviation (sample, n − 1) over n = {_span(counts)} students' "
        f"seeds ({names}); the seeds of the squeeze and of the recovery are fixed."
    )


def ratio_notes(table: Table) -> list[str]:
    """What the ratios of the main table count."""
    ratio = (
        f"Ratio %, in brackets: 100 × IPC × {table.classes} classes / {table.train_images} "
        "training images. A dash: not measured."
    )
    by_bytes = (
        f"{WITH_LABELS}: by bytes. Images are uint8 pixels with a class index, on both sides; the "
        "soft labels of a student's training are added as they are stored. Hard labels add "
        "nothing: for methods with them Ratio % holds."
    )
    return [ratio, by_bytes] if any(table.label_bytes.values()) else [ratio]


def _span(numbers: Collection[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
