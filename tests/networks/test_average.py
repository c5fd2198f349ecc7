"""The moving average of a student's weights."""

import torch
from torch import nn

from scdd.networks.average import Average


def network(value: float) -> nn.Linear:
    made = nn.Linear(2, 1)
    for weight in made.parameters():
        nn.init.constant_(weight, value)
    return made


def test_it_follows_the_recursion_from_the_first_weights() -> None:
    student = network(1.0)
    average, expected = Average(student, 0.9), 1.0
    for value in (3.0, -2.0, 5.0):
        for weight in student.parameters():
            nn.init.constant_(weight, value)
        average.update()
        expected = 0.9 * expected + 0.1 * value
    weight, bias = average.weights
    torch.testing.assert_close(weight, torch.full((1, 2), expected))
    torch.testing.assert_close(bias, torch.full((1,), expected))


def test_it_is_lent_for_an_evaluation_and_the_own_weights_come_back() -> None:
    student = network(1.0)
    average = Average(student, 0.5)
    for weight in student.parameters():
        nn.init.constant_(weight, 3.0)
    average.update()
    seen = average.evaluated(lambda: [weight.detach().clone() for weight in student.parameters()])
    assert all(bool((weight == 2).all()) for weight in seen)
    assert all(bool((weight == 3).all()) for weight in student.parameters())


def test_in_the_end_it_takes_the_place_of_the_own_weights() -> None:
    student = network(1.0)
    average = Average(student, 0.5)
    for weight in student.parameters():
        nn.init.constant_(weight, 3.0)
    average.update()
    average.take_over()
    assert all(bool((weight == 2).all()) for weight in student.parameters())


def test_a_share_of_0_is_no_average() -> None:
    student = network(1.0)
    average = Average(student, 0.0)
    average.update()
    assert average.weights == []
    assert average.evaluated(lambda: student.weight.sum().item()) == 2
    average.take_over()
    assert student.weight.sum().item() == 2
