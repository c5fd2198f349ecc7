"""ZCA matrices of others: the values of kornia's ZCAWhitening, or a whitening.safetensors."""

from pathlib import Path

import torch
from torch import Tensor

from scdd.errors import ScddError
from scdd.interop.unpickle import plain, read_foreign
from scdd.views.zca import Whitening

# a whitening's parts, by the names that kornia and we have for them
NAMES = {"mean": "mean_vector", "transform": "transform_matrix", "inverse": "transform_inv"}


def read_whitening(path: Path, resolution: int) -> Whitening:
    """The whitening in a file of torch.save or safetensors, float32. Without an inverse, that of
    the transform is taken.

    Raises ScddError, naming the file, where it cannot be read, or does not whiten images of this
    resolution with pixels in [0, 1].
    """
    content, size = read_foreign(path), 3 * resolution**2
    parts = {}
    for ours, theirs in NAMES.items():
        value = content.get(theirs, content.get(ours))
        if value is None and ours == "inverse":
            continue
        if not isinstance(value, Tensor):
            raise ScddError(
                f"{path} has no tensor {theirs} (or {ours}). Save the values of kornia's "
                "ZCAWhitening: torch.save({'mean_vector': zca.mean_vector, 'transform_matrix': "
                f"zca.transform_matrix}}, '{path.name}')."
            )
        shape = [size] if ours == "mean" else [size, size]
        value = plain(value, f"{path}: {theirs}").detach().double()
        if value.numel() != torch.Size(shape).numel():
            raise ScddError(
                f"{path}: {theirs} has the shape {list(value.shape)}, but images of {resolution} "
                f"pixels a side need {shape}."
            )
        if not value.isfinite().all():
            raise ScddError(f"{path}: {theirs} has values that are not finite.")
        parts[ours] = value.reshape(shape)
    mean = parts["mean"]
    if mean.min() < 0 or mean.max() > 1:
        raise ScddError(
            f"{path}: the means lie in [{mean.min():.3g}, {mean.max():.3g}], but pixels are in "
            "[0, 1] here. Fit the whitening on such pixels, without mean and std."
        )
    if "inverse" not in parts:
        parts["inverse"] = torch.linalg.pinv(parts["transform"], hermitian=True)
    return Whitening(**parts).to(torch.float32)
