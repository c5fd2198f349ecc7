"""layers.csv: a line a layer."""

import csv
import io

from samples import look

from scdd.report.sections import layers


def test_layers_have_a_line_each() -> None:
    read = list(csv.DictReader(io.StringIO(layers.to_csv([look(seed=None)]))))
    assert [(line["layer"], line["var_entropy"], line["seed"]) for line in read] == [
        ("bn0", "1", ""),
        ("bn1", "2", ""),
    ]
