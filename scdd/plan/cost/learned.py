"""The work of images that are learned, of their experts and of whitening.

In units of a forward pass of an image, a training step takes 3; autograd differentiates one in 9,
and the derivatives that are written out (scdd.learn.derivatives) in 8. CAFE's loops go on until
something happens: it is counted with the least that they take.
"""

from dataclasses import replace

from scdd.artifacts.expert_files import epoch_ranges
from scdd.artifacts.expert_files import path as experts_path
from scdd.artifacts.slots import blocks
from scdd.params.learn import LEARNS, Cafe, Dc, Experts, Learn, Matched, Trajectory
from scdd.params.network import Network
from scdd.plan.cost.counts import counts_of
from scdd.plan.cost.networks import Size, backbone_size
from scdd.plan.cost.passes import Job, steps_of, training_memory
from scdd.plan.cost.work import Amount, Work
from scdd.plan.plan import Node, Plan

LEAST = 10  # steps and epochs of CAFE's loops, which are told to go on until something happens
TWICE, WRITTEN_OUT = 9, 8  # forward passes of a step that is differentiated again
EIGEN = 25  # multiplications and additions of an eigendecomposition, in units of the side cubed


def learn_jobs(plan: Plan, node: Node) -> list[Job]:
    params = LEARNS[node.params["method"]].of(node.params)
    classes, ipc = plan.class_count(node), node.params["ipc"]
    size = _size(plan, node, params.network)
    taken, steps = learned_passes(params, classes, ipc)
    images = classes * ipc
    seen = images
    if isinstance(params, Trajectory):
        seen = min(params.batch or images, images) * params.steps
    elif isinstance(params, Matched):
        seen = max(images, params.batch)
    work = _in_units(size, taken, steps)
    return [Job(node.stage, work, training_memory(size, seen))]


def expert_jobs(plan: Plan, node: Node) -> list[Job]:
    """A job for each file: some experts in a range of epochs."""
    params, train = Experts.of(node.params), counts_of(plan, node).train
    size = _size(plan, node, Network.of(node.params["network"]))
    jobs = []
    for experts in blocks(params.count, params.per_file):
        for span in epoch_ranges(plan.expert_epochs(node)):
            runs = (experts[1] - experts[0]) * (span[1] - span[0])
            work = _in_units(size, 3.0 * runs * train, 3.0 * runs * steps_of(train, params.batch))
            memory = training_memory(size, params.batch) * (experts[1] - experts[0])
            jobs.append(Job(experts_path(node.folder, experts, span).stem, work, memory))
    return jobs


def whiten_jobs(plan: Plan, node: Node) -> list[Job]:
    """The covariances of all pixels, their eigenvectors, and the validation images' products."""
    counts = counts_of(plan, node)
    pixels = 3 * counts.resolution**2
    products = (counts.train + counts.val) * 2 * pixels**2
    if "matrix" in node.params:
        products, eigen = counts.val * 2 * pixels**2, 0
    else:
        eigen = EIGEN * pixels**3
    amount = Amount(products + eigen, 0.0, 1.0)
    return [Job(node.stage, Work.of("forward", amount), 24.0 * pixels**2)]


def learned_passes(params: Learn, classes: int, ipc: int) -> tuple[float, float]:
    """Of all iterations: forward passes of an image, and of a batch."""
    images = classes * ipc
    if isinstance(params, Trajectory):
        batch = min(params.batch or images, images)
        steps = (3.0 + WRITTEN_OUT) * params.iterations * params.steps
        return steps * batch, steps
    if isinstance(params, Dc):
        real = classes * params.batch
        between = (params.outer - 1) * params.inner * 3.0
        batches = steps_of(images, params.batch_network)
        each = params.outer * (3.0 * real + TWICE * images) + between * images
        calls = params.outer * (3.0 + TWICE) * classes + between * batches
        return params.iterations * each, params.iterations * calls
    assert isinstance(params, Matched)
    real = classes * params.batch
    step, calls = real + 3.0 * images, 4.0
    if isinstance(params, Cafe):
        watched = classes * params.watch
        step = LEAST * (step + watched + LEAST * (3.0 * images + watched))
        calls = LEAST * (calls + 1 + LEAST * 4.0)
    return params.iterations * step, params.iterations * calls


def _in_units(size: Size, taken: float, steps: float) -> Work:
    """Of so many forward passes of images, in so many of batches. A step of training has 3."""
    flops, third = size.flops * taken, replace(size, flops=0.0)
    values, calls = third.values * taken / 3, third.layers * steps / 3
    return Work.of("train", Amount(flops, values, calls, third.weights * steps / 3))


def _size(plan: Plan, node: Node, network: Network) -> Size:
    resolution = plan.data_of(node).params["resolution"]
    return backbone_size(network, resolution, plan.class_count(node))
