"""Tables and figures of an experiment: what people read.

Which files there are follows from the experiment: each table or figure is a module of
scdd.report.sections, which says what it shows.
"""

import argparse
from pathlib import Path

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.files import replacing
from scdd.jobs import arguments, runtime
from scdd.report.measured import Measured
from scdd.report.sections import shown


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, out="folder of the report")
    parser.add_argument("--results", type=Path, required=True, help="the results folder")
    return runtime.run("tables", parser, _work, argv)


def _work(args: argparse.Namespace, config: Frozen, _: torch.device) -> None:
    measured = Measured(args.results, config.params)
    contents: dict[str, bytes] = {}
    for section in shown(config.params):
        own = section.make(measured)
        contents |= own | {section.entry.file: section.entry.page(measured, own)}
    for name, content in contents.items():  # after the last is made: all of them or none
        with replacing(args.out / name) as temporary:
            temporary.write_bytes(content)


if __name__ == "__main__":
    raise SystemExit(main())
