"""A backbone that others trained, from the checkpoint that they published (docs/checkpoints.md).

There is nothing to train: this module has `load` in place of `make`.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from scdd.artifacts.files import sha256
from scdd.errors import ScddError
from scdd.interop.checkpoints import find, fitted
from scdd.params.network import Network


def load(
    path: Path, params: dict[str, Any], wanted: Network
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The backbone's tensors, with `fc` where the file has a classifier, and where it is from.

    Raises ScddError, naming the file, where it is not the one that was planned with, or does not
    hold such a backbone.
    """
    source = params["source"]
    if not path.is_file() or sha256(path) != params["sha256"]:
        raise ScddError(f"{path} is gone, or another file than when this run was planned.")
    found = find(path, source["layout"])
    state = fitted(found, wanted, path)
    rows = len(found.classifier["fc.weight"]) if found.classifier else 0
    if rows and source["classes"] and rows != len(source["classes"]):
        raise ScddError(
            f"{path} has a classifier of {rows} classes, but squeeze.imported.source.classes "
            f"names {len(source['classes'])}."
        )
    record = {**source, "layout": found.layout, "file": str(path), "sha256": params["sha256"]}
    return state | found.classifier, record
