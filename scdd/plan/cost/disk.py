"""What artifacts take on the disk: bytes of their tensors, and files."""

from scdd.artifacts.sizes import FLOAT_BYTES, image_bytes
from scdd.artifacts.slots import slot_ranges
from scdd.data import sets
from scdd.plan.cost.counts import backbone_of, counts_of
from scdd.plan.cost.networks import backbone_size
from scdd.plan.plan import Node, Plan
from scdd.plan.stages import EXPERTS, IMAGES, LABELS, STAGES

BESIDE = 2  # a job's log and its file of costs


def bytes_of(plan: Plan, node: Node) -> float:
    """Of tensors; texts and tables are left out. Raises NotCounted where the number of images is
    not known."""
    done = STAGES[node.stage].done
    if IMAGES in done:
        return _image_bytes(plan, node)
    if EXPERTS in done:
        return float(plan.expert_bytes(node))
    if LABELS in done:
        return float(plan.store_bytes(node))
    if node.stage in {"squeeze", "probe"}:
        classes = plan.class_count(node) if node.stage == "probe" else None
        size = backbone_size(
            backbone_of(plan, node), plan.data_of(node).params["resolution"], classes
        )
        return FLOAT_BYTES * size.weights
    if node.stage == "data":
        return _dataset_bytes(plan, node)
    if node.stage == "whiten":
        counts = counts_of(plan, node)
        pixels = 3 * counts.resolution**2
        return FLOAT_BYTES * pixels * (pixels + counts.val)
    return 0.0


def files_of(outputs: int, jobs: int) -> int:
    """Its outputs, its config.json, and what each of its jobs leaves beside them."""
    return outputs + 1 + BESIDE * jobs


def _image_bytes(plan: Plan, node: Node) -> float:
    """All slots of its ranges, or, of images made for an IPC, these; learned images as they were
    learned, too."""
    resolution, ipc = plan.data_of(node).params["resolution"], plan.largest_ipc(node)
    joint = "ipc" in node.params
    count = plan.class_count(node) * (ipc if joint else slot_ranges(ipc)[-1][1])
    each = 1 + FLOAT_BYTES if node.stage == "learn" else 1
    return float(image_bytes(count, resolution, each))


def _dataset_bytes(plan: Plan, node: Node) -> float:
    """The pixels of validation images, and of training images that are not photos: those stay in
    their files."""
    counts, photos = counts_of(plan, node), sets.module(node.params["name"]).FACTS.photos
    return float(image_bytes(counts.val + (0 if photos else counts.train), counts.resolution))
