"""Label an image set: the teacher's logits for every view of an epoch range, as one shard.

The teacher is in eval mode, so a label depends on its image's view alone (FKD, arXiv 2112.01528;
SRe2L, arXiv 2306.13092, section 3.3); or it normalises by the statistics of the student's batches,
as SC-DD's released code does. Of several teachers the logits are averaged.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from scdd.artifacts.config import Frozen, teacher_roles
from scdd.artifacts.dataset import DatasetInfo, load_info
from scdd.artifacts.labels import Origin, save_shard
from scdd.artifacts.sizes import label_bytes
from scdd.artifacts.slots import Range
from scdd.data.batches import batch_count, views
from scdd.data.placement import open_images
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.jobs import arguments, runtime
from scdd.jobs.capture import Compiled, captured
from scdd.jobs.epochs import Epochs
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.labels.forms import encode
from scdd.labels.labelling import Labelling, labelling_of, origin_of
from scdd.labels.shard import Passes, Shard
from scdd.networks.resnet import in_eval_mode
from scdd.networks.teachers import load_teachers
from scdd.params.protocol import Relabel
from scdd.views.mixing import Draws

PASS = 256  # images a forward pass, always from one epoch: an epoch's labels fit any range


class Averaged(nn.Module):
    """The mean of several networks' logits."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        # in float32 under autocast too
        return torch.stack([network(x).float() for network in self.networks]).mean(0)


def use_batch_statistics(network: nn.Module) -> None:
    """Let every BatchNorm of `network`, in eval mode too, normalise by its batch.

    The released code puts the teacher in training mode, in which its running statistics change but
    are not read: labels are the same without them.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean = module.running_var = None


@torch.inference_mode()
def label_passes(
    answer: Callable[[Tensor], Tensor],
    split: Split,
    draws: Draws,
    order: Tensor,
    size: int,
    mix: str,
    info: DatasetInfo,
) -> Iterator[Tensor]:
    """Logits float16 [b, classes] of passes of `size` images, in the given order, as `answer` gives
    them for views float32 [b, 3, R, R]."""
    order = order if split.pixels is None else order.to(split.pixels.device)
    for _, inputs in views(split, order, size, draws, mix, info):
        yield answer(inputs).half()


def answer_of(
    teacher: nn.Module, precision: str, device: torch.device, compiled: Compiled
) -> Callable[[Tensor], Tensor]:
    """Views to logits. The teacher must be in eval mode; precision: 'float32', or 'bf16'
    (autocast, which the views themselves must not be made under: it would round pixels)."""
    forward = torch.compile(teacher, dynamic=False) if compiled == "full" else teacher

    def answer(inputs: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits: Tensor = forward(inputs)
        return logits

    return captured(answer, device, compiled)


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
    precision: str = "float32",
    compiled: Compiled = "none",
) -> dict[str, Tensor]:
    """A shard's tensors (CPU), by name [epochs, n, ...]: the draws of the half-open range `epochs`,
    and logits in their `form`.

    An epoch's content depends on (labelling, epoch), not on the range. temperature: of the
    students, for `encode`. saved: where to resume from, and where to leave the state. precision: of
    the teacher's passes; compiled: see `scdd.jobs.capture`. Raises ScddError if a logit is not
    finite in float16.
    """
    n, mix = len(split), labelling.transform.mix
    # a batch whose statistics count is a pass of its own
    size = labelling.batch if labelling.batch_bn and labelling.batch else PASS
    answer = answer_of(teacher, precision, device, compiled)
    passes = Passes(device)
    shard = Shard(epochs[1] - epochs[0], saved or JobState())
    run = Epochs(
        "relabel",
        shard.epochs,
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
        left = order[run.skip * size :]
        there = draws.to(device)
        for logits in run.steps_of(label_passes(answer, split, there, left, size, mix, info)):
            passes.add({**encode(logits, form, temperature), "finite": logits.isfinite().all(1)})
        whole = passes.joined(order)
        if not bool(whole.pop("finite").all()):
            raise ScddError(
                f"the teacher's logits in epoch {epoch} are not finite in float16. "
                "Look at the probe: its learning rate may be too high."
            )
        shard.add({name: tensor[None] for name, tensor in {**draws.stored(), **whole}.items()})
    return shard.tensors


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    params = Relabel.of(config.params)
    info = load_info(args.data)
    images, split = open_images(args.images, info, args.data, config.parents["images"], device)
    loaded = load_teachers(args.teacher, config, images.classes, args.images)
    networks = [network for network, _ in loaded]
    teacher = networks[0] if len(networks) == 1 else Averaged(networks)
    count, each = len(split), label_bytes(params, len(images.classes))
    epochs = args.epochs[1] - args.epochs[0]
    say(f"{epochs} epochs x {count} images x {each} bytes = {epochs * count * each} bytes")

    transform = origin_of(params, config.params.get("batch"))
    labelling = labelling_of(transform, params.seed)
    if labelling.batch_bn:
        use_batch_statistics(teacher)
    shard = label(
        in_eval_mode(teacher, device),
        split,
        labelling,
        params.form,
        config.params.get("temperature", 1.0),  # forms that do not depend on it have none
        args.epochs,
        info,
        device,
        saved,
        params.label_precision,
        args.compile,
    )
    origin = Origin(
        digest=config.digest,
        images=images.content,
        classes=images.classes,
        teacher="+".join(config.parents[role] for role in teacher_roles(config.parents)),
        transform=transform,
        form=params.form,
        seed=params.seed,
        resolution=info.resolution,
        views=params.views,
        precision=params.label_precision,
    )
    save_shard(args.out, shard, origin, args.epochs, runtime.environment(device))


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "images", "epochs", out="the shard to write")
    parser.add_argument(
        "--teacher",
        type=Path,
        nargs="+",
        required=True,
        help="the probe's checkpoint; of several the logits are averaged",
    )
    return runtime.run_long("relabel", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    raise SystemExit(main())
