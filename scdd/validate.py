"""Train a student from scratch on a distilled set, or on the whole training set, and test it.

With soft labels the student sees exactly the views that the teacher labelled (FKD). The accuracy
is that of the last epoch: the test set chooses nothing.
"""

import argparse
import csv
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scdd import runtime
from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.files import write_json, write_text
from scdd.artifacts.labels import LabelStore, open_store
from scdd.artifacts.network import Architecture
from scdd.artifacts.saved import Snapshot, Unsaved
from scdd.data.mixing import Transform, batch_count, draw_epoch, transform_of, views
from scdd.data.placement import hold, open_images
from scdd.data.replay import replay
from scdd.data.source import Split, normalise, open_dataset
from scdd.errors import ScddError
from scdd.progress import Progress, say
from scdd.rng import generator
from scdd.students import build, drawn_so_far, go_on_drawing

EVALUATIONS = 20  # points of the accuracy curve
TEST_BATCH = 512
TOP5_CLASSES = 5  # fewer classes have no top-5

Accuracy = tuple[float, float | None]  # top-1 and top-5 in percent; None for too few classes
# of (epoch, skip): its batches but the first few, on the device: views float32 [b, 3, R, R] and
# their targets [b, classes]
Feed = Callable[[int, int], Iterator[tuple[Tensor, Tensor]]]
Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Training:
    """How a student is trained; the keys of the frozen config of the same names."""

    batch: int
    epochs: int
    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    warmup_epochs: int
    eta: float
    precision: str
    seed: int


@dataclass(frozen=True)
class Row:
    """One epoch of a history: the mean loss, and accuracies in percent where it was evaluated."""

    epoch: int
    lr: float
    loss: float
    top1: float | None
    top5: float | None


def learning_rate(training: Training, epoch: int) -> float:
    """0.5 lr (1 + cos(pi e / epochs / eta)) after a linear warm-up, e counted from its end.

    eta 1 ends near 0, eta 2 at half a cosine.
    """
    warm = training.warmup_epochs
    if epoch < warm:
        return training.lr * (epoch + 1) / (warm + 1)
    share = (epoch - warm) / (training.epochs - warm)
    return 0.5 * training.lr * (1 + math.cos(math.pi * share / training.eta))


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(softmax(teacher / T) || softmax(student / T)), the mean over images, without T^2
    (SRe2L, arXiv 2306.13092, equation 11, as its code has it). Both [b, classes] logits."""
    return F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.softmax(teacher.float() / temperature, dim=1),
        reduction="batchmean",
    )


def evaluation_epochs(epochs: int) -> set[int]:
    """About twenty epochs, evenly spaced, the last one among them."""
    return {-(-epochs * k // EVALUATIONS) - 1 for k in range(1, EVALUATIONS + 1)}


def soft_feed(
    split: Split,
    store: LabelStore,
    training: Training,
    mix: str,
    info: DatasetInfo,
    device: torch.device,
) -> Feed:
    """The store's views with the teacher's logits as targets; `split` is the image set.

    A store of fewer epochs than the student's begins anew after its last. Batches are drawn from
    the student's seed and epoch, or are those that the labels depend on.
    """

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        held = replay(store, epoch % store.epochs, device)
        order = batch_order(split, training.seed, epoch, held.order)[skip * training.batch :]
        for index, inputs in views(split, order, training.batch, held.draws, mix, info):
            yield inputs, held.logits(index)

    return feed


def hard_feed(
    split: Split, transform: Transform, training: Training, info: DatasetInfo, device: torch.device
) -> Feed:
    """Views drawn from the student's seed, with class probabilities as targets."""
    one_hot, labels = torch.eye(len(info.classes), device=device), split.labels.to(device)

    def feed(epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
        n, size = len(split), split.resolution
        draws = draw_epoch(transform, n, size, training.seed, epoch).to(device)
        order = batch_order(split, training.seed, epoch)[skip * training.batch :]
        for index, inputs in views(split, order, training.batch, draws, transform.mix, info):
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
        == labels[index.to(device), None]
        for index, images in split.batches(order, TEST_BATCH, device)
    ]
    network.train()
    hits = torch.cat(ranks).sum(0).tolist()  # by rank
    few = len(info.classes) < TOP5_CLASSES
    return 100 * hits[0] / len(split), None if few else 100 * sum(hits) / len(split)


def fit(
    network: nn.Module,
    feed: Feed,
    criterion: Criterion,
    training: Training,
    evaluate: Callable[[], Accuracy],
    images: int,
    device: torch.device,
    saved: Unsaved | None = None,
) -> list[Row]:
    """Train `network` in place for all epochs, each of so many images; returns the history.

    `evaluate` is called some twenty times and after the last epoch. saved: where to go on from, and
    where to leave the state. Raises ScddError, naming the epoch, where the loss is not finite.
    """
    saved = saved or Unsaved()
    # fused: one call a step in place of several for each of the many small tensors
    optimizer: torch.optim.Optimizer
    if training.optimizer == "adamw":
        optimizer = torch.optim.AdamW(
            network.parameters(), training.lr, weight_decay=training.weight_decay, fused=True
        )
    else:
        optimizer = torch.optim.SGD(
            network.parameters(),
            training.lr,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            fused=True,
        )
    half = training.precision == "bf16"
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
        total.copy_(saved.content["total"])
        go_on_drawing(saved.content["numbers"], device)

    def snapshot() -> Snapshot:
        return Snapshot(
            {
                "done": done,
                "history": [astuple(row) for row in history],
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "total": total,
                "numbers": drawn_so_far(device),
            }
        )

    network.train()
    with Progress("validate", training.epochs * per_epoch, done) as progress:
        for epoch in range(done // per_epoch, training.epochs):
            rate = learning_rate(training, epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate
            for inputs, targets in feed(epoch, done - epoch * per_epoch):
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    outputs = network(inputs)
                loss = criterion(outputs.float(), targets)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(inputs)
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
            top1, top5 = evaluate() if epoch in watched else (None, None)
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
    training = Training(**{field.name: params[field.name] for field in fields(Training)})
    dataset = open_dataset(args.data, args.root)
    info = dataset.info
    content = None
    if args.images is None:
        split = dataset.train.to(device)
    else:
        digest = config.parents.get("images")
        images, split = open_images(args.images, info, args.data, digest, device)
        content = images.content

    criterion: Criterion = F.cross_entropy
    if params["labels"] == "hard":
        feed = hard_feed(split, transform_of(params), training, info, device)
    elif content is None or args.labels is None:
        raise ScddError("soft labels need --images and --labels.")
    else:
        store = open_store(
            args.labels,
            epochs=params.get("label_epochs") or training.epochs,
            images=content,
            classes=info.classes,
            digest=config.parents["labels"],
            resolution=info.resolution,
            batch=training.batch,
        )
        feed = soft_feed(split, store, training, store.origin.transform["mix"], info, device)

        def criterion(outputs: Tensor, targets: Tensor) -> Tensor:
            return soft_loss(outputs, targets, params["temperature"])

    draw = generator(training.seed, "student")
    architecture = Architecture(**params["student"])
    network = build(architecture, len(info.classes), info.resolution, draw)
    network = network.to(device, memory_format=torch.channels_last)  # a fifth faster on the CPU too
    val = hold(dataset.validation(params.get("val_resize")), device)
    history = fit(
        network,
        feed,
        criterion,
        training,
        lambda: accuracy(network, val, info, device),
        len(split),
        device,
        saved,
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
