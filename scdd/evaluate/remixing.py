"""Views that a teacher labelled one by one, mixed anew in each epoch of a student, and their labels
with them: endless variety from few stored epochs."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scdd.labels.replay import Replay
from scdd.params.views import Mix, Transform, View
from scdd.views.mixing import Draws, draw_epoch


@dataclass(frozen=True)
class Remixed:
    """A stored epoch as `Replay` has it, with the partners, lambdas and boxes of `draws`."""

    stored: Replay
    draws: Draws
    mix: Mix
    temperature: float

    def logits(self, index: Tensor) -> Tensor:
        """Logits float32 [b, classes] whose softmax at the temperature is the mean of the teacher's
        for each image and its partner, weighted by lambda."""
        partner, lam = self.draws.partner[index].long(), self.draws.lam[index, None]
        own, other = (
            (self.stored.logits(each).float() / self.temperature).softmax(1)
            for each in (index, partner)
        )
        return self.temperature * torch.log(lam * own + (1 - lam) * other)


@dataclass(frozen=True)
class Remix:
    """mix: 'mixup' or 'cutmix', lambda ~ Beta(alpha, alpha); seed: the student's; temperature: that
    of its loss, at which labels are mixed."""

    mix: Mix
    alpha: float
    seed: int
    temperature: float

    def of(self, stored: Replay, resolution: int, epoch: int) -> Remixed:
        """An epoch of unmixed views as the student's epoch `epoch` has it; partners are a
        permutation of the whole set."""
        n, device = len(stored.draws.lam), stored.draws.lam.device
        transform = Transform(View(crop="none", flip=False), self.mix, self.alpha)
        new = draw_epoch(transform, n, resolution, self.seed, epoch).to(device)
        draws = replace(stored.draws, partner=new.partner, lam=new.lam, box=new.box)
        return Remixed(stored, draws, self.mix, self.temperature)
