"""Steps that compare: with float64, with earlier results, with plain steps."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import test_recover_golden as reference
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from toy import CLASSES, TEACHER, image_set, info, loss_of

from gpu.place import Place
from gpu.report import Outcome, table
from gpu.workflows import plan_from
from scdd.artifacts.labels import Origin, open_store, save_shard
from scdd.data import placement
from scdd.data.batches import views
from scdd.evaluate import feeds, train, validate
from scdd.jobs.capture import Compiled
from scdd.labels import relabel
from scdd.labels.labelling import Labelling
from scdd.labels.replay import replay as replayed
from scdd.networks.backbone import in_eval_mode
from scdd.networks.resnet import build
from scdd.params.protocol import Student
from scdd.params.recover import Recover
from scdd.params.squeeze import MoCoV2
from scdd.params.views import Transform, View
from scdd.plan import code
from scdd.recover.engine import Units, recover_units
from scdd.recover.matching import frozen
from scdd.recover.units import draw_unit
from scdd.rng import generator
from scdd.squeeze import engine
from scdd.squeeze.methods import mocov2
from scdd.squeeze.views import Crop, Jitter
from scdd.views.pixels import valid_range

# off the gradient in float64, as a part of its length; what is multiplied has 24, 11 and 8 bits
BOUNDS = {"float32": 1e-5, "tf32": 2e-2, "bf16": 1e-1}
SIZE = 16  # pixels of the toy problem's images
VIEW = View("resized", 0, (0.3, 1.0), True)


def golden(place: Place) -> Outcome:
    """Loss and gradient of a step of the reference's run, against the formula in float64."""
    data = load_file(reference.FILE)
    shift = tuple(data["jitter"][0, 7].tolist())
    exact = data["init"].double().requires_grad_()
    expected = reference.naive(data, exact.roll(shift, dims=(2, 3)))
    (slope,) = torch.autograd.grad(expected[0], exact)
    rows, within = [], True
    for name, bound in BOUNDS.items():
        torch.backends.cudnn.allow_tf32 = name == "tf32"
        torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
        precision = "bf16" if name == "bf16" else "float32"
        network = reference.Small()
        network.load_state_dict({k[6:]: v for k, v in data.items() if k.startswith("model.")})
        teacher = frozen(network.to(place.device), precision)
        images = data["init"].to(place.device).requires_grad_()
        losses = loss_of(
            teacher,
            reference.FIRST,
            images.roll(shift, (2, 3)),
            data["targets"].to(place.device),
            replace(reference.SETTINGS, precision=precision),
        )
        (ours,) = torch.autograd.grad(losses[0], images)
        loss = abs(losses[0].item() / expected[0].item() - 1)
        gradient = ((ours.double().cpu() - slope).norm() / slope.norm()).item()
        within = within and gradient <= bound
        rows.append([name, f"{loss:.1e}", f"{gradient:.1e}", f"{bound:.0e}"])
    header = ["precision", "loss off by", "gradient off by", "bound"]
    return Outcome("done" if within else "failed", 0, table(header, rows))


def teacher_of(place: Place) -> nn.Module:
    return in_eval_mode(build(TEACHER, len(CLASSES), generator(1)), place.device)


def replay(place: Place) -> Outcome:
    """Whether the teacher says the same, to the bit, of the views that a student gets from the
    store, in passes of the same size."""
    split, teacher = image_set(relabel.PASS, SIZE).to(place.device), teacher_of(place)
    transform = Transform(VIEW, "cutmix", 1.0)
    labelling = Labelling(transform, 0)
    shard = relabel.label(
        teacher, split, labelling, "float16", 1.0, (0, 1), info(SIZE), place.device
    )
    folder = place.folder / "replay"
    origin = Origin("d", "i", CLASSES, "t", transform.dump(), "float16", 0, SIZE)
    save_shard(folder / "epochs_0000-0000.safetensors", shard, origin, (0, 1), {})
    stored = replayed(open_store(folder, epochs=1, images="i", classes=CLASSES), 0, place.device)
    order = torch.arange(len(split), device=place.device)
    with torch.inference_mode():
        ((index, seen),) = views(split, order, relabel.PASS, stored.draws, "cutmix", info(SIZE))
        again, labels = teacher(seen).half(), stored.logits(index)
    off = ((again - labels).float().abs().max() / labels.float().abs().max()).item()
    same = torch.equal(again, labels)
    line = "Equal to the bit." if same else f"Off by up to {off:.1e} of the largest logit."
    return Outcome("done" if same else "failed", 0, [line])


def streams(place: Place) -> Outcome:
    """Labels and a student of an image set for which there is no room, against those that
    Snakemake made with the set on the device."""
    os.chdir(place.runs)
    plan = plan_from(place.folder / "everything.yaml")
    student = next(n for n in plan.of("validate") if "labels" in n.parents)
    labels = plan.parent(student, "labels")
    images = plan.parent(labels, "images").folder / "set.json"
    data, (shard,) = plan.data_of(student).folder, plan.targets(labels)
    probes = [str(path) for path in plan.made_by(labels, "teacher")]
    first, last = map(int, shard.stem.removeprefix("epochs_").split("-"))
    epochs, folder = f"{first}:{last + 1}", place.folder / "streams"
    history = str(folder / "history.csv")
    placement.capacity = lambda _: 0
    for node, program, more in (
        (labels, relabel.main, ["--teacher", *probes, "--epochs", epochs]),
        (
            student,
            validate.main,
            ["--root", "data", "--labels", str(labels.folder), "--history", history],
        ),
    ):
        words = {
            "config": node.folder / "config.json",
            "code": code.print_path(node),
            "work": folder / node.stage,
            "data": data / "dataset.json",
            "images": images,
            "device": place.device.type,
            "out": folder / plan.targets(node)[0].name,
        }
        given = [text for key, value in words.items() for text in (f"--{key}", str(value))]
        if program([*given, *more]) != 0:
            return Outcome("failed", 0, [f"{node.stage} failed."])
    before, again = load_file(shard), load_file(folder / shard.name)
    off = (before["logits"].float() - again["logits"].float()).abs().max().item()
    off /= before["logits"].float().abs().max().item()
    metrics = [json.loads((at / "metrics.json").read_text()) for at in (student.folder, folder)]
    lines = [
        f"Labels: off by {off:.1e} of the largest logit.",
        f"Student: {metrics[0]['top1']:.1f} % with the images on the device, "
        f"{metrics[1]['top1']:.1f} % from files.",
    ]
    return Outcome("done" if off < BOUNDS["bf16"] else "failed", 0, lines)


def captured(place: Place) -> Outcome:
    """Recovery, squeeze and student on a toy problem, captured and compiled, against plain ones."""
    ways: tuple[Compiled, ...] = ("graphs", "full")
    if place.small:  # a compiler takes most of a minute
        torch.compile = partial(torch.compile, backend="aot_eager")
    rows, close = [], True
    for name, losses in WORKS.items():
        plain = losses(place, "none")
        for way in ways:
            off = max(abs(a / b - 1) for a, b in zip(losses(place, way), plain, strict=True))
            close = close and off < 0.02
            rows.append([f"{name}, {way}", f"{off:.1e}"])
    return Outcome("done" if close else "failed", 0, table(["steps", "losses off by"], rows))


def _recovery(place: Place, compiled: Compiled) -> list[float]:
    settings = Recover(20, 0.1, (0.5, 0.9), 0.01, 10.0, 0.0, 0.0, 2, None, False, "float32")
    labels = torch.arange(len(CLASSES))
    recovery = recover_units(
        [build(TEACHER, len(CLASSES), generator(0)).to(place.device)],
        Units(range(3), len(CLASSES), partial(_unit, settings, labels)),
        settings,
        valid_range(info(SIZE), place.device),
        width=2,
        compiled=compiled,
    )
    # the paths of single pixels part by rounding; the first losses do not
    return recovery.losses[:, :5, 0].flatten().tolist()


def _unit(settings: Recover, labels: Tensor, slot: int):  # type: ignore[no-untyped-def]
    return draw_unit(settings, labels, SIZE, seed=0, block=0, slot=slot)


def _squeeze(place: Place, compiled: Compiled) -> list[float]:
    draw = generator(0)
    params = MoCoV2(epochs=2, batch=8, lr=0.01, queue=16, dim=8, bn_groups=2, knn_every=0)
    network = build(TEACHER, len(CLASSES), draw)
    method = mocov2.make(params, network, draw)
    crop = Crop(SIZE, VIEW, Jitter((0.4, 0.4, 0.4, 0.1), 0.8, 0.2))
    split = image_set(64, SIZE)
    history = engine.train(
        method, network, split, info(SIZE), params, (crop, crop), place.device, compiled=compiled
    )
    return [row[2] for row in history]


def _student(place: Place, compiled: Compiled) -> list[float]:
    training = Student(8, 4, "adamw", 0.001, 0.9, 1e-4)
    split = image_set(30, SIZE).to(place.device)
    labelling = Labelling(Transform(VIEW, "cutmix", 1.0), 0)
    feed = feeds.hard_feed(split, labelling, training, info(SIZE), place.device)
    student = build(TEACHER, len(CLASSES), generator(0)).to(place.device)
    history = train.fit(
        student,
        feed,
        nn.functional.cross_entropy,
        training,
        lambda: (0.0, None),
        len(split),
        place.device,
        compiled=compiled,
    )
    return [row.loss for row in history]


WORKS: dict[str, Callable[[Place, Compiled], list[float]]] = {
    "recovery": _recovery,
    "squeeze": _squeeze,
    "student": _student,
}
