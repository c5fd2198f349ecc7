"""Copy finished tables to a folder without a digest, and show them.

`results/tables/<experiment>/` always holds the tables of the configuration that ran last.
"""

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
    for table in map(Path, sys.argv[1:]):
        shown = publish(table.parent)
        print(f"\n{table.read_text(encoding='utf-8')}\nTables and figures: {shown}/")


if __name__ == "__main__":
    sys.exit(reported(main))
