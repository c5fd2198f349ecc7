"""DD-Ranking's scores of distilled images: how much is theirs, and not that of soft labels or
augmentation (arXiv 2505.13300; doc/introduction.md of github.com/NUS-HPC-AI-Lab/DD-Ranking).

All accuracies are in percent, of students that differ in nothing but what their names say. With
accuracies as shares of 1, both scores are

    100 (e^x - e^-1) / (e - e^-1),    x in [-1, 1]

so that x = 0, no better than random images, is 26.9. The authors take the best accuracy over
learning rates and epochs on the test images; here it is that of the last epoch, at the protocol's
rate.
"""

import math


def label_robust(
    real_hard: float, own_hard: float, own: float, random: float, weight: float = 0.5
) -> float:
    """The label-robust score (LRS), 0 to 100: x = w IOR - (1 - w) HLR.

    HLR, the hard-label recovery, is real_hard - own_hard: students of the whole training set and of
    the images, with hard labels. IOR, the improvement over random, is own - random: students of the
    images, and of as many random real ones, by the method's own protocol with its labels.
    """
    recovery, improvement = real_hard - own_hard, own - random
    return _normalised(weight * improvement - (1 - weight) * recovery)


def augmentation_robust(
    own: float, random: float, own_plain: float, random_plain: float, weight: float = 0.5
) -> float:
    """The augmentation-robust score (ARS), 0 to 100:
    x = g (own - random) + (1 - g) (own_plain - random_plain), g the `weight`.

    own, random: as in `label_robust`; plain: by the same protocol without augmentation.
    """
    return _normalised(weight * (own - random) + (1 - weight) * (own_plain - random_plain))


def _normalised(percent: float) -> float:
    """A weighted difference of accuracies, from -100 to 100, as a score from 0 to 100."""
    return 100 * (math.exp(percent / 100) - math.exp(-1)) / (math.e - math.exp(-1))
