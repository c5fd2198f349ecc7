"""`scdd import`: what a public checkpoint has."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from scdd.artifacts.files import sha256
from scdd.errors import ScddError
from scdd.params.architectures import RESNETS
from scdd.params.squeeze import LAYOUTS


def import_checkpoint(args: argparse.Namespace) -> None:
    """Show what a public checkpoint has, and what to write in a configuration to use it. With
    --out, write its backbone alone, without pickle and with torchvision's keys."""
    # the import of torch takes a second, for which the other commands need not wait
    from scdd.artifacts.tensors import save
    from scdd.interop.checkpoints import find, fitted
    from scdd.interop.networks import by_authors

    checkpoint = find(args.file, args.layout)
    network = checkpoint.architecture
    if not network.arch or (network.arch in RESNETS and not network.stem):
        raise ScddError(
            f"{args.file} has none of the networks {', '.join(RESNETS)}, and none of "
            "torchvision's that can be imported (docs/checkpoints.md)."
        )
    shown = {key: value for key, value in vars(network).items() if value}
    # the strides of a stem cannot be told from tensors: these are those of published files
    network = replace(network, stem=network.stem or "imagenet")
    state = fitted(checkpoint, network, args.file)
    content = sha256(args.file)
    head = checkpoint.classifier.get("fc.weight")
    classifier = "no classifier" if head is None else f"a classifier of {len(head)} classes"
    layout = checkpoint.layout
    place = f" below {checkpoint.prefix}" if checkpoint.prefix else ""
    print(f"# {layout}: {len(state)} tensors of a backbone{place}, {classifier}; sha256 {content}")
    source = {"file": str(args.file), "layout": layout}
    source |= {key: text for key in ("url", "licence") if (text := getattr(args, key))}
    squeeze = {"method": "imported", "source": source}
    matched = any(key.endswith("running_mean") for key in state)
    kind = "scdd" if matched else "teacher"  # nothing can be recovered from it
    method = {"name": layout, "like": kind, "backbone": shown, "squeeze": squeeze}
    print(yaml.safe_dump({"methods": [method]}, sort_keys=False), end="")
    if args.out is not None:
        header = {"kind": "imported", "source": {**source, "sha256": content}}
        tensors = state | checkpoint.classifier
        save(args.out, by_authors(network, tensors), header)


def add(commands: Any) -> None:
    command = commands.add_parser("import", help=import_checkpoint.__doc__)
    command.add_argument("file", type=Path, help="the checkpoint as its authors published it")
    command.add_argument(
        "--layout",
        default="auto",
        choices=LAYOUTS,
        help="whose keys it has (auto: found by them)",
    )
    command.add_argument("--out", type=Path, help="safetensors file to write")
    command.add_argument("--url", help="where it is from, to be recorded")
    command.add_argument("--licence", help="under which it may be used, to be recorded")
    command.set_defaults(run=import_checkpoint)
