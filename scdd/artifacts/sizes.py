"""Sizes of artifacts in bytes, known before they are made. Pure Python: the plan uses them too."""

import math

from scdd.params.protocol import Relabel
from scdd.params.views import Transform

FILTERS = 128  # of a block of a ConvNet with width 1
FLOAT_BYTES = 4  # of a number of float32
VIEW_BYTES = 25  # crop, flip, partner, lam and box of one view


def view_bytes(transform: Transform) -> int:
    """Bytes of one image's view in one epoch, as `scdd.views.mixing.Draws` stores it."""
    patches, augment = transform.patches, transform.randaugment
    return (
        VIEW_BYTES
        + (2 * patches if patches > 1 else 0)
        + (2 * augment.operations if augment else 0)
    )


def top_k(form: str) -> int | None:
    """The k of a form of logits 'topk:k'; None for other forms."""
    return int(form.removeprefix("topk:")) if form.startswith("topk:") else None


def pca_bits(form: str) -> int | None:
    """The N of a form of logits 'pca:N'; None for other forms."""
    return int(form.removeprefix("pca:")) if form.startswith("pca:") else None


def index_bytes(classes: int) -> int:
    """Bytes of a class index, stored as uint8, int16 or int32."""
    return 1 if classes <= 2**8 else 2 if classes <= 2**15 else 4


def logit_bytes(form: str, classes: int) -> float:
    """Bytes of one image's logits in one epoch, in a form of `scdd.labels.forms` or `.components`;
    without what all epochs of a shard share. Those of pca may end in a fraction."""
    if (k := top_k(form)) is not None:
        return k * (2 + index_bytes(classes)) + 2
    if (bits := pca_bits(form)) is not None:
        return bits / 8
    return classes + 4 if form == "int8" else 2 * classes


def label_bytes(params: Relabel, classes: int) -> float:
    """Bytes of one image in one epoch of a label store, as `logit_bytes` says."""
    view = view_bytes(params) if params.views == "stored" else 0
    return view + logit_bytes(params.form, classes)


def shared_bytes(params: Relabel, images: int, classes: int) -> int:
    """Bytes of what all epochs of a file of labels share: of pca the most that it may be, as a
    component may get no bits; of other forms 0."""
    if (bits := pca_bits(params.form)) is None:
        return 0
    tables = (2 if params.teacher_bn == "batch" else 1) * 2 * classes**2
    # rows sum to 0, so they have C - 1 components, of which none takes more than 8 bits
    components = min(classes - 1, bits), min(classes - (2 * bits <= 8 * (classes - 1)), 2 * bits)
    return math.ceil(images * bits / 4) + tables + sum(components) * (2 * classes + 1)


def store_bytes(params: Relabel, images: int, classes: int, epochs: int) -> int:
    """Bytes of the tensors of a store of labels: exact, but for pca (see `shared_bytes`)."""
    each = math.ceil(images * label_bytes(params, classes))
    files = math.ceil(epochs / params.epochs_per_shard)
    return epochs * each + files * shared_bytes(params, images, classes)


def image_bytes(count: int, resolution: int, each: int = 1) -> int:
    """Bytes of `count` square colour images. each: bytes of a number; 1 as uint8."""
    return count * 3 * resolution**2 * each


def convnet_parameters(depth: int, filters: int, resolution: int, classes: int) -> int:
    """How many numbers a ConvNet of scdd.networks.students has."""
    convolutions = filters * (9 * 3 + 1) + (depth - 1) * filters * (9 * filters + 1)
    features = filters * (resolution >> depth) ** 2
    return convolutions + 2 * depth * filters + classes * (features + 1)
