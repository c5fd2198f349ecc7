"""The probe: learns what can be learnt, moves nothing but `fc`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import job

from scdd import probe
from scdd.artifacts.dataset import DatasetInfo, save_info, save_split
from scdd.artifacts.network import Checkpoint, load_checkpoint, save_checkpoint
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.networks.backbone import Backbone, backbone_state
from scdd.networks.resnet import build
from scdd.params.network import Network
from scdd.params.probe import Probe
from scdd.params.views import View
from scdd.rng import generator

CPU = torch.device("cpu")
ARCHITECTURE = Network("resnet10", 0.125, "small")
CLASSES = ("red", "green", "blue", "white", "black")
INFO = DatasetInfo("toy", CLASSES, 8, (0.5,) * 3, (0.25,) * 3, 40, 40, "", "0" * 8)
RECIPE = Probe(
    features="clean",
    view=View("padded", 1, (1.0, 1.0), True),
    epochs=40,
    batch=16,
    lr=0.5,
    momentum=0.9,
    weight_decay=0.0,
    milestones=(0.6, 0.8),
    seed=0,
)


def colours() -> Split:
    """40 noisy images in the classes' colours: linearly separable."""
    labels = torch.arange(40) % 5
    of_class = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]])
    noise = torch.randint(0, 60, (40, 3, 8, 8), generator=generator("colours"))
    return Split(labels, (noise + 180 * of_class[labels][..., None, None]).to(torch.uint8), (), 8)


def trained(**changes: Any) -> tuple[Backbone, dict[str, torch.Tensor]]:
    network = build(ARCHITECTURE, 5, generator(0))
    before = {key: tensor.clone() for key, tensor in backbone_state(network).items()}
    probe.train(network, colours(), INFO, replace(RECIPE, **changes), CPU)
    return network, before


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("features", ["clean", "augmented"])
def test_separable_classes_are_learnt_and_the_backbone_stays(features: str, precision: str) -> None:
    network, before = trained(features=features, precision=precision)
    seen = probe.features(network, colours(), INFO, precision, CPU)
    assert seen.dtype == network.fc.weight.dtype == torch.float32
    assert probe.top(network.fc(seen), colours().labels, 1) == 100
    after = backbone_state(network)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_clean_equals_augmented_where_views_change_nothing() -> None:
    """The cached features are those that the network computes again every epoch."""
    view = View("none", 0, (1.0, 1.0), False)
    one, _ = trained(features="clean", view=view, epochs=5)
    two, _ = trained(features="augmented", view=view, epochs=5)
    torch.testing.assert_close(one.fc.weight, two.fc.weight, atol=1e-4, rtol=1e-3)


def test_sgd_follows_the_milestones() -> None:
    """Against a plain loop over the whole batch: one batch an epoch needs no order."""
    network, _ = trained(batch=40, epochs=5, milestones=(0.4, 0.8), momentum=0.0)
    seen = probe.features(network, colours(), INFO, "float32", CPU).double()
    start, _ = trained(epochs=0)
    weight, bias = start.fc.weight.detach().double(), start.fc.bias.detach().double()
    target = torch.eye(5).double()[colours().labels]
    for rate in (0.5, 0.5, 0.05, 0.05, 0.005):
        error = ((seen @ weight.T + bias).softmax(1) - target) / 40
        weight, bias = weight - rate * error.T @ seen, bias - rate * error.sum(0)
    torch.testing.assert_close(network.fc.weight.double(), weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network.fc.bias.double(), bias, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("features", ["clean", "augmented"])
def test_bf16_rounds_the_passes_through_the_backbone(features: str) -> None:
    exact, rounded = (trained(features=features, precision=one)[0] for one in ("float32", "bf16"))
    assert not torch.equal(exact.fc.weight, rounded.fc.weight)


def test_a_backbone_that_moves_is_caught() -> None:
    network = build(ARCHITECTURE, 5, generator(0))

    def disturb(*_: object) -> None:
        network.bn1.running_mean += 1e-3

    network.layer4.register_forward_hook(disturb)
    with pytest.raises(ScddError, match=r"bn1\.running_mean"):
        probe.train(network, colours(), INFO, RECIPE, CPU)


STILL = View("none", 0, (1.0, 1.0), False)


def test_statistics_move_alone_and_by_batch_norms_own_rule() -> None:
    """One batch an epoch: a running mean comes nearer to the batch's by a tenth each time."""
    network, before = trained(features="augmented", tune="statistics", view=STILL, batch=40)
    after = backbone_state(network)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert {key.rpartition(".")[2] for key in changed} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    images = colours().pixels
    assert images is not None
    seen = network.conv1((images / 255 - 0.5) / 0.25).mean((0, 2, 3))  # of all, in each epoch
    left = 0.9**RECIPE.epochs
    expected = seen + left * (before["bn1.running_mean"] - seen)
    torch.testing.assert_close(after["bn1.running_mean"], expected, atol=1e-4, rtol=1e-3)
    assert not any(module.training for module in network.modules())


def test_fine_tuning_moves_the_weights_too() -> None:
    network, before = trained(features="augmented", tune="all", view=STILL, lr=0.05)
    assert not torch.equal(before["conv1.weight"], network.conv1.weight)
    seen = probe.features(network, colours(), INFO, "float32", CPU)
    assert probe.top(network.fc(seen), colours().labels, 1) == 100


@pytest.mark.parametrize("tune", ["statistics", "all"])
def test_features_that_are_computed_once_are_refused_where_the_backbone_moves(tune: str) -> None:
    with pytest.raises(ValueError, match=f"tune {tune} moves the backbone"):
        replace(RECIPE, tune=tune)


def test_a_loss_that_is_not_finite_stops() -> None:
    with pytest.raises(ScddError, match="epoch"):
        trained(lr=1e38)


def test_top_counts_ranks() -> None:
    logits = torch.tensor([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1], [1.0, 2.0, 3.0]])
    labels = torch.tensor([1, 1, 0])
    assert probe.top(logits, labels, 1) == pytest.approx(100 / 3)
    assert probe.top(logits, labels, 2) == pytest.approx(200 / 3)
    assert probe.top(logits, labels, 3) == 100


def run(folder: Path, classes: tuple[str, ...] = CLASSES) -> int:
    split = colours()
    assert split.pixels is not None
    for name in ("train", "val"):
        save_split(folder / f"{name}.safetensors", split.labels, split.pixels, CLASSES)
    save_info(folder / "dataset.json", INFO, {})
    state = backbone_state(build(ARCHITECTURE, 5, generator(0)))
    backbone = Checkpoint("backbone", ARCHITECTURE, classes, state, "beef")
    save_checkpoint(folder / "backbone.safetensors", backbone, {})
    view = {"crop": "none", "pad": 0, "scale": [1.0, 1.0], "flip": False}
    params = {**vars(RECIPE), "view": view}
    frozen = {"stage": "probe", "version": 1, "label": "toy", "digest": "abcd"}
    frozen["parents"] = {"backbone": "beef"}
    (folder / "config.json").write_text(json.dumps({**frozen, "params": params}))
    paths = {
        "--config": "config.json",
        "--data": "dataset.json",
        "--root": "",
        "--backbone": "backbone.safetensors",
        "--out": "probe.safetensors",
        "--metrics": "metrics.json",
    }
    argv = [word for key, name in paths.items() for word in (key, str(folder / name))]
    argv += [f"--{key}={value}" for key, value in job(folder).items()]
    return probe.main([*argv, "--device", "cpu"])


def test_program_writes_classifier_and_metrics(tmp_path: Path) -> None:
    assert run(tmp_path) == 0
    found = load_checkpoint(
        tmp_path / "probe.safetensors",
        kind="classifier",
        classes=CLASSES,
    )
    network = build(found.architecture, 5).eval()
    network.load_state_dict(found.state)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics == {"top1": 100, "train_top1": 100, "top5": 100}


def test_another_class_order_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, CLASSES[::-1]) == 1
    assert "class order differs" in capsys.readouterr().err
    assert not (tmp_path / "probe.safetensors").exists()
