"""Students by name: what is built, its stem, its weights, and what is refused."""

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.errors import ScddError
from scdd.networks import resnet, scaled, stems, students
from scdd.networks.numbers import TorchNumbers
from scdd.params.architectures import CONVNETS, WIDE_RESNETS
from scdd.params.network import Network
from scdd.plan import students as plan
from scdd.plan.students import STUDENTS, for_images
from scdd.rng import generator


def student(name: str, resolution: int, stem: str = "small", width: float = 1.0) -> nn.Module:
    return students.build(Network(name, width, stem), 7, resolution, generator(0, "student"))


# ---- the plan's list against what is built -----------------------------------------------------


def test_the_plan_knows_the_students_that_can_be_built() -> None:
    built = {*resnet.RESNETS, *CONVNETS, *WIDE_RESNETS, *scaled.SCALED}
    assert set(STUDENTS) == built | {*students.torchvision_names()}
    assert len(plan.FAMILIES) == len({family.names for family in plan.FAMILIES})


def test_the_plan_knows_the_small_stems() -> None:
    for name, family in STUDENTS.items():
        if name not in resnet.RESNETS:
            small = any(name.startswith(start) for start in stems.SMALL_STEMS)
            assert (family.least_small is not None) == small, name


@pytest.mark.parametrize("name", ["convnet4", "densenet121", "squeezenet1_1", "convnext_tiny"])
def test_the_plans_smallest_images_are_the_smallest_that_work(name: str) -> None:
    least = STUDENTS[name].least
    student(name, least, "imagenet")
    with pytest.raises(ScddError, match=f"{name} does not take images of {least - 1}x{least - 1}"):
        student(name, least - 1, "imagenet")


# ---- networks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_convnet_is_that_of_the_classic_papers(batch_norm: bool) -> None:
    network = student("convnet3-bn" if batch_norm else "convnet3", 16, "imagenet")
    held = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = torch.randn(4, 3, 16, 16, generator=generator(1))
    x = images
    for block in range(3):
        at = f"blocks.{4 * block}"
        x = functional.conv2d(x, held[f"{at}.weight"], held[f"{at}.bias"], padding=1)
        assert x.shape == (4, 128, 16 >> block, 16 >> block)
        over = (0, 2, 3) if batch_norm else (2, 3)
        mean, var = x.mean(over, keepdim=True), x.var(over, keepdim=True, unbiased=False)
        x = functional.relu((x - mean) / (var + 1e-5).sqrt())  # scale 1, shift 0 at the start
        x = functional.avg_pool2d(x, 2)
    expected = x.reshape(4, -1) @ held["classifier.weight"].T + held["classifier.bias"]
    torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-4)


def test_a_convnets_width_is_a_factor_on_its_filters() -> None:
    network = student("convnet3", 8, "imagenet", width=0.25)
    assert network.classifier.in_features == 32


def test_a_resnet_is_the_backbones() -> None:
    architecture = Network("resnet10", 0.25, "small")
    ours = students.build(architecture, 7, 16, generator(0)).state_dict()
    theirs = resnet.build(architecture, 7, generator(0)).state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


# sizes of the maps that the first and the last convolution give of 32x32 pixels
MAPS = {
    "resnet18": ((32, 4), (16, 1)),
    "mobilenet_v2": ((32, 4), (16, 1)),
    "efficientnet_b0": ((32, 2), (16, 1)),
    "shufflenet_v2_x0_5": ((32, 4), (16, 1)),
    "densenet121": ((32, 4), (16, 1)),
    "regnet_y_400mf": ((32, 8), (16, 1)),
    "resnext50_32x4d": ((32, 4), (16, 1)),
    "convnext_tiny": ((16, 2), (8, 1)),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("stem", ["small", "imagenet"])
def test_a_small_stem_keeps_resolution(name: str, stem: str) -> None:
    network = student(name, 32, stem).eval()
    maps: list[int] = []

    def note(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
        maps.append(out.shape[-1])

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 7)
    assert (maps[0], maps[-1]) == MAPS[name][stem == "imagenet"]


def test_a_swins_small_stem_has_patches_of_two_pixels() -> None:
    patches = [student("swin_t", 32, stem).features[0] for stem in ("small", "imagenet")]
    assert [part(torch.zeros(1, 3, 32, 32)).shape for part in patches] == [
        (1, 16, 16, 96),
        (1, 8, 8, 96),
    ]


# all but the stem's first convolution, and nothing in the others, has the published shape
@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("densenet121", {"features.conv0.weight"}),
        ("mobilenet_v2", set()),
        ("regnet_y_400mf", set()),
    ],
)
def test_a_small_stem_leaves_the_other_weights_as_published(name: str, changed: set[str]) -> None:
    small, large = (student(name, 32, stem).state_dict() for stem in ("small", "imagenet"))
    assert small.keys() == large.keys()
    assert {key for key in small if small[key].shape != large[key].shape} == changed


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "convnet3", "regnet_x_400mf"])
def test_weights_come_from_the_draw_alone(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        network = students.build(Network(name, 1.0, "imagenet"), 3, 16, generator(seed))
        return torch.cat([weight.detach().flatten() for weight in network.parameters()])

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = weights(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)


@pytest.mark.parametrize("name", ["convnet3", "swin_t", "convnext_tiny", "mobilenet_v2"])
def test_a_student_of_any_kind_takes_a_step(name: str) -> None:
    """Two of them have no BatchNorm; all are trained as the program does it."""
    network = student(name, 16, "small" if name != "convnet3" else "imagenet")
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 0.001, fused=True)
    functional.cross_entropy(network(torch.randn(2, 3, 16, 16)), torch.tensor([0, 1])).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    optimizer.step()


# ---- what is refused ---------------------------------------------------------------------------


def test_an_unknown_student_is_refused_with_the_nearest() -> None:
    with pytest.raises(ScddError, match="mobilenet_v2"):
        student("mobilenetv2", 32)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("squeezenet1_1", "small"), ("convnet3", "small"), ("mobilenet_v2", "small-pad2")],
)
def test_a_stem_that_is_not_there_is_refused(name: str, stem: str) -> None:
    with pytest.raises(ScddError, match=f"{name} has no stem '{stem}'"):
        student(name, 32, stem)


@pytest.mark.parametrize(
    ("network", "resolution", "message"),
    [
        ({"arch": "mobilenetv2"}, 32, "unknown arch 'mobilenetv2'. Did you mean 'mobilenet_v2'?"),
        ({"arch": "swin_t", "width": 0.5}, 32, "swin_t has one width. Leave width out"),
        ({"arch": "vgg11", "stem": "small"}, 32, "vgg11 has no stem 'small'. Leave stem out."),
        ({"arch": "convnet3", "stem": "small"}, 32, "convnet3 has no stem 'small'"),
        ({"arch": "swin_t", "stem": "small-pad2"}, 32, "swin_t has no stem 'small-pad2'"),
        ({"arch": "convnet4"}, 8, "convnet4 takes images of 16 pixels on, and these have 8."),
        ({"arch": "densenet121", "stem": "imagenet"}, 16, "takes images of 29 pixels on"),
        ({"arch": "maxvit_t"}, 32, "maxvit_t takes images of multiples of 224 pixels"),
        ({"arch": "vit_b_16"}, 40, "vit_b_16 takes images of multiples of 16 pixels"),
    ],
)
def test_what_no_student_can_be_is_refused_by_the_plan(
    network: dict[str, Any], resolution: int, message: str
) -> None:
    with pytest.raises(ScddError, match=r"^students: ") as caught:
        for_images(Network(**network), resolution, "students")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "resolution", "stem"),
    [
        ("resnet18", 64, "small"),
        ("resnet18", 65, "imagenet"),
        ("swin_t", 32, "small"),
        ("vgg11", 32, "imagenet"),
        ("convnet3", 32, "imagenet"),
        ("vit_b_16", 32, "imagenet"),
    ],
)
def test_the_plan_takes_the_small_stem_where_there_is_one(
    name: str, resolution: int, stem: str
) -> None:
    assert for_images(Network(arch=name), resolution, "students").stem == stem


# ---- timm --------------------------------------------------------------------------------------


def test_without_timm_both_the_plan_and_the_program_say_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "timm_names", lambda: None)
    with pytest.raises(ScddError, match="timm:resnet26 needs timm, which is not installed"):
        for_images(Network(arch="timm:resnet26"), 32, "students")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ScddError, match=r"timm is not installed here\. Install it: pip install"):
        student("timm:resnet26", 32, "imagenet")


def test_timms_names_are_read_off_its_source() -> None:
    timm: ModuleType = pytest.importorskip("timm")
    assert plan.timm_names() == set(timm.list_models())


def test_a_student_of_timm() -> None:
    pytest.importorskip("timm")
    network = for_images(Network(arch="timm:mobilenetv3_small_050"), 32, "students")
    assert network == Network("timm:mobilenetv3_small_050", 1.0, "imagenet")
    assert Network(arch="timm:mobilenetv3_small_050").label == "timm-mobilenetv3_small_050"
    made = [student("timm:mobilenetv3_small_050", 32, "imagenet") for _ in range(2)]
    assert made[0](torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    weights = [torch.cat([w.detach().flatten() for w in one.parameters()]) for one in made]
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("name", "message"),
    [("resnet26q", "no model 'resnet26q'. Did you mean"), ("qqqqqq", "See timm.list_models")],
)
def test_a_name_that_timm_does_not_have_is_refused(name: str, message: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(ScddError) as caught:
        for_images(Network(arch=f"timm:{name}"), 32, "students")
    assert message in str(caught.value)


def test_images_that_a_network_of_timm_does_not_take_are_named() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ScddError, match="vit_tiny_patch16_224 does not take images of 32x32"):
        student("timm:vit_tiny_patch16_224", 32, "imagenet")


def test_random_numbers_of_a_job_that_began_on_the_cpu_continue_on_a_gpu() -> None:
    begun = TorchNumbers(torch.device("cpu")).state_dict()
    expected = torch.rand(3)
    TorchNumbers(torch.device("cuda")).load_state_dict(begun)
    assert torch.rand(3).equal(expected)
