"""The forms in which a store keeps a teacher's logits: whole epochs, on any device.

    float16   `logits` float16 [n, C].
    int8      `logits_code` uint8 [n, C], `logits_low` and `logits_step` float16 [n]: a logit is
              low + step * code. low is the row's least logit and 255 steps reach its largest, so
              that no logit is off by more than half a step.
    topk:k    `logits_top` float16 [n, k], the k largest logits, as they are; `logits_class` [n, k],
              whose they are; `logits_rest` float16 [n], what every other class gets.

Not here: pca:N, of whole shards, `scdd.labels.components`.

The rest of topk is chosen so that softmax(logits / T) gives the k classes exactly their share at
the T given to `encode`, the student's, and spreads the share that remains evenly over the other
classes: rest = T (logsumexp(z / T) - log(C - k)), z the logits of the others. At another
temperature the k logits are still exact, and so are their ratios to each other, but not the shares:
the more even z is, or the higher the temperature, the nearer they are. Top-k labels whose rest is
spread evenly are FKD's marginal smoothing (arXiv 2112.01528), quantised ones LPQLD's
(arXiv 2604.18135).
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from scdd.artifacts.sizes import index_bytes, top_k

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32}


def encode(logits: Tensor, form: str, temperature: float) -> dict[str, Tensor]:
    """The tensors that store the `logits` float16 [n, C] of an epoch; their names begin with
    'logits'.

    temperature: of the students; only topk depends on it. Logits must be finite: in int8 one that
    is not makes its whole row wrong.
    """
    if form == "float16":
        return {"logits": logits}
    exact, k = logits.float(), top_k(form)
    if k is None:
        low, high = exact.aminmax(dim=1, keepdim=True)
        wanted = (high - low) / 255
        step = wanted.half()
        # rounded up, to the next float16 by its bits: 255 steps must reach the largest
        above = (step.view(torch.int16) + 1).view(torch.float16)
        step = torch.where(step.float() < wanted, above, step)
        code = (exact - low) / step.float().where(step > 0, 1.0)
        return {
            "logits_code": code.round().to(torch.uint8),
            "logits_low": low[:, 0].half(),
            "logits_step": step[:, 0],
        }
    top, index = logits.topk(k, dim=1)
    others = (exact / temperature).scatter(1, index, -math.inf)
    count = logits.shape[1] - k
    rest = temperature * (others.logsumexp(1) - math.log(count)) if count else torch.zeros(len(top))
    return {
        "logits_top": top,
        "logits_class": index.to(INTEGERS[index_bytes(logits.shape[1])]),
        "logits_rest": rest.to(logits),
    }


def rows(stored: Mapping[str, Tensor], index: Tensor) -> dict[str, Tensor]:
    """What `encode` gave for the images `index` of an epoch."""
    return {name: tensor[index] for name, tensor in stored.items()}


def decode(stored: Mapping[str, Tensor], classes: int) -> Tensor:
    """Logits [n, classes] of what `encode` gave, or of `rows` of it: float16 in the form of that
    name, else float32."""
    if "logits" in stored:
        return stored["logits"]
    if "logits_code" in stored:
        low, step = (stored[f"logits_{name}"].float()[:, None] for name in ("low", "step"))
        return low + step * stored["logits_code"]
    rest = stored["logits_rest"].float()[:, None].expand(-1, classes)
    return rest.scatter(1, stored["logits_class"].long(), stored["logits_top"].float())
