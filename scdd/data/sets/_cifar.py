"""What CIFAR-10 and CIFAR-100 share: torchvision reads and checks the original files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scdd.data.sets import Loaded
from scdd.errors import ScddError


def load(kind: type[Any], root: Path, download: bool, splits: Sequence[str]) -> Loaded:
    """Raises ScddError, naming the folder, where torchvision finds the files missing or altered."""
    parts, classes = {}, ()
    for split in splits:
        try:
            part = kind(root, train=split == "train", download=download)
        except (RuntimeError, OSError, EOFError) as error:
            raise ScddError(
                f"{root / kind.base_folder} is missing, incomplete or altered ({error}). Unpack "
                "the original python version there, or set dataset.download: true."
            ) from None
        parts[split] = (list(part.targets), part.data)
        classes = tuple(part.classes)
    return Loaded(classes, parts)
