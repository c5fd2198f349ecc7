"""Draws of views and batches: the released order and mixing by batch."""

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler

from scdd.labels.labelling import Labelling, labelling_of, released_order
from scdd.params.views import Transform, View
from scdd.views.mixing import draw_epoch

VIEW = View("padded", 2, (1.0, 1.0), True)


def by_batch(mix: str, batch: int, seed: int = 3) -> Labelling:
    return Labelling(Transform(VIEW, mix, 1.0), seed, "batch", batch)


def test_orders_are_those_of_a_data_loader_whenever_they_are_asked_for() -> None:
    sampler = RandomSampler(range(23), generator=torch.Generator().manual_seed(42))
    loader = DataLoader(range(23), batch_size=5, sampler=sampler)  # type: ignore[arg-type]
    epochs = [torch.cat(list(loader)).tolist() for _ in range(6)]
    for epoch in (0, 3, 4, 4, 1, 5, 0):
        assert released_order(23, 42, epoch).tolist() == epochs[epoch]


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
@pytest.mark.parametrize(("n", "sizes"), [(10, [4, 4, 2]), (9, [4, 5]), (3, [3])])
def test_a_batch_mixes_within_itself_with_one_lambda_and_box(
    mix: str, n: int, sizes: list[int]
) -> None:
    labelling = by_batch(mix, 4)
    draws, order = labelling.draw(n, 16, 2), labelling.order(n, 2)
    assert order is not None
    shares = []
    for batch in order.split(sizes):
        assert sorted(draws.partner[batch].tolist()) == sorted(batch.tolist())
        assert len(draws.lam[batch].unique()) == len(draws.box[batch].unique(dim=0)) == 1
        _, _, height, width = draws.box[batch[0]].tolist()
        share = draws.lam[batch[0]].item()
        assert (height * width > 0) == (mix == "cutmix" and share < 1)
        if mix == "cutmix":
            assert share == pytest.approx(1 - height * width / 16**2)
        shares.append(share)
    assert len(set(shares)) == len(sizes)


def test_views_of_mixing_by_batch_are_those_without_mixing() -> None:
    draws = by_batch("mixup", 4).draw(10, 16, 2)
    alone = draw_epoch(Transform(VIEW, "none", 1.0), 10, 16, 3, 2)
    assert torch.equal(draws.crop, alone.crop)
    assert torch.equal(draws.flip, alone.flip)


def test_lambdas_of_batches_are_betas_and_partners_change() -> None:
    draws = by_batch("mixup", 2).draw(20_000, 8, 0)
    assert draws.lam.mean().item() == pytest.approx(0.5, abs=0.01)
    assert draws.lam.var().item() == pytest.approx(1 / 12, rel=0.05)
    own = (draws.partner == torch.arange(20_000)).float().mean().item()
    assert own == pytest.approx(0.5, abs=0.02)  # of two permutations of two one moves nothing


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    first, again = by_batch("cutmix", 4).draw(30, 16, 5), by_batch("cutmix", 4).draw(30, 16, 5)
    for name, tensor in first.stored().items():
        assert torch.equal(tensor, again.stored()[name])
    for other in (by_batch("cutmix", 4).draw(30, 16, 6), by_batch("cutmix", 4, 4).draw(30, 16, 5)):
        assert not torch.equal(other.partner, first.partner)
        assert not torch.equal(other.box, first.box)


def test_without_the_switches_nothing_depends_on_batches() -> None:
    view = {"crop": "padded", "pad": 2, "scale": [1.0, 1.0], "flip": True}
    labelling = labelling_of({"view": view, "mix": "mixup", "alpha": 0.8}, 3)
    assert labelling == Labelling(Transform(VIEW, "mixup", 0.8), 3)
    assert labelling.order(10, 0) is None
    draws = labelling.draw(10, 16, 2).stored()
    for name, tensor in draw_epoch(Transform(VIEW, "mixup", 0.8), 10, 16, 3, 2).stored().items():
        assert torch.equal(draws[name], tensor)


def test_labels_that_depend_on_batches_need_their_size() -> None:
    with pytest.raises(ValueError, match="batch size"):
        Labelling(Transform(VIEW, "mixup", 0.8), 3, batch_bn=True)
