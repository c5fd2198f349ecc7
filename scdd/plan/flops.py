"""How much arithmetic images that are learned will take, known before the run.

In units of a forward pass of an image, a training step takes 3; autograd differentiates one in 9,
and the derivatives that are written out (scdd.learn.derivatives) in 8. Convolutions and the last
layer are counted, a multiplication and an addition as two. Evaluations of students are not.
"""

from scdd.artifacts.sizes import FILTERS, convnet_flops
from scdd.params.learn import LEARNS, Cafe, Dc, Experts, Learn, Trajectory
from scdd.params.network import Network
from scdd.plan.plan import Node, Plan

LEAST = 10  # steps and epochs of CAFE's loops, which are told to go on until something happens


def flops(plan: Plan, node: Node) -> float | None:
    """Of experts, or of a method that learns images; None for other stages, and for experts where
    the number of training images is not known. CAFE's is the least that it can be.
    """
    if node.stage == "learn":
        params = LEARNS[node.params["method"]].of(node.params)
        classes, ipc = plan.class_count(node), node.params["ipc"]
        return _learned(params, classes, ipc) * _forward(plan, node, params.network)
    train = plan.train[plan.data_of(node).key]
    if node.stage == "experts" and train is not None:
        passes = Experts.of(node.params).count * plan.expert_epochs(node) * train
        return 3.0 * passes * _forward(plan, node, Network.of(node.params["network"]))
    return None


def _forward(plan: Plan, node: Node, network: Network) -> int:
    return convnet_flops(
        int(network.arch.removeprefix("convnet")),
        round(FILTERS * network.width),
        plan.data_of(node).params["resolution"],
        plan.class_count(node),
    )


def _learned(params: Learn, classes: int, ipc: int) -> float:
    """In forward passes of an image."""
    images = classes * ipc
    if isinstance(params, Trajectory):
        batch = min(params.batch or images, images)
        return (3.0 + 8.0) * params.iterations * params.steps * batch
    real = classes * getattr(params, "batch", 0)
    if isinstance(params, Dc):
        between = (params.outer - 1) * params.inner * 3 * images
        return float(params.iterations * (params.outer * (3 * real + 9 * images) + between))
    step = real + 3 * images
    if isinstance(params, Cafe):
        watched = classes * params.watch
        step += watched + LEAST * (3 * images + watched)
        step *= LEAST
    return float(params.iterations * step)
