"""The squeeze: its loop, and MoCo v2 against naive float64 arithmetic."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from toy import job

from scdd.artifacts.dataset import DatasetInfo, save_info, save_split
from scdd.artifacts.network import load_checkpoint
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.networks.backbone import Backbone, backbone_state
from scdd.networks.resnet import build
from scdd.networks.schedules import warm_cosine
from scdd.params.network import Network
from scdd.params.squeeze import SQUEEZES, Training
from scdd.params.views import View
from scdd.rng import generator
from scdd.squeeze import __main__ as program
from scdd.squeeze import engine
from scdd.squeeze.methods import methods, module
from scdd.squeeze.methods.mocov2 import contrast
from scdd.squeeze.norm import GroupedBatchNorm
from scdd.squeeze.views import Crop
from scdd.views.colour import Jitter

CPU = torch.device("cpu")
ARCHITECTURE = Network("resnet10", 0.125, "small")
CLASSES = ("dark", "light")
INFO = DatasetInfo("toy", CLASSES, 8, (0.5,) * 3, (0.25,) * 3, 24, 24, "", "0" * 8)
LARGE = Crop(8, View("resized", 0, (0.5, 1.0), True), Jitter((0.2, 0.2, 0.2, 0.1), 0.8, 0.2))
TRAINING = Training(epochs=2, batch=8, lr=0.05, weight_decay=1e-4, knn_every=0)
NOW = engine.Now(0, 3, 2)
MOCO = {
    "dim": 6,
    "queue": 32,
    "target_momentum": 0.9,
    "temperature": 0.2,
    "symmetric": True,
    "bn_groups": 2,
    "batch": 8,
}
PARAMS = {
    "method": "mocov2",
    "arch": "resnet10",
    "width": 0.125,
    "stem": "small",
    "epochs": 2,
    "lr": 0.05,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "warmup_epochs": 0,
    "seed": 0,
    "precision": "float32",
    "view": {"crop": "resized", "pad": 0, "scale": [0.5, 1.0], "flip": True},
    "colour_jitter": [0.2, 0.2, 0.2, 0.1],
    "colour_jitter_p": 0.8,
    "grey_p": 0.2,
    **MOCO,
}


def toy() -> Split:
    """24 noisy images, dark and light in turn."""
    labels = torch.arange(24) % 2
    noise = torch.randint(0, 100, (24, 3, 8, 8), generator=generator("toy"))
    return Split(labels, (noise + labels[:, None, None, None] * 120).to(torch.uint8), (), 8)


def make(name: str, seed: int = 0, **changes: Any) -> tuple[engine.Method, Backbone]:
    draw = generator(seed)
    network = build(ARCHITECTURE, 2, draw)
    return module(name).make(SQUEEZES[name].of({**MOCO, **changes}), network, draw), network


def test_learning_rate_at_start_middle_and_end() -> None:
    rates = [warm_cosine(step, 110, 10, 0.4) for step in range(110)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[4] == pytest.approx(0.2)
    assert rates[9] == rates[10] == pytest.approx(0.4)
    assert rates[60] == pytest.approx(0.2)
    assert rates[109] == pytest.approx(0.2 * (1 + math.cos(math.pi * 0.99)))
    assert warm_cosine(0, 100, 0, 0.4) == 0.4
    assert warm_cosine(50, 100, 0, 0.4, 0.2) == pytest.approx(0.3)
    assert warm_cosine(0, 100, 10, 0.4, 0.2) == pytest.approx(0.04)


def test_a_cosine_at_start_middle_and_end() -> None:
    moments = [engine.Now(step, 10, 10) for step in (0, 50, 99, 100)]
    expected = [0.9, 0.95, 0.95 - 0.05 * math.cos(math.pi * 0.99), 1.0]
    assert [now.cosine(0.9, 1.0) for now in moments] == pytest.approx(expected)
    assert [now.epoch for now in moments] == [0, 5, 9, 10]


def test_the_accuracy_is_looked_at_every_few_epochs_and_at_the_end() -> None:
    found = []
    for every in (0, 2):
        method, network = make("supervised")
        params = replace(TRAINING, epochs=3, knn_every=every)
        history = engine.train(method, network, toy(), INFO, params, (LARGE, LARGE), CPU)
        assert [row[3] is not None for row in history] == [False, every > 0, every > 0]
        found.append(backbone_state(network))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_contrast_equals_a_naive_loop() -> None:
    numbers = torch.randn(3, 5, 7, generator=generator(0)).double()
    queries, keys, queue = functional.normalize(numbers, dim=2)
    total = 0.0
    for query, key in zip(queries.tolist(), keys.tolist(), strict=True):
        similar = [
            math.exp(sum(a * b for a, b in zip(query, other, strict=True)) / 0.2)
            for other in [key, *queue.tolist()]
        ]
        total += -math.log(similar[0] / sum(similar))
    found = contrast(queries.float(), keys.float(), queue.float(), 0.2)
    assert found.item() == pytest.approx(total / 5, rel=1e-6)


def naive_encode(encoder: nn.Module, images: Tensor, groups: list[list[int]]) -> Tensor:
    """Unit vectors when each group goes through the encoder by itself, with plain BatchNorm."""
    plain = build(ARCHITECTURE, 2).double()
    plain.load_state_dict(encoder.network.state_dict())
    out = torch.zeros(len(images), MOCO["dim"], dtype=torch.float64)
    for group in groups:
        seen = plain.features(images[group])
        hidden = (seen @ encoder.head[0].weight.double().T + encoder.head[0].bias).clamp(min=0)
        out[group] = hidden @ encoder.head[2].weight.double().T + encoder.head[2].bias
    return out / out.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("symmetric", [True, False])
def test_moco_equals_a_naive_loop(symmetric: bool) -> None:
    """Loss, order of the queue and momentum update over three steps, in float64."""
    method, _ = make("mocov2", symmetric=symmetric)
    optimizer = torch.optim.SGD([w for w in method.parameters() if w.requires_grad], lr=0.1)
    queue = [row.double() for row in method.queue]
    place = 0
    momentum = {k: w.detach().double() for k, w in method.key.named_parameters()}
    for step in range(3):
        views = torch.randn(2, 8, 3, 8, 8, generator=generator("views", step))
        first, second = views.double()
        interleaved, neighbours = [[0, 2, 4, 6], [1, 3, 5, 7]], [[0, 1, 2, 3], [4, 5, 6, 7]]
        expected, fresh = 0.0, []
        pairs = [(first, second), (second, first)] if symmetric else [(first, second)]
        for one, other in pairs:
            query = naive_encode(method.query, one, interleaved)
            key = naive_encode(method.key, other, neighbours)
            logits = torch.cat([(query * key).sum(1)[:, None], query @ torch.stack(queue).T], 1)
            expected += -(logits / 0.2).log_softmax(1)[:, 0].mean().item()
            fresh.extend(key.detach())
        loss = method.loss(list(views), torch.zeros(8), NOW)
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(NOW)
        for key in fresh:
            queue[place % 32] = key
            place += 1
        torch.testing.assert_close(method.queue.double(), torch.stack(queue), atol=1e-5, rtol=0)
        for name, weight in method.query.named_parameters():
            momentum[name] = 0.9 * momentum[name] + 0.1 * weight.detach().double()
            found = method.key.get_parameter(name).double()
            torch.testing.assert_close(found, momentum[name], atol=1e-6, rtol=1e-5)


def test_a_queue_shorter_than_the_keys_keeps_the_newest() -> None:
    method, _ = make("mocov2", queue=4, batch=4)  # both views of it are queries, so 8 keys
    keys = torch.arange(48.0).view(8, 6)
    method.enqueue(keys)
    assert sorted(method.queue[:, 0].tolist()) == [24, 30, 36, 42]


def test_grouped_batch_norm_equals_each_groups_own() -> None:
    x = torch.randn(12, 5, 4, 4, generator=generator(0), requires_grad=True)
    grouped, plain = GroupedBatchNorm(nn.BatchNorm2d(5), 3), [nn.BatchNorm2d(5) for _ in range(3)]
    with torch.no_grad():
        for layer in [grouped, *plain]:
            layer.weight.copy_(torch.linspace(0.5, 2, 5))
            layer.bias.copy_(torch.linspace(-1, 1, 5))
    for _ in range(2):  # the second time the running statistics are no longer 0 and 1
        found = grouped(x)
        for group, layer in enumerate(plain):
            torch.testing.assert_close(found[group::3], layer(x[group::3]))
    for name in ("running_mean", "running_var"):
        expected = torch.stack([getattr(layer, name) for layer in plain]).mean(0)
        torch.testing.assert_close(getattr(grouped, name), expected)
    assert grouped.num_batches_tracked == 2
    vectors = GroupedBatchNorm(nn.BatchNorm1d(5, affine=False), 3)
    for group in range(3):
        own = nn.BatchNorm1d(5, affine=False)(x[group::3, :, 0, 0])
        torch.testing.assert_close(vectors(x[:, :, 0, 0])[group::3], own)
    grouped.eval()
    reference = nn.BatchNorm2d(5).eval()
    reference.load_state_dict(grouped.state_dict())
    torch.testing.assert_close(grouped(x), reference(x))


def test_supervised_learns_the_labels() -> None:
    method, network = make("supervised")
    params = replace(TRAINING, epochs=8)
    history = engine.train(method, network, toy(), INFO, params, (LARGE,), CPU)
    assert [row[0] for row in history] == list(range(1, 9))
    assert history[0][1] == TRAINING.lr
    assert history[-1][2] < 0.2 < history[0][2]


@pytest.mark.parametrize("name", ["mocov2", "supervised"])
def test_two_runs_are_equal_to_the_bit(name: str) -> None:
    states = []
    for _ in range(2):
        method, network = make(name)
        engine.train(method, network, toy(), INFO, TRAINING, (LARGE, LARGE), CPU)
        states.append(backbone_state(network))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_bf16_trains_float32_weights() -> None:
    method, network = make("mocov2")
    history = engine.train(
        method, network, toy(), INFO, replace(TRAINING, precision="bf16"), (LARGE, LARGE), CPU
    )
    assert math.isfinite(history[-1][2])
    assert {t.dtype for t in backbone_state(network).values()} == {torch.float32, torch.int64}


def test_diverging_stops_with_the_last_good_state() -> None:
    class Breaks(engine.Method):
        def __init__(self, network: Backbone) -> None:
            super().__init__()
            self.network, self.steps = network, 0

        def loss(self, views: list[Tensor], labels: Tensor, now: engine.Now) -> Tensor:
            self.steps += 1  # three steps an epoch: the fifth is in the second
            loss = functional.cross_entropy(self.network(views[0]), labels)
            return loss * math.nan if self.steps == 5 else loss

    network = build(ARCHITECTURE, 2, generator(0))
    with pytest.raises(engine.Diverged) as caught:
        engine.train(
            Breaks(network), network, toy(), INFO, replace(TRAINING, epochs=4), (LARGE, LARGE), CPU
        )
    assert caught.value.epoch == 2
    assert all(bool(t.isfinite().all()) for t in caught.value.state.values())
    assert caught.value.state["bn1.num_batches_tracked"] == 3


def test_too_large_a_batch_is_refused() -> None:
    method, network = make("supervised")
    with pytest.raises(ScddError, match="batch 25"):
        engine.train(method, network, toy(), INFO, replace(TRAINING, batch=25), (LARGE, LARGE), CPU)


def test_methods_are_found_by_name() -> None:
    assert {"mocov2", "mocov3", "swav", "dino", "supervised", "untrained"} <= set(methods())
    assert "optimizers" not in methods()
    with pytest.raises(ScddError, match="mocov2"):
        module("mocov2x")
    with pytest.raises(ScddError, match="unknown"):
        module("engine")


def run(folder: Path, options: dict[str, object], **changes: Any) -> int:
    split = toy()
    assert split.pixels is not None
    for name in ("train", "val"):
        save_split(folder / f"{name}.safetensors", split.labels, split.pixels, CLASSES)
    save_info(folder / "dataset.json", INFO, {})
    frozen = {"stage": "squeeze", "version": 1, "label": "toy", "digest": "abcd", "parents": {}}
    (folder / "config.json").write_text(json.dumps({**frozen, "params": {**PARAMS, **changes}}))
    paths = {
        "--config": "config.json",
        "--data": "dataset.json",
        "--root": "",
        "--out": "backbone.safetensors",
        "--history": "history.csv",
    }
    argv = [word for key, name in paths.items() for word in (key, str(folder / name))]
    argv += [f"--{key}={value}" for key, value in options.items()]
    return program.main([*argv, "--device", "cpu"])


@pytest.mark.parametrize(("method", "epochs"), [("mocov2", 2), ("supervised", 2), ("untrained", 0)])
def test_program_writes_backbone_and_history(tmp_path: Path, method: str, epochs: int) -> None:
    assert run(tmp_path, job(tmp_path), method=method) == 0
    found = load_checkpoint(
        tmp_path / "backbone.safetensors",
        kind="backbone",
        classes=CLASSES,
    )
    assert found.state.keys() == backbone_state(build(ARCHITECTURE, 2)).keys()
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "lr", "loss", "knn"]
    assert len(rows) == 1 + epochs


def test_program_keeps_the_last_good_backbone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = job(tmp_path)
    assert run(tmp_path, options, method="supervised", lr=1e30) == 1
    assert "epoch 1 of 2" in (error := capsys.readouterr().err)
    kept = Path(str(options["work"])) / "last_good.safetensors"
    assert str(kept) in error
    assert load_checkpoint(kept, kind="backbone", classes=CLASSES).digest == "abcd"
    assert not (tmp_path / "backbone.safetensors").exists()
