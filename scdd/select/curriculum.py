"""Order the training images of each class by what a student of an image set lacks: one curriculum
of CCFS (arXiv 2503.18872).

Its coarse stage leaves the images that the student gets wrong and the teacher right. Its fine stage
takes the simplest of these first: those that a training run forgets least. As in the authors'
program, images are judged clean and whole. Where there are too few, images follow that the student
gets right, then those that the teacher gets wrong; there, the authors take fewer.

The student sees no validation image.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.order import load_order, save_order
from scdd.data.placement import load_if_room, open_images
from scdd.data.source import Split, open_dataset
from scdd.evaluate.validate import store_of, train_student
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say
from scdd.jobs.saved import JobState
from scdd.networks.backbone import in_eval_mode
from scdd.networks.precision import autocast
from scdd.networks.teachers import load_teachers
from scdd.params.base import Precision
from scdd.params.protocol import Student
from scdd.views.pixels import normalise

BATCH = 512  # images a pass


@torch.inference_mode()
def right(
    networks: Sequence[nn.Module],
    split: Split,
    info: DatasetInfo,
    device: torch.device,
    precision: Precision = "float32",
) -> Tensor:
    """bool [n] (CPU): which images the mean of the networks' logits classifies right.

    The networks are moved to the device, into eval mode.
    """
    for network in networks:
        in_eval_mode(network, device)
    found = torch.empty(len(split), dtype=torch.int64, device=device)
    order = torch.arange(len(split))
    order = order if split.pixels is None else order.to(split.pixels.device)
    for index, images in split.batches(order, BATCH, device):
        inputs = normalise(images, info)
        with autocast(device, precision):
            logits = torch.stack([network(inputs).float() for network in networks]).mean(0)
        found[index.to(device)] = logits.argmax(1)
    return found.cpu() == split.labels


def in_order(simplest: Tensor, had: Tensor, missed: Tensor, known: Tensor) -> Tensor:
    """The images of a class int64 [m] in the order in which they are taken.

    simplest: int64 [m], the simplest first. had: int64 [t], those that the image set has. missed,
    known: bool [n], which of all training images the student gets wrong, and the teacher right.
    """
    left = simplest[~torch.isin(simplest, had)]
    choice = torch.where(known[left], torch.where(missed[left], 0, 1), 2)
    return torch.cat([had, left[choice.argsort(stable=True)]])


def work(args: argparse.Namespace, config: Frozen, device: torch.device, saved: JobState) -> None:
    training, dataset = Student.of(config.params), open_dataset(args.data, args.root)
    info, train = dataset.info, dataset.train
    images, split, _ = open_images(args.images, info, args.data, None, device)
    store = store_of(args, config, training, images, info)
    teachers = [
        network for network, _ in load_teachers(args.teacher, config, info.classes, args.data)
    ]

    def order_of(path: Path, role: str) -> list[Tensor]:
        return load_order(
            path,
            digest=config.parents[role],
            labels=train.labels,
            classes=info.classes,
            classes_of=args.data,
        )

    hardest, taken = order_of(args.difficulty, "difficulty"), config.params["taken"]
    had = order_of(args.before, "before") if "before" in config.parents else hardest

    student, _ = train_student(
        config.params, training, split, store, None, info, device, saved, args.compile
    )
    clean = load_if_room(train, device)
    missed = ~right([student], clean, info, device, training.precision)
    known = right(teachers, clean, info, device, training.precision)
    rank, fewest = torch.empty_like(train.labels), len(train)
    for hard, own in zip(hardest, had, strict=True):
        order = in_order(hard.flip(0), own[:taken], missed, known)
        rank[order] = torch.arange(len(order))
        fewest = min(fewest, int((missed & known)[order[taken:]].sum()))
    say(
        f"right on {100 * (~missed).float().mean():.1f} % of the training images, the teacher on "
        f"{100 * known.float().mean():.1f} %; there is a choice of {fewest} images or more in each "
        "class"
    )
    reasons = {"missed": missed, "known": known}
    environment = runtime.environment(device)
    save_order(args.out, rank, info.classes, config.digest, environment, **reasons)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.long_parser(__doc__, "data", "root", "images", out="the order to write")
    parser.add_argument("--labels", type=Path, required=True, help="the folder of its soft labels")
    parser.add_argument(
        "--teacher", type=Path, nargs="+", required=True, help="the probes that made the labels"
    )
    parser.add_argument(
        "--difficulty", type=Path, required=True, help="order.safetensors, the hardest first"
    )
    parser.add_argument("--before", type=Path, help="order.safetensors of the curriculum before")
    return runtime.run_long("curriculum", parser, work, argv, outputs=("out",))


if __name__ == "__main__":
    sys.exit(main())
