"""DD-Ranking's scores, against numbers worked out by hand from the published formulas."""

import pytest

from scdd.report.ddranking import augmentation_robust, label_robust


def test_the_ends_of_the_scale() -> None:
    # x = -1: the images teach nothing, and random ones all; x = 1: the other way round
    assert label_robust(real_hard=100, own_hard=0, own=0, random=100) == pytest.approx(0)
    assert label_robust(real_hard=0, own_hard=100, own=100, random=0) == pytest.approx(100)
    assert augmentation_robust(0, 100, 0, 100) == pytest.approx(0)
    assert augmentation_robust(100, 0, 100, 0) == pytest.approx(100)


def test_label_robust_weighs_improvement_against_what_is_not_recovered() -> None:
    """HLR = 90 - 30 = 60, IOR = 70 - 60 = 10, x = (0.1 - 0.6) / 2 = -0.25:
    (e^-0.25 - e^-1) / (e - e^-1) = (0.778801 - 0.367879) / 2.350402 = 0.174830."""
    assert label_robust(90, 30, 70, 60) == pytest.approx(17.4830, abs=1e-4)
    # weight 1: IOR alone, x = 0.1: (1.105171 - 0.367879) / 2.350402 = 0.313688
    assert label_robust(90, 30, 70, 60, weight=1) == pytest.approx(31.3688, abs=1e-4)
    # weight 0: HLR alone, x = -0.6: (0.548812 - 0.367879) / 2.350402 = 0.076979
    assert label_robust(90, 30, 70, 60, weight=0) == pytest.approx(7.6979, abs=1e-4)


def test_augmentation_robust_weighs_the_gains_over_random_images() -> None:
    """Gains of 10 and -4, x = 0.03: (1.030455 - 0.367879) / 2.350402 = 0.281899."""
    assert augmentation_robust(70, 60, 40, 44) == pytest.approx(28.1899, abs=1e-4)
    # weight 0.25: x = (10 - 12) / 4 = -0.5 percent: (0.995012 - 0.367879) / 2.350402 = 0.266819
    assert augmentation_robust(70, 60, 40, 44, weight=0.25) == pytest.approx(26.6819, abs=1e-4)
