"""Label an image set: the teacher's logits for every view of an epoch range, as one shard.

The teacher is in eval mode, so a label depends on its image's view alone (FKD, arXiv 2112.01528;
SRe2L, arXiv 2306.13092, section 3.3).
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from scdd import runtime
from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo, load_info
from scdd.artifacts.images import load_set
from scdd.artifacts.labels import Origin, save_shard, shard_bytes
from scdd.artifacts.network import load_checkpoint
from scdd.artifacts.slots import Range
from scdd.data.mixing import Draws, Transform, draw_epoch, transform_of, views
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.models import build

PASS = 256  # images a forward pass, always from one epoch: an epoch's labels fit any range


@torch.inference_mode()
def label_epoch(
    teacher: nn.Module, split: Split, draws: Draws, mix: str, info: DatasetInfo
) -> Tensor:
    """Logits float16 [n, classes] of all images, in their order, on the draws' device.

    The teacher must be in eval mode.
    """
    order = torch.arange(len(split), device=draws.lam.device if split.pixels is not None else None)
    batches = views(split, order, PASS, draws, mix, info)
    return torch.cat([teacher(inputs).half() for _, inputs in batches])


def label(
    teacher: nn.Module,
    split: Split,
    transform: Transform,
    seed: int,
    epochs: Range,
    info: DatasetInfo,
    device: torch.device,
) -> dict[str, Tensor]:
    """A shard's tensors (CPU): draws and logits of the half-open range `epochs`.

    An epoch's content depends on (seed, epoch), not on the range. Raises ScddError where a logit
    is not finite in float16.
    """
    made: dict[str, Tensor] = {}
    for row, epoch in enumerate(runtime.track(range(*epochs), "relabel")):
        draws = draw_epoch(transform, len(split), split.resolution, seed, epoch)
        logits = label_epoch(teacher, split, draws.to(device), transform.mix, info).cpu()
        if not bool(torch.isfinite(logits).all()):
            raise ScddError(
                f"the teacher's logits in epoch {epoch} are not finite in float16. "
                "Look at the probe: its learning rate may be too high."
            )
        for name, tensor in {**vars(draws), "logits": logits}.items():
            if row == 0:  # filled in place: a shard can take a good part of the memory
                made[name] = tensor.new_empty((epochs[1] - epochs[0], *tensor.shape))
            made[name][row] = tensor
    return made


def work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    params = config.params
    info = load_info(args.data)
    images = load_set(args.images, info.classes, args.data, config.parents["images"])
    checkpoint = load_checkpoint(
        args.teacher,
        kind="classifier",
        digest=config.parents["teacher"],
        classes=images.classes,
        classes_of=args.images,
    )
    count, classes = len(images.labels), len(images.classes)
    epochs = args.epochs[1] - args.epochs[0]
    size = shard_bytes(epochs, count, classes)
    runtime.say(f"{epochs} epochs x {count} images x {25 + 2 * classes} bytes = {size} bytes")

    teacher = build(checkpoint.architecture, classes)
    teacher.load_state_dict(checkpoint.state)
    split = Split(images.labels, images.images, (), info.resolution).to(device)
    transform = transform_of(params)
    made = label(
        teacher.eval().to(device), split, transform, params["seed"], args.epochs, info, device
    )
    origin = Origin(
        digest=config.digest,
        images=images.content,
        classes=images.classes,
        teacher=checkpoint.digest,
        transform={key: params[key] for key in ("view", "mix", "alpha")},
        form=params["form"],
        seed=params["seed"],
    )
    save_shard(args.out, made, origin, args.epochs, runtime.environment(device))


def main(argv: list[str] | None = None) -> int:
    parser = runtime.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json")
    parser.add_argument("--images", type=Path, required=True, help="the image set's set.json")
    parser.add_argument("--teacher", type=Path, required=True, help="the probe's checkpoint")
    parser.add_argument("--epochs", type=runtime.span, required=True, help="half-open, as 0:100")
    parser.add_argument("--out", type=Path, required=True, help="the shard to write")
    return runtime.run("relabel", parser, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
