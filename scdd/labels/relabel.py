"""Label an image set: the teacher's logits for every view of a range of epochs, as one shard.

With `teacher_bn: eval`, a label depends only on the view (FKD, arXiv 2112.01528; SRe2L, arXiv
2306.13092, section 3.3). With `batch`, the teacher normalises by the statistics of the student's
batches, as in SC-DD's released code, or of groups of them, as in BSSL (CV-DD, arXiv 2501.07575).
The logits of several teachers are averaged, or weighted. Of images of some of the dataset's classes
the labels are the logits of these classes alone.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scdd.artifacts.config import Frozen, teacher_roles
from scdd.artifacts.dataset import DatasetInfo, load_info
from scdd.artifacts.labels import Origin, of_epoch, of_views, save_shard
from scdd.artifacts.sizes import pca_bits, store_bytes
from scdd.artifacts.slots import Range
from scdd.data.batches import batch_count, batch_sizes, views
from scdd.data.placement import open_images
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.capture import Compiled, captured
from scdd.jobs.epochs import Epochs
from scdd.jobs.progress import say
from scdd.jobs.rows import Rows
from scdd.jobs.saved import JobState
from scdd.labels import components
from scdd.labels.forms import encode
from scdd.labels.labelling import Labelling, labelling_of, origin_of
from scdd.labels.passes import Passes
from scdd.labels.prediction import seen
from scdd.labels.teachers import OfClasses, Together, use_batch_statistics, vote_weights
from scdd.networks.backbone import in_eval_mode
from scdd.networks.precision import autocast
from scdd.networks.teachers import load_teachers
from scdd.params.base import Precision
from scdd.params.protocol import Relabel
from scdd.rng import generator
from scdd.views.mixing import Draws

PASS = 256  # images per forward pass; never of two epochs, so labels do not depend on the range
IN_CACHE = 64  # of these with batch statistics at once on a CPU: more were a quarter slower


def pass_size(labelling: Labelling, most: int = PASS) -> int:
    """Images per forward pass, `most` or fewer; whole batches where the teacher has the statistics
    of these."""
    batch = labelling.batch if labelling.batch_bn and labelling.batch else 1
    return max(1, most // batch) * batch


def in_cache(to_logits: Callable[[Tensor], Tensor], labelling: Labelling) -> Callable[..., Tensor]:
    """`to_logits` of a pass, in parts of whole batches."""
    size = pass_size(labelling, IN_CACHE)

    def by_parts(inputs: Tensor) -> Tensor:
        parts = inputs.split(batch_sizes(len(inputs), size))
        return torch.cat([to_logits(part) for part in parts])

    return by_parts


@torch.inference_mode()
def label_passes(
    to_logits: Callable[[Tensor], Tensor],
    split: Split,
    draws: Draws,
    order: Tensor,
    size: int,
    mix: str,
    info: DatasetInfo,
) -> Iterator[Tensor]:
    """The logits float16 [b, classes] of each pass of `size` images, taken in `order`.

    to_logits: maps views float32 [b, 3, R, R] to logits.
    """
    order = order if split.pixels is None else order.to(split.pixels.device)
    for _, inputs in views(split, order, size, draws, mix, info):
        yield to_logits(inputs).half()


def seeded(passes: Iterator[Tensor], seed: int, epoch: int, skip: int) -> Iterator[Tensor]:
    """The passes of an epoch but the first `skip`, each with dropout's numbers from (seed, epoch,
    pass) alone: a label depends on neither the range of epochs nor an interruption."""
    for number in itertools.count(skip):
        torch.manual_seed(generator(seed, "dropout", epoch, number).initial_seed())
        if (logits := next(passes, None)) is None:
            return
        yield logits


def logits_function(
    teacher: nn.Module, precision: Precision, device: torch.device, compiled: Compiled
) -> Callable[[Tensor], Tensor]:
    """The function that maps views to logits.

    Only the forward pass is under autocast: the views are made outside, because it would round
    their pixels.
    """
    forward = torch.compile(teacher, dynamic=False) if compiled == "full" else teacher

    def to_logits(inputs: Tensor) -> Tensor:
        with autocast(device, precision):
            logits: Tensor = forward(inputs)
        return logits

    return captured(to_logits, device, compiled)


def label(
    teacher: nn.Module,
    split: Split,
    labelling: Labelling,
    form: str,
    temperature: float,
    epochs: Range,
    info: DatasetInfo,
    device: torch.device,
    saved: JobState | None = None,
    precision: Precision = "float32",
    compiled: Compiled = "none",
) -> dict[str, Tensor]:
    """The tensors of a shard by name, each [epochs, n, ...], on the CPU: the random draws of the
    views, and the logits in the given `form`, for the half-open range `epochs`; in pca as
    `scdd.labels.components` has them.

    What an epoch holds does not depend on the range, unless the form is pca. temperature: the
    students', for `encode`. saved: the state to resume from, and where it is saved. precision: of
    the teacher's forward passes. compiled: see `scdd.jobs.capture`. Raises ScddError if a logit is
    not finite in float16.
    """
    n, mix, size = len(split), labelling.transform.mix, pass_size(labelling)
    by_shard = pca_bits(form) is not None  # encoded when all its epochs are there
    to_logits = logits_function(teacher, precision, device, compiled)
    if labelling.batch_bn and device.type == "cpu":
        to_logits = in_cache(to_logits, labelling)
    passes = Passes(device)
    shard = Rows(epochs[1] - epochs[0], saved or JobState())
    run = Epochs(
        "relabel",
        shard.count,
        batch_count(n, size),
        saved,
        {"parts": shard, "logits": passes},
        shard.new_parts,
    )
    for row in run:
        epoch = epochs[0] + row
        draws = labelling.draw(n, split.resolution, epoch)
        order = labelling.order(n, epoch) if labelling.batch_bn else None
        order = torch.arange(n) if order is None else order
        remaining = order[run.skip * size :]
        on_device = draws.to(device)
        passed = label_passes(to_logits, split, on_device, remaining, size, mix, info)
        if labelling.dropout:
            passed = seeded(passed, labelling.seed, epoch, run.skip)
        for logits in run.steps_of(passed):
            passes.add(logits)
        whole = passes.joined(order)
        if not bool(whole.isfinite().all()):
            raise ScddError(
                f"the teacher's logits in epoch {epoch} are not finite in float16. "
                "The probe may have diverged: try a lower probe.lr."
            )
        kept = "float16" if by_shard else form
        labelled = {name: tensor.cpu() for name, tensor in encode(whole, kept, temperature).items()}
        shard.add({name: tensor[None] for name, tensor in {**draws.stored(), **labelled}.items()})
    if by_shard:
        drawn = of_views(shard.tensors)
        views = [
            seen(labelling, Draws(**of_epoch(drawn, row)).to(device), epochs[0] + row)
            for row in range(shard.count)
        ]
        say(f"{shard.count} epochs are put into {form}")
        encoded = components.encode(shard.tensors["logits"], views, form)
        return {**drawn, **{name: tensor.cpu() for name, tensor in encoded.items()}}
    return shard.tensors


def teacher_of(
    networks: Sequence[nn.Module],
    config: Mapping[str, Any],
    labelling: Labelling,
    device: torch.device,
    classes: Sequence[int] | None = None,
) -> nn.Module:
    """The networks as one teacher on the device, with the BN statistics and the dropout of the
    labelling; they are changed. config, classes: as for `label_set`."""
    weights = None
    if "teacher_priors" in config:
        weights = vote_weights(config["teacher_priors"], config["prior_temperature"])
    teacher = networks[0] if len(networks) == 1 else Together(networks, weights)
    if classes is not None:
        teacher = OfClasses(teacher, classes)
    if labelling.batch_bn:
        use_batch_statistics(teacher, labelling.groups)
    # without layers of BatchNorm, which are replaced, dropout alone is different in training mode
    return in_eval_mode(teacher, device).train(labelling.dropout)


def label_set(
    networks: Sequence[nn.Module],
    split: Split,
    config: Mapping[str, Any],
    epochs: Range,
    info: DatasetInfo,
    device: torch.device,
    saved: JobState | None = None,
    compiled: Compiled = "none",
    classes: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """What `label` gives, by the teachers `networks` together; they are changed. config: the
    parameters of the stage, as config.json has them. classes: the indices of those that the images
    have; None: all."""
    params = Relabel.of(config)
    labelling = labelling_of(origin_of(params, config.get("batch")), params.seed)
    return label(
        teacher_of(networks, config, labelling, device, classes),
        split,
        labelling,
        params.form,
        config.get("temperature", 1.0),  # left out where the form does not need it
        epochs,
        info,
        device,
        saved,
        params.label_precision,
        compiled,
    )


def label_origin(
    config: Mapping[str, Any],
    digest: str,
    teacher: str,
    images: str,
    classes: tuple[str, ...],
    resolution: int,
) -> Origin:
    """What `label_set` labels: see `Origin`. images: their content hash."""
    params = Relabel.of(config)
    return Origin(
        digest=digest,
        images=images,
        classes=classes,
        teacher=teacher,
        transform=origin_of(params, config.get("batch")),
        form=params.form,
        seed=params.seed,
        resolution=resolution,
        views=params.views,
        precision=params.label_precision,
    )


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    params = Relabel.of(config.params)
    info = load_info(args.data)
    images, split, _ = open_images(args.images, info, args.data, config.parents["images"], device)
    loaded = load_teachers(args.teacher, config, info.classes, args.data)
    count, epochs = len(split), args.epochs[1] - args.epochs[0]
    size = store_bytes(params, count, len(images.classes), epochs)
    say(f"{epochs} epochs x {count} images = {size} bytes")

    networks = [network for network, _ in loaded]
    shard = label_set(
        networks,
        split,
        config.params,
        args.epochs,
        info,
        device,
        saved,
        args.compile,
        images.chosen,
    )
    teacher = "+".join(config.parents[role] for role in teacher_roles(config.parents))
    origin = label_origin(
        config.params, config.digest, teacher, images.content, images.classes, info.resolution
    )
    save_shard(args.out, shard, origin, args.epochs, runtime.environment(device))


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "images", "epochs", out="the shard to write")
    parser.add_argument(
        "--teacher",
        type=Path,
        nargs="+",
        required=True,
        help="the probe's checkpoint; several label together",
    )
    return runtime.run_long("relabel", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    raise SystemExit(main())
