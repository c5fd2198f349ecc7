"""BatchNorm in groups: one device computes what several would, each with its own statistics."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from scdd.errors import ScddError
from scdd.squeeze import processes


class GroupedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Training statistics of `groups` interleaved parts of the batch (image i is in group
    i mod groups), of [n, c] or [n, c, h, w]; the running ones are the mean of the groups'."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, like: nn.modules.batchnorm._BatchNorm, groups: int) -> None:
        super().__init__(like.num_features, like.eps, like.momentum, like.affine)
        self.load_state_dict(like.state_dict())
        self.groups = groups

    def _check_input_dim(self, x: Tensor) -> None:
        """Any shape will do."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        n, channels = x.shape[:2]
        mean, variance = self.running_mean.repeat(self.groups), self.running_var.repeat(self.groups)
        normal = functional.batch_norm(
            x.reshape(n // self.groups, self.groups * channels, *x.shape[2:]),
            mean,
            variance,
            self.weight.repeat(self.groups) if self.affine else None,
            self.bias.repeat(self.groups) if self.affine else None,
            training=True,
            momentum=self.momentum,
            eps=self.eps,
        )
        with torch.no_grad():
            self.running_mean.copy_(mean.view(self.groups, channels).mean(0))
            self.running_var.copy_(variance.view(self.groups, channels).mean(0))
            self.num_batches_tracked += 1
        return normal.reshape(x.shape)


def group_batch_norms(network: nn.Module, groups: int) -> bool:
    """Replace every BatchNorm of the network by one with this process's share of `groups`.

    Keys stay the same. Returns whether the share is more than one group: splitting a channels_last
    batch copies it. Raises ScddError if the processes cannot share the groups evenly.
    """
    if groups % processes.count():
        raise ScddError(
            f"squeeze.bn_groups: {groups} cannot be shared evenly by {processes.count()} "
            "processes; each needs at least one group."
        )
    groups //= processes.count()
    if groups == 1:
        return False
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(parent, name, GroupedBatchNorm(child, groups))
    return True
