"""Public checkpoints: built by the authors' key names from torchvision's ResNets, read back equal;
damage refused by name; code in them never run."""

import argparse
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from scdd.errors import ScddError
from scdd.interop import checkpoints
from scdd.networks.backbone import load_backbone
from scdd.networks.resnet import build
from scdd.params.network import Network
from scdd.params.squeeze import LAYOUTS

TEN = Network("resnet10", 1.0, "imagenet")


def resnet10(classes: int = 7, block: Any = BasicBlock) -> ResNet:
    """A torchvision ResNet with one block a layer, all of its tensors random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ResNet(block, [1, 1, 1, 1], num_classes=classes)
        for name, tensor in network.state_dict().items():
            if tensor.ndim == 1 and tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + (0.5 if "weight" in name else 0.1))
    return network.eval()


def headless(network: ResNet) -> ResNet:
    network.fc = nn.Identity()
    return network


def small(network: ResNet, padding: int) -> ResNet:
    """With a small-image stem, as the authors of CIFAR checkpoints put it in."""
    network.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=padding, bias=False)
    network.maxpool = nn.Identity()
    return network


def sequential(network: ResNet) -> nn.Sequential:
    """Its children but the last: conv1, bn1, relu, maxpool, layer1 to layer4, avgpool."""
    return nn.Sequential(*list(network.children())[:9])


class Model(nn.Module):
    """Parts by the names that a method's authors gave them."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def parallel(**parts: nn.Module) -> dict[str, Tensor]:
    return nn.DataParallel(Model(**parts)).state_dict()


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))


def other() -> ResNet:
    """What a checkpoint has beside the backbone and must not be taken for it."""
    network = resnet10()
    nn.init.zeros_(network.conv1.weight)
    return network


def with_head(network: ResNet) -> ResNet:
    network.fc = mlp()
    return network


def mocov2(network: ResNet) -> dict[str, Any]:
    query, key = with_head(network), with_head(other())
    state = parallel(encoder_q=query, encoder_k=key) | {"module.queue": torch.zeros(4, 8)}
    return {"epoch": 200, "arch": "resnet10", "state_dict": state, "optimizer": {"state": {}}}


def mocov2_demo(network: ResNet) -> dict[str, Any]:
    """encoder_q.net: the children of a ResNet without pooling, then flattening and the head."""
    children = dict(small(network, 1).named_children())
    head, _ = children.pop("fc"), children.pop("maxpool")
    net = nn.Sequential(*children.values(), nn.Flatten(1), head)
    return {"epoch": 200, "state_dict": Model(encoder_q=Model(net=net)).state_dict()}


def mocov3(network: ResNet) -> dict[str, Any]:
    parts = {"base_encoder": with_head(network), "momentum_encoder": with_head(other())}
    return {"state_dict": parallel(**parts, predictor=mlp()), "scaler": {"scale": 1.0}}


def swav(network: ResNet) -> dict[str, Any]:
    network = headless(network)
    network.projection_head, network.prototypes = mlp(), nn.Linear(4, 9, bias=False)
    return nn.DataParallel(network).state_dict()


def swav_checkpoint(network: ResNet) -> dict[str, Any]:
    return {"epoch": 400, "state_dict": swav(network), "optimizer": {}}


def dino(network: ResNet) -> dict[str, Any]:
    args = argparse.Namespace(arch="resnet50", lr=0.03, output_dir=Path("out"))
    teacher = parallel(backbone=headless(network), head=mlp())
    student = parallel(backbone=headless(other()), head=mlp())
    loss = {"center": torch.zeros(1, 4)}
    return {"student": student, "teacher": teacher, "args": args, "dino_loss": loss}


def barlow_twins(network: ResNet) -> dict[str, Any]:
    model = parallel(backbone=headless(network), projector=mlp(), bn=nn.BatchNorm1d(4))
    return {"epoch": 1000, "model": model, "optimizer": {}}


def solo_learn(network: ResNet) -> dict[str, Any]:
    model = Model(
        backbone=headless(small(network, 2)),
        classifier=nn.Linear(512, 5),
        projector=mlp(),
        momentum_backbone=headless(other()),
        momentum_classifier=nn.Linear(512, 5),
    )
    return {"state_dict": model.state_dict(), "pytorch-lightning_version": "1.6.4"}


def solo_learn_2021(network: ResNet) -> dict[str, Any]:
    model = Model(encoder=headless(network), classifier=nn.Linear(512, 5), projector=mlp())
    return {"state_dict": model.state_dict()}


def lightly(network: ResNet) -> dict[str, Any]:
    model = Model(backbone=sequential(network), backbone_momentum=sequential(other()), head=mlp())
    return {"state_dict": model.state_dict(), "hyper_parameters": {"batch_size": 256}}


def lightly_benchmark(network: ResNet) -> dict[str, Any]:
    classifier = Model(classification_head=nn.Linear(512, 5))
    model = Model(backbone=headless(network), query_backbone=other(), online_classifier=classifier)
    return {"state_dict": model.state_dict()}


def lightly_own(network: ResNet) -> dict[str, Any]:
    """lightly's own ResNets have no ReLU and no pooling among their children."""
    network = small(network, 1)
    names = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "avgpool")
    backbone = nn.Sequential(*(getattr(network, name) for name in names))
    state = Model(backbone=backbone, projection_head=mlp()).state_dict()
    state = {key.replace("downsample", "shortcut"): value for key, value in state.items()}
    return {"state_dict": state}


def lightly_dino(network: ResNet) -> dict[str, Any]:
    model = Model(student_backbone=sequential(other()), teacher_backbone=sequential(network))
    return {"state_dict": model.state_dict()}


def timm(network: ResNet) -> dict[str, Any]:
    args = argparse.Namespace(model="resnet10t", lr=0.1)
    states = {"state_dict": other().state_dict(), "state_dict_ema": network.state_dict()}
    return {"epoch": 3, "arch": "resnet10t", "args": args, "metric": np.float64(70.1), **states}


def torchvision(network: ResNet) -> dict[str, Any]:
    return network.state_dict()


def linear_classification(network: ResNet) -> dict[str, Any]:
    """MoCo's main_lincls.py."""
    return {"arch": "resnet10", "state_dict": nn.DataParallel(network).state_dict()}


def backbone_alone(network: ResNet) -> dict[str, Any]:
    """dino_resnet50_pretrain.pth, Barlow Twins' resnet50.pth"""
    return headless(network).state_dict()


Author = Callable[[ResNet], dict[str, Any]]
# the file, its layout, its stem, and the classes of the classifier in it
FILES: list[tuple[Author, str, str, int]] = [
    (mocov2, "mocov2", "imagenet", 0),
    (mocov2_demo, "mocov2", "small", 0),
    (mocov3, "mocov3", "imagenet", 0),
    (swav, "swav", "imagenet", 0),
    (swav_checkpoint, "swav", "imagenet", 0),
    (dino, "dino", "imagenet", 0),
    (barlow_twins, "barlow-twins", "imagenet", 0),
    (solo_learn, "solo-learn", "small-pad2", 5),
    (solo_learn_2021, "solo-learn", "imagenet", 5),
    (lightly, "lightly", "imagenet", 0),
    (lightly_benchmark, "lightly", "imagenet", 5),
    (lightly_own, "lightly", "small", 0),
    (lightly_dino, "lightly", "imagenet", 0),
    (timm, "timm", "imagenet", 7),
    (torchvision, "torchvision", "imagenet", 7),
    (linear_classification, "torchvision", "imagenet", 7),
    (backbone_alone, "torchvision", "imagenet", 0),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.pth"


def imported(path: Path, wanted: Network = TEN, layout: str = "auto") -> dict[str, Tensor]:
    return checkpoints.fitted(checkpoints.find(path, layout), wanted, path)


def refusal(path: Path, wanted: Network = TEN, layout: str = "auto") -> str:
    with pytest.raises(ScddError) as caught:
        imported(path, wanted, layout)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(("author", "layout", "stem", "classes"), FILES)
@torch.no_grad()
def test_a_file_of_each_layout_gives_equal_outputs(
    author: Author, layout: str, stem: str, classes: int, by_name: bool, path: Path
) -> None:
    theirs = resnet10()
    torch.save(author(theirs), path)
    found = checkpoints.find(path, layout if by_name else "auto")
    assert found.layout == layout
    assert found.architecture == Network("resnet10", 1.0, stem)
    network = build(found.architecture, 1).eval()
    load_backbone(network, checkpoints.fitted(found, found.architecture, path))
    images = torch.randn(2, 3, 40, 40)
    expected = sequential(theirs)(images).flatten(1)
    torch.testing.assert_close(network.features(images), expected)
    shapes = {"fc.weight": (classes, 512), "fc.bias": (classes,)} if classes else {}
    assert {key: tuple(tensor.shape) for key, tensor in found.classifier.items()} == shapes


@torch.no_grad()
def test_swavs_padding_before_a_narrower_stem_is_torchvisions_stem() -> None:
    """src/resnet50.py pads by 1, and then conv1 by 2."""
    network = resnet10()
    images = torch.randn(1, 3, 40, 40)
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    found = nn.functional.conv2d(padded, network.conv1.weight, stride=2, padding=2)
    torch.testing.assert_close(found, network.conv1(images))


def test_deep_and_wide_networks_are_told_by_their_shapes(path: Path) -> None:
    network = ResNet(Bottleneck, [3, 4, 6, 3])
    torch.save(network.state_dict(), path)
    assert checkpoints.find(path).architecture == Network("resnet50", 1.0, "imagenet")
    wide = Network("resnet50", 0.3, "small")  # 19 planes
    torch.save(build(wide, 3).state_dict(), path)
    assert imported(path, wide)


@pytest.mark.parametrize("layout", ["dino", "barlow-twins", "timm"])
def test_backbones_alone_may_be_named_after_their_authors(layout: str, path: Path) -> None:
    torch.save(backbone_alone(resnet10()), path)
    assert checkpoints.find(path, layout).layout == layout


def test_safetensors_and_half_precision_are_read_as_float32(tmp_path: Path) -> None:
    state = {key: t.half() if t.ndim else t for key, t in resnet10().state_dict().items()}
    save_file(state, file := tmp_path / "model.safetensors")
    read = imported(file)
    assert torch.equal(read["conv1.weight"], state["conv1.weight"].float())


def test_files_from_before_bn_counted_its_batches_are_whole(path: Path) -> None:
    state = resnet10().state_dict()
    torch.save({k: t for k, t in state.items() if "num_batches" not in k}, path)
    assert imported(path)["bn1.num_batches_tracked"] == 0


def test_the_parameters_know_the_layouts_that_can_be_read() -> None:
    assert set(LAYOUTS) == {"auto", *checkpoints.NAMES}


# ---- damage ------------------------------------------------------------------------------------


def damaged(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = mocov2(resnet10())
    change(content["state_dict"])
    torch.save(content, path)


def test_missing_keys_are_listed(path: Path) -> None:
    keys = ("layer2.0.conv1.weight", "bn1.running_var")
    damaged(path, lambda state: [state.pop(f"module.encoder_q.{key}") for key in keys])
    assert "lacks bn1.running_var, layer2.0.conv1.weight." in refusal(path)


@pytest.mark.parametrize("key", ["conv1.weight", "layer4.0.bn2.running_mean"])
def test_any_missing_key_is_named(key: str, path: Path) -> None:
    damaged(path, lambda state: state.pop(f"module.encoder_q.{key}"))
    assert f"lacks {key}." in refusal(path)


def test_left_over_keys_are_listed(path: Path) -> None:
    extra = {"module.encoder_q.layer3.0.se.weight": torch.ones(3)}
    damaged(path, lambda state: state.update(extra))
    assert "has unknown keys layer3.0.se.weight." in refusal(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named(value: float, path: Path) -> None:
    key = "module.encoder_q.layer1.0.bn1.weight"
    damaged(path, lambda state: state[key].__setitem__(3, value))
    assert "encoder_q.layer1.0.bn1.weight has values that are not finite" in refusal(path)


def test_a_tensor_of_another_shape_is_named(path: Path) -> None:
    wider = {"module.encoder_q.layer1.0.conv1.weight": torch.ones(96, 64, 3, 3)}
    damaged(path, lambda state: state.update(wider))
    assert "layer1.0.conv1.weight is [96, 64, 3, 3], but [64, 64, 3, 3]" in refusal(path)


def test_an_entry_that_is_no_tensor_is_named(path: Path) -> None:
    damaged(path, lambda state: state.update({"module.encoder_q.bn1.bias": [1.0]}))
    assert "encoder_q.bn1.bias is a list" in refusal(path)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Network("resnet18", 1.0, "imagenet"), "holds a resnet10 of width 1, but"),
        (Network("resnet10", 0.5, "imagenet"), "holds a resnet10 of width 1, but"),
        (Network("resnet10", 1.0, "small"), "with the stem imagenet"),
    ],
)
def test_another_architecture_is_refused(wanted: Network, message: str, path: Path) -> None:
    torch.save(mocov2(resnet10()), path)
    assert message in refusal(path, wanted)


def test_solo_learns_stem_is_not_the_usual_small_one(path: Path) -> None:
    torch.save(solo_learn(resnet10()), path)
    message = refusal(path, Network("resnet10", 1.0, "small"))
    assert "Set backbone.stem: small-pad2." in message


def test_a_layout_that_the_file_has_not_is_refused(path: Path) -> None:
    torch.save(mocov2(resnet10()), path)
    assert "not the layout swav" in refusal(path, layout="swav")
    torch.save({"features.0.weight": torch.ones(3)}, path)
    message = refusal(path)
    assert "no known layout" in message
    assert "features.0.weight" in message


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert "is not a file of torch.save" in refusal(path)


def test_a_truncated_file_is_refused(path: Path) -> None:
    torch.save(torchvision(resnet10()), path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "is not a file of torch.save" in refusal(path)


def test_a_truncated_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file(resnet10().state_dict(), file := tmp_path / "model.safetensors")
    file.write_bytes(file.read_bytes()[:-1000])
    assert "truncated or not a safetensors file" in refusal(file)


def test_a_missing_file_and_a_tensor_alone_are_refused(path: Path) -> None:
    assert "is not a file" in refusal(path)
    torch.save(torch.ones(3), path)
    assert "holds a Tensor" in refusal(path)


# ---- code --------------------------------------------------------------------------------------


class Bomb:
    """Runs a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def bombs(mark: Path) -> list[Bomb]:
    write = f"open({str(mark)!r}, 'w').close()"
    return [
        Bomb(os.system, f"touch {mark}"),
        Bomb(exec, write),
        Bomb(eval, write),
        Bomb(Path.touch, mark),
    ]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("place", ["value", "in the arguments", "whole"])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_pickle_is_refused_and_never_run(
    number: int, place: str, form: str, path: Path
) -> None:
    mark = path.with_name("run")
    bomb = bombs(mark)[number]
    content = {
        "value": {**torchvision(resnet10()), "bn1.bias": bomb},
        "in the arguments": {"teacher": {}, "args": argparse.Namespace(callback=bomb)},
        "whole": bomb,
    }[place]
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    message = refusal(path)
    assert "is refused, and nothing in it was run" in message
    assert not mark.exists()
    with path.open("rb") as file:  # the bomb is live
        (torch.load(file, weights_only=False) if form != "pickle" else pickle.load(file))
    assert mark.exists()


def test_a_pickle_of_a_newer_protocol_is_not_run_either(path: Path) -> None:
    mark = path.with_name("run")
    path.write_bytes(pickle.dumps(bombs(mark)[0], protocol=5))
    refusal(path)
    assert not mark.exists()


def test_a_whole_model_is_refused_by_its_class(path: Path) -> None:
    torch.save(resnet10(), path)
    assert "its pickle calls torchvision.models.resnet.ResNet" in refusal(path)


def test_not_even_harmless_things_are_what_they_were() -> None:
    from scdd.interop.unpickle import HARMLESS, Inert

    buffer = io.BytesIO()
    torch.save({"args": argparse.Namespace(lr=1), "metric": np.float64(1)}, buffer)
    buffer.seek(0)
    with torch.serialization.safe_globals([(Inert, name) for name in HARMLESS]):
        content = torch.load(buffer, weights_only=True)
    assert {type(value) for value in content.values()} == {Inert}
