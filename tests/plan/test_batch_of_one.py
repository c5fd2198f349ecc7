"""A batch of one image, and a dataset of one class."""

from pathlib import Path
from typing import Any

import pytest
import torch

from scdd.errors import ScddError
from scdd.networks.students import build
from scdd.params.network import Network
from scdd.plan.load import plan_of
from scdd.plan.students import for_images, require_batch
from scdd.rng import generator

CONFIG: dict[str, Any] = {
    "experiment": "e",
    "dataset": "digits",
    "methods": ["random-hard"],
    "ipc": [1],
    "students": [{"arch": "resnet10", "stem": "imagenet"}],
}


@pytest.mark.parametrize(
    ("arch", "stem", "resolution"),
    [
        *(("resnet10", "small", resolution) for resolution in (8, 9)),
        *(("resnet10", "imagenet", resolution) for resolution in (16, 32, 33)),
        *(("densenet21", "small", resolution) for resolution in (15, 16)),
        *(("densenet21", "imagenet", resolution) for resolution in (60, 61)),
        *(("shufflenet_v2_x0_5", "small", resolution) for resolution in (8, 9)),
        *(("mobilenet_v2", "imagenet", resolution) for resolution in (32, 33)),
        *(("efficientnet_b0", "small", resolution) for resolution in (16, 17)),
        *(("wrn-16-2", "auto", resolution) for resolution in (4, 5)),
    ],
)
def test_a_batch_of_one_is_refused_where_torch_refuses_it(
    arch: str, stem: str, resolution: int
) -> None:
    suited = for_images(Network(arch, 1 / 16, stem), resolution, "students")
    network = build(suited, 2, resolution, generator(0))
    try:
        network.train()(torch.zeros(1, 3, resolution, resolution))
        trains = True
    except ValueError:
        trains = False
    if trains:
        require_batch(suited, 1, resolution, "protocol.x.batch")
    else:
        with pytest.raises(ScddError, match=r"^protocol\.x\.batch: 1, but BatchNorm"):
            require_batch(suited, 1, resolution, "protocol.x.batch")
    require_batch(suited, 2, resolution, "protocol.x.batch")


def test_a_protocols_batch_of_one_is_refused_before_the_first_job() -> None:
    with pytest.raises(ScddError, match=r"protocol\.scdd-paper\.batch: 1, but"):
        plan_of({**CONFIG, "protocol": {"scdd-paper": {"batch": 1}}})


def test_one_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    dataset = {"name": "imagefolder", "root": str(tmp_path), "resolution": 32}
    with pytest.raises(ScddError, match=r"^dataset\.root: .*train: one class is not enough"):
        plan_of({**CONFIG, "dataset": dataset})
