"""costs.csv: totals and peaks."""

import csv
import io
from pathlib import Path

from costs_of import listed, spend

from scdd.report.sections import costs


def test_the_file_of_numbers_has_totals_and_peaks(tmp_path: Path) -> None:
    spent = spend(tmp_path, listed(), lost="squeeze")
    read = {line["stage"]: line for line in csv.DictReader(io.StringIO(costs.to_csv(spent)))}
    assert (read["recover"]["jobs"], read["recover"]["seconds"]) == ("2", "44.000")
    assert read["recover"]["peak MiB"] == "140"
    assert (read["validate"]["seconds"], read["validate"]["seconds a student"]) == (
        "24.000",
        "12.000",
    )
    assert (read["squeeze"]["known"], read["squeeze"]["seconds"]) == ("0", "")
