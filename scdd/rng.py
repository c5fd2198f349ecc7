"""Random numbers that depend on their purpose alone, not on the order of draws."""

import hashlib

import torch


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator seeded from `key` alone, e.g. `generator(seed, "recover", block, slot)`.

    The same key gives the same numbers in any process, on any device, in any order of work.
    """
    text = "\x1f".join(str(part) for part in key)
    return torch.Generator().manual_seed(
        int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
    )
