"""A long job that is interrupted ends with the bits of one that is not, whatever the step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_validate import NO_VIEW, training
from torch import Tensor, nn
from toy import TEACHER, image_set, info

from scdd import probe
from scdd.artifacts.statistics import Real
from scdd.evaluate import feeds, train
from scdd.jobs.saved import JobState, SavedState, Snapshot, Stopped
from scdd.labels import relabel
from scdd.labels.labelling import Labelling
from scdd.labels.teachers import use_batch_statistics
from scdd.learn import engine as learning
from scdd.learn import methods
from scdd.learn.learner import Task
from scdd.learn.real import RealImages
from scdd.networks.build import build as build_backbone
from scdd.networks.resnet import build
from scdd.networks.students import build as build_student
from scdd.params import squeeze
from scdd.params.learn import LEARNS, Trajectory
from scdd.params.network import Network
from scdd.params.patches import Patches
from scdd.params.probe import Probe
from scdd.params.recover import Recover, Residual
from scdd.params.select import Forgetting
from scdd.params.statistics import Statistics
from scdd.params.views import Transform, View
from scdd.patches.ranking import rankings
from scdd.recover.engine import FramePlan, Units, recover_units
from scdd.recover.targets import of_batch, real_statistics
from scdd.recover.units import draw_unit
from scdd.rng import generator
from scdd.select import coreset, forgetting
from scdd.select.orders import herding
from scdd.squeeze import engine
from scdd.squeeze.methods import module
from scdd.squeeze.views import Crop
from scdd.views.colour import Jitter
from scdd.views.pixels import normalise, valid_range

CPU = torch.device("cpu")
INFO = info(8)
DROPPING = Network("mobilenet_v2", 0.125, "small")  # it has dropout
Result = dict[str, Tensor] | list[Any]


SQUEEZES: dict[str, dict[str, Any]] = {
    "mocov2": {"queue": 32, "symmetric": True},
    "mocov3": {"hidden": 10},
    "swav": {
        "hidden": 10,
        "prototypes": 5,
        "epsilon": 0.1,
        "iterations": 3,
        "queue": 16,
        "queue_from": 0,
        "freeze_steps": 2,
    },
    "dino": {
        "hidden": 10,
        "bottleneck": 5,
        "outputs": 7,
        "head_bn": True,
        "teacher_temperatures": (0.04, 0.07),
        "temperature_epochs": 2,
        "centre_momentum": 0.9,
        "freeze_epochs": 1,
        "clip": 3.0,
    },
    "supervised": {},
}


def squeezed(kind: str, saved: JobState) -> Result:
    """24 images in batches of 8: three steps an epoch. kind: the method, the optimiser, and whether
    the network has dropout."""
    name, optimizer, *more = kind.split()
    view, jitter = View("resized", 0, (0.5, 1.0), True), Jitter((0.2, 0.2, 0.2, 0.1), 0.8, 0.2)
    large, small = Crop(8, view, jitter, 0.5, 0.5), Crop(6, view, jitter, 0.5)
    crops = (large, large, small) if name in ("swav", "dino") else (large, large)
    common = {"epochs": 2, "batch": 8, "optimizer": optimizer, "lr": 0.05, "final_lr": 0.01}
    common |= {"weight_decay": 1e-4, "knn_every": 1, "bn_groups": 2}
    own = {"dim": 6, "target_momentum": 0.9, "temperature": 0.2, **SQUEEZES[name]}
    params = squeeze.SQUEEZES[name].of({**common, **own})
    draw = generator(0, "weights")
    network = build_backbone(DROPPING if "dropout" in more else TEACHER, 3, 8, draw)
    method = module(name).make(params, network, draw)
    history = engine.train(method, network, image_set(24, 8), INFO, params, crops, CPU, saved)
    state = method.state_dict()
    return [*history, *(state[key] for key in sorted(state))]


def probed(kind: str, saved: JobState) -> Result:
    """17 images in batches of 8, of which the last one holds one image. kind: the features, and
    what is trained where that is not the classifier alone."""
    features, *tune = kind.split()
    recipe = Probe(
        features=features,
        tune=tune[0] if tune else "classifier",
        view=View("padded", 1, (1.0, 1.0), True),
        epochs=2,
        batch=8,
        lr=0.5,
        momentum=0.9,
        weight_decay=0.0,
        milestones=(0.5,),
        seed=0,
    )
    network = build(TEACHER, 3, generator(0))
    probe.train(network, image_set(17, 8), INFO, recipe, CPU, saved)
    return dict(network.state_dict())


def gathered(network: nn.Module, saved: JobState | None = None) -> Real:
    """What a network sees of 13 real images, in batches of 5, 5 and 3."""
    images = torch.randn(13, 3, 8, 8, generator=generator("real"))
    labels = torch.arange(13) % 3

    def batches(skip: int) -> list[tuple[Tensor, Tensor]]:
        return list(zip(labels.split(5), images.split(5), strict=True))[skip:]

    params = Statistics("patches", 4)
    shape = (3, 8, 8)
    return real_statistics(
        network, batches, params, images=13, size=5, classes=3, shape=shape, saved=saved
    )


def seen(_: str, saved: JobState) -> Result:
    real = gathered(build(TEACHER, 3, generator(0)), saved)
    return [*real.dataset, *real.classes]


def recovered(how: str, saved: JobState) -> Result:
    """Three units of four iterations; more: `segments`, two from two teachers in turn; `rounds`,
    two of two images a class; `statistics`, all that goes on from one iteration to the next."""
    precision, width, *more = how.split()
    labels = torch.arange(3).repeat_interleave(2) if "rounds" in more else torch.arange(3)
    settings = Recover(
        iterations=4,
        lr=0.4,
        r_bn=0.05,
        shift=2,
        crop=(0.3, 1.0),
        flip=True,
        precision=precision,
    )
    several = bool({"segments", "statistics"} & set(more))
    networks = [build(TEACHER, 3, generator(number)) for number in range(1 + several)]
    real, targets = [], None
    if "statistics" in more:
        settings = replace(settings, convolutions="patches", momentum=0.8, drop=0.4)
        settings = replace(settings, class_share=0.5, flatness=9.0, densification=1.0)
        settings = replace(settings, teachers="turn")
        labels = labels.repeat_interleave(2)
        real = [gathered(network) for network in networks]
        targets = [of_batch(each, labels, settings) for each in real]
    if "rounds" in more:
        settings = replace(settings, slots=2, rounds=2)
    if "segments" in more:
        parts = {"sizes": (6, 8), "budgets": (2, 2), "residual": Residual(0.3)}
        settings = replace(settings, start="real", teachers="turn", **parts)
    made = recover_units(
        networks,
        Units(
            range(1, 4),
            len(labels),
            lambda slot: draw_unit(
                settings,
                labels,
                8,
                seed=0,
                block=0,
                slot=slot,
                targets=targets,
                convolutions=(2, 20),
            ),
        ),
        settings,
        valid_range(INFO, CPU),
        real=real,
        frames=FramePlan((0, 2, 4)),
        width=int(width),
        saved=saved,
    )
    return [made.images, made.losses, made.frames, torch.tensor(made.widths)]


def relabelled(how: str, saved: JobState) -> Result:
    """Three epochs of three passes each. how: mixing, form of the logits, scope of it all."""
    mix, form, scope = how.split()
    teacher = build(TEACHER, 3, generator(0)).eval()
    transform = Transform(View("padded", 1, (1.0, 1.0), True), mix, 1.0)
    labelling, n = Labelling(transform, 0), 2 * relabel.PASS + 4
    if scope != "set":
        live = scope == "dropout"
        labelling = Labelling(transform, 0, "batch", 4, True, bn_groups=2, dropout=live)
        use_batch_statistics(teacher, labelling.groups)
        teacher.fc = nn.Sequential(nn.Dropout(), teacher.fc)  # type: ignore[assignment]
        teacher.train(live)
    return relabel.label(teacher, image_set(n, 8), labelling, form, 20.0, (2, 5), INFO, CPU, saved)


def forgotten(precision: str, saved: JobState) -> Result:
    """17 images in batches of 8: two an epoch, since a last one of one image joins the other.
    precision: or 'dropout', which the network then has."""
    recipe = Forgetting(
        view=View("padded", 1, (1.0, 1.0), True),
        epochs=3,
        batch=8,
        milestones=(0.5,),
        precision="float32" if precision == "dropout" else precision,
    )
    chosen = DROPPING if precision == "dropout" else TEACHER
    network = build_backbone(chosen, 3, 8, generator(0))
    counts = forgetting.train(network, image_set(17, 8), INFO, recipe, CPU, saved)
    return [counts, *network.state_dict().values()]


def ordered(_: str, saved: JobState) -> Result:
    """Three classes."""
    network = build(TEACHER, 3, generator(0))
    return [coreset.ranks(herding, network, image_set(17, 8), INFO, CPU, saved)]


def ranked(how: str, saved: JobState) -> Result:
    """Three classes. how: the easiest patches, or around the median."""
    network = build(TEACHER, 3, generator(0))
    params = Patches(pool=4, crops=2) if how == "easiest" else None
    return [*rankings(network, image_set(17, 8), INFO, params, CPU, saved).values()]


def validated(how: str, saved: JobState) -> Result:
    """17 images in batches of 8: two a epoch, since a last one of one image joins the other. how:
    the optimiser; with a moving average of the weights, DSA, dropout or two passes a step."""
    network = build(TEACHER, 3, generator(0)).to(memory_format=torch.channels_last)
    optimizer, *more = how.split()
    if "dropout" in more:
        network.fc = nn.Sequential(nn.Dropout(), network.fc)
    ema = 0.7 if "ema" in more else 0.0
    recipe = training(optimizer=optimizer, epochs=3, batch=8, ema=ema, decay_vectors=not ema)
    recipe = replace(recipe, passes=1 + ("passes" in more))
    split, test = image_set(17, 8), image_set(9, 8, seed=1)
    transform = replace(Transform.of(NO_VIEW), mix="mixup")

    def evaluate() -> train.Accuracy:
        """Of a few images the accuracy tells little of the weights: their sum is told instead."""
        train.accuracy(network, test, INFO, CPU)
        return sum(weight.double().sum().item() for weight in network.parameters()), None

    history = train.fit(
        network,
        feeds.hard_feed(split, Labelling(transform, recipe.seed), recipe, INFO, CPU, "dsa" in more),
        nn.functional.cross_entropy,
        recipe,
        evaluate,
        17,
        CPU,
        saved,
    )
    return [*history, *network.state_dict().values()]


LEARNED: dict[str, dict[str, Any]] = {
    "dc": {"outer": 2, "inner": 2},
    "dsa": {"outer": 2, "inner": 2, "distance": "cosine"},
    "dm": {"dsa_by": "step"},
    "cafe-dsa": {"most_steps": 2, "most_epochs": 11},
    "mtt": {},
    "tesla": {"soft_labels": True, "gradient": "code"},
}


class Walk:
    """Two experts that go a straight way."""

    count, epochs = 2, 4

    def __init__(self, network: Network) -> None:
        parameters = build_student(network, 3, 8, generator(0)).parameters()
        self.start = torch.cat([part.detach().flatten() for part in parameters])
        self.step = torch.randn(2, len(self.start), generator=generator("way")) / 50

    def parameters(self, expert: int, epoch: int) -> Tensor:
        return self.start + epoch * self.step[expert]


def learned(method: str, saved: JobState) -> Result:
    """Two images of each class; three iterations."""
    network = Network("convnet3", 0.0625, "imagenet")
    section = LEARNS[method]
    follows = issubclass(section, Trajectory)
    common = {"iterations": 3, "lr_images": 0.5, "network": network.dump()}
    chase = {"steps": 2, "expert_epochs": 2, "max_start": 3, "batch": 4}
    rates = {"student_lr": 0.02, "lr_student_lr": 1e-4}
    own = {**chase, **rates} if follows else {"batch": 4}
    params = section.of({**common, **own, **LEARNED[method]})
    start = torch.randn(6, 3, 8, 8, generator=generator("start"))
    real = RealImages(image_set(17, 8), 3, lambda images: normalise(images, INFO))
    task = Task(start, 3, real, network, 0, Walk(network) if follows else None)
    name = "trajectory" if follows else method.removesuffix("-dsa").replace("dsa", "dc")
    learner = methods.engine(name).make(params, task)
    shown = torch.tensor([0, 2])
    made = learning.learn(learner, 3, [0, 1, 3], shown, "learn", [2], saved)
    labels = [made.last.labels] if made.last.labels is not None else []
    snapshots = [content.images for content in made.snapshots.values()]
    return [*made.history, made.last.images, *labels, made.frames, *snapshots]


JOBS: list[tuple[Callable[[str, JobState], Result], str, int]] = [
    (squeezed, "mocov2 sgd", 6),
    (squeezed, "mocov3 lars", 6),
    (squeezed, "mocov3 adamw", 6),
    (squeezed, "swav sgd", 6),
    (squeezed, "dino sgd", 6),
    (squeezed, "supervised sgd", 6),
    (squeezed, "supervised sgd dropout", 6),
    (probed, "clean", 6),
    (probed, "augmented", 4),
    (probed, "augmented statistics", 4),
    (probed, "augmented all", 4),
    (recovered, "float32 1", 12),
    (recovered, "float32 2", 8),
    (recovered, "bf16 2", 8),
    (recovered, "float32 2 segments", 8),
    (recovered, "float32 2 statistics", 8),
    (seen, "images", 3),
    (recovered, "float32 2 rounds", 8),
    (relabelled, "none float16 set", 9),
    (relabelled, "cutmix float16 set", 9),
    (relabelled, "mixup int8 batch", 9),
    (relabelled, "cutmix topk:2 batch", 9),
    (relabelled, "cutmix pca:8 set", 9),
    (relabelled, "cutmix float16 dropout", 9),
    (forgotten, "float32", 6),
    (forgotten, "bf16", 6),
    (forgotten, "dropout", 6),
    (ordered, "herding", 3),
    (ranked, "easiest", 3),
    (ranked, "median", 3),
    (learned, "dc", 6),
    (learned, "dsa", 6),
    (learned, "dm", 3),
    (learned, "cafe-dsa", 6),
    (learned, "mtt", 3),
    (learned, "tesla", 3),
    (validated, "adamw", 6),
    (validated, "sgd", 6),
    (validated, "sgd ema", 6),
    (validated, "adamw dsa", 6),
    (validated, "sgd dropout", 6),
    (validated, "adamw passes", 6),
]


class Cut(SavedState):
    """Asked to leave at a step of its first attempt."""

    at = 0

    def offer(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        self.leaving = step == self.at
        super().offer(step, snapshot)


def same(first: Result, second: Result) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(first[k].equal(second[k]) for k in first)
    assert isinstance(first, list)
    return len(first) == len(second) and all(
        a.equal(b) if isinstance(a, Tensor) else a == b for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize(("job", "kind", "steps"), JOBS)
def test_interrupted_anywhere_it_ends_with_the_same_bits(
    job: Callable[[str, JobState], Result], kind: str, steps: int, tmp_path: Path
) -> None:
    whole = job(kind, JobState())
    offered: list[int] = []

    class Counting(JobState):
        def offer(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
            offered.append(step)

    job(kind, Counting())
    assert len(offered) == steps
    assert offered == sorted(set(offered))
    for step in offered:
        cut = Cut(tmp_path / str(step), {}, every=1e9)
        cut.at = step
        with cut.locked(), cut.attempt(str), pytest.raises(Stopped):
            job(kind, cut)
        again = SavedState(tmp_path / str(step), {}, every=1e9)
        with again.locked(), again.attempt(str):
            assert again.step == step
            assert same(job(kind, again), whole), f"cut at step {step}"


def test_a_job_cut_at_every_step_ends_with_the_same_bits(tmp_path: Path) -> None:
    """The state of a resumed job is as good as that of the first attempt."""
    whole, step = relabelled("cutmix int8 set", JobState()), 0
    while True:
        step += 1
        cut = Cut(tmp_path, {}, every=1e9)
        cut.at = step
        with cut.locked(), cut.attempt(str):
            try:
                made = relabelled("cutmix int8 set", cut)
            except Stopped:
                continue
        break
    assert step == 10
    assert same(made, whole)
