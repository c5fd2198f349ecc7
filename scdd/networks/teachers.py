"""The probed networks that images are recovered from, and labelled by."""

from collections.abc import Sequence
from pathlib import Path

from scdd.artifacts.config import Frozen, teacher_roles
from scdd.artifacts.network import Checkpoint, load_checkpoint
from scdd.errors import ScddError
from scdd.networks.backbone import Backbone
from scdd.networks.build import build


def load_teacher(
    path: Path, config: Frozen, classes: tuple[str, ...], classes_of: Path, role: str = "teacher"
) -> tuple[Backbone, Checkpoint]:
    """The probed network of the checkpoint, on the CPU, and the checkpoint; `role` is its name
    among the parents of `config`.

    Raises ScddError if it is damaged, not the one that `config` means, or of another class list
    than `classes`, which were read from `classes_of`.
    """
    checkpoint = load_checkpoint(
        path,
        kind="classifier",
        digest=config.parents[role],
        classes=classes,
        classes_of=classes_of,
    )
    return network_of(checkpoint), checkpoint


def network_of(checkpoint: Checkpoint) -> Backbone:
    """The probed network that a checkpoint holds, on the CPU."""
    classes, resolution = len(checkpoint.classes), checkpoint.resolution
    network = build(checkpoint.architecture, classes, resolution)
    network.load_state_dict(checkpoint.state)
    return network


def load_teachers(
    paths: Sequence[Path], config: Frozen, classes: tuple[str, ...], classes_of: Path
) -> list[tuple[Backbone, Checkpoint]]:
    """All teachers of `config`, in its order. Raises ScddError as `load_teacher` does, and where
    there are more or fewer files than teachers."""
    roles = teacher_roles(config.parents)
    if len(paths) != len(roles):
        raise ScddError(f"--teacher: {len(roles)} checkpoints are needed: {', '.join(roles)}.")
    return [
        load_teacher(path, config, classes, classes_of, role)
        for path, role in zip(paths, roles, strict=True)
    ]
