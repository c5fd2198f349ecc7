"""The losses of students with soft labels, against their formulas in plain Python."""

import math

import pytest
import torch

from scdd.evaluate.losses import Soft, soft_criterion, soft_loss
from scdd.params.protocol import Loss

DRAW = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (torch.randn(5, 7, generator=DRAW).mul(3) for _ in range(2))
TARGETS = Soft(TEACHER.half(), torch.tensor([0, 6, 3, 3, 1]))


def test_soft_loss_is_the_divergence_of_the_softened_classes() -> None:
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, 7, generator=draw).mul(3).tolist() for _ in range(2))
    temperature, total = 4.0, 0.0
    for s, t in zip(student, teacher, strict=True):
        p, q = ([math.exp(v / temperature) for v in row] for row in (t, s))
        p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / len(student)
    loss = soft_loss(torch.tensor(student), torch.tensor(teacher), temperature)
    assert loss.item() == pytest.approx(total, rel=1e-5)


def test_kl_is_the_default_and_kl_t2_is_it_times_the_squared_temperature() -> None:
    kl = soft_criterion(Loss(temperature=4.0))(STUDENT, TARGETS)
    assert torch.equal(kl, soft_loss(STUDENT, TARGETS.logits, 4.0))
    scaled = soft_criterion(Loss("kl-t2", 4.0))(STUDENT, TARGETS)
    assert scaled.item() == pytest.approx(16 * kl.item())


def test_mse_ce_is_the_mean_over_all_logits_and_a_share_of_the_images_own_class() -> None:
    squares = [
        (s - t) ** 2
        for one, other in zip(STUDENT.tolist(), TARGETS.logits.tolist(), strict=True)
        for s, t in zip(one, other, strict=True)
    ]
    entropies = [
        math.log(sum(math.exp(value) for value in row)) - row[label]
        for row, label in zip(STUDENT.tolist(), TARGETS.labels.tolist(), strict=True)
    ]
    expected = sum(squares) / 35 + 0.3 * sum(entropies) / 5
    loss = soft_criterion(Loss("mse-ce", ce_weight=0.3))(STUDENT, TARGETS)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
