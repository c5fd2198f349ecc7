"""Label an image set: the teacher's logits for every view of an epoch range, as one shard.

The teacher is in eval mode, so a label depends on its image's view alone (FKD, arXiv 2112.01528;
SRe2L, arXiv 2306.13092, section 3.3).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from scdd import runtime
from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo, load_info
from scdd.artifacts.images import load_set
from scdd.artifacts.labels import Origin, save_shard
from scdd.artifacts.network import load_checkpoint
from scdd.artifacts.saved import Snapshot, Unsaved
from scdd.artifacts.sizes import label_bytes
from scdd.artifacts.slots import Range
from scdd.data.mixing import Draws, Transform, batch_count, draw_epoch, transform_of, views
from scdd.data.source import Split
from scdd.errors import ScddError
from scdd.models import build
from scdd.progress import Progress, say

PASS = 256  # images a forward pass, always from one epoch: an epoch's labels fit any range


@torch.inference_mode()
def label_passes(
    teacher: nn.Module, split: Split, draws: Draws, mix: str, info: DatasetInfo, skip: int
) -> Iterator[Tensor]:
    """Logits float16 [b, classes] of each pass but the first `skip`, the images in their order.

    The teacher must be in eval mode.
    """
    order = torch.arange(len(split), device=draws.lam.device if split.pixels is not None else None)
    for _, inputs in views(split, order[skip * PASS :], PASS, draws, mix, info):
        yield teacher(inputs).half()


def label(
    teacher: nn.Module,
    split: Split,
    transform: Transform,
    seed: int,
    epochs: Range,
    info: DatasetInfo,
    device: torch.device,
    saved: Unsaved | None = None,
) -> dict[str, Tensor]:
    """A shard's tensors (CPU): draws and logits of the half-open range `epochs`.

    An epoch's content depends on (seed, epoch), not on the range. saved: where to go on from, and
    where to leave the state. Raises ScddError where a logit is not finite in float16.
    """
    saved = saved or Unsaved()
    passes = batch_count(len(split), PASS)
    made: dict[str, Tensor] = {}
    done, parts, logits = 0, 0, []  # passes done; parts saved; logits of the epoch under way

    def fill(row: int, content: dict[str, Tensor]) -> None:
        for name, tensor in content.items():
            if name not in made:  # filled in place: a shard can take a good part of the memory
                made[name] = tensor.new_empty((epochs[1] - epochs[0], *tensor.shape[1:]))
            made[name][row : row + len(tensor)] = tensor

    def snapshot() -> Snapshot:
        """The finished epochs that no part has yet, as one part, and what the next one has."""
        nonlocal kept, parts
        rows = slice(kept, done // passes)
        new = {}
        if rows.stop > rows.start:
            new[f"epochs_{parts}"] = {name: tensor[rows].clone() for name, tensor in made.items()}
            kept, parts = rows.stop, parts + 1
        return Snapshot({"done": done, "parts": parts, "logits": logits}, new)

    if saved.content is not None:
        done, parts = saved.content["done"], saved.content["parts"]
        logits = [tensor.to(device) for tensor in saved.content["logits"]]
        row = 0
        for part in range(parts):
            content = saved.part(f"epochs_{part}")
            fill(row, content)
            row += len(content["logits"])
    kept = done // passes
    with Progress("relabel", passes * (epochs[1] - epochs[0]), done) as progress:
        for row in range(done // passes, epochs[1] - epochs[0]):
            draws = draw_epoch(transform, len(split), split.resolution, seed, epochs[0] + row)
            there = draws.to(device)
            skip = done - row * passes
            for part in label_passes(teacher, split, there, transform.mix, info, skip):
                logits.append(part)
                done += 1
                progress.advance()
                if done % passes:
                    saved.offer(done, snapshot)
            whole = torch.cat(logits).cpu()
            if not bool(torch.isfinite(whole).all()):
                raise ScddError(
                    f"the teacher's logits in epoch {epochs[0] + row} are not finite in float16. "
                    "Look at the probe: its learning rate may be too high."
                )
            fill(row, {n: t[None] for n, t in {**draws.stored(), "logits": whole}.items()})
            logits = []
            saved.offer(done, snapshot)
    return made


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: Unsaved) -> None:
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
    each = label_bytes(params, classes)
    say(f"{epochs} epochs x {count} images x {each} bytes = {epochs * count * each} bytes")

    teacher = build(checkpoint.architecture, classes)
    teacher.load_state_dict(checkpoint.state)
    split = Split(images.labels, images.images, (), info.resolution).to(device)
    transform = transform_of(params)
    made = label(
        teacher.eval().to(device),
        split,
        transform,
        params["seed"],
        args.epochs,
        info,
        device,
        saved,
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
    parser = runtime.long_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dataset.json")
    parser.add_argument("--images", type=Path, required=True, help="the image set's set.json")
    parser.add_argument("--teacher", type=Path, required=True, help="the probe's checkpoint")
    parser.add_argument("--epochs", type=runtime.span, required=True, help="half-open, as 0:100")
    parser.add_argument("--out", type=Path, required=True, help="the shard to write")
    return runtime.run_long("relabel", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    raise SystemExit(main())
