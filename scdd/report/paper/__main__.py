"""A paper: tables and figures of several experiments on one page, as Markdown, HTML and LaTeX.

What it shows are the files of these experiments' reports, which are in the results folder.
"""

import argparse
from pathlib import Path

import torch

from scdd.artifacts.config import Frozen
from scdd.artifacts.files import replacing
from scdd.jobs import arguments, runtime
from scdd.report.paper import files, markdown, page, parts, tex


def main(argv: list[str] | None = None) -> int:
    parser = arguments.parser(__doc__, out="folder of the paper")
    parser.add_argument("--results", type=Path, required=True, help="the results folder")
    return runtime.run("paper", parser, _work, argv)


def _work(args: argparse.Namespace, config: Frozen, _: torch.device) -> None:
    title, shown = config.params["title"], parts.read(args.results, config.params)
    contents = {
        name: files.read(args.results / source)
        for name, source in files.copied(config.params).items()
    }
    contents |= {
        files.MARKDOWN: markdown.page(title, shown).encode(),
        files.PAGE: page.page(title, shown),
        files.LATEX: tex.document(title, shown).encode(),
        files.SUMMARY: markdown.summary(title, shown).encode(),
    }
    for name, content in contents.items():  # after the last is made: all of them or none
        with replacing(args.out / name) as temporary:
            temporary.write_bytes(content)


if __name__ == "__main__":
    raise SystemExit(main())
