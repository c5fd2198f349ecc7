"""Torch's own random numbers in the state of a job: dropout and stochastic depth draw from them."""

import torch
from torch import Tensor


class TorchNumbers:
    """Torch's own random numbers, from which dropout draws: the CPU's, and those of a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def state_dict(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        return states + ([torch.cuda.get_rng_state(self.device)] if self._on_gpu() else [])

    def load_state_dict(self, states: list[Tensor]) -> None:
        """A job that continues on a GPU may have begun on the CPU: there is no GPU's state then."""
        torch.set_rng_state(states[0])
        if self._on_gpu() and len(states) > 1:
            torch.cuda.set_rng_state(states[1], self.device)

    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"
