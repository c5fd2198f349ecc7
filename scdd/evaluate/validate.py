"""Train a student from scratch on a distilled set, or on the whole training set, and test it.

With soft labels the student sees exactly the views that the teacher labelled (FKD). The accuracy
is that of the last epoch: the test set chooses nothing.
"""

import argparse
import csv
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.files import write_json, write_text
from scdd.artifacts.labels import LabelStore, open_store
from scdd.data.batches import batch_count, views
from scdd.data.placement import load_if_room, open_images
from scdd.data.source import Split, open_dataset
from scdd.errors import ScddError
from scdd.evaluate.losses import Criterion, Soft, soft_criterion
from scdd.jobs import runtime
from scdd.jobs.capture import Compiled, captured, captures
from scdd.jobs.progress import Progress, say
from scdd.jobs.saved import Snapshot, Unsaved
from scdd.labels.labelling import Labelling
from scdd.labels.replay import replay
from scdd.networks.average import Average
from scdd.networks.students import build, drawn_so_far, go_on_drawing
from scdd.params.network import Network
from scdd.params.protocol import Loss, Student
from scdd.params.views import Transform
from scdd.rng import generator
from scdd.views.dsa import draw_dsa, dsa
from scdd.views.pixels import normalise

EVALUATIONS = 20  # points of the accuracy curve
TEST_BATCH = 512
TOP5_CLASSES = 5  # fewer classes have no top-5

Accuracy = tuple[float, float | None]  # top-1 and top-5 in percent; None for too few classes
T = TypeVar("T")
# of (epoch, skip): its batches but the first few, on the device: views float32 [b, 3, R, R] and
# what the criterion compares the student's logits with
Feed = Callable[[int, int], Iterator[tuple[Tensor, T]]]


@dataclass(frozen=True)
class Row:
    """One epoch of a history: the mean loss, and accuracies in percent where it was evaluated."""

    epoch: int
    lr: float
    loss: float
    top1: float | None
    top5: float | None


def learning_rate(training: Student, epoch: int) -> float:
    """0.5 lr (1 + cos(pi e / epochs / eta)) after a linear warm-up, e counted from its end.

    eta 1 ends near 0, eta 2 at half a cosine. Beyond the share `steep_from` of the epochs it is its
    value there times 1 - e / epochs (EDC, arXiv 2404.13733, its code's `cos2`). With milestones it
    is lr, and a tenth of what it was from each of them on.
    """
    warm = training.warmup_epochs
    if epoch < warm:
        return training.lr * (epoch + 1) / (warm + 1)
    share = (epoch - warm) / (training.epochs - warm)
    if training.milestones is not None:
        return training.lr * 0.1 ** sum(share >= at for at in training.milestones)
    at = min(share, training.steep_from)
    rate = 0.5 * training.lr * (1 + math.cos(math.pi * at / training.eta))
    return rate * (1 - share) if share > training.steep_from else rate


def evaluation_epochs(epochs: int) -> set[int]:
    """About twenty epochs, evenly spaced, the last one among them."""
    return {-(-epochs * k // EVALUATIONS) - 1 for k in range(1, EVALUATIONS + 1)}


def soft_feed(
    split: Split,
    store: LabelStore,
    training: Student,
    mix: str,
    info: DatasetInfo,
    device: torch.device,
) -> Feed[Soft]:
    """The store's views with the teacher's logits as targets; `split` is the image set.

    A store of fewer epochs than the student's begins anew after its last. Batches are drawn from
    the student's seed and epoch, or are those that the labels depend on.
    """
    labels = split.labels.to(device)

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Soft]]:
        stored = replay(store, epoch % store.epochs, device)
        order = batch_order(split, training.seed, epoch, stored.order)[skip * training.batch :]
        for index, inputs in views(split, order, training.batch, stored.draws, mix, info):
            yield inputs, Soft(stored.logits(index), labels[index])

    return feed


def hard_feed(
    split: Split,
    labelling: Labelling,
    training: Student,
    info: DatasetInfo,
    device: torch.device,
    siamese: bool = False,
) -> Feed[Tensor]:
    """Views with class probabilities as targets. siamese: each batch also gets DSA's
    augmentation."""
    one_hot, labels = torch.eye(len(info.classes), device=device), split.labels.to(device)

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        n, size = len(split), split.resolution
        draws = labelling.draw(n, size, epoch).to(device)
        order = batch_order(split, training.seed, epoch, labelling.order(n, epoch))
        left = order[skip * training.batch :]
        made = views(split, left, training.batch, draws, labelling.transform.mix, info)
        for number, (index, seen) in enumerate(made, start=skip):
            inputs = seen
            if siamese:
                draw = generator(training.seed, "dsa", epoch, number)
                strategy, chances = draw_dsa(len(seen), draw)
                inputs = dsa(seen, strategy, chances.to(device, non_blocking=True))
            lam, partner = draws.lam[index, None], draws.partner[index].long()
            yield inputs, lam * one_hot[labels[index]] + (1 - lam) * one_hot[labels[partner]]

    return feed


def batch_order(split: Split, seed: int, epoch: int, order: Tensor | None = None) -> Tensor:
    """A permutation int64 [n] of the images, where the pixels are: the `order` given, or a drawn
    one."""
    if order is None:
        order = torch.randperm(len(split), generator=generator(seed, "order", epoch))
    return order if split.pixels is None else order.to(split.pixels.device)


@torch.inference_mode()
def accuracy(network: nn.Module, split: Split, info: DatasetInfo, device: torch.device) -> Accuracy:
    """Over all images of `split`, in eval mode; leaves the network in training mode."""
    network.eval()
    labels = split.labels.to(device)
    order = torch.arange(len(split))
    order = order if split.pixels is None else order.to(split.pixels.device)
    ranks = [
        network(normalise(images, info)).topk(min(TOP5_CLASSES, len(info.classes))).indices
        == labels[index.to(device, non_blocking=True), None]
        for index, images in split.batches(order, TEST_BATCH, device)
    ]
    network.train()
    hits = torch.cat(ranks).sum(0).tolist()  # by rank
    few = len(info.classes) < TOP5_CLASSES
    return 100 * hits[0] / len(split), None if few else 100 * sum(hits) / len(split)


def parameter_groups(network: nn.Module, training: Student) -> list[dict[str, Any]]:
    """The optimiser's: all weights in one, or vectors (biases, BatchNorm) in one without decay."""
    weights = list(network.parameters())
    if training.decay_vectors:
        return [{"params": weights}]
    return [
        {"params": [weight for weight in weights if weight.ndim > 1]},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]


def optimizer_of(network: nn.Module, training: Student) -> torch.optim.Optimizer:
    """Fused: one call a step in place of several for each of the many small tensors."""
    groups, decay = parameter_groups(network, training), training.weight_decay
    if training.optimizer == "adamw":
        return torch.optim.AdamW(groups, training.lr, weight_decay=decay, fused=True)
    return torch.optim.SGD(
        groups, training.lr, momentum=training.momentum, weight_decay=decay, fused=True
    )


class Rate:
    """The learning rate of an optimiser, a tensor on the device where a captured step reads it."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, device: torch.device, captured: bool
    ) -> None:
        self.optimizer, self.captured = optimizer, captured
        self.tensor = torch.zeros((), device=device)

    def set(self, rate: float) -> None:
        """Also after the optimiser has loaded a state, which brings settings of its own."""
        self.tensor.fill_(rate)
        for group in self.optimizer.param_groups:
            group["lr"] = self.tensor if self.captured else rate
            if "capturable" in group:
                group["capturable"] = self.captured


def fit(
    network: nn.Module,
    feed: Feed[T],
    criterion: Criterion[T],
    training: Student,
    evaluate: Callable[[], Accuracy],
    images: int,
    device: torch.device,
    saved: Unsaved | None = None,
    compiled: Compiled = "none",
) -> list[Row]:
    """Train `network` in place for all epochs, each of so many images; returns the history.

    `evaluate` is called some twenty times and after the last epoch. saved: where to go on from, and
    where to leave the state. compiled: see `scdd.jobs.capture`; torch.compile rounds otherwise.
    Raises ScddError, naming the epoch, where the loss is not finite.
    """
    saved = saved or Unsaved()
    average = Average(network, training.ema)
    optimizer = optimizer_of(network, training)
    rates = Rate(optimizer, device, captures(compiled, device))
    half = training.precision == "bf16"
    forward = torch.compile(network, dynamic=False) if compiled == "full" else network
    # dropout and stochastic depth draw from torch's own numbers
    torch.manual_seed(generator(training.seed, "dropout").initial_seed())
    watched = evaluation_epochs(training.epochs)
    history: list[Row] = []
    per_epoch = batch_count(images, training.batch)
    total, done = torch.zeros((), device=device), 0
    if saved.content is not None:
        done, history = saved.content["done"], [Row(*row) for row in saved.content["history"]]
        network.load_state_dict(saved.content["network"])
        optimizer.load_state_dict(saved.content["optimizer"])
        average.load(saved.content["average"])
        total.copy_(saved.content["total"])
        go_on_drawing(saved.content["numbers"], device)

    def snapshot() -> Snapshot:
        return Snapshot(
            {
                "done": done,
                "history": [astuple(row) for row in history],
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average.weights,
                "total": total,
                "numbers": drawn_so_far(device),
            }
        )

    def step(inputs: Tensor, targets: T) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            outputs = forward(inputs)
        loss = criterion(outputs.float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update()
        total.add_(loss.detach() * len(inputs))

    step = captured(step, device, compiled)
    network.train()
    with Progress("validate", training.epochs * per_epoch, done) as progress:
        for epoch in range(done // per_epoch, training.epochs):
            rate = learning_rate(training, epoch)
            rates.set(rate)
            for inputs, targets in feed(epoch, done - epoch * per_epoch):
                step(inputs, targets)
                done += 1
                progress.advance()
                if done % per_epoch:
                    saved.offer(done, snapshot)
            mean = total.item() / images  # the epoch's one wait for the device
            if not math.isfinite(mean):
                raise ScddError(
                    f"the student's loss is {mean} in epoch {epoch} (lr {rate:.3g}). "
                    "Lower protocol.lr."
                )
            top1, top5 = average.lent(evaluate) if epoch in watched else (None, None)
            history.append(Row(epoch, rate, mean, top1, top5))
            total.zero_()
            saved.offer(done, snapshot)
    return history


def history_csv(history: list[Row]) -> str:
    """epoch, lr, loss, top1; top1 is blank where it was not evaluated."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["epoch", "lr", "loss", "top1"])
    table.writerows([row.epoch, row.lr, row.loss, row.top1] for row in history)
    return text.getvalue()


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: Unsaved) -> None:
    params = config.params
    training = Student.of(params)
    dataset = open_dataset(args.data, args.root)
    info = dataset.info
    content = None
    if args.images is None:
        split = dataset.train.to(device)
    else:
        digest = config.parents.get("images")
        images, split = open_images(args.images, info, args.data, digest, device)
        content = images.content

    feed: Feed[Any]
    criterion: Criterion[Any] = F.cross_entropy
    if training.labels == "hard":
        # of the student's own seed; batches matter only where they are mixed within
        batch = training.batch if training.mix_by == "batch" else None
        labelling = Labelling(Transform.of(params), training.seed, training.mix_by, batch)
        feed = hard_feed(split, labelling, training, info, device, training.dsa)
    elif content is None or args.labels is None:
        raise ScddError("soft labels need --images and --labels.")
    else:
        store = open_store(
            args.labels,
            epochs=training.label_epochs or training.epochs,
            images=content,
            classes=info.classes,
            digest=config.parents["labels"],
            resolution=info.resolution,
            batch=training.batch,
        )
        feed = soft_feed(split, store, training, store.origin.transform["mix"], info, device)
        criterion = soft_criterion(Loss.of(params))

    draw = generator(training.seed, "student")
    architecture = Network(**params["student"])
    network = build(architecture, len(info.classes), info.resolution, draw)
    network = network.to(device, memory_format=torch.channels_last)  # a fifth faster on the CPU too
    val = load_if_room(dataset.validation(training.val_resize), device)
    history = fit(
        network,
        feed,
        criterion,
        training,
        lambda: accuracy(network, val, info, device),
        len(split),
        device,
        saved,
        args.compile,
    )
    last = history[-1]
    say(f"top-1 {last.top1:.2f} % after {training.epochs} epochs on {len(split)} images")
    write_text(args.history, history_csv(history))
    metrics = {
        "top1": last.top1,
        "top5": last.top5,
        "epochs": training.epochs,
        "train_images": len(split),
        "seed": training.seed,
        "images": content,
        "digest": config.digest,
        "compiled": args.compile,
        "env": runtime.environment(device),
    }
    write_json(args.metrics, metrics)


def main(argv: list[str] | None = None) -> int:
    parser = runtime.long_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json")
    parser.add_argument("--root", type=Path, required=True, help="where the dataset's files lie")
    parser.add_argument("--images", type=Path, help="set.json; without it the whole training set")
    parser.add_argument("--labels", type=Path, help="the folder of the soft labels")
    parser.add_argument("--out", dest="metrics", type=Path, required=True, help="metrics.json")
    parser.add_argument("--history", type=Path, required=True, help="history.csv")
    return runtime.run_long("validate", parser, work, argv, outputs=("metrics", "history"))


if __name__ == "__main__":
    raise SystemExit(main())
