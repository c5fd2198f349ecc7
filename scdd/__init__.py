"""SC-DD: self-supervised compression for dataset distillation (arXiv 2404.07976)."""

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scdd.interop.torch_dataset import Images, Views

__version__ = "0.1.0"


def load(
    path: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None
) -> "Images | Views":
    """A distilled set as a torch Dataset, of the set.json at `path` (docs/exports.md).

    Its items are (image uint8 [3, R, R], class index); or, with `labels`, the folder of its soft
    labels, (view float32 [3, R, R], logits [classes]) of the epoch that `set_epoch` chose. Raises
    ScddError where a file is missing or damaged, or the labels are of other images.
    """
    # when it is asked for: torch takes a second, and all programs import this module
    distilled = importlib.import_module("scdd.interop.torch_dataset")
    made: Images | Views = distilled.open_distilled(
        Path(path), None if labels is None else Path(labels)
    )
    return made
