"""What a student sees of a store: the teacher's views and logits, to the bit."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_validate import training
from torch import Tensor, nn
from toy import CLASSES, TEACHER, image_set, info

from scdd.artifacts.labels import LabelStore, Origin, open_store, save_shard
from scdd.data.batches import views
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.evaluate import feeds, train
from scdd.evaluate.losses import Soft, soft_criterion
from scdd.labels import relabel
from scdd.labels.labelling import Labelling, origin_of
from scdd.labels.replay import replay
from scdd.labels.teachers import use_batch_statistics
from scdd.networks.resnet import build
from scdd.params.base import pick
from scdd.params.protocol import Loss, Relabel
from scdd.params.views import RandAugment, Transform, View
from scdd.rng import generator

CPU, INFO = torch.device("cpu"), info(8)
PLAIN = Relabel(View("resized", 0, (0.2, 1.0), True), "cutmix", 1.0)
MORE = replace(PLAIN, patches=2, randaugment=RandAugment(2, 9))
TIED = replace(PLAIN, mix_by="batch", teacher_bn="batch")
BATCH = 8


def labelling(params: Relabel) -> Labelling:
    transform = pick(Transform, params)
    if params is TIED:
        return Labelling(transform, 5, "batch", BATCH, batch_bn=True)
    return Labelling(transform, 5)


def teacher(params: Relabel) -> nn.Module:
    network = build(TEACHER, 3, generator(1)).eval()
    if params is TIED:
        use_batch_statistics(network, labelling(params).groups)
    return network


def store(
    folder: Path,
    split: Split,
    params: Relabel,
    epochs: int,
    form: str = "float16",
    kept: str = "stored",
) -> LabelStore:
    made = relabel.label(
        teacher(params), split, labelling(params), form, 4.0, (0, epochs), INFO, CPU
    )
    transform = origin_of(params, BATCH if params is TIED else None)
    origin = Origin("d", "i", CLASSES, "t", transform, form, 5, split.resolution, kept)
    file = folder / f"epochs_0000-{epochs - 1:04d}.safetensors"
    save_shard(file, made, origin, (0, epochs), {})
    return open_store(folder, epochs=epochs, images="i", classes=CLASSES)


def online(split: Split, params: Relabel, epochs: int) -> feeds.Feed[Soft]:
    """What a student sees whose views are drawn and labelled as it trains: in passes of as many
    images as the store's, by whose order an epoch's batches are cut if labels depend on them."""
    how, network, recipe = labelling(params), teacher(params), training(batch=BATCH)
    n, mix = len(split), how.transform.mix

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Soft]]:
        draws = how.draw(n, split.resolution, epoch % epochs)
        order = how.order(n, epoch % epochs)
        labelled = torch.arange(n) if order is None else order
        passes = views(split, labelled, relabel.pass_size(how), draws, mix, INFO)
        with torch.inference_mode():
            logits = torch.cat([network(inputs).half() for _, inputs in passes])[labelled.argsort()]
        labels = logits.clone()
        if order is None:
            order = torch.randperm(n, generator=generator(recipe.seed, "order", epoch))
        for index, inputs in views(split, order[skip * 8 :], 8, draws, mix, INFO):
            yield inputs, Soft(labels[index], split.labels[index])

    return feed


def student(feed: feeds.Feed[Soft], n: int) -> list[Tensor]:
    network = build(TEACHER, 3, generator(0))
    recipe = training(batch=BATCH, epochs=5)
    train.fit(
        network,
        feed,
        soft_criterion(Loss(temperature=4.0)),
        recipe,
        lambda: (0.0, None),
        n,
        CPU,
    )
    return list(network.state_dict().values())


@pytest.mark.parametrize("kept", ["stored", "drawn"])
@pytest.mark.parametrize("params", [PLAIN, MORE, TIED], ids=["set", "augmented", "batch"])
@pytest.mark.parametrize("epochs", [5, 2])
def test_a_student_of_a_store_is_that_of_labels_made_as_it_trains(
    tmp_path: Path, params: Relabel, kept: str, epochs: int
) -> None:
    """Exactly: 5 epochs of training from 5 labelled ones, or from 2 over and over."""
    split = image_set(30, 8)
    made = store(tmp_path, split, params, epochs, kept=kept)
    replayed = feeds.soft_feed(split, made, training(batch=BATCH), "cutmix", INFO, CPU)
    found = student(replayed, 30)
    expected = student(online(split, params, epochs), 30)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_batches_that_labels_depend_on_are_trained_on_whatever_the_students_seed(
    tmp_path: Path,
) -> None:
    split = image_set(30, 8)
    made = store(tmp_path, split, TIED, 2)
    seen = []
    for seed in (0, 1):
        recipe = training(batch=BATCH, seed=seed)
        feed = feeds.soft_feed(split, made, recipe, "cutmix", INFO, CPU)
        seen.append([inputs for epoch in range(3) for inputs, _ in feed(epoch, 0)])
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_labels_used_again_come_in_another_order(tmp_path: Path) -> None:
    split = image_set(30, 8)
    made = store(tmp_path, split, PLAIN, 2)
    feed = feeds.soft_feed(split, made, training(batch=30), "cutmix", INFO, CPU)
    first, again = (next(iter(feed(epoch, 0)))[1].logits for epoch in (1, 3))
    assert not torch.equal(first, again)
    assert torch.equal(first.sort(dim=0).values, again.sort(dim=0).values)


def pool_of(folder: Path, params: Relabel, reuse: str) -> tuple[list[Any], feeds.Feed[Any]]:
    """The six whole batches of two labelled epochs, and the feed that draws from them."""
    split, recipe = image_set(30, 8), training(batch=BATCH, label_reuse=reuse)
    made = store(folder, split, params, 2)
    one_by_one = feeds.soft_feed(split, made, recipe, "cutmix", INFO, CPU)
    pool = [batch for epoch in range(2) for batch in list(one_by_one(epoch, 0))[:3]]
    return pool, feeds.pooled_feed(split, made, recipe, "cutmix", INFO, CPU)


def twelve_epochs(pool: list[Any], feed: feeds.Feed[Any]) -> list[int]:
    """The number in the pool of each batch that a student is given in so many epochs, which must
    have four batches each."""
    picks = []
    for epoch in range(12):
        drawn = list(feed(epoch, 0))
        assert len(drawn) == 4
        for inputs, goal in drawn:
            same = [
                torch.equal(inputs, seen) and torch.equal(goal.logits, own.logits)
                for seen, own in pool
            ]
            picks.append(same.index(True))
    return picks


@pytest.mark.parametrize("params", [PLAIN, TIED], ids=["set", "batch"])
def test_batches_of_a_pool_are_those_of_all_labelled_epochs(
    tmp_path: Path, params: Relabel
) -> None:
    """LPLD: with replacement, as many an epoch as there are, and never the shorter last one."""
    picks = twelve_epochs(*pool_of(tmp_path, params, "batches"))
    assert set(picks) == set(range(6))
    assert len({tuple(picks[at : at + 4]) for at in range(0, 48, 4)}) > 6


@pytest.mark.parametrize("params", [PLAIN, TIED], ids=["set", "batch"])
def test_a_shuffled_pool_gives_each_batch_once_before_any_again(
    tmp_path: Path, params: Relabel
) -> None:
    """Also across epochs: these have four batches, and the pool has six."""
    picks = twelve_epochs(*pool_of(tmp_path, params, "shuffled"))
    turns = {tuple(picks[at : at + 6]) for at in range(0, 48, 6)}
    assert all(sorted(turn) == list(range(6)) for turn in turns)
    assert len(turns) > 4


@pytest.mark.parametrize("reuse", ["batches", "shuffled"])
def test_an_epoch_of_a_pool_goes_on_where_it_stopped(tmp_path: Path, reuse: str) -> None:
    _, feed = pool_of(tmp_path, PLAIN, reuse)
    whole, left = list(feed(5, 0)), list(feed(5, 3))
    assert len(left) == 1
    assert torch.equal(left[0][0], whole[3][0])


@pytest.mark.parametrize(("form", "steps"), [("int8", 0.5), ("topk:3", 0.0)])
def test_logits_of_a_batch_are_decoded(tmp_path: Path, form: str, steps: float) -> None:
    split = image_set(12, 8)
    plain = replay(store(tmp_path / "plain", split, PLAIN, 1), 0, CPU)
    coded = replay(store(tmp_path / "coded", split, PLAIN, 1, form), 0, CPU)
    index = torch.tensor([7, 0, 7])
    found, expected = coded.logits(index), plain.logits(index).float()
    assert found.dtype == torch.float32
    step = (expected.amax(1) - expected.amin(1)) / 255 * (1 + 2**-10)
    assert bool(((found - expected).abs().amax(1) <= steps * step + 1e-6).all())


@pytest.mark.parametrize("kept", ["stored", "drawn"])
@pytest.mark.parametrize("params", [PLAIN, TIED], ids=["set", "batch"])
def test_principal_components_are_near_the_logits(
    tmp_path: Path, params: Relabel, kept: str
) -> None:
    """Six bits for each of the two components that three classes have leave less than 1 %."""
    split, index = image_set(36, 8), torch.tensor([35, 0, 7, 0])
    plain = store(tmp_path / "plain", split, params, 4)
    coded = store(tmp_path / "coded", split, params, 4, "pca:12", kept)
    off, all_of_it = 0.0, 0.0
    for epoch in range(4):
        exact, found = (replay(each, epoch, CPU).logits for each in (plain, coded))
        centred = exact(torch.arange(36)).float()
        centred -= centred.mean(1, keepdim=True)
        torch.testing.assert_close(found(index), found(torch.arange(36))[index])
        off += (found(torch.arange(36)) - centred).square().sum().item()
        all_of_it += (centred - centred.mean(0)).square().sum().item()
    assert off < 0.01 * all_of_it


def test_views_that_come_out_otherwise_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store(tmp_path, image_set(12, 8), PLAIN, 1, kept="drawn")
    replay(made, 0, CPU)
    draw = Labelling.draw

    def other(self: Labelling, n: int, resolution: int, epoch: int) -> object:
        return draw(replace(self, seed=6), n, resolution, epoch)

    monkeypatch.setattr(Labelling, "draw", other)
    with pytest.raises(ScddError, match=r"epochs_0000-0000.*epoch 0 were drawn again and differ"):
        replay(made, 0, CPU)
