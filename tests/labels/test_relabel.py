"""Mixed views and the teacher's labels: against per-image loops, and replayed bit for bit."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import v2
from toy import CLASSES, MEAN, STD, TEACHER, VIEW, command, freeze, image_set, info, write

from scdd.artifacts.classes import class_hash
from scdd.artifacts.images import open_set
from scdd.artifacts.labels import of_epoch, open_store
from scdd.artifacts.network import Checkpoint, save_checkpoint
from scdd.artifacts.sizes import store_bytes
from scdd.data.batches import views
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.labels import components, relabel
from scdd.labels.forms import encode
from scdd.labels.labelling import Labelling, origin_of
from scdd.labels.prediction import seen
from scdd.labels.teachers import use_batch_statistics
from scdd.networks.resnet import build
from scdd.params.protocol import Relabel
from scdd.params.views import RandAugment, Transform, View
from scdd.rng import generator
from scdd.views.mixing import Draws, draw_epoch
from scdd.views.patches import shuffle_patches
from scdd.views.randaugment import randaugment

CPU = torch.device("cpu")
PADDED, RESIZED = (View(crop, 2, (0.2, 1.0), True) for crop in ("padded", "resized"))


def run(split: Split, draws: Draws, mix: str, size: int, order: Tensor | None = None) -> Tensor:
    """Views of all images, put back in their order."""
    order = torch.arange(len(split)) if order is None else order
    made = list(views(split, order, size, draws, mix, info(split.resolution)))
    index = torch.cat([part for part, _ in made])
    assert torch.equal(index, order)
    out = torch.empty(len(split), 3, split.resolution, split.resolution)
    out[index] = torch.cat([batch for _, batch in made])
    return out


def naive(split: Split, draws: Draws, mix: str) -> Tensor:
    """One image at a time, by torchvision; zero padding before the crop where it reaches out."""
    import torchvision.transforms.v2.functional as tv

    size, pad, seen = split.resolution, 8, []
    assert split.pixels is not None
    images = split.pixels.float() / 255
    if draws.patches is not None:
        images = shuffle_patches(images, draws.patches)
    if draws.ops is not None and draws.bins is not None:
        images = randaugment(images, draws.ops, draws.bins)
    for i in range(len(split)):
        image = tv.pad(images[i], [pad] * 4)
        top, left, height, width = draws.crop[i].tolist()
        image = tv.crop(image, top + pad, left + pad, height, width)
        image = tv.resize(image, [size, size], antialias=True)
        image = tv.horizontal_flip(image) if draws.flip[i] else image
        seen.append(tv.normalize(image, list(MEAN), list(STD)))
    made = []
    for i in range(len(split)):
        image, other = seen[i].clone(), seen[int(draws.partner[i])]
        if mix == "mixup":
            lam = draws.lam[i].item()
            image = lam * image + (1 - lam) * other
        if mix == "cutmix":
            t, l, h, w = draws.box[i].tolist()  # noqa: E741
            image[:, t : t + h, l : l + w] = other[:, t : t + h, l : l + w]
        made.append(image)
    return torch.stack(made)


@pytest.mark.parametrize("more", [(), (2, RandAugment(2, 9))])
@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
@pytest.mark.parametrize("view", [PADDED, RESIZED])
def test_views_equal_torchvision_image_by_image(view: View, mix: str, more: Any) -> None:
    """With patches and RandAugment before the crop: tests/views/test_patches.py,
    test_randaugment.py."""
    split = image_set(23, 16)
    draws = draw_epoch(Transform(view, mix, 1.0, *more), 23, 16, seed=3, epoch=5)
    torch.testing.assert_close(run(split, draws, mix, 8), naive(split, draws, mix))


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixing_equals_torchvisions_with_its_partners_and_one_lambda(mix: str) -> None:
    whole, split = View("none", 0, (1.0, 1.0), False), image_set(9, 16)
    drawn = draw_epoch(Transform(whole, mix, 1.0), 9, 16, seed=1, epoch=0)
    partner = torch.arange(9).roll(1).int()  # theirs is the image before
    lam, box = drawn.lam[:1].expand(9), drawn.box[:1].expand(9, 4)
    draws = replace(drawn, partner=partner, lam=lam, box=box)
    plain = run(split, draws, "none", 9)
    top, left, height, width = box[0].tolist()
    theirs: Any = v2.MixUp(num_classes=3) if mix == "mixup" else v2.CutMix(num_classes=3)
    params = {
        "labels": None,
        "batch_size": 9,
        "lam": lam[0].item(),
        "box": (left, top, left + width, top + height),
    }
    expected = theirs.transform(plain, params)
    torch.testing.assert_close(run(split, draws, mix, 4), expected, atol=1e-5, rtol=0)


def test_later_parts_of_a_transform_leave_the_draws_of_the_others_alone() -> None:
    plain = draw_epoch(Transform(RESIZED, "cutmix", 1.0), 20, 16, seed=3, epoch=5).stored()
    more = draw_epoch(
        Transform(RESIZED, "cutmix", 1.0, 2, RandAugment(2, 9)), 20, 16, seed=3, epoch=5
    )
    assert more.stored().keys() - plain.keys() == {"patches", "ops", "bins"}
    assert all(torch.equal(more.stored()[name], plain[name]) for name in plain)
    other = draw_epoch(
        Transform(RESIZED, "cutmix", 1.0, 2, RandAugment(2, 9)), 20, 16, seed=3, epoch=6
    )
    for name in ("patches", "ops"):
        assert not torch.equal(more.stored()[name], other.stored()[name])


def test_resized_views_of_files_are_cut_from_them(tmp_path: Path) -> None:
    from torchvision.transforms.v2.functional import to_pil_image

    packed = image_set(9, 16)
    assert packed.pixels is not None
    files = tuple(tmp_path / f"{number}.png" for number in range(9))
    for file, image in zip(files, packed.pixels, strict=True):
        to_pil_image(image).save(file)
    draws = draw_epoch(Transform(RESIZED, "cutmix", 1.0), 9, 16, seed=3, epoch=5)
    found = run(Split(packed.labels, None, files, 16), draws, "cutmix", 4)
    # Pillow rounds to whole numbers of 255 after each axis
    expected = run(packed, draws, "cutmix", 4)
    torch.testing.assert_close(found, expected, atol=1.01 / 255 / min(STD), rtol=0)
    # what comes before the crop is done to the whole image, so that the crop comes after it
    draws = draw_epoch(
        Transform(RESIZED, "cutmix", 1.0, 2, RandAugment(2, 9)), 9, 16, seed=3, epoch=5
    )
    found = run(Split(packed.labels, None, files, 16), draws, "cutmix", 4)
    assert torch.equal(found, run(packed, draws, "cutmix", 4))


@pytest.mark.parametrize(
    ("resolution", "more"), [(16, ()), (32, ()), (56, ()), (16, (2, RandAugment(2, 9)))]
)
@pytest.mark.parametrize("view", [PADDED, RESIZED])
def test_replay_is_bit_equal_in_any_batch_size_and_order(
    view: View, resolution: int, more: Any
) -> None:
    split = image_set(70, resolution)
    draws = draw_epoch(Transform(view, "mixup", 0.8, *more), 70, resolution, seed=0, epoch=1)
    teacher = run(split, draws, "mixup", 256)
    order = torch.randperm(70, generator=torch.Generator().manual_seed(0))
    for size in (1, 3, 16, 64):
        assert torch.equal(run(split, draws, "mixup", size, order), teacher)


def test_no_view_and_no_mix_is_the_normalised_image() -> None:
    split = image_set(5, 16)
    draws = draw_epoch(Transform(View("none", 0, (1, 1), False), "none", 1.0), 5, 16, 0, 0)
    assert torch.equal(draws.partner.long(), torch.arange(5))
    assert bool((draws.lam == 1).all())
    assert split.pixels is not None
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    assert torch.equal(run(split, draws, "none", 2), (split.pixels.float() / 255 - mean) / std)


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [(9, 4, [4, 5]), (7, 3, [3, 4]), (8, 3, [3, 3, 2]), (2, 5, [2]), (1, 5, [1])],
)
@pytest.mark.parametrize("mix", ["none", "cutmix"])
def test_a_last_batch_of_one_joins_the_one_before(
    n: int, size: int, sizes: list[int], mix: str
) -> None:
    split = image_set(n, 8)
    draws = draw_epoch(Transform(PADDED, mix, 1.0), n, 8, 0, 0)
    made = views(split, torch.arange(n), size, draws, mix, info(8))
    assert [len(batch) for _, batch in made] == sizes


@pytest.mark.parametrize(("alpha", "variance"), [(1.0, 1 / 12), (0.8, 1 / (4 * 2.6))])
def test_mixup_draws_beta_and_each_image_is_one_partner(alpha: float, variance: float) -> None:
    draws = draw_epoch(Transform(PADDED, "mixup", alpha), 20_000, 8, seed=0, epoch=0)
    assert draws.lam.mean().item() == pytest.approx(0.5, abs=0.01)
    assert draws.lam.var().item() == pytest.approx(variance, rel=0.03)  # 1 / (4 (2 alpha + 1))
    assert torch.equal(draws.partner.sort().values.long(), torch.arange(20_000))


def test_cutmix_boxes_have_the_share_that_lambda_says() -> None:
    draws = draw_epoch(Transform(PADDED, "cutmix", 1.0), 20_000, 224, seed=0, epoch=0)
    top, left, height, width = draws.box.long().unbind(1)
    for start, length in ((top, height), (left, width)):
        assert bool(((start >= 0) & (length >= 0) & (start + length <= 224)).all())
    torch.testing.assert_close(draws.lam, 1 - height * width / 224**2)
    # before the edges cut it, a box has sides r = sqrt(1 - lam), lam uniform; a centre u in (0, 1)
    # leaves r - r^2 / 4 of a side on average, and E[(r - r^2 / 4)^2] = 1/2 - 1/5 + 1/48
    assert 1 - draws.lam.mean().item() == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.01)


def label(
    teacher: nn.Module, split: Split, labelling: Labelling, epochs: tuple[int, int], **form: Any
) -> dict[str, Tensor]:
    told = {"form": "float16", "temperature": 1.0, **form}
    at = info(split.resolution)
    return relabel.label(teacher, split, labelling, **told, epochs=epochs, info=at, device=CPU)


class Mean(nn.Module):
    """Logits that depend on an image alone, and only in eval mode."""

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        return torch.stack([x.mean((1, 2, 3)), x[:, 0, 0, 0], x[:, 1].amax((1, 2))], dim=1)


@pytest.mark.parametrize("more", [(), (2, RandAugment(2, 9))])
def test_labels_are_the_teachers_logits_of_the_stored_views(more: Any) -> None:
    split, transform = image_set(11, 16), Transform(PADDED, "cutmix", 1.0, *more)
    made = label(Mean().eval(), split, Labelling(transform, 0), (2, 4))
    for row in range(2):
        draws = Draws(**{name: made[name][row] for name in made if name != "logits"})
        expected = Mean().eval()(naive(split, draws, "cutmix"))
        torch.testing.assert_close(made["logits"][row].float(), expected, rtol=1e-3, atol=1e-3)


def test_an_epoch_has_the_same_content_in_any_range() -> None:
    split, transform = image_set(300, 16), Transform(RESIZED, "mixup", 0.8)
    teacher = build(TEACHER, 3, generator(0)).eval()
    whole = label(teacher, split, Labelling(transform, 7), (0, 4))
    part = label(teacher, split, Labelling(transform, 7), (2, 4))
    for name in whole:
        assert torch.equal(whole[name][2:], part[name])
    assert not torch.equal(whole["crop"][0], whole["crop"][1])


def test_logits_too_large_for_float16_stop_the_work() -> None:
    class Huge(Mean):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 1e6

    with pytest.raises(ScddError, match=r"epoch 3 .*finite"):
        transform = Transform(PADDED, "none", 1.0)
        label(Huge().eval(), image_set(3, 8), Labelling(transform, 0), (3, 5))


def by_batch(mix: str, batch: int, mix_by: str = "batch") -> Labelling:
    return Labelling(Transform(PADDED, mix, 1.0), 0, mix_by, batch, batch_bn=True)


@pytest.mark.parametrize("mix_by", ["set", "batch"])
def test_a_teacher_with_batch_statistics_is_one_in_training_mode_on_the_students_batches(
    mix_by: str,
) -> None:
    split, labelling = image_set(11, 16), by_batch("cutmix", 4, mix_by)
    teacher = build(TEACHER, 3, generator(1))
    use_batch_statistics(teacher.eval(), labelling.groups)
    made = label(teacher, split, labelling, (2, 4))
    released = build(TEACHER, 3, generator(1)).train()  # whose running statistics drift
    order = torch.utils.data.RandomSampler(
        range(11), generator=torch.Generator().manual_seed(labelling.seed)
    )
    batches = torch.utils.data.BatchSampler(order, 4, drop_last=False)
    epochs = [list(batches) for _ in range(4)]
    for row, epoch in enumerate(epochs[2:]):
        draws = Draws(**{name: made[name][row] for name in made if name != "logits"})
        pixels = naive(split, draws, "cutmix")
        for batch in epoch:
            expected = released(pixels[batch])
            torch.testing.assert_close(
                made["logits"][row][batch].float(), expected, rtol=2e-3, atol=2e-3
            )


def test_batch_statistics_leave_the_teacher_as_it_is() -> None:
    teacher, labelling = build(TEACHER, 3, generator(1)).eval(), by_batch("mixup", 4)
    use_batch_statistics(teacher, labelling.groups)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    label(teacher, image_set(11, 16), labelling, (0, 1))
    assert all(torch.equal(before[name], now) for name, now in teacher.state_dict().items())


@pytest.mark.parametrize("n", [40, 41, 33])
def test_parts_of_a_pass_have_whole_batches(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a single image at the end joins a batch."""
    split, labelling = image_set(n, 16), replace(by_batch("cutmix", 4), bn_groups=2)
    made = []
    for at_once in (64, 10):
        monkeypatch.setattr(relabel, "IN_CACHE", at_once)
        teacher = build(TEACHER, 3, generator(1)).eval()
        use_batch_statistics(teacher, labelling.groups)
        made.append(label(teacher, split, labelling, (0, 1))["logits"].float())
    torch.testing.assert_close(made[1], made[0], rtol=2e-3, atol=2e-3)


HALF = 2**-9  # bf16, of 8 bits, rounds by so much of a value at most


def off(teacher: nn.Module, split: Split, labelling: Labelling) -> tuple[Tensor, Tensor]:
    """Labels in float32, and how far those in bf16 are off, float64 [n, 3] each."""
    exact, rounded = (
        label(teacher, split, labelling, (0, 1), precision=one)["logits"][0]
        for one in ("float32", "bf16")
    )
    assert exact.dtype == rounded.dtype == torch.float16
    assert not torch.equal(exact, rounded)
    return exact.double(), (rounded.double() - exact.double()).abs()


def test_bf16_rounds_inputs_weights_and_logits_and_nothing_else() -> None:
    """A sum of few terms, whose rounding is known: bf16 rounds both factors of each term, the bias,
    and the sum; and float16 the logits of either by 2^-11."""
    split, labelling = image_set(11, 16), Labelling(Transform(PADDED, "mixup", 0.8), 0)
    linear = nn.Linear(3, 3)
    teacher = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear).eval()
    seen: list[Tensor] = []
    teacher.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    draws = labelling.draw(11, 16, 0)
    means = naive(split, draws, "mixup").double().mean((2, 3))
    terms = means.abs() @ linear.weight.double().abs().T + linear.bias.double().abs()
    _, found = off(teacher, split, labelling)
    assert bool((found <= ((1 + HALF) ** 3 - 1 + 2 * 2**-11) * terms).all())
    assert all(torch.equal(pixels, run(split, draws, "mixup", 11)) for pixels in seen)


@pytest.mark.parametrize("batch_bn", [False, True])
def test_labels_in_bf16_are_those_in_float32_but_for_rounding(batch_bn: bool) -> None:
    """To first order each of the 10 layers adds the rounding of its input, its weights, its sums
    and what BatchNorm makes of these."""
    split, labelling = image_set(11, 16), Labelling(Transform(PADDED, "cutmix", 1.0), 0)
    teacher = build(TEACHER, 3, generator(1)).eval()
    if batch_bn:
        labelling = by_batch("cutmix", 4)
        use_batch_statistics(teacher, labelling.groups)
    exact, found = off(teacher, split, labelling)
    assert found.max() <= 10 * 4 * HALF * exact.abs().max()


@pytest.mark.parametrize("form", ["int8", "topk:2"])
def test_forms_are_of_the_logits_that_float16_keeps(form: str) -> None:
    split, labelling = image_set(11, 16), Labelling(Transform(PADDED, "mixup", 0.8), 0)
    teacher = build(TEACHER, 3, generator(1)).eval()
    plain = label(teacher, split, labelling, (0, 2))
    made = label(teacher, split, labelling, (0, 2), form=form, temperature=20.0)
    for row in range(2):
        for name, tensor in encode(plain["logits"][row], form, 20.0).items():
            assert torch.equal(made[name][row], tensor)


def test_principal_components_are_of_all_epochs_of_a_shard() -> None:
    split, labelling = image_set(12, 16), Labelling(Transform(PADDED, "mixup", 0.8), 0)
    teacher = build(TEACHER, 3, generator(1)).eval()
    plain = label(teacher, split, labelling, (2, 5))
    made = label(teacher, split, labelling, (2, 5), form="pca:8")
    views = {name: tensor for name, tensor in plain.items() if name != "logits"}
    drawn = [Draws(**of_epoch(views, row)) for row in range(3)]
    shown = [seen(labelling, draws, 2 + row) for row, draws in enumerate(drawn)]
    coded = components.encode(plain["logits"], shown, "pca:8")
    assert made.keys() == views.keys() | coded.keys()
    assert all(torch.equal(made[name], tensor) for name, tensor in {**views, **coded}.items())


PARAMS = {
    "view": VIEW,
    "mix": "cutmix",
    "alpha": 1.0,
    "seed": 0,
    "form": "float16",
    "epochs_per_shard": 2,
}


def program(folder: Path, first: int, stop: int) -> list[str]:
    return command(
        folder,
        "relabel",
        images=folder / "images" / "set.json",
        teacher=folder / "probe.safetensors",
        epochs=f"{first}:{stop}",
        out=folder / "labels" / f"epochs_{first:04d}-{stop - 1:04d}.safetensors",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, ipc=2)
    freeze(tmp_path / "relabel.json", "relabel", PARAMS, images="s1", teacher="t1")
    return tmp_path


@pytest.mark.parametrize(
    ("more", "bytes_more"),
    [({}, 0), ({"patches": 2, "randaugment": {"operations": 3, "magnitude": 9}}, 4 + 6)],
)
def test_the_program_writes_a_shard_and_says_its_size_first(
    folder: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any], bytes_more: int
) -> None:
    freeze(folder / "relabel.json", "relabel", PARAMS | more, images="s1", teacher="t1")
    assert relabel.main(program(folder, 0, 2)) == 0
    assert f"= {2 * 6 * (2 * 3 + 25 + bytes_more)} bytes" in capsys.readouterr().err
    content = open_set(folder / "images" / "set.json").content
    plain = {"view": VIEW, "mix": "cutmix", "alpha": 1.0, "patches": 1, "randaugment": None}
    store = open_store(
        folder / "labels",
        epochs=2,
        images=content,
        classes=CLASSES,
        digest="relabel",
    )
    assert (store.origin.teacher, store.origin.transform) == ("t1", plain | more)
    assert store.epoch(1)["logits"].shape == (6, 3)


@pytest.mark.parametrize(("more", "told"), [({}, "float32"), ({"label_precision": "bf16"}, "bf16")])
def test_a_store_tells_its_teachers_precision(
    folder: Path, more: dict[str, Any], told: str
) -> None:
    freeze(folder / "relabel.json", "relabel", PARAMS | more, images="s1", teacher="t1")
    assert relabel.main(program(folder, 0, 1)) == 0
    content = open_set(folder / "images" / "set.json").content
    store = open_store(folder / "labels", epochs=1, images=content, classes=CLASSES)
    assert store.origin.precision == told
    assert store.epoch(0)["logits"].dtype == torch.float16


def test_a_store_tells_its_batches_where_labels_depend_on_them() -> None:
    transform = Transform(PADDED, "cutmix", 1.0, 2, RandAugment(3, 9))
    relabel = Relabel(PADDED, "cutmix", 1.0, 2, RandAugment(3, 9))
    assert origin_of(relabel, None) == transform.dump()
    tied = origin_of(replace(relabel, mix_by="batch"), 64)
    assert tied == transform.dump() | {"mix_by": "batch", "teacher_bn": "eval", "batch": 64}
    assert Transform.of(tied) == transform


@pytest.mark.parametrize("views", ["stored", "drawn"])
@pytest.mark.parametrize("form", ["float16", "int8", "topk:2", "pca:8"])
def test_a_shard_has_the_bytes_that_were_foretold(
    folder: Path, form: str, views: str, capsys: pytest.CaptureFixture[str]
) -> None:
    params = {**PARAMS, "form": form, "views": views, "temperature": 20.0}
    freeze(folder / "relabel.json", "relabel", params, images="s1", teacher="t1")
    assert relabel.main(program(folder, 0, 2)) == 0
    (path,) = (folder / "labels").iterdir()
    content = path.read_bytes()
    held = len(content) - 8 - int.from_bytes(content[:8], "little")
    # 3 classes: 6, 4 + 3, 2 x 3 + 2; 8 bits
    logits = {"float16": 6, "int8": 7, "topk:2": 8, "pca:8": 1}[form]
    # a table of 3 x 3 numbers, 16 bits an image, and twice two components of 3 numbers and a count
    shared = 3 * 3 * 2 + 6 * 2 + 2 * 2 * (3 * 2 + 1) if form == "pca:8" else 0
    assert held == 2 * 6 * (logits + (25 if views == "stored" else 0)) + shared
    assert held == store_bytes(Relabel.of(params), 6, 3, 2)
    assert f"= {held} bytes" in capsys.readouterr().err


def test_several_teachers_are_averaged_or_weighted(folder: Path) -> None:
    stored, weighted = [], {"teacher_priors": [3.0, 1.0], "prior_temperature": 2.0}
    for seed, name in enumerate(("one", "two")):
        state = build(TEACHER, 3, generator(seed)).state_dict()
        checkpoint = Checkpoint("classifier", TEACHER, CLASSES, state, name)
        save_checkpoint(folder / f"{name}.safetensors", checkpoint, {})
    both = ["one", "two"]
    for teachers, more in ((["one"], {}), (["two"], {}), (both, {}), (both, weighted)):
        roles = dict(zip(("teacher", "teacher_2"), teachers, strict=False))
        freeze(folder / "relabel.json", "relabel", PARAMS | more, images="s1", **roles)
        given = program(folder, 0, 1)
        at = given.index("--teacher")
        given[at + 1 : at + 2] = [str(folder / f"{name}.safetensors") for name in teachers]
        assert relabel.main(given) == 0
        content = open_set(folder / "images" / "set.json").content
        store = open_store(folder / "labels", epochs=1, images=content, classes=CLASSES)
        assert store.origin.teacher == "+".join(teachers)
        stored.append(store.epoch(0)["logits"].float())
    torch.testing.assert_close(stored[2], (stored[0] + stored[1]) / 2, rtol=2e-3, atol=2e-3)
    first = math.e / (math.e + 1)  # softmax of 3 / 2 and 1 / 2
    expected = first * stored[0] + (1 - first) * stored[1]
    torch.testing.assert_close(stored[3], expected, rtol=2e-3, atol=2e-3)


def test_as_many_checkpoints_as_teachers_are_needed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    freeze(folder / "relabel.json", "relabel", PARAMS, images="s1", teacher="t1", teacher_2="t2")
    assert relabel.main(program(folder, 0, 1)) == 1
    assert "2 checkpoints are needed: teacher, teacher_2" in capsys.readouterr().err


def test_more_epochs_only_add_shards_and_a_rerun_gives_the_same_bytes(folder: Path) -> None:
    assert relabel.main(program(folder, 0, 2)) == 0
    first = folder / "labels" / "epochs_0000-0001.safetensors"
    before = first.read_bytes(), first.stat().st_mtime_ns
    assert relabel.main(program(folder, 2, 4)) == 0
    assert (first.read_bytes(), first.stat().st_mtime_ns) == before
    first.unlink()
    assert relabel.main(program(folder, 0, 2)) == 0
    assert first.read_bytes() == before[0]


OTHER = ("b", "a", "c")


def permuted(folder: Path, what: str) -> None:
    """The images or the teacher with another class order, and nothing else changed."""
    if what == "teacher":
        state = build(TEACHER, 3).state_dict()
        checkpoint = Checkpoint("classifier", TEACHER, OTHER, state, "t1")
        save_checkpoint(folder / "probe.safetensors", checkpoint, {})
    if what == "images":
        path = folder / "images" / "set.json"
        held = json.loads(path.read_text())
        path.write_text(json.dumps({**held, "classes": OTHER, "class_hash": class_hash(OTHER)}))


@pytest.mark.parametrize("what", ["teacher", "images"])
def test_images_and_teacher_of_different_class_orders_are_refused(
    folder: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    permuted(folder, what)
    assert relabel.main(program(folder, 0, 2)) == 1
    error = capsys.readouterr().err
    assert "class order differs" in error
    assert class_hash(OTHER) in error
    assert class_hash(CLASSES) in error
    assert not (folder / "labels").exists()
