"""The network that images are recovered from."""

from pathlib import Path

from torch import nn

from scdd.artifacts.config import Frozen
from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.network import Checkpoint, load_checkpoint
from scdd.networks import resnet


def load_teacher(
    path: Path, config: Frozen, info: DatasetInfo, data: Path, role: str = "teacher"
) -> tuple[nn.Module, Checkpoint]:
    """The probed network of the checkpoint, and the checkpoint; `role` is its place among the
    parents of `config`.

    Raises ScddError where it is damaged, not the one that `config` means, or of another class list
    than `info`, which was read from `data`.
    """
    teacher = load_checkpoint(
        path,
        kind="classifier",
        digest=config.parents[role],
        classes=info.classes,
        classes_of=data,
    )
    network = resnet.build(teacher.architecture, len(info.classes))
    network.load_state_dict(teacher.state)
    return network, teacher
