"""Views that were labelled one by one, mixed by the student: as a plain loop would mix them."""

from pathlib import Path

import pytest
import torch
from test_replay import CPU, INFO, store
from test_validate import training
from toy import image_set

from scdd.data.batches import views
from scdd.evaluate import feeds
from scdd.evaluate.remixing import Remix
from scdd.labels.replay import replay
from scdd.params.protocol import Relabel
from scdd.params.views import Mix, View

ALONE = Relabel(View("resized", 0, (0.2, 1.0), True), "none", 1.0)
T = 4.0


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_views_and_probabilities_are_mixed_by_the_same_share(tmp_path: Path, mix: Mix) -> None:
    split = image_set(30, 8)
    labels = store(tmp_path, split, ALONE, 2)
    feed = feeds.soft_feed(split, labels, training(batch=30), Remix(mix, 1.0, 0, T), INFO, CPU)
    for epoch in range(3):
        ((inputs, goal),) = feed(epoch, 0)
        stored = replay(labels, epoch % 2, CPU)
        ((_, alone),) = views(split, torch.arange(30), 30, stored.draws, "none", INFO)
        probabilities = (stored.logits(torch.arange(30)).float() / T).softmax(1)
        mixed = (goal.logits / T).softmax(1)
        # each view is that of some pair of images, at some share, and so is its label
        for view, label in zip(inputs, mixed, strict=True):
            assert any(
                is_mix(view, alone[i], alone[j], label, probabilities[i], probabilities[j], mix)
                for i in range(30)
                for j in range(30)
            )


def is_mix(
    view: torch.Tensor,
    own: torch.Tensor,
    other: torch.Tensor,
    label: torch.Tensor,
    p: torch.Tensor,
    q: torch.Tensor,
    mix: str,
) -> bool:
    """Whether view and label are own and other, p and q, by one share."""
    if mix == "cutmix":
        from_own, from_other = (view == own).all(0), (view == other).all(0)
        if not (from_own | from_other).all():
            return False
        lam = 1 - (~from_own).float().mean()
    else:
        gap = (own - other).flatten()
        if not gap.any():
            return torch.allclose(view, own, atol=1e-5) and torch.allclose(label, p, atol=1e-5)
        lam = ((view - other).flatten() @ gap) / (gap @ gap)
        if not torch.allclose(view, lam * own + (1 - lam) * other, atol=1e-4):
            return False
    return torch.allclose(label, lam * p + (1 - lam) * q, atol=1e-4)


def test_each_epoch_mixes_anew_and_goes_on_where_it_was_left(tmp_path: Path) -> None:
    split = image_set(30, 8)
    labels = store(tmp_path, split, ALONE, 1)
    recipe = training(batch=8)
    for taught in (feeds.soft_feed, feeds.pooled_feed):
        feed = taught(split, labels, recipe, Remix("cutmix", 1.0, 0, T), INFO, CPU)
        first, second = (list(feed(epoch, 0)) for epoch in (0, 1))
        assert not torch.equal(first[0][0], second[0][0])
        left = list(feed(1, 2))
        assert len(left) == len(second) - 2
        for (inputs, goal), (again, same) in zip(second[2:], left, strict=True):
            assert torch.equal(inputs, again)
            assert torch.equal(goal.logits, same.logits)
