"""Train a linear classifier on the frozen backbone, which must not change by a bit.

features 'clean': the features of the images are computed once. 'augmented' (the published way): in
every epoch new views of the images go through the network. 'imported': nothing is trained; the
classifier is that of an imported file.
"""

import json
import math
import sys
from argparse import Namespace
from collections.abc import Iterator
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
from scdd.jobs.epochs import Epochs, Part
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.networks.resnet import (
    ResNet,
    backbone_state,
    build,
    features_of,
    in_eval_mode,
    load_backbone,
)
from scdd.networks.schedules import stepped
from scdd.params.probe import Probe
from scdd.params.views import Transform
from scdd.rng import generator
from scdd.views.mixing import draw_epoch
from scdd.views.pixels import normalise

CLEAN_BATCH = 256  # images a pass where no gradient is taken


@torch.no_grad()
def features(
    network: ResNet, split: Split, info: DatasetInfo, precision: str, device: torch.device
) -> Tensor:
    """float32 [n, d] of the clean images in order, on the device; the network is in eval mode."""
    order = torch.arange(len(split))
    batches = split.batches(order, CLEAN_BATCH, device)
    return torch.cat(
        [features_of(network, normalise(images, info), precision) for _, images in batches]
    )


def top(logits: Tensor, labels: Tensor, k: int) -> float:
    """Percent of rows whose label is among the k largest logits."""
    hits = (logits.topk(k, dim=1).indices == labels[:, None]).any(1)
    return 100 * hits.sum().item() / len(hits)


def batches(
    network: ResNet,
    split: Split,
    info: DatasetInfo,
    params: Probe,
    clean: Tensor | None,
    epoch: int,
    skip: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Index int64 [b] and features float32 [b, d] of an epoch's batches but the first `skip`, on
    the device; `clean` features if given."""
    order = torch.randperm(len(split), generator=generator(params.seed, "order", epoch))
    order = order[skip * params.batch :]
    # pixels on the device are indexed there, files on the CPU
    order = order.to(device) if clean is not None or split.pixels is not None else order
    if clean is not None:
        for index in order.split(params.batch):
            yield index, clean[index]
        return
    transform = Transform(params.view)
    draws = draw_epoch(transform, len(split), info.resolution, params.seed, epoch).to(device)
    for index, images in views(split, order, params.batch, draws, "none", info):
        with torch.no_grad():
            seen = features_of(network, images, params.precision)
        yield index, seen


def train(
    network: ResNet,
    split: Split,
    info: DatasetInfo,
    params: Probe,
    device: torch.device,
    saved: JobState | None = None,
) -> None:
    """Train `network.fc` from weights N(0, 0.01), as MoCo's, on the device; the rest in eval mode.

    network: on the CPU, where the weights are drawn. saved: where to resume from, and where to
    leave the state. Raises ScddError if the loss is not finite, or the backbone changed by a bit.
    """
    nn.init.normal_(network.fc.weight, std=0.01, generator=generator(params.seed, "weights"))
    nn.init.zeros_(network.fc.bias)
    in_eval_mode(network, device)
    before = {key: tensor.clone() for key, tensor in backbone_state(network).items()}
    split = split.to(device)
    optimizer = torch.optim.SGD(
        network.fc.parameters(),
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
    state: dict[str, Part] = {"fc": network.fc, "optimizer": optimizer, "total": total}
    run = Epochs("probe", params.epochs, per_epoch, saved, state)
    for epoch in run:
        rate = stepped(epoch, params.epochs, params.lr, params.milestones)
        optimizer.param_groups[0]["lr"] = rate
        left = batches(network, split, info, params, clean, epoch, run.skip, device)
        for index, seen in run.steps_of(left):
            loss = functional.cross_entropy(network.fc(seen), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        if not math.isfinite(total.item()):  # the epoch's one wait for the device
            raise ScddError(
                f"the probe's loss is not finite in epoch {epoch + 1} of {params.epochs}: "
                f"lower probe.lr ({params.lr})."
            )
        total.zero_()
    for key, tensor in backbone_state(network).items():
        if not torch.equal(tensor, before[key]):
            raise ScddError(f"the backbone changed while it was probed: {key} changed.")


def take_classifier(
    network: ResNet, backbone: Checkpoint, path: Path, classes: tuple[str, ...], classes_of: Path
) -> None:
    """Load `network.fc` from a backbone that was imported with a classifier.

    Raises ScddError if there is none, or one for other classes; if the file does not name its
    classes, only their number can be checked.
    """
    source = backbone.source or {}
    if "fc.weight" not in backbone.state:
        raise ScddError(
            f"probe.features is imported, but the file of {path} has no classifier "
            f"({source.get('file')}, layout {source.get('layout')}). Set it to clean or augmented."
        )
    theirs = {name: backbone.state[f"fc.{name}"] for name in ("weight", "bias")}
    count, width = theirs["weight"].shape
    if (count, width) != (len(classes), network.fc.in_features):
        raise ScddError(
            f"{source['file']} has a classifier of {count} classes ({width} features), but "
            f"{classes_of} has {len(classes)} ({network.fc.in_features}). Set probe.features to "
            "clean or augmented, or use the classes that it was trained on."
        )
    if source["classes"] is None:
        say(f"assumed: the classes of {source['file']} are in the dataset's order")
    else:
        require_same_classes(source["classes"], source["file"], classes, classes_of)
    network.fc.load_state_dict(theirs)


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
    network = build(backbone.architecture, len(info.classes))
    load_backbone(network, backbone.state)
    params = Probe.of(config.params)
    if params.features == "imported":
        take_classifier(network, backbone, args.backbone, info.classes, args.data)
        in_eval_mode(network, device)
    else:
        train(network, dataset.train, info, params, device, saved)
    scores = {}
    for name, split in (("train", dataset.train), ("val", dataset.val)):
        seen = features(network, split.to(device), info, params.precision, device)
        with torch.no_grad():
            scores[name] = network.fc(seen), split.labels.to(device)
    metrics = {"top1": top(*scores["val"], 1), "train_top1": top(*scores["train"], 1)}
    if len(info.classes) >= 5:
        metrics["top5"] = top(*scores["val"], 5)
    say(json.dumps(metrics))
    teacher = Checkpoint(
        "classifier",
        backbone.architecture,
        info.classes,
        network.state_dict(),
        config.digest,
        backbone.source,
    )
    save_checkpoint(args.out, teacher, runtime.environment(device))
    write_json(args.metrics, metrics)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "root", out="classifier checkpoint to write")
    parser.add_argument("--backbone", type=Path, required=True, help="checkpoint of scdd.squeeze")
    parser.add_argument("--metrics", type=Path, required=True, help="JSON of accuracies to write")
    return runtime.run_long("probe", parser, work, argv, outputs=("out", "metrics"))


if __name__ == "__main__":
    sys.exit(main())
