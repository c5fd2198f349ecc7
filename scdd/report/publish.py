"""Copy finished tables and papers to folders without a digest, and show them.

`results/tables/<experiment>/` always holds the tables of the configuration that ran last, and
`results/paper/<name>/` the paper.
"""

import argparse
import shutil
import sys
from pathlib import Path

from scdd.errors import reported


def publish(folder: Path) -> Path:
    """Replace `<experiment>/` by a copy of `<experiment>-<digest>/`; returns the copy."""
    copy = folder.with_name(folder.name.rpartition("-")[0])
    fresh = copy.with_name(f".{copy.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for file in filter(Path.is_file, folder.iterdir()):
        shutil.copy2(file, fresh)
    shutil.rmtree(copy, ignore_errors=True)
    fresh.rename(copy)
    return copy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="a file in each folder to be copied")
    parser.add_argument("--show", type=Path, nargs="+", required=True, help="files to be printed")
    args = parser.parse_args()
    copies = {folder: publish(folder) for folder in dict.fromkeys(f.parent for f in args.files)}
    for file in args.show:
        text = file.read_text(encoding="utf-8")
        print(f"\n{text}\nTables and figures: {copies[file.parent]}/")


if __name__ == "__main__":
    sys.exit(reported(main))
