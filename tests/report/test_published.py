"""Published values: read from the file, and only for the same data."""

import pytest

from scdd.report.published import published
from scdd.report.scores import Score


def test_published_values_are_the_file_s():
    found = {(one.title, one.source): one for one in published("cifar100", 100, 32, {1, 50})}
    paper = found["SC-DD", "SC-DD paper"]
    assert (paper.student, paper.values) == ("resnet18", {50: Score(53.4, 1.1)})
    assert found["SRe2L", "G-VBSM"].values == {1: Score(2.0, None), 50: Score(49.5, None)}
    assert found["Whole data", "SC-DD paper"].values == {None: Score(79.1, None)}


@pytest.mark.parametrize(
    ("dataset", "classes", "resolution"),
    [("digits", 10, 16), ("cifar100", 10, 32), ("cifar100", 100, 16)],
)
def test_nothing_is_published_for_other_data_or_a_subset(dataset, classes, resolution):
    assert published(dataset, classes, resolution, {1, 10, 50}) == []
