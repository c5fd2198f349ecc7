"""The arithmetic that the classic methods are planned to take, against counts by hand."""

from typing import Any

import pytest

from scdd.artifacts.sizes import convnet_flops
from scdd.plan.flops import flops
from scdd.plan.load import plan_of

FORWARD = 0.1019e9  # of ConvNet-3 with 128 filters on an image of CIFAR-100


def test_a_forward_pass_is_that_of_the_layers() -> None:
    """Nine weights for each pair of channels and pixel, twice; and the last layer."""
    layers = [3 * 128 * 32**2, 128 * 128 * 16**2, 128 * 128 * 8**2]
    assert convnet_flops(3, 128, 32, 100) == 2 * (9 * sum(layers) + 100 * 128 * 4**2)
    assert convnet_flops(3, 128, 32, 100) == pytest.approx(FORWARD, rel=1e-3)
    assert convnet_flops(4, 128, 64, 200) == pytest.approx(0.43e9, rel=0.02)


def planned(method: Any, ipc: int, stage: str = "learn") -> float:
    config = {
        "experiment": "e",
        "dataset": "cifar100",
        "methods": [method],
        "ipc": [ipc],
        "protocols": ["dc"],
        "seeds": [0],
    }
    plan = plan_of(config, check_files=False)
    (node,) = plan.of(stage)
    work = flops(plan, node)
    assert work is not None
    return work


@pytest.mark.parametrize(
    ("method", "ipc", "passes"),
    [
        # 1,000 networks: 25,600 real images trained on, 100 learned ones differentiated twice
        ("dc", 1, 1000 * (25_600 * 3 + 100 * 9)),
        # ten steps of the images, and 50 epochs on them between two
        ("dsa", 10, 1000 * (10 * (25_600 * 3 + 1000 * 9) + 9 * 50 * 1000 * 3)),
        # real images go forward only
        ("dm", 50, 20_000 * (25_600 + 5000 * 3)),
        # 20 steps on 100 images, each differentiated once more
        ("mtt", 1, 5000 * 20 * 100 * 11),
        ("tesla", 50, 10_000 * 80 * 125 * 11),
    ],
)
def test_a_method_takes_its_passes(method: str, ipc: int, passes: int) -> None:
    assert planned(method, ipc) == pytest.approx(passes * FORWARD, rel=1e-3)


def test_experts_take_three_passes_of_each_image_and_epoch() -> None:
    """CIFAR-100's at IPC 50: 100 experts up to epoch 41."""
    assert planned("mtt", 50, "experts") == pytest.approx(100 * 41 * 50_000 * 3 * FORWARD, rel=1e-3)
