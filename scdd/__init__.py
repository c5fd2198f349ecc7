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
    """The distilled set of the set.json at `path`, as a torch Dataset (docs/exports.md).

    Items are (image uint8 [3, R, R], class index); of learned images, the image is float32 as it
    was learned. With `labels`, the folder of its soft labels, they are (normalised view float32
    [3, R, R], logits [classes]) of the epoch chosen by `set_epoch`. Raises ScddError where a file
    is missing or damaged, or the labels are of other images.
    """
    # imported here: torch takes a second to load, and every program imports this module
    torch_dataset = importlib.import_module("scdd.interop.torch_dataset")
    dataset: Images | Views = torch_dataset.open_distilled(
        Path(path), None if labels is None else Path(labels)
    )
    return dataset
