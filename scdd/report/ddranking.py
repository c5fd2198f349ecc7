"""DD-Ranking's scores of distilled images: how much is theirs, and not that of soft labels or
augmentation (arXiv 2505.13300; doc/introduction.md of github.com/NUS-HPC-AI-Lab/DD-Ranking).

With accuracies as fractions of 1, both scores are

    100 (e^x - e^-1) / (e - e^-1),    x in [-1, 1]

so that x = 0, no better than random images, is 26.9. (Its code has differences of percentages.)
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Arms:
    """Accuracies in percent of the students that a score compares. They differ in nothing but what
    their names say.

    images, random: of the images, and of as many random real ones, by the method's own protocol
    with its labels; plain: by the same protocol without augmentation. images_hard, whole_hard: of
    the images and of the whole training set, with hard labels.
    """

    images: float
    images_hard: float
    images_plain: float
    random: float
    random_plain: float
    whole_hard: float


def hard_label_recovery(arms: Arms) -> float:
    """HLR in points: what the images lack of the whole training set; less is better."""
    return arms.whole_hard - arms.images_hard


def improvement_over_random(arms: Arms) -> float:
    """IOR in points."""
    return arms.images - arms.random


def label_robust(arms: Arms) -> float:
    """The label-robust score (LRS), 0 to 100: x = (IOR - HLR) / 2."""
    return _scaled((improvement_over_random(arms) - hard_label_recovery(arms)) / 2)


def augmentation_robust(arms: Arms) -> float:
    """The augmentation-robust score (ARS), 0 to 100: x is the mean of what the images gain over
    random ones with augmentation and without."""
    without = arms.images_plain - arms.random_plain
    return _scaled((improvement_over_random(arms) + without) / 2)


def _scaled(percent: float) -> float:
    """A difference of accuracies, from -100 to 100, as a score from 0 to 100."""
    return 100 * (math.exp(percent / 100) - math.exp(-1)) / (math.e - math.exp(-1))
