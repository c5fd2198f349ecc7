"""How fast students are trained: labels and views from the store, against the plain way.

    python benchmarks/validate.py [--device cuda]
    python benchmarks/validate.py --memory

Ours: images on the device, views made there, labels from the store, no DataLoader. Plain: PNG
files, a DataLoader with two workers, torchvision's transforms on PIL images, and the teacher asked
for each batch in float32, as the released programs do. Both train the same student for an epoch
with mixup, in turn, and medians are taken. On the CPU student and teacher are those of
experiments/cifar100-mini.yaml, at IPC 100; on a GPU they are ResNet-18 for CIFAR-100, at IPC 50.
Making the labels is timed by itself: it is done once for all students of a set.

--memory: what a student's reading of a store for 1,000 classes and 50,000 images takes.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from timing import side_of, timed
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import to_pil_image

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.labels import LabelStore, Origin, open_store, save_shard, shard_file
from scdd.data.source import Split
from scdd.evaluate import feeds, train
from scdd.evaluate.losses import soft_criterion
from scdd.jobs.capture import Compiled
from scdd.labels import relabel
from scdd.labels.labelling import Labelling
from scdd.networks import students
from scdd.params.network import Network
from scdd.params.protocol import Loss, Student
from scdd.params.views import Transform, View
from scdd.rng import generator
from scdd.views.mixing import draw_epoch

ROUNDS = 5
RESOLUTION = 32
ALPHA, TEMPERATURE, LR, DECAY = 0.8, 30.0, 0.001, 0.01
TRANSFORM = Transform(View("padded", 4, (1.0, 1.0), True), "mixup", ALPHA)
MIB = 2**20


@dataclass(frozen=True)
class Case:
    """What is trained on what. epochs: of ours in a round, in the first of which a GPU captures."""

    network: Network
    classes: int
    ipc: int
    batch: int
    epochs: int = 1


CASES = {
    "cpu": Case(Network("resnet10", 0.25, "small"), 10, 100, 64),
    "cuda": Case(Network("resnet18", 1.0, "small"), 100, 50, 64, epochs=8),
}
OF_MEMORY = Case(CASES["cpu"].network, 1000, 50, 64)


def described(case: Case, resolution: int) -> DatasetInfo:
    names = tuple(f"{index:04d}" for index in range(case.classes))
    return DatasetInfo("made up", names, resolution, (0.5,) * 3, (0.25,) * 3, 0, 0, "", "")


def photos(case: Case) -> Tensor:
    """uint8 [n, 3, R, R], smooth as photographs are."""
    coarse = torch.rand(case.classes * case.ipc, 3, 8, 8, generator=generator(0, "photos"))
    return (functional.interpolate(coarse, RESOLUTION, mode="bicubic").clamp(0, 1) * 255).byte()


def training(case: Case, precision: str) -> Student:
    return Student(
        batch=case.batch,
        epochs=case.epochs,
        optimizer="adamw",
        lr=LR,
        momentum=0.9,
        weight_decay=DECAY,
        warmup_epochs=0,
        eta=1.0,
        precision=precision,
        seed=0,
    )


def network_of(case: Case, device: torch.device) -> nn.Module:
    return students.build(case.network, case.classes, RESOLUTION, generator(0)).to(device)


def origin_of(info: DatasetInfo) -> Origin:
    return Origin("d", "i", info.classes, "t", {"mix": TRANSFORM.mix}, "float16", 0)


class Plain:
    """The released programs' loop: one epoch a call."""

    def __init__(self, folder: Path, images: Tensor, case: Case, device: torch.device) -> None:
        info = described(case, RESOLUTION)
        for index, image in enumerate(images):
            place = folder / info.classes[index // case.ipc]
            place.mkdir(exist_ok=True, parents=True)
            to_pil_image(image).save(place / f"{index:06d}.png")
        steps = [
            transforms.RandomCrop(RESOLUTION, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(info.mean, info.std),
        ]
        self.loader = DataLoader(
            ImageFolder(str(folder), transforms.Compose(steps)),
            case.batch,
            shuffle=True,
            num_workers=2,
            pin_memory=device.type == "cuda",
            persistent_workers=True,
        )
        self.device = device
        self.teacher = network_of(case, device).eval()
        self.student = network_of(case, device).train()
        self.optimizer = torch.optim.AdamW(self.student.parameters(), LR, weight_decay=DECAY)

    def __call__(self) -> None:
        total = 0.0
        for batch, _ in self.loader:
            images = batch.to(self.device, non_blocking=True)
            lam = float(np.random.beta(ALPHA, ALPHA))
            partner = torch.randperm(len(images), device=self.device)
            images = lam * images + (1 - lam) * images[partner]
            with torch.no_grad():
                soft = functional.softmax(self.teacher(images) / TEMPERATURE, dim=1)
            outputs = functional.log_softmax(self.student(images) / TEMPERATURE, dim=1)
            loss = functional.kl_div(outputs, soft, reduction="batchmean")
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(images)  # they keep count of it so


def labelled(
    folder: Path, split: Split, case: Case, device: torch.device
) -> tuple[LabelStore, float]:
    """A store for all rounds, and the seconds that the labels of an epoch took."""
    info, epochs = described(case, RESOLUTION), (0, ROUNDS + 1)
    teacher = network_of(case, device).eval()
    started = time.perf_counter()
    labelling = Labelling(TRANSFORM, 0)
    made = relabel.label(teacher, split, labelling, "float16", TEMPERATURE, epochs, info, device)
    seconds = (time.perf_counter() - started) / epochs[1]
    save_shard(folder / shard_file(epochs), made, origin_of(info), epochs, {})
    return open_store(folder, epochs=epochs[1], images="i", classes=info.classes), seconds


class Ours:
    """The workflow's: the store's next epochs, over and over."""

    def __init__(
        self,
        split: Split,
        store: LabelStore,
        case: Case,
        device: torch.device,
        precision: str,
        compiled: Compiled = "none",
    ) -> None:
        self.count, self.device, self.epoch = len(split), device, 0
        self.recipe, info = training(case, precision), described(case, RESOLUTION)
        self.feed = feeds.soft_feed(split, store, self.recipe, TRANSFORM.mix, info, device)
        self.student = network_of(case, device).to(memory_format=torch.channels_last)

        self.compiled = compiled

    def __call__(self) -> None:
        train.fit(
            self.student,
            lambda epoch, skip: self.feed(self.epoch + epoch, skip),
            soft_criterion(Loss(temperature=TEMPERATURE)),
            self.recipe,
            lambda: (0.0, None),
            self.count,
            self.device,
            compiled=self.compiled,
        )
        self.epoch += self.recipe.epochs


def images_of(case: Case, device: torch.device) -> Split:
    labels = torch.arange(case.classes).repeat_interleave(case.ipc)
    return Split(labels, photos(case), (), RESOLUTION).to(device)


@dataclass(frozen=True)
class Speed:
    """Images a second of each side's training, and of labelling."""

    rates: dict[str, float]
    labels: float


def measure(case: Case, device: torch.device, ways: Sequence[Compiled] = ("none",)) -> Speed:
    """The plain way, and ours in float32, and in bf16 in each of the `ways`."""
    split, images = images_of(case, device), photos(case)
    with tempfile.TemporaryDirectory() as folder:
        store, relabel_seconds = labelled(Path(folder) / "labels", split, case, device)
        sides = {"float32": Ours(split, store, case, device, "float32")}
        for way in ways:
            sides[side_of("bf16", way)] = Ours(split, store, case, device, "bf16", way)
        plain = Plain(Path(folder) / "photos", images, case, device)
        seconds, _ = timed({**sides, "plain": plain}, device, ROUNDS)
    epochs = {side: 1 if side == "plain" else case.epochs for side in seconds}
    rates = {side: epochs[side] * len(images) / took for side, took in seconds.items()}
    return Speed(rates, len(images) / relabel_seconds)


def show(case: Case, speed: Speed) -> None:
    name, count = f"{case.network.arch}-w{case.network.width:g}", case.classes * case.ipc
    print(f"{name}, {count} images of {RESOLUTION} pixels, batch {case.batch}")
    print(f"labels, once for all students: {speed.labels:.0f} images/s")
    plain = speed.rates["plain"]
    for side, rate in speed.rates.items():
        alone = 1 / (1 / rate + 1 / speed.labels) / plain
        print(
            f"{side}: {rate:.0f} images/s, {rate / plain:.2f} times as fast as plain; "
            f"{alone:.2f} where the labels are made for one student alone"
        )


def peak() -> float:
    """MiB that this process has had at most, its mapped files included. (getrusage would count
    what the parent had when this process was started.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def read(folder: Path, epochs: int) -> tuple[float, float, int]:
    """Milliseconds to open the store, MiB beyond what was there before, and the views read."""
    case, size = OF_MEMORY, 8
    info = described(case, size)
    images = torch.zeros(case.classes * case.ipc, 3, size, size, dtype=torch.uint8)
    split = Split(torch.zeros(len(images), dtype=torch.int64), images, (), size)
    before = peak()
    started = time.perf_counter()
    store = open_store(folder, epochs=epochs, images="i", classes=info.classes)
    opened = 1000 * (time.perf_counter() - started)
    recipe, device = training(case, "float32"), torch.device("cpu")
    feed = feeds.soft_feed(split, store, recipe, "mixup", info, device)
    views = sum(len(views) for epoch in range(epochs) for views, _ in feed(epoch, 0))
    return opened, peak() - before, views


def memory(epochs: int) -> None:
    case, size = OF_MEMORY, 8
    info, count = described(case, size), case.classes * case.ipc
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for epoch in range(epochs):
            stored = draw_epoch(TRANSFORM, count, size, 0, epoch).stored()
            # few values: what is measured does not depend on them
            logits = torch.zeros(1, count, case.classes, dtype=torch.float16)
            made = {**{key: tensor[None] for key, tensor in stored.items()}, "logits": logits}
            span = (epoch, epoch + 1)
            save_shard(folder / shard_file(span), made, origin_of(info), span, {})
        bytes_held = sum(file.stat().st_size for file in folder.iterdir())
        # a process of its own, which has not seen the labels before
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            opened, beyond, views = pool.apply(read, (folder, epochs))
    print(
        f"{count} images, {case.classes} classes, {epochs} epochs, {bytes_held / MIB:.0f} MiB of "
        f"labels: opened in {opened:.0f} ms; {views} views read in batches of {case.batch}, "
        f"{beyond:.0f} MiB of memory"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="as machine.threads of a config")
    parser.add_argument("--memory", action="store_true", help="measure memory, not time")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    if args.memory:
        memory(epochs=3)
    else:
        case = CASES[device.type]
        show(case, measure(case, device))


if __name__ == "__main__":
    main()
