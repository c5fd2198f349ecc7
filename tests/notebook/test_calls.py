"""The stages as calls: bit for bit what the workflow's programs make of the same parameters."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import CLASSES, MEAN, STD, image_set, job

import scdd
from scdd import imageset, informativeness
from scdd import notebook as dd
from scdd import probe as probing
from scdd.artifacts.dataset import save_info, save_split
from scdd.artifacts.images import load_set
from scdd.artifacts.labels import open_store
from scdd.artifacts.network import load_checkpoint, save_checkpoint
from scdd.errors import ScddError
from scdd.evaluate import validate
from scdd.interop.torch_dataset import Images
from scdd.labels import relabel
from scdd.patches import __main__ as patches
from scdd.plan.load import plan_of
from scdd.plan.plan import Node
from scdd.recover import __main__ as recovery
from scdd.squeeze import __main__ as squeezing

SMALL = {"arch": "resnet10", "width": 0.125}
SQUEEZE = {"epochs": 2, "batch": 16, "queue": 64, "bn_groups": 2, "knn_every": 1}
PROBE = {"epochs": 3, "batch": 16, "lr": 1}
RECOVER = {"iterations": 6, "r_bn": 0.05, "shift": 1, "block": 2}
PROTOCOL = {"epochs": 3, "batch": 4, "mix": "cutmix", "student": SMALL}


def toy() -> dd.Data:
    train, val = image_set(60, 8), image_set(31, 8, seed=1)
    keys = {"classes": CLASSES, "mean": MEAN, "std": STD}
    pairs = [(split.pixels, split.labels) for split in (train, val)]
    return dd.open_data(*pairs, device="cpu", **keys)


@dataclass(frozen=True)
class Made:
    """What the calls made."""

    data: dd.Data
    backbone: dd.Backbone
    teacher: dd.Teacher
    images: dd.Images
    labels: dd.SoftLabels
    student: dd.Student


@pytest.fixture(scope="module")
def made() -> Made:
    data = toy()
    backbone = dd.squeeze(data, "mocov2", backbone=SMALL, **SQUEEZE)
    teacher = dd.probe(backbone, **PROBE)
    images = dd.recover(teacher, ipc=2, **RECOVER)
    labels = dd.relabel(teacher, images, "scdd-paper", **PROTOCOL)
    return Made(data, backbone, teacher, images, labels, dd.validate(images, labels, seed=1))


class Workflow:
    """The workflow's programs on a folder, with the toy's images as the dataset's artifact."""

    def __init__(self, folder: Path, data: dd.Data) -> None:
        self.folder, self.data = folder, folder / "dataset.json"
        for name, split in (("train", data.train), ("val", data.val)):
            assert split.pixels is not None
            save_split(folder / f"{name}.safetensors", split.labels, split.pixels, CLASSES)
        save_info(self.data, data.info, {})

    def run(self, main: Any, node: Node, *words: object, short: bool = False, **more: Any) -> None:
        """A program with the frozen parameters of `node`; `short`: it cannot be interrupted."""
        config = self.folder / f"{node.stage}.json"
        config.write_text(json.dumps(node.frozen()))
        given = {"config": config, "data": self.data, "device": "cpu", **more}
        given |= {} if short else job(self.folder)
        options = [f"--{key}={value}" for key, value in given.items()]
        assert main([*options, *map(str, words)]) == 0

    def patches(self, node: Node, teacher: Path) -> tuple[str, Path]:
        """What a recovery is told of the images that it starts from."""
        out = self.folder / "patches.safetensors"
        self.run(patches.main, node, teacher=teacher, root=self.folder, out=out)
        return "--patches", out

    def recover(self, node: Node, teacher: Path, *words: object) -> None:
        for classes in ("0:2", "2:3"):
            for slots in ("0:1", "1:10"):
                place = {"classes": classes, "slots": slots, "out": self.folder / "recover"}
                more = {**place, "root": self.folder}
                self.run(recovery.main, node, "--teacher", teacher, *words, **more)

    def images(self, source: Node, images: Node) -> torch.Tensor:
        """Of the shards that are there: uint8 [classes, ipc, 3, R, R]."""
        out = self.folder / "set.json"
        self.run(imageset.main, images, short=True, source=self.folder / "recover", out=out)
        return load_set(out).images.unflatten(0, (len(CLASSES), -1))


def test_every_stage_is_the_programs_bit_for_bit(made: Made, tmp_path: Path) -> None:
    flow, root, plan = Workflow(tmp_path, made.data), tmp_path, made.data.draft.plan
    backbone, teacher, labels = root / "backbone.safetensors", root / "probe.safetensors", root
    flow.run(
        squeezing.main, made.backbone.node, root=root, out=backbone, history=root / "squeeze.csv"
    )
    state = load_checkpoint(backbone, kind="backbone", classes=CLASSES).state
    assert _equal(made.backbone.checkpoint.state, state)
    assert [row[3] for row in made.backbone.history] == [
        float(line.split(",")[3]) for line in (root / "squeeze.csv").read_text().split()[1:]
    ]

    more = {"backbone": backbone, "metrics": root / "probe_metrics.json"}
    flow.run(probing.main, made.teacher.node, root=root, out=teacher, **more)
    state = load_checkpoint(teacher, kind="classifier", classes=CLASSES).state
    assert _equal(made.teacher.checkpoint.state, state)
    assert made.teacher.metrics == json.loads((root / "probe_metrics.json").read_text())

    source = plan.parent(made.images.node, "source")
    flow.recover(source, teacher)
    assert torch.equal(made.images.pixels, flow.images(source, made.images.node))
    assert made.images.content == load_set(root / "set.json").content

    out = {
        "images": root / "set.json",
        "epochs": "0:3",
        "out": root / "epochs_0000-0002.safetensors",
    }
    flow.run(relabel.main, made.labels.node, "--teacher", teacher, **out)
    store = open_store(labels, epochs=3, images=made.images.content, classes=CLASSES)
    assert store.origin == made.labels.store.origin
    for epoch in range(3):
        assert _equal(made.labels.store.epoch(epoch), store.epoch(epoch))

    out = {"images": root / "set.json", "labels": labels, "out": root / "metrics.json"}
    flow.run(validate.main, made.student.node, root=root, history=root / "history.csv", **out)
    metrics = json.loads((root / "metrics.json").read_text())
    assert (metrics["top1"], metrics["seed"]) == (made.student.top1, 1)
    losses = [line.split(",")[2] for line in (root / "history.csv").read_text().split()[1:]]
    assert losses == [str(row.loss) for row in made.student.history]


def _equal(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[k], others[k]) for k in others)


@pytest.mark.parametrize(
    "keys",
    [
        {"statistics": "class", "start": "real"},
        {"storage": "jpeg", "mean": MEAN, "std": STD},
        {"start": "patches", "patches": {"pool": 15, "crops": 2}},
        {"start": "median"},
    ],
)
def test_other_recoveries_are_the_programs_too(
    made: Made, tmp_path: Path, keys: dict[str, Any]
) -> None:
    flow, teacher = Workflow(tmp_path, made.data), tmp_path / "teacher"
    images = dd.recover(made.teacher, ipc=2, **{**RECOVER, **keys})
    plan = made.data.draft.plan
    source, words = plan.parent(images.node, "source"), tuple[object, ...]()
    save_checkpoint(teacher, made.teacher.checkpoint, {})
    if "patches" in source.parents:
        words = flow.patches(plan.parent(source, "patches"), teacher)
    flow.recover(source, teacher, *words)
    assert torch.equal(images.pixels, flow.images(source, images.node))


def test_an_automatic_r_bn_is_that_of_the_informativeness(made: Made, tmp_path: Path) -> None:
    flow, teacher = Workflow(tmp_path, made.data), tmp_path / "teacher"
    images = dd.recover(made.teacher, ipc=1, **{**RECOVER, "r_bn": "auto"})
    save_checkpoint(teacher, made.teacher.checkpoint, {})
    plan, out = made.data.draft.plan, tmp_path / "informativeness.json"
    look = plan.parent(plan.parent(images.node, "source"), "informativeness")
    flow.run(informativeness.main, look, short=True, teacher=teacher, out=out)
    r_bn = json.loads(out.read_text())["r_bn"]
    assert torch.equal(
        images.pixels, dd.recover(made.teacher, 1, **{**RECOVER, "r_bn": r_bn}).pixels
    )


def test_parameters_and_digests_are_the_workflows() -> None:
    """Of a dataset with a name: what the plan of a configuration has, published values and all."""
    squeeze = {**SQUEEZE, "batch": 64}
    plan = plan_of(
        {
            "experiment": "same",
            "dataset": {"name": "digits", "classes": 3},
            "backbone": SMALL,
            "methods": ["scdd"],
            "squeeze": {"mocov2": squeeze},
            "probe": PROBE,
            "recover": RECOVER,
            "ipc": [1],
            "protocol": {"scdd-code": PROTOCOL},
            "protocols": ["scdd-code"],
            "seeds": [5],
        }
    )
    data = dd.open_data("digits", classes=3, device="cpu")
    teacher = dd.probe(dd.squeeze(data, backbone=SMALL, **squeeze), **PROBE)
    images = dd.recover(teacher, ipc=1, **RECOVER)
    labels = dd.relabel(teacher, images, "scdd-code", **PROTOCOL)
    student = dd.validate(images, labels, seed=5)
    for value in (teacher, images, labels, student):
        (node,) = plan.of(value.node.stage)
        assert (value.node.digest, value.params) == (node.digest, node.params)


def test_saved_images_and_labels_are_read_by_load(made: Made, tmp_path: Path) -> None:
    path = made.images.save(tmp_path / "distilled")
    loaded = scdd.load(path)
    assert isinstance(loaded, Images)
    assert torch.equal(loaded.images, made.images.pixels.flatten(0, 1))
    made.labels.save(tmp_path / "labels")
    views = scdd.load(path, tmp_path / "labels")
    assert torch.equal(views[4][1], made.labels.store.epoch(0)["logits"][4])


def test_a_grid_shows_classes_in_rows(made: Made) -> None:
    picture = made.images.grid(scale=1)
    last = torch.from_numpy(np.asarray(picture)[:32:4, -32::4].copy())  # enlarged four times
    assert torch.equal(last.permute(2, 0, 1), made.images.pixels[0, 1])


def test_hard_labels_need_the_name_of_a_protocol_alone(made: Made) -> None:
    student = dd.validate(made.images, "scdd-paper", **PROTOCOL)
    assert student.params["labels"] == "hard"
    assert student.top1 != made.student.top1 or student.history != made.student.history


def test_views_that_are_drawn_again_train_the_same_student(made: Made) -> None:
    labels = dd.relabel(made.teacher, made.images, views="drawn", **PROTOCOL)
    assert dd.validate(made.images, labels, seed=1).history == made.student.history


def test_labels_by_principal_components_are_those_of_whole_files(made: Made) -> None:
    """Three epochs in files of two: the second file has a fourth epoch, as the workflow's has."""
    keys = {**PROTOCOL, "form": "pca:8", "epochs_per_shard": 2}
    labels = dd.relabel(made.teacher, made.images, **keys)
    assert labels.store.epochs == 3
    assert [len(tensors["lam"]) for tensors in labels.store.shards.values()] == [2, 2]
    longer = dd.relabel(made.teacher, made.images, **{**keys, "epochs": 4})
    assert _equal(labels.store.epoch(2), longer.store.epoch(2))


def test_the_teachers_of_batches_label_and_train(made: Made) -> None:
    """`use_batch_statistics` changes a network: the teacher's tensors must not change with it."""
    before = {k: v.clone() for k, v in made.teacher.checkpoint.state.items()}
    labels = dd.relabel(made.teacher, made.images, "scdd-code", **PROTOCOL, teacher_bn="batch")
    assert dd.validate(made.images, labels).top1 >= 0
    assert _equal(before, made.teacher.checkpoint.state)
    again = dd.relabel(made.teacher, made.images, "scdd-paper", **PROTOCOL)
    assert _equal(again.store.epoch(0), made.labels.store.epoch(0))


def test_images_of_ones_own_are_labelled_and_validated(made: Made) -> None:
    images = dd.as_images(made.data, made.images.pixels)
    assert images.content == made.images.content
    labels = dd.relabel(made.teacher, images, "scdd-paper", **PROTOCOL)
    assert dd.validate(images, labels, seed=1).history == made.student.history


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: dd.squeeze(m.data, "mocov4"), "unknown 'mocov4'. Did you mean 'mocov3'?"),
        (
            lambda m: dd.squeeze(m.data, epoch=1),
            "unknown key squeeze.mocov2.epoch. Did you mean 'epochs'?",
        ),
        (
            lambda m: dd.squeeze(m.data, batch=64, queue=64),
            "squeeze.mocov2.batch: 64, but there are 60 training images at most.",
        ),
        (lambda m: dd.squeeze(m.data, backbone="resnet19"), "backbone: unknown arch 'resnet19'"),
        (lambda m: dd.probe(m.backbone, lr=-1), "probe.lr: input should be greater than 0"),
        (lambda m: dd.recover(m.teacher, ipc=0), "ipc.0: input should be greater than or equal"),
        (lambda m: dd.recover(m.teacher, ipc=1, block=4), "recover.block: 4, but there are 3"),
        (lambda m: dd.recover(m.teacher, ipc=1, preset="sre"), "preset: unknown 'sre'"),
        (
            lambda m: dd.relabel(m.teacher, m.images, "scdd-papr", epochs=3),
            "protocols: unknown 'scdd-papr'. Did you mean 'scdd-paper'?",
        ),
        (lambda m: dd.relabel(m.teacher, m.images, "dc"), "protocol dc has hard labels"),
        (
            lambda m: dd.validate(m.images, m.labels, mix="mixup"),
            "labels were made with other keys",
        ),
        (lambda m: dd.validate(m.images, m.labels, epochs=4), "4, but there are labels of 3"),
        (lambda m: dd.validate(m.images, m.labels, seed=-1), "seeds.0: input should be greater"),
        (
            lambda m: dd.validate(dd.as_images(m.data, 255 - m.images.pixels), m.labels),
            "labels: they are of images ",
        ),
        (
            lambda m: dd.as_images(m.data, m.images.pixels.flatten(0, 1)),
            "images of uint8 [classes, ipc, 3, R, R] = [3, ipc, 3, 8, 8] are needed, not "
            "torch.uint8 [6, 3, 8, 8].",
        ),
        (lambda m: dd.as_images(m.data, m.images.pixels.float()), "not torch.float32"),
        (lambda m: dd.relabel(m.teacher, _of_others(m.images)), "class order differs"),
    ],
)
def test_mistakes_are_told_in_one_line(made: Made, call: Any, message: str) -> None:
    with pytest.raises(ScddError) as caught:
        call(made)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def _of_others(images: dd.Images) -> dd.Images:
    info = replace(images.data.info, classes=("c", "b", "a"))
    return replace(images, data=replace(images.data, info=info))
