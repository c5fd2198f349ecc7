"""DD-Ranking's scores, against numbers worked out by hand from the published formulas."""

import pytest

from scdd.report.ddranking import (
    Arms,
    augmentation_robust,
    hard_label_recovery,
    improvement_over_random,
    label_robust,
)

ARMS = Arms(images=70, images_hard=30, images_plain=40, random=60, random_plain=44, whole_hard=90)


def test_the_ends_of_the_scale() -> None:
    # x = -1: the images teach nothing, and others all; x = 1: the other way round
    worst = Arms(0, 0, 0, random=100, random_plain=100, whole_hard=100)
    best = Arms(100, 100, 100, random=0, random_plain=0, whole_hard=0)
    assert [label_robust(worst), augmentation_robust(worst)] == pytest.approx([0, 0])
    assert [label_robust(best), augmentation_robust(best)] == pytest.approx([100, 100])


def test_no_better_than_random_images_and_no_worse_than_all() -> None:
    """x = 0: (1 - 0.367879) / 2.350402 = 0.268942."""
    equal = Arms(50, 50, 50, 50, 50, 50)
    assert label_robust(equal) == pytest.approx(26.8942, abs=1e-4)
    assert augmentation_robust(equal) == pytest.approx(26.8942, abs=1e-4)


def test_label_robust_weighs_improvement_against_what_is_not_recovered() -> None:
    """HLR = 90 - 30 = 60, IOR = 70 - 60 = 10, x = (0.1 - 0.6) / 2 = -0.25:
    (e^-0.25 - e^-1) / (e - e^-1) = (0.778801 - 0.367879) / 2.350402 = 0.174830."""
    assert (hard_label_recovery(ARMS), improvement_over_random(ARMS)) == (60, 10)
    assert label_robust(ARMS) == pytest.approx(17.4830, abs=1e-4)


def test_augmentation_robust_weighs_the_gains_over_random_images() -> None:
    """Gains of 10 and -4, x = 0.03: (1.030455 - 0.367879) / 2.350402 = 0.281899."""
    assert augmentation_robust(ARMS) == pytest.approx(28.1899, abs=1e-4)
