"""On a GPU, which is pretended, no tensor is left on the CPU, and no step waits for it."""

from dataclasses import replace

import pretended
import pytest
import torch
from pretended import GPU
from toy import CLASSES, TEACHER, image_set, info

from scdd.evaluate.feeds import hard_feed
from scdd.evaluate.train import fit
from scdd.labels import relabel as relabelling
from scdd.labels.labelling import Labelling
from scdd.networks.resnet import build
from scdd.params.protocol import Student
from scdd.params.recover import Recover
from scdd.params.squeeze import MoCoV2
from scdd.params.views import RandAugment, Transform, View
from scdd.recover import engine as recovery
from scdd.recover.units import draw_unit
from scdd.squeeze import engine as squeezing
from scdd.squeeze.methods import mocov2
from scdd.squeeze.views import Crop, Jitter
from scdd.views import zca
from scdd.views.dsa import STRATEGIES, dsa
from scdd.views.pixels import valid_range

SIZE = 8
VIEW = View("resized", 0, (0.3, 1.0), True)


def network():
    return build(TEACHER, len(CLASSES), torch.Generator().manual_seed(0))


def recover(monkeypatch, steps):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 1000))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 0)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 300)
    settings = Recover(steps, 0.1, (0.5, 0.9), 0.1, 10.0, 0.1, 0.1, 1, (0.3, 1.0), True, "float32")
    labels = torch.arange(len(CLASSES))

    def draw(slot):
        return draw_unit(settings, labels, SIZE, seed=0, block=0, slot=slot)

    valid = valid_range(info(SIZE), GPU)
    made = recovery.recover_units(
        [network().to(GPU), network().to(GPU)],
        recovery.Units([0, 1], len(CLASSES), draw),
        settings,
        valid,
    )
    assert made.widths == [2]
    assert not pretended.on_gpu(made.images)


def squeeze(_, steps):
    params = MoCoV2(epochs=1, batch=8, lr=0.05, queue=16, dim=8, bn_groups=2, knn_every=0)
    student = network()
    method = mocov2.make(params, student, torch.Generator().manual_seed(1))
    crop = Crop(SIZE, VIEW, Jitter((0.4, 0.4, 0.4, 0.1), 0.8, 0.2), 0.5, 0.5)
    split = image_set(8 * steps, SIZE)
    squeezing.train(method, student, split, info(SIZE), params, (crop, crop), GPU)


def validate(_, steps):
    training = Student(8, 1, "adamw", 0.01, 0.9, 1e-4, ema=0.9)
    learned = torch.rand(8 * steps, len(CLASSES)).softmax(1)
    split = replace(image_set(8 * steps, SIZE), learned=learned).to(GPU)
    labelling = Labelling(Transform(VIEW, "cutmix", 1.0, 2, RandAugment(2, 9)), 0)
    feed = hard_feed(split, labelling, training, info(SIZE), GPU, siamese=True)
    criterion = torch.nn.functional.cross_entropy
    student = network().to(GPU)
    fit(student, feed, criterion, training, lambda: (0.0, None), len(split), GPU)


def relabel(monkeypatch, steps):
    """A step is a pass of 8 images, by whose halves' statistics the teachers normalise."""
    monkeypatch.setattr(relabelling, "PASS", 8)
    split = image_set(8 * steps, SIZE).to(GPU)
    labelling = Labelling(
        Transform(VIEW, "cutmix", 1.0, 2, RandAugment(2, 9)), 0, "batch", 8, True, bn_groups=2
    )
    config = {"teacher_priors": [2.0, 1.0], "prior_temperature": 1.0}
    teacher = relabelling.teacher_of([network(), network()], config, labelling, GPU)
    made = relabelling.label(teacher, split, labelling, "topk:2", 4.0, (0, 1), info(SIZE), GPU)
    assert made["logits_top"].shape == (1, 8 * steps, 2)


@pytest.mark.parametrize("work", [recover, squeeze, validate, relabel])
def test_more_steps_do_not_wait_more_often(work, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: torch.get_rng_state())
    counts = []
    for steps in (2, 2, 4):  # the first run fills caches
        with pretended.gpu() as waits:
            work(monkeypatch, steps)
        counts.append(waits)
    assert counts[1] == counts[2]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_augmentation_does_not_wait(strategy):
    with pretended.gpu() as waits:
        images = torch.ones(4, 3, SIZE, SIZE).to(GPU, non_blocking=True)
        chances = torch.rand(4, 3).to(GPU, non_blocking=True)
        assert pretended.on_gpu(dsa(images, strategy, chances))
    assert not waits


def test_whitening_does_not_wait():
    whitening = zca.fit([image_set(20, SIZE).images(torch.arange(20))], 0.1).to(torch.float32)
    with pretended.gpu() as waits:
        there, images = whitening.to(GPU), image_set(20, SIZE).to(GPU)
        waits.clear()
        whitened = there.whiten(images.images(torch.arange(4)))
        assert pretended.on_gpu(there.unwhiten(whitened))
    assert not waits


def test_tensors_of_both_devices_do_not_mix():
    with pretended.gpu(), pytest.raises(pretended.Mixed):
        torch.ones(3, device=GPU) + torch.ones(3)


def test_what_waits_is_counted():
    with pretended.gpu() as waits:
        there = torch.ones(3).to(GPU, non_blocking=True)
        there[there > 0].sum().item()
        there.cpu()
        torch.tensor([1.0], device=GPU)
    assert waits == ["index", "item", "to", "tensor"]
