"""The built-in methods: how each makes its images and what labels them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A method. `images`: 'recover', 'whole', 'import', a coreset or a module of scdd.select;
    `preset`: the published recovery whose values it has; `order`: the stage that orders the images
    of a coreset."""

    title: str
    images: str
    squeeze: str | None = None
    preset: str | None = None
    labels: str = "soft"
    order: str | None = None


METHODS = {
    "scdd": Kind("SC-DD", "recover", squeeze="mocov2", preset="scdd-paper"),
    "scdd-mocov3": Kind("SC-DD, MoCo v3", "recover", squeeze="mocov3", preset="scdd-paper"),
    "scdd-swav": Kind("SC-DD, SwAV", "recover", squeeze="swav", preset="scdd-paper"),
    "scdd-dino": Kind("SC-DD, DINO", "recover", squeeze="dino", preset="scdd-paper"),
    "sre2l": Kind("SRe2L", "recover", squeeze="supervised", preset="sre2l"),
    "cda": Kind("CDA", "recover", squeeze="supervised", preset="cda"),
    "untrained": Kind("Untrained", "recover", squeeze="untrained", preset="scdd-paper"),
    "random": Kind("Random", "random"),
    "random-hard": Kind("Random, hard labels", "random", labels="hard"),
    "herding": Kind("Herding", "herding", order="coreset"),
    "kcenter": Kind("k-center", "kcenter", order="coreset"),
    "forgetting": Kind("Forgetting", "forgetting", order="forgetting"),
    "noise": Kind("Noise", "noise"),
    "whole": Kind("Whole data", "whole"),
}

# what squeezed backbones are called where people read; others by their names in the config
SQUEEZE_TITLES = {
    "mocov2": "MoCo v2",
    "mocov3": "MoCo v3",
    "swav": "SwAV",
    "dino": "DINO",
    "supervised": "Supervised",
    "untrained": "Untrained",
}
