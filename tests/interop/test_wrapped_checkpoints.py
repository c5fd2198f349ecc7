"""Checkpoints in wrappers: dictionaries in dictionaries, prefixes before prefixes, other dtypes."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scdd import cli
from scdd.errors import ScddError
from scdd.interop import checkpoints
from scdd.networks.resnet import build
from scdd.params.network import Network

SMALL = Network("resnet10", 0.125, "small")
State = dict[str, Any]


def network(seed: int = 0) -> nn.Module:
    """All of its tensors random, counters too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = build(SMALL, 5)
        for tensor in made.state_dict().values():
            tensor.copy_(torch.rand_like(tensor.float()) + 0.1 if tensor.ndim else torch.tensor(7))
    return made


def plain(seed: int = 0) -> State:
    return dict(network(seed).state_dict())


def before(prefix: str, state: State | None = None) -> State:
    return {f"{prefix}{key}": value for key, value in (state or plain()).items()}


def nested(state: State) -> State:
    """Dictionaries of the parts of the keys."""
    tree: State = {}
    for key, value in state.items():
        *parts, last = key.split(".")
        place = tree
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    return tree


def averaged() -> State:
    model = torch.optim.swa_utils.AveragedModel(network())
    model.update_parameters(network())
    return model.state_dict()


def trained() -> State:
    """With the moments of Adam, by number and by name."""
    made = network()
    adam = torch.optim.Adam(made.parameters())
    for parameter in made.parameters():
        parameter.grad = torch.ones_like(parameter)
    moments = {"exp_avg": before("", {k: v for k, v in plain().items() if "running" not in k})}
    state = dict(adam.state_dict())
    return {"net": plain(), "optim": state, "named_optim": moments, "epoch": 3, "acc": 71.5}


def kuangliu() -> State:
    """The names of kuangliu/pytorch-cifar."""
    names = {"downsample": "shortcut", "fc": "linear"}
    return {
        ".".join(names.get(part, part) for part in key.split(".")): value
        for key, value in plain().items()
    }


def compiled() -> State:
    return torch.compile(nn.DataParallel(network())).state_dict()


def parallel_of_compiled() -> State:
    return nn.DataParallel(torch.compile(network())).state_dict()


def in_a_module() -> State:
    parts = nn.Module()
    parts.backbone = torch.compile(network())
    parts.projector = nn.Linear(2, 2)
    return {"state_dict": before("model.", parts.state_dict())}


def itself() -> State:
    content: State = {"model": plain()}
    content["self"] = content
    return content


WRAPPED: dict[str, Callable[[], Any]] = {
    "torchvision's references, SRe2L's and RDED's teachers": lambda: {
        "model": plain(),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "lr_scheduler": {"_last_lr": [0.1]},
        "epoch": 89,
    },
    "the references' averaged weights, before the others": lambda: {
        "model": plain(1),
        "model_ema": averaged(),
    },
    "an averaged model alone": averaged,
    "compiled": lambda: torch.compile(network()).state_dict(),
    "compiled, of a DataParallel": compiled,
    "a DataParallel, of a compiled": parallel_of_compiled,
    "twice parallel": lambda: {"state_dict": before("module.module.")},
    "compiled inside a Lightning module": in_a_module,
    "Lightning: model.": lambda: {
        "state_dict": before("model.") | {"train_acc.tp": torch.zeros(5)},
        "pytorch-lightning_version": "2.4.0",
    },
    "Lightning: net.": lambda: {"state_dict": before("net."), "loops": {"fit_loop": {}}},
    "Lightning: backbone. with its fc": lambda: {"state_dict": before("backbone.")},
    "backbone. with its fc, below model": lambda: {"model": before("backbone.")},
    "Lightning: a name of their own": lambda: {"state_dict": before("my_encoder.inner.")},
    "kuangliu/pytorch-cifar": lambda: {"net": before("module.", kuangliu()), "acc": 95.1},
    "with an optimizer's moments": trained,
    "nested dictionaries": lambda: {"model": nested(plain())},
    "ordered dictionaries": lambda: OrderedDict(state=OrderedDict(plain())),
    "a dictionary that holds itself": itself,
    "after a layer that normalises": lambda: {
        "model": before("1.") | {"0.mean": torch.zeros(3), "0.std": torch.ones(3)}
    },
    "the same network twice": lambda: {
        "model": before("module.model.") | before("module.attacker.model."),
        "epoch": 1,
    },
    "a Sequential of the children": lambda: {
        "model": nn.Sequential(*[m for n, m in network().named_children() if n != "fc"])
        .eval()
        .state_dict()
    },
    **{
        name: lambda name=name: {name: plain(), "epoch": 1}  # type: ignore[misc]
        for name in (
            "state_dict",
            "model_state_dict",
            "model_state",
            "state",
            "net",
            "network",
            "teacher",
            "student",
            "backbone",
            "encoder",
            "params",
            "ema",
        )
    },
    "half precision": lambda: {"model": {k: v.half() for k, v in plain().items()}},
    "bfloat16": lambda: {"model": {k: v.bfloat16() for k, v in plain().items()}},
    "double precision": lambda: {"model": {k: v.double() for k, v in plain().items()}},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.pth"


def read(path: Path, layout: str = "auto") -> dict[str, Tensor]:
    return checkpoints.fitted(checkpoints.find(path, layout), SMALL, path)


def refusal(content: Any, path: Path) -> str:
    torch.save(content, path)
    with pytest.raises(ScddError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_resnet_is_read(name: str, path: Path) -> None:
    torch.save(WRAPPED[name](), path)
    dtype = {"half precision": torch.half, "bfloat16": torch.bfloat16}.get(name, torch.float32)
    found = read(path)
    for key, tensor in plain().items():
        if not key.startswith("fc."):
            expected = tensor.to(dtype).float() if tensor.is_floating_point() else tensor
            assert torch.equal(found[key], expected), key
            assert found[key].dtype == tensor.dtype
    classes = checkpoints.find(path).classifier
    assert set(classes) == (set() if "Sequential" in name else {"fc.weight", "fc.bias"})


@pytest.mark.parametrize("layout", ["torchvision", "timm", "dino"])
def test_a_wrapped_resnet_may_be_named_after_its_authors(layout: str, path: Path) -> None:
    torch.save({"model": before("_orig_mod.")}, path)
    assert checkpoints.find(path, layout).layout == layout


@pytest.mark.parametrize(
    "wrap", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
@pytest.mark.parametrize("holder", ["state_dict", "model"])
def test_known_layouts_are_found_in_other_wrappers(wrap: str, holder: str, path: Path) -> None:
    state = before(f"{wrap}encoder_q.") | before(f"{wrap}encoder_k.", plain(1))
    torch.save({holder: state}, path)
    assert checkpoints.find(path).layout == "mocov2"
    assert torch.equal(read(path)["conv1.weight"], plain()["conv1.weight"])


def test_the_command_says_below_which_keys_it_was(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": before("model.")}, path)
    assert cli.main(["import", str(path)]) == 0
    assert "tensors of a backbone below state_dict.model., a classifier" in capsys.readouterr().out


# ---- what is refused ---------------------------------------------------------------------------


def test_several_different_resnets_are_not_chosen_from(path: Path) -> None:
    message = refusal({"student": plain(), "teacher": plain(1)}, path)
    assert "has several ResNets, below the keys student., teacher.: save the one" in message


def test_keys_inside_are_listed_too(path: Path) -> None:
    vgg = {f"features.{i}.weight": torch.ones(2) for i in range(20)}
    message = refusal({"model": vgg, "epoch": 4, "args": {"lr": {"first": 1}}}, path)
    assert "Its keys are model, epoch, args; in model: features.0.weight, " in message
    assert "features.11.weight and 8 more; in args: lr.first. Known layouts" in message
    message = refusal({"a\nb" * 99: {"c\nd" * 99: torch.ones(1)}}, path)
    assert len(message) < 800
    assert "Its keys are none" in refusal({}, path)


def changed(key: str, change: Callable[[Tensor], Any]) -> State:
    state = plain()
    state[key] = change(state[key])
    return {"model": state}


def without(*parts: str) -> State:
    return {"model": {k: v for k, v in plain().items() if not k.endswith(parts)}}


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("bn1.running_var", lambda t: t - 9, "running_var has negative values (down to -8."),
        ("layer4.0.bn2.running_var", lambda t: -t, "has negative values"),
        ("bn1.running_mean", lambda t: t / 0 * 0, "running_mean has values that are not finite"),
        ("bn1.num_batches_tracked", lambda t: t / 0 * 0, "not finite"),
        ("fc.bias", lambda t: t * torch.nan, "fc.bias has values that are not finite"),
        ("conv1.weight", lambda t: t.double() * 1e300, "not finite"),
        ("conv1.weight", lambda t: t.to(torch.int8), "is a tensor of int8, but weights are floats"),
        ("bn1.bias", lambda t: t > 0, "is a tensor of bool, but weights are floats"),
        ("conv1.weight", lambda t: t + 1j, "is a tensor of complex64. Save it as float32"),
        ("conv1.weight", lambda t: t.to(torch.float8_e5m2), "is a tensor of float8_e5m2"),
        ("conv1.weight", lambda t: t.to_sparse(), "is a sparse tensor"),
        ("conv1.weight", lambda t: t.to("meta"), "is a tensor without values"),
        ("bn1.bias", lambda t: torch.nested.nested_tensor([t, t[:1]]), "is a nested tensor"),
        ("bn1.bias", lambda t: t.to(torch.uint16), "is a tensor of int64, but weights are floats"),
        ("conv1.weight", lambda t: t.tolist(), "is a list, not a tensor"),
        ("conv1.weight", lambda t: None, "is a NoneType, not a tensor"),
    ],
)
def test_what_is_no_weight_is_named(
    key: str, change: Callable[[Tensor], Any], message: str, path: Path
) -> None:
    found = refusal(changed(key, change), path)
    assert message in found
    assert f"model.{key}" in found


def test_a_quantised_network_is_refused(path: Path) -> None:
    def quantised(weight: Tensor) -> Tensor:
        return torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)

    assert "a tensor of qint8. Save it as float32" in refusal(
        changed("conv1.weight", quantised), path
    )


def test_missing_running_statistics_are_named_once(path: Path) -> None:
    message = refusal(without("running_mean", "running_var", "num_batches_tracked"), path)
    assert "has no running statistics of BatchNorm (running_mean and running_var)" in message
    message = refusal(without("bn2.running_var"), path)
    assert "lacks layer1.0.bn2.running_var" in message


def test_a_variance_of_zero_is_a_dead_channel(path: Path) -> None:
    torch.save(changed("bn1.running_var", torch.zeros_like), path)
    assert not read(path)["bn1.running_var"].any()


def test_a_counter_that_float16_cut_off_is_zero(path: Path) -> None:
    torch.save(changed("bn1.num_batches_tracked", lambda t: torch.tensor(1e6).half()), path)
    assert read(path)["bn1.num_batches_tracked"] == 0


def test_a_torchscript_program_is_refused_by_name(path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    with pytest.raises(ScddError, match=r"is a TorchScript program.*Save its state_dict"):
        read(path)


@pytest.mark.parametrize("content", [[], (), 3, None, "text", [{"conv1.weight": 1}]])
def test_what_is_no_dictionary_is_refused(content: Any, path: Path) -> None:
    assert "not a state dict" in refusal(content, path)
