"""The stage `patches`: which real images of a class, and which crops of them, an observer puts
first; for a method of its own, and for the start of recoveries."""

from typing import Literal

from scdd.errors import ScddError
from scdd.params.experiment import Method
from scdd.params.patches import Patches
from scdd.plan.draft import Draft
from scdd.plan.plan import Node


def patch_params(draft: Draft, use: Literal["rded", "start"], method: Method) -> Patches:
    """The published values for this use, the experiment's, the method's own.

    Raises ScddError for wrong ones, and where an image has fewer pixels than crops a side.
    """
    params = draft.section(Patches, ("patches", use), draft.config.patches, method.patches)
    if params.factor > draft.resolution:
        raise ScddError(
            f"patches.factor: {params.factor}, but the images have {draft.resolution} pixels a "
            "side. Lower it."
        )
    return params


def ranked(draft: Draft, observer: Node, params: Patches) -> Node:
    """RDED's order of the images of each class, and a crop of each, by a probe."""
    without = ("storage",)  # it is of images that are made of it
    parents = {"teacher": observer}
    label = observer.label
    return draft.plan.add_section("patches", label, params, parents, without, method="easiest")


def around_median(draft: Draft, observer: Node) -> Node:
    """DELT's order of the images of each class, by a probe."""
    return draft.plan.add("patches", observer.label, {"method": "median"}, {"teacher": observer})


def require_patches(draft: Draft, method: Method, params: Patches, count: int, ipc: int) -> None:
    """Raises ScddError where `count` images of a class, made for `ipc`, need more crops, each of
    another image, than there are."""
    needed, least = params.taken(count), draft.facts.per_class
    takes = f"method {method.name!r} takes crops of {needed} images of a class"
    if params.factor > 1:
        takes += f" for {count} (patches.factor {params.factor})"
    if needed > params.pool:
        raise ScddError(
            f"ipc: {ipc}, with which {takes}, but patches.pool is {params.pool}. Set it to "
            f"{needed} or more, or lower ipc."
        )
    if least is not None and needed > least:
        raise ScddError(
            f"ipc: {ipc}, with which {takes}, but the smallest class of "
            f"{draft.config.dataset.name} has {least} training images. Lower ipc"
            f"{' or patches.factor' if params.factor > 1 else ''}."
        )
