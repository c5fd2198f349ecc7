"""Train a linear classifier on the frozen backbone, and check that the backbone did not change.

probe.tune says whether more than the classifier is trained: BatchNorm's running statistics, or all.
Then the backbone changes, and the images are recovered from what it is in the end.
probe.features says what the classifier is trained on. 'clean': the features of the unaugmented
images, computed once. 'augmented' (as published): the features of new views in every epoch.
'imported': nothing is trained; the classifier comes from the imported checkpoint.
"""

import json
import math
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.artifacts.classes import require_same_classes
from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.files import write_json
from scdd.artifacts.network import Checkpoint, load_checkpoint, save_checkpoint
from scdd.data.batches import batch_count, views
from scdd.data.source import Split, open_dataset
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.curve import Curve
from scdd.jobs.epochs import Epochs, Part
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.networks.backbone import (
    Backbone,
    backbone_state,
    features_of,
    in_eval_mode,
    load_backbone,
)
from scdd.networks.build import build
from scdd.networks.schedules import stepped
from scdd.params.base import Precision
from scdd.params.probe import Probe
from scdd.params.views import Transform
from scdd.rng import generator
from scdd.views.mixing import draw_epoch
from scdd.views.pixels import normalise

CLEAN_BATCH = 256  # images per forward pass without gradients


@torch.no_grad()
def features(
    network: Backbone, split: Split, info: DatasetInfo, precision: Precision, device: torch.device
) -> Tensor:
    """The features of the unaugmented images, float32 [n, d], on `device`, in the split's order.

    The network must be on `device`, in eval mode.
    """
    order = torch.arange(len(split))
    batches = split.batches(order, CLEAN_BATCH, device)
    return torch.cat(
        [features_of(network, normalise(images, info), precision) for _, images in batches]
    )


def top(logits: Tensor, labels: Tensor, k: int) -> float:
    """The top-k accuracy in percent."""
    hits = (logits.topk(k, dim=1).indices == labels[:, None]).any(1)
    return 100 * hits.sum().item() / len(hits)


def batches(
    network: Backbone,
    split: Split,
    info: DatasetInfo,
    params: Probe,
    clean: Tensor | None,
    epoch: int,
    skip: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of an epoch, without the first `skip`: indices int64 [b] of the images, and their
    features float32 [b, d], on `device`.

    The features are rows of `clean` if it is given; otherwise they are computed from views.
    """
    order = torch.randperm(len(split), generator=generator(params.seed, "order", epoch))
    order = order[skip * params.batch :]
    # clean features and pixels are on the device and indexed there; files are indexed on the CPU
    order = order.to(device) if clean is not None or split.pixels is not None else order
    if clean is not None:
        for index in order.split(params.batch):
            yield index, clean[index]
        return
    transform = Transform(params.view)
    draws = draw_epoch(transform, len(split), info.resolution, params.seed, epoch).to(device)
    for index, images in views(split, order, params.batch, draws, "none", info):
        with torch.set_grad_enabled(params.tune == "all"):
            inputs = features_of(network, images, params.precision)
        yield index, inputs


def train(
    network: Backbone,
    split: Split,
    info: DatasetInfo,
    params: Probe,
    device: torch.device,
    saved: JobState | None = None,
) -> None:
    """Train `network.fc` on `device`; the backbone stays in eval mode and as it is, but for what
    `params.tune` trains too. In the end all is in eval mode.

    The initial weights are normal with standard deviation 0.01, as in MoCo's code. network: on the
    CPU, where these are drawn; it is moved to `device`. saved: the state to resume from, and where
    it is saved. Raises ScddError if the loss is not finite, or the backbone changed unasked.
    """
    nn.init.normal_(network.fc.weight, std=0.01, generator=generator(params.seed, "weights"))
    nn.init.zeros_(network.fc.bias)
    in_eval_mode(network, device)
    is_frozen = params.tune == "classifier"
    before = {key: tensor.clone() for key, tensor in backbone_state(network).items()}
    if not is_frozen:
        _batch_norm_in_training_mode(network)
    split = split.to(device)
    optimizer = torch.optim.SGD(
        (network if params.tune == "all" else network.fc).parameters(),
        lr=params.lr,
        momentum=params.momentum,
        weight_decay=params.weight_decay,
    )
    labels = split.labels.to(device)
    clean = None
    if params.features == "clean":
        clean = features(network, split, info, params.precision, device)
    per_epoch = batch_count(len(split), params.batch)
    if clean is not None:
        per_epoch = math.ceil(len(split) / params.batch)
    total = torch.zeros((), device=device)
    curve = Curve("probe", ("epoch", "lr", "loss"), saved)
    state: dict[str, Part] = {
        "fc": network.fc if is_frozen else network,
        "optimizer": optimizer,
        "total": total,
        "curve": curve,
    }
    run = Epochs("probe", params.epochs, per_epoch, saved, state)
    for epoch in run:
        rate = stepped(epoch, params.epochs, params.lr, params.milestones)
        optimizer.param_groups[0]["lr"] = rate
        remaining = batches(network, split, info, params, clean, epoch, run.skip, device)
        for index, inputs in run.steps_of(remaining):
            loss = functional.cross_entropy(network.fc(inputs), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        mean = total.item() / per_epoch  # waits for the device: once per epoch
        if not math.isfinite(mean):
            raise ScddError(
                f"the probe's loss is not finite in epoch {epoch + 1} of {params.epochs}: "
                f"lower probe.lr ({params.lr})."
            )
        curve.add(epoch + 1, rate, mean)
        total.zero_()
    network.eval()
    for key, tensor in backbone_state(network).items():
        if is_frozen and not torch.equal(tensor, before[key]):
            raise ScddError(f"the backbone changed while the probe was trained: {key}.")


def _batch_norm_in_training_mode(network: Backbone) -> None:
    """A batch is normalised by its own statistics, and the running ones move. Dropout stays off."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()


def take_classifier(
    network: Backbone,
    backbone: Checkpoint,
    path: object,
    classes: tuple[str, ...],
    classes_of: object,
) -> None:
    """Load into `network.fc` the classifier that was imported together with the backbone.

    path: what a message calls `backbone`; classes_of: and what lists `classes`. Raises ScddError if
    there is no classifier, or if it is for other classes. If the imported file does not name its
    classes, only their number is checked.
    """
    source = backbone.source or {}
    if "fc.weight" not in backbone.state:
        raise ScddError(
            f"probe.features is imported, but {path} has no classifier (imported from "
            f"{source.get('file')}, layout {source.get('layout')}). Set probe.features to clean or "
            "augmented."
        )
    classifier = {name: backbone.state[f"fc.{name}"] for name in ("weight", "bias")}
    count, width = classifier["weight"].shape
    if (count, width) != (len(classes), network.fc.in_features):
        raise ScddError(
            f"{source['file']} has a classifier of {count} classes ({width} features), but "
            f"{classes_of} has {len(classes)} ({network.fc.in_features}). Set probe.features to "
            "clean or augmented, or use the classes that this classifier was trained on."
        )
    if source["classes"] is None:
        say(f"assumed: the classes of {source['file']} are in the dataset's order")
    else:
        require_same_classes(source["classes"], source["file"], classes, classes_of)
    network.fc.load_state_dict(classifier)


def probed(
    backbone: Checkpoint,
    splits: Mapping[str, Split],
    info: DatasetInfo,
    params: Probe,
    device: torch.device,
    saved: JobState | None = None,
    path: object = "the backbone",
    classes_of: object = "the dataset",
) -> tuple[Backbone, dict[str, float]]:
    """The backbone with its classifier, on `device`, and accuracies in percent: 'top1' and 'top5'
    on the split 'val' and 'train_top1' on 'train'; no 'top5' of fewer than five classes.

    path, classes_of: as in `take_classifier`. Raises ScddError as `train` and it do.
    """
    network = build(backbone.architecture, len(info.classes), info.resolution)
    load_backbone(network, backbone.state)
    if params.features == "imported":
        take_classifier(network, backbone, path, info.classes, classes_of)
        in_eval_mode(network, device)
    else:
        train(network, splits["train"], info, params, device, saved)
    scores = {}
    for name, split in splits.items():
        inputs = features(network, split.to(device), info, params.precision, device)
        with torch.no_grad():
            scores[name] = network.fc(inputs), split.labels.to(device)
    metrics = {"top1": top(*scores["val"], 1), "train_top1": top(*scores["train"], 1)}
    if len(info.classes) >= 5:
        metrics["top5"] = top(*scores["val"], 5)
    say(json.dumps(metrics))
    return network, metrics


def work(args: Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    dataset = open_dataset(args.data, args.root)
    info = dataset.info
    backbone = load_checkpoint(
        args.backbone,
        kind="backbone",
        digest=config.parents["backbone"],
        classes=info.classes,
        classes_of=args.data,
    )
    network, metrics = probed(
        backbone,
        {"train": dataset.train, "val": dataset.val},
        info,
        Probe.of(config.params),
        device,
        saved,
        args.backbone,
        args.data,
    )
    teacher = Checkpoint(
        "classifier",
        backbone.architecture,
        info.classes,
        network.state_dict(),
        config.digest,
        backbone.source,
        info.resolution,
    )
    save_checkpoint(args.out, teacher, runtime.environment(device))
    write_json(args.metrics, metrics)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "root", out="classifier checkpoint to write")
    parser.add_argument("--backbone", type=Path, required=True, help="checkpoint from scdd.squeeze")
    parser.add_argument(
        "--metrics", type=Path, required=True, help="JSON file of accuracies to write"
    )
    return runtime.run_long("probe", parser, work, argv, outputs=("out", "metrics"))


if __name__ == "__main__":
    sys.exit(main())
