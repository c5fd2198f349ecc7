"""The k-NN monitor against a naive loop; it changes nothing."""

import math

import torch
from toy import TEACHER, image_set, info

from scdd.networks.resnet import build
from scdd.rng import generator
from scdd.squeeze import knn

CPU = torch.device("cpu")


def test_votes_equal_a_naive_loop() -> None:
    draw = generator(0)
    bank = torch.nn.functional.normalize(torch.randn(50, 4, generator=draw), dim=1)
    asked = torch.nn.functional.normalize(torch.randn(30, 4, generator=draw), dim=1)
    labels = torch.randint(0, 5, (50,), generator=draw)
    expected = []
    for query in asked.double():
        similar = sorted(
            ((sum(a * b for a, b in zip(query.tolist(), row, strict=True)), label))
            for row, label in zip(bank.double().tolist(), labels.tolist(), strict=True)
        )[-20:]
        votes = [0.0] * 5
        for cosine, label in similar:
            votes[label] += math.exp(cosine / 0.07)
        expected.append(votes.index(max(votes)))
    assert knn.vote(bank, labels, asked, 5).tolist() == expected


def test_it_leaves_the_network_and_the_generators_alone() -> None:
    network = build(TEACHER, 3, generator(0)).train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    torch.manual_seed(0)
    found = knn.accuracy(network, image_set(60, 8), info(8), CPU)
    assert 0 <= found <= 100
    assert found == knn.accuracy(network, image_set(60, 8), info(8), CPU)
    assert network.training
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    drawn = torch.rand(())
    torch.manual_seed(0)
    assert drawn == torch.rand(())


def test_classes_that_a_network_tells_apart_are_found() -> None:
    network = build(TEACHER, 3, generator(0))
    assert knn.accuracy(network, image_set(300, 8), info(8), CPU) >= 75
