"""The command `scdd`: what a configuration makes, what others made, and what nobody needs."""

import argparse
import shutil
import sys
from collections import Counter
from dataclasses import MISSING
from pathlib import Path

import yaml

from scdd.artifacts.files import sha256
from scdd.artifacts.run import RESULTS, WORK
from scdd.errors import ScddError, reported
from scdd.params.base import Section, default_of, hints, key_of, parameters
from scdd.params.experiment import Backbone, Experiment, Method
from scdd.params.learn import LEARNS, Experts
from scdd.params.network import ARCHITECTURES
from scdd.params.probe import Probe
from scdd.params.protocol import Protocol, Whole
from scdd.params.recover import Recover
from scdd.params.select import Forgetting, Import
from scdd.params.squeeze import LAYOUTS, SQUEEZES, Source
from scdd.plan.flops import flops
from scdd.plan.identity import DIGITS
from scdd.plan.load import plan_of_file
from scdd.plan.stages import LABELS, STAGES, stages_with


def show_plan(args: argparse.Namespace) -> None:
    """List every artifact of a configuration: stage, digest, path, and how much of it exists; with
    the bytes of images and soft labels."""
    plan = plan_of_file(args.configfile)
    for stage in STAGES:
        for node in plan.of(stage):
            files = plan.targets(node)
            existing = sum(file.exists() for file in files)
            state = f"{existing}/{len(files)}" if existing else "-"
            state = "done" if existing == len(files) else state
            size, work = plan.bytes(node), flops(plan, node)
            shown = "" if size is None else f"  {size} bytes"
            shown += "" if work is None else f"  {work / 1e15:.3g} PFLOP"
            print(f"{stage:15s} {node.digest} {state:>9s}  {node.folder}{shown}")
    for name, stages in (("images", ["imageset"]), ("soft labels", stages_with(LABELS))):
        total = sum(plan.bytes(node) or 0 for stage in stages for node in plan.of(stage))
        if total:
            print(f"{name}: {total} bytes ({total / 2**20:.1f} MiB)")
    counts = Counter(node.stage for node in plan.nodes.values())
    print(", ".join(f"{counts[stage]} {stage}" for stage in STAGES if counts[stage]))


def show_keys(_: argparse.Namespace) -> None:
    """Print every key of the configuration with its default and meaning."""
    show_section("", Experiment)
    show_section("methods.<name>.", Method)
    show_section("methods.<name>.import.", Import)
    show_section("backbones.<n>.", Backbone)
    for name, section in SQUEEZES.items():
        show_section(f"squeeze.{name}.", section)
    show_section("probe.", Probe)
    show_section("recover.", Recover)
    for name, learn in LEARNS.items():
        show_section(f"learn.{name}.", learn)
    show_section("experts.", Experts)
    show_section("forgetting.", Forgetting)
    show_section("protocol.<name>.", Protocol)
    show_section("protocol.whole.", Whole)


def show_section(prefix: str, section: type[Section], defaults: Section | None = None) -> None:
    for name, parameter in parameters(section).items():
        value = default_of(parameter) if defaults is None else getattr(defaults, name)
        if isinstance(value, Section):
            show_section(f"{prefix}{name}.", type(value), value)
        elif hints(section)[name] is Source:
            show_section(f"{prefix}{name}.", Source)
        else:
            shown = "required" if value is MISSING else value
            print(f"{prefix + key_of(parameter):34s} {parameter.metadata['meaning']} [{shown}]")


def import_checkpoint(args: argparse.Namespace) -> None:
    """Show what a public checkpoint has, and what to write in a configuration to use it. With
    --out, write its backbone alone, without pickle and with torchvision's keys."""
    # the import of torch takes a second, for which the other commands need not wait
    from scdd.artifacts.tensors import save
    from scdd.interop.checkpoints import find, fitted

    checkpoint = find(args.file, args.layout)
    network = checkpoint.architecture
    if not (network.arch and network.stem):
        raise ScddError(f"{args.file} has none of the networks {', '.join(ARCHITECTURES)}.")
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
    method = {"name": layout, "like": "scdd", "backbone": vars(network), "squeeze": squeeze}
    print(yaml.safe_dump({"methods": [method]}, sort_keys=False), end="")
    if args.out is not None:
        header = {"kind": "imported", "source": {**source, "sha256": content}}
        save(args.out, state | checkpoint.classifier, header)


def export(args: argparse.Namespace) -> None:
    """Write a distilled set as an image folder, WebDataset tars or Parquet files."""
    from scdd.interop import exports

    exports.export_set(args.set, args.to, args.out, args.format)


def export_labels(args: argparse.Namespace) -> None:
    """Write the soft labels of a distilled set as SRe2L's FKD files."""
    from scdd.interop import exports

    exports.export_labels(args.labels, args.images, args.out, args.batch)


def collect_garbage(args: argparse.Namespace) -> None:
    """List the artifacts, and the saved states of their jobs, that no configuration needs. With
    --delete, delete them."""
    needed: set[str] = set()
    for file in args.configfile:
        try:
            plan = plan_of_file(file, check_files=False)
        except ScddError as error:
            raise ScddError(f"cannot tell what {file} needs: {error}") from None
        needed |= set(plan.nodes)
    artifact = "*-" + DIGITS * "[0-9a-f]"
    unneeded = [
        folder
        for root in (RESULTS, WORK)
        for stage in STAGES
        for folder in sorted((root / stage).glob(artifact))
        if f"{stage}/{folder.name}" not in needed
    ]
    total = 0
    for folder in unneeded:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        total += size
        print(f"{size / 2**20:10.1f} MiB  {folder}")
        if args.delete:
            shutil.rmtree(folder)
    done = "deleted" if args.delete else "to be deleted with --delete"
    print(f"{len(unneeded)} folders, {total / 2**20:.1f} MiB, {done}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scdd", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("plan", help=show_plan.__doc__)
    command.add_argument("--configfile", type=Path, default=Path("config.yaml"))
    command.set_defaults(run=show_plan)
    command = commands.add_parser("keys", help=show_keys.__doc__)
    command.set_defaults(run=show_keys)
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
    command = commands.add_parser("export", help=export.__doc__)
    command.add_argument("set", type=Path, help="the image set's set.json")
    command.add_argument("--to", required=True, choices=["imagefolder", "webdataset", "parquet"])
    command.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    command.add_argument(
        "--format", default="png", choices=["png", "jpeg"], help="jpeg loses information"
    )
    command.set_defaults(run=export)
    command = commands.add_parser("export-labels", help=export_labels.__doc__)
    command.add_argument("labels", type=Path, help="the folder of epochs_*.safetensors")
    command.add_argument("--images", type=Path, required=True, help="the image set's set.json")
    command.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    command.add_argument("--batch", type=int, required=True, help="images in a file")
    command.set_defaults(run=export_labels)
    command = commands.add_parser("gc", help=collect_garbage.__doc__)
    command.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[Path("config.yaml"), *sorted(Path("experiments").glob("*.yaml"))],
        help="the configurations whose artifacts are kept (default: config.yaml, experiments/*)",
    )
    command.add_argument("--delete", action="store_true", help="delete what is listed")
    command.set_defaults(run=collect_garbage)
    args = parser.parse_args(argv)
    return reported(lambda: args.run(args))


if __name__ == "__main__":
    sys.exit(main())
