"""Images as networks see them: normalised by a dataset's mean and std, or whitened."""

from pathlib import Path

import torch
from torch import Tensor

from scdd.artifacts.dataset import DatasetInfo
from scdd.artifacts.whitening import load_whitening, space_hash
from scdd.errors import ScddError
from scdd.views.pixels import denormalise, normalise


class Seen:
    """The space in which images are learned.

    whitening: the file of a whitening of the dataset `info` (of the file `data`); None: images are
    normalised. digest: of the whitening that the configuration means; None: it means none. hash:
    that of the whitening; None without one. Raises ScddError where the file is not what is meant.
    """

    def __init__(
        self,
        info: DatasetInfo,
        data: Path,
        whitening: Path | None,
        digest: str | None,
        device: torch.device,
    ) -> None:
        if (whitening is None) != (digest is None):
            meant = "normalised" if digest is None else "whitened"
            raise ScddError(
                f"--whitening: the images of this configuration are {meant}. "
                + ("Leave it out." if digest is None else "Name its whitening.safetensors.")
            )
        self.info = info
        self.whitening, self.hash = None, None
        if whitening is not None:
            loaded = load_whitening(whitening, info, data, digest)
            self.whitening, self.hash = loaded.to(device), space_hash(loaded)

    def forwards(self, images: Tensor) -> Tensor:
        """uint8 [n, 3, R, R] as networks see them, float32, on the images' device."""
        if self.whitening is None:
            return normalise(images, self.info)
        return self.whitening.to(images.device).whiten(images)

    def backwards(self, images: Tensor) -> Tensor:
        """The inverse, clipped and rounded: float [..., 3, R, R] as uint8."""
        if self.whitening is None:
            return denormalise(images, self.info)
        pixels = self.whitening.to(images.device).unwhiten(images.flatten(0, -4))
        return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).view(images.shape)
