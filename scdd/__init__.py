"""SC-DD: self-supervised compression for dataset distillation (arXiv 2404.07976)."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scdd.interop.torch_dataset import Images, Views

__version__ = "0.1.0"


def load(
    path: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    *,
    method: str | None = None,
    ipc: int | None = None,
    protocol: str | None = None,
    configfile: str | os.PathLike[str] = "config.yaml",
) -> "Images | Views":
    """A distilled set as a torch Dataset (docs/exports.md): the set.json at `path`, which may be a
    folder with one; or, without `path`, that of an experiment's method with `ipc` images per class.
    A name may be left out where the experiment has only one.

    Items are (image uint8 [3, R, R], class index); of learned images, the image is float32 as it
    was learned. With `labels`, the folder of its soft labels, or a `protocol` that has soft labels,
    they are (normalised view float32 [3, R, R], logits [classes]) of the epoch chosen by
    `set_epoch`. Raises ScddError where a file is missing or damaged, the labels are of other
    images, or the experiment has no or several such sets.
    """
    # imported here: torch and the plan take a second to load, and every program imports this module
    from scdd.interop.torch_dataset import open_distilled
    from scdd.plan.find import named_set, set_in
    from scdd.plan.load import plan_of_file

    folder = None if labels is None else Path(labels)
    if path is not None:
        return open_distilled(set_in(Path(path)), folder)
    plan = plan_of_file(Path(configfile), check_files=False)
    images, of_protocol = named_set(plan, method, ipc, protocol)
    return open_distilled(images, folder or of_protocol)
