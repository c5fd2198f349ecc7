"""The k-NN monitor against a naive loop; it changes nothing."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from toy import MEAN, STD, TEACHER, image_set, info

from scdd.networks.resnet import build
from scdd.rng import generator
from scdd.squeeze import knn

CPU = torch.device("cpu")


def naive_votes(bank: Tensor, labels: Tensor, queries: Tensor, classes: int) -> list[int]:
    """The class with most votes for each of `queries`, in plain numbers."""
    winners = []
    for query in queries.double().tolist():
        similar = sorted(
            (sum(a * b for a, b in zip(query, row, strict=True)), label)
            for row, label in zip(bank.double().tolist(), labels.tolist(), strict=True)
        )[-20:]
        votes = [0.0] * classes
        for cosine, label in similar:
            votes[label] += math.exp(cosine / 0.07)
        winners.append(votes.index(max(votes)))
    return winners


def test_votes_equal_a_naive_loop() -> None:
    draw = generator(0)
    bank = torch.nn.functional.normalize(torch.randn(50, 4, generator=draw), dim=1)
    queries = torch.nn.functional.normalize(torch.randn(30, 4, generator=draw), dim=1)
    labels = torch.randint(0, 5, (50,), generator=draw)
    assert knn.vote(bank, labels, queries, 5).tolist() == naive_votes(bank, labels, queries, 5)


def test_the_accuracy_is_that_of_a_tenth_of_the_images_by_the_others() -> None:
    """With features in eval mode, and labels that are chance so that every vote is close."""
    network, split = build(TEACHER, 3, generator(0)).train(), image_set(300, 8)
    labels = torch.randint(0, 3, (300,), generator=generator(1))
    split = replace(split, labels=labels)
    assert split.pixels is not None
    pixels = (split.pixels.float() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
        :, None, None
    ]
    with torch.no_grad():
        features = copy.deepcopy(network).eval().features(pixels)
    unit = features / features.norm(dim=1, keepdim=True)
    order = torch.randperm(300, generator=generator("knn"))
    queries, bank = order[:30], order[30:]
    votes = naive_votes(unit[bank], labels[bank], unit[queries], 3)
    right = sum(vote == label for vote, label in zip(votes, labels[queries].tolist(), strict=True))
    assert 0 < right < 30
    assert knn.accuracy(network, split, info(8), CPU) == pytest.approx(100 * right / 30)


def test_it_leaves_the_network_and_the_generators_alone() -> None:
    network = build(TEACHER, 3, generator(0)).train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    torch.manual_seed(0)
    first = knn.accuracy(network, image_set(60, 8), info(8), CPU)
    assert first == knn.accuracy(network, image_set(60, 8), info(8), CPU)
    assert network.training
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    drawn = torch.rand(())
    torch.manual_seed(0)
    assert drawn == torch.rand(())


def test_classes_that_a_network_tells_apart_are_found() -> None:
    network = build(TEACHER, 3, generator(0))
    assert knn.accuracy(network, image_set(300, 8), info(8), CPU) >= 75
