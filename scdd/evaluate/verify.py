"""Test another network on distilled images: its top-1 shows whether they look like their classes,
or only suit the teacher that they were recovered from."""

import argparse

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import load_info
from scdd.artifacts.files import write_json
from scdd.data.placement import open_images
from scdd.evaluate.train import accuracy
from scdd.jobs import arguments, runtime
from scdd.jobs.progress import say
from scdd.networks.backbone import in_eval_mode
from scdd.networks.teachers import load_teacher


def _work(args: argparse.Namespace, config: Frozen, device: torch.device) -> None:
    info = load_info(args.data)
    _, split, _ = open_images(args.images, info, args.data, config.parents["images"], device)
    network, verifier = load_teacher(args.teacher, config, info.classes, args.data)
    top1, top5 = accuracy(in_eval_mode(network, device), split, info, device)
    say(f"top-1 of {len(split)} images: {top1:.1f} %")
    metrics = {
        "top1": top1,
        "top5": top5,
        "images": len(split),
        "verifier": verifier.digest,
        "digest": config.digest,
        "env": runtime.environment(device),
    }
    write_json(args.out, metrics)


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, "data", "images", "teacher", out="the metrics.json to write")
    return runtime.run("verify", parser, _work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
