"""Experts: their training, one by one and together, and the files that hold their parameters."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from leaving import LeavesAt
from torch import Tensor
from toy import CLASSES, MEAN, STD, image_set, info

from scdd.artifacts.expert_files import epoch_ranges, path, paths, size
from scdd.artifacts.experts import Space, StoredExperts, last_parameters, save_experts
from scdd.errors import ScddError
from scdd.jobs.saved import JobState, Stopped
from scdd.learn.experts import batches, start, train
from scdd.learn.real import RealImages
from scdd.networks.students import ConvNet, build
from scdd.params.learn import Experts
from scdd.params.network import Network
from scdd.rng import generator
from scdd.views.pixels import normalise

NARROW = Network("convnet3", 0.0625, "imagenet")
PARAMS = Experts(count=3, lr=0.1, batch=8, per_file=2)
SPACE = Space(NARROW, CLASSES, MEAN, STD)
CPU = torch.device("cpu")


def convnet() -> ConvNet:
    network = build(NARROW, 3, 8, generator("n"))
    assert isinstance(network, ConvNet)
    return network


def real() -> RealImages:
    """21 images: two batches of eight and one of five."""
    return RealImages(image_set(21, 8), 3, lambda images: normalise(images, info(8)))


def starts(*experts: int) -> Tensor:
    return torch.stack([start(NARROW, 3, 8, 0, expert) for expert in experts])


def trained(
    experts: tuple[int, ...] = (0, 1),
    epochs: tuple[int, int] = (0, 2),
    flat: Tensor | None = None,
    together: bool = False,
    saved: JobState | None = None,
) -> Tensor:
    flat = starts(*experts) if flat is None else flat.clone()
    return train(convnet(), flat, real(), PARAMS, experts, epochs, together, saved)


def test_an_epoch_is_plain_sgd_on_the_batches() -> None:
    """Against torch's own module and optimiser, by the same batches."""
    network = convnet()
    torch.nn.utils.vector_to_parameters(starts(1)[0], network.parameters())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for images, labels in batches(real(), PARAMS, [1], 0, 0):
        optimizer.zero_grad()
        F.cross_entropy(network(images[0]), labels[0]).backward()
        optimizer.step()
    expected = torch.nn.utils.parameters_to_vector(network.parameters())
    assert torch.allclose(trained((1,), (0, 1))[0, 0], expected, atol=1e-6)


def test_an_epoch_shows_each_image_once_to_each_expert() -> None:
    order = [labels for _, labels in batches(real(), PARAMS, [0, 1], 0, 0)]
    assert [labels.shape for labels in order] == [(2, 8), (2, 8), (2, 5)]
    for expert in (0, 1):
        shown = torch.cat([labels[expert] for labels in order])
        assert torch.equal(shown.bincount(), torch.tensor([7, 7, 7]))
    assert not torch.equal(order[0][0], order[0][1])


def test_an_expert_does_not_depend_on_those_that_are_trained_beside_it() -> None:
    assert torch.equal(trained((0, 1))[:, 1], trained((1,))[:, 0])


def test_together_they_are_the_same_up_to_rounding() -> None:
    assert torch.allclose(trained(together=True), trained(), atol=1e-5)


def test_a_later_range_goes_on_where_the_earlier_one_ended() -> None:
    whole = trained(epochs=(0, 3))
    first = trained(epochs=(0, 1))
    second = trained(epochs=(1, 3), flat=first[-1])
    assert torch.equal(torch.cat([first, second]), whole)


@pytest.mark.parametrize("chance", [1, 3, 5])
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path, chance: int) -> None:
    saved = LeavesAt(tmp_path, chance)
    with pytest.raises(Stopped), saved.locked(), saved.attempt(lambda _: None):
        trained(saved=saved)
    again = LeavesAt(tmp_path, -1)
    with again.locked(), again.attempt(lambda _: None):
        assert torch.equal(trained(saved=again), trained())


def test_a_loss_that_is_not_finite_names_what_to_lower() -> None:
    with pytest.raises(ScddError, match=r"not finite in epoch 1\. Lower experts\.lr \(0\.1\)\.$"):
        trained(flat=starts(0, 1).fill_(float("nan")))


def write(folder: Path, storage: str = "float32", space: Space = SPACE, count: int = 3) -> Tensor:
    """All files of 3 experts for 7 epochs; returns the parameters float32 [11, 3, 4]."""
    parameters = torch.randn(11, count, 4, generator=generator("parameters"))
    for first, end in ((0, 5), (5, 10)):
        for experts in ((0, 2), (2, 3)):
            rows = slice(0 if first == 0 else first + 1, end + 1)
            save_experts(
                path(folder, experts, (first, end)),
                parameters[rows, slice(*experts)],
                space,
                experts=experts,
                epochs=(first, end),
                storage=storage,
                record={"digest": "d", "seed": 0, "env": {}},
            )
    return parameters


def opened(folder: Path, space: Space = SPACE, digest: str = "d") -> StoredExperts:
    return StoredExperts(folder, space, digest, count=3, per_file=2, epochs=7, device=CPU)


def test_ranges_of_epochs_are_cut_at_fixed_points() -> None:
    assert epoch_ranges(7) == [(0, 5), (5, 10)]
    assert epoch_ranges(42) == [(0, 5), (5, 10), (10, 25), (25, 45)]
    assert epoch_ranges(46) == [(0, 5), (5, 10), (10, 25), (25, 45), (45, 60)]


def test_each_expert_and_epoch_is_found_in_its_file(tmp_path: Path) -> None:
    parameters = write(tmp_path)
    experts = opened(tmp_path)
    for expert in range(3):
        for epoch in range(11):
            assert torch.equal(experts.parameters(expert, epoch), parameters[epoch, expert])


@pytest.mark.parametrize("storage", ["float32", "bf16"])
def test_files_have_the_planned_names_and_bytes(tmp_path: Path, storage: str) -> None:
    write(tmp_path, storage)
    files = sorted(tmp_path.iterdir())
    assert files == sorted(paths(tmp_path, 3, 2, 7))
    total = sum(tensor.nbytes for file in files for tensor in _tensors(file).values())
    assert total == size(4, 3, 7, storage)


def _tensors(file: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(file)


def test_bf16_rounds_what_is_followed_but_not_what_training_goes_on_from(tmp_path: Path) -> None:
    parameters = write(tmp_path, "bf16")
    rounded = parameters[3, 1].bfloat16().float()
    assert torch.equal(opened(tmp_path).parameters(1, 3), rounded)
    last = last_parameters(path(tmp_path, (0, 2), (0, 5)), SPACE, "d", (0, 2), 5)
    assert torch.equal(last, parameters[5, :2])


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"network": Network("convnet3", 0.125, "imagenet")},
            "has experts of convnet3-w0.0625-imagenet, but images are learned with convnet3-w0.125",
        ),
        ({"classes": ("a", "c", "b")}, "class order differs: .* has 'b' as class 1, the dataset"),
        (
            {"mean": (0.1, 0.2, 0.3)},
            "of images that are normalised by mean .0.4, 0.5, 0.6. .*, but those to be learned are "
            "normalised by mean .0.1, 0.2, 0.3.",
        ),
        ({"whitening": "f" * 64}, "normalised by .*, but those to be learned are whitened by ffff"),
    ],
)
def test_experts_for_something_else_are_refused_and_both_are_named(
    tmp_path: Path, space: dict[str, Any], message: str
) -> None:
    write(tmp_path)
    with pytest.raises(ScddError, match=message):
        opened(tmp_path, Space(**{**vars(SPACE), **space}))


def test_experts_of_another_artifact_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ScddError):
        opened(tmp_path, digest="other")


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    file = path(tmp_path, (0, 2), (5, 10))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ScddError, match="was altered"):
        opened(tmp_path)
