"""The jobs of each stage and what they do: a function for each, in `JOBS`."""

from collections.abc import Callable
from dataclasses import replace

from scdd.artifacts.config import teacher_roles
from scdd.artifacts.sizes import FLOAT_BYTES, image_bytes, pca_bits
from scdd.artifacts.slots import Range, range_name, slot_ranges, slots_together
from scdd.params import probe as params_of_probe
from scdd.params.network import Network
from scdd.params.patches import Patches
from scdd.params.protocol import Relabel, Student
from scdd.params.recover import Recover
from scdd.params.select import Coreset, Forgetting
from scdd.params.squeeze import SQUEEZES, Training
from scdd.plan.cost.counts import Counts, backbone_of, counts_of, student_size
from scdd.plan.cost.learned import expert_jobs, learn_jobs, whiten_jobs
from scdd.plan.cost.networks import Size, backbone_size, linear
from scdd.plan.cost.passes import (
    Job,
    forward_memory,
    image_memory,
    passes,
    steps_of,
    training_memory,
    views,
)
from scdd.plan.cost.squeezes import squeeze_memory, squeeze_work
from scdd.plan.cost.work import Work
from scdd.plan.plan import Node, Plan

EVALUATIONS = 20  # accuracies of a student on the way, as in scdd.evaluate.train
TEST_BATCH = 512  # images a pass of these
CLEAN_BATCH = 256  # … of features, as in scdd.probe
LABEL_BATCH = 256  # … of labels, as in scdd.labels.relabel
STATISTICS_BATCH = 64  # … of statistics, as in scdd.recover.statistics
PATCH_BATCH = 64  # … of patches, but for their crops, as in scdd.patches.ranking
SIGNALS = 2 * 8 * 1.5  # passes with gradients of the views that an informativeness is a mean of

Jobs = Callable[[Plan, Node], list[Job]]


def jobs_of(plan: Plan, node: Node) -> list[Job]:
    """The jobs of an artifact, with the names of their files of costs. Raises NotCounted, which
    says why, where their work is not known."""
    return JOBS.get(node.stage, _small)(plan, node)


def _small(plan: Plan, node: Node) -> list[Job]:
    """Jobs that only read, choose and write."""
    return [Job(name, Work()) for name in plan.jobs(node)]


def _squeeze(plan: Plan, node: Node) -> list[Job]:
    section = SQUEEZES[node.params["method"]].of(node.params)
    if not isinstance(section, Training):
        return _small(plan, node)
    counts, network = counts_of(plan, node), Network.of(node.params)
    each = counts.resolution, counts.classes
    work = squeeze_work(section, network, *each, counts.train)
    memory = squeeze_memory(section, network, *each)
    return [Job(node.stage, work, memory, _training_pixels(counts))]


def _probe(plan: Plan, node: Node) -> list[Job]:
    counts, params = counts_of(plan, node), params_of_probe.Probe.of(node.params)
    body = backbone_size(backbone_of(plan, node), counts.resolution, None)
    classifier = linear(body.features, counts.classes)
    train, epochs, precision = counts.train, params.epochs, params.precision

    def seen(images: int, batch: int) -> Work:
        return passes("forward", body, images, steps_of(images, batch), precision)

    work = seen(train + counts.val, CLEAN_BATCH)  # the accuracies at the end
    memory = forward_memory(body, CLEAN_BATCH, precision)
    if params.features != "imported":
        steps = epochs * steps_of(train, params.batch)
        work += passes("train", classifier, epochs * train, steps)
        if params.features == "clean":
            work += seen(train, CLEAN_BATCH)
        else:
            work += views("views", epochs * train, counts.resolution, steps)
            if params.tune == "all":
                work += passes("train", body, epochs * train, steps, precision)
                memory = training_memory(body, params.batch, precision)
            else:
                work += seen(train, params.batch) * epochs
                memory = forward_memory(body, params.batch, precision)
    return [Job(node.stage, work, memory, _training_pixels(counts))]


def _informativeness(plan: Plan, node: Node) -> list[Job]:
    """A short recovery of a block's first images, and the gradients of some views."""
    own = params_of_probe.Informativeness.of(node.params)
    recover, size = Recover.of(node.params["recover"]), _teacher(plan, node, "teacher")
    steps = own.iterations + SIGNALS
    work = passes("images", size, steps * recover.block, steps, recover.precision)
    return [Job(node.stage, work, image_memory(size, recover.block, recover.precision))]


def _statistics(plan: Plan, node: Node) -> list[Job]:
    """The training images through a teacher."""
    counts, size = counts_of(plan, node), _teacher(plan, node, "teacher")
    work = passes("forward", size, counts.train, steps_of(counts.train, STATISTICS_BATCH))
    memory = forward_memory(size, STATISTICS_BATCH)
    return [Job(node.stage, work, memory, _training_pixels(counts))]


def _recover(plan: Plan, node: Node) -> list[Job]:
    """A job for each block of classes and range of slots."""
    params, roles = Recover.of(node.params), teacher_roles(node.parents)
    given = plan.machine.get("pass_width")
    width = given or 1
    resolution = plan.data_of(node).params["resolution"]
    at = {part.size for part in params.segments(resolution)} | {resolution}
    teachers = {size: [_teacher(plan, node, role, size) for role in roles] for size in at}
    acting = _acting(params, len(roles))
    jobs = []
    for slots in slot_ranges(plan.largest_ipc(node)):
        for block in plan.class_blocks(node):
            classes, each = block[1] - block[0], slots[1] - slots[0]
            together = slots_together(slots, params.slots)
            units = classes if params.statistics == "class" else each // together
            work = Work()
            for part in params.segments(resolution):
                steps = (part.end - part.first) * -(-units // width)
                joined = (max(part.first, join) for join in params.joins(together))
                of_a_class = sum(max(0, part.end - first) for first in joined)
                images = of_a_class * classes * each // together
                work += views("views", images, part.size, steps)
                for size, share in zip(teachers[part.size], acting, strict=True):
                    own = images * share, steps * share, params.precision
                    work += passes("images", size, *own)
                    if params.flatness:
                        work += passes("forward", size, *own)
            if params.statistics == "class":
                work += _class_statistics(plan, node, teachers[resolution], classes)
            largest = max(teachers[max(at)], key=lambda size: size.values)
            memory = image_memory(largest, classes * each / units * width, params.precision)
            jobs.append(Job(_of_shards(slots, block), work, memory, units=1 if given else units))
    return jobs


def _acting(params: Recover, teachers: int) -> list[float]:
    """The share of the iterations of all units in which each teacher acts."""
    if teachers == 1:
        return [1.0]
    together = 2 if params.pairs != "none" else teachers
    share = (1 if params.teachers == "turn" else together) / together
    if params.pairs == "best":
        return [share if number in params.best_pair else 0.0 for number in range(teachers)]
    return [share * together / teachers] * teachers


def _class_statistics(plan: Plan, node: Node, teachers: list[Size], classes: int) -> Work:
    """A pass of the training images of these classes through each teacher."""
    counts, work = counts_of(plan, node), Work()
    images = counts.train * classes / counts.classes
    for size in teachers:
        work += passes("forward", size, images, steps_of(images, CLEAN_BATCH))
    return work


def _coreset(plan: Plan, node: Node) -> list[Job]:
    counts, precision = counts_of(plan, node), Coreset.of(node.params).precision
    body = backbone_size(backbone_of(plan, plan.parent(node, "teacher")), counts.resolution, None)
    steps = max(counts.classes, steps_of(counts.train, TEST_BATCH))  # class by class
    work = passes("forward", body, counts.train, steps, precision)
    memory = forward_memory(body, TEST_BATCH, precision)
    return [Job(node.stage, work, memory, _training_pixels(counts))]


def _patches(plan: Plan, node: Node) -> list[Job]:
    """The crops of each class's pool, or all training images, through the observer."""
    counts, size = counts_of(plan, node), _teacher(plan, node, "teacher")
    images, each = float(counts.train), 1
    if node.params["method"] == "easiest":
        params = Patches.of(node.params)
        images, each = min(images, float(counts.classes * params.pool)), params.crops
    steps = max(counts.classes, steps_of(images, PATCH_BATCH))  # class by class
    work = passes("forward", size, images * each, steps)
    work += views("views", images * each, counts.resolution, steps * each)
    memory = forward_memory(size, PATCH_BATCH * each)
    return [Job(node.stage, work, memory, _training_pixels(counts))]


def _forgetting(plan: Plan, node: Node) -> list[Job]:
    counts, params = counts_of(plan, node), Forgetting.of(node.params)
    size = backbone_size(Network.of(node.params), counts.resolution, counts.classes)
    images, steps = (
        counts.train * params.epochs,
        params.epochs * steps_of(counts.train, params.batch),
    )
    work = passes("train", size, images, steps, params.precision)
    work += views("views", images, counts.resolution, steps)
    memory = training_memory(size, params.batch, params.precision)
    return [Job(node.stage, work, memory, _training_pixels(counts))]


def _verify(plan: Plan, node: Node) -> list[Job]:
    images, size = _set_size(plan, plan.parent(node, "images")), _teacher(plan, node, "teacher")
    work = passes("forward", size, images, steps_of(images, TEST_BATCH))
    return [Job(node.stage, work, forward_memory(size, TEST_BATCH))]


def _relabel(plan: Plan, node: Node) -> list[Job]:
    """A job for each file of labels."""
    params, images = Relabel.of(node.params), _set_size(plan, plan.parent(node, "images"))
    teachers = [_teacher(plan, node, role) for role in teacher_roles(node.parents)]
    precision, resolution = params.label_precision, plan.data_of(node).params["resolution"]
    batch = LABEL_BATCH
    if params.teacher_bn == "batch":  # of whole batches
        batch = max(batch, node.params["batch"])
    epochs, jobs = params.epochs_per_shard, []
    for shard in plan.label_shards(node, plan.store_epochs(node)):
        steps = epochs * steps_of(images, batch)
        work = views("views", epochs * images, resolution, steps)
        for size in teachers:
            work += passes("forward", size, epochs * images, steps, precision)
        memory = forward_memory(teachers[0], min(batch, images), precision)
        labels = plan.store_bytes(node, epochs)
        if pca_bits(params.form) is not None:  # encoded from float32, when all are there
            labels += 2 * FLOAT_BYTES * epochs * images * plan.class_count(node)
        jobs.append(Job(shard.stem, work, memory + labels))
    return jobs


def _trained(plan: Plan, node: Node) -> Job:
    """A student, but for its tests."""
    counts, params = counts_of(plan, node), Student.of(node.params)
    size = _student(plan, node)
    if "data" in node.parents:
        images = counts.train
    else:
        labels = plan.parent(node, "labels") if "labels" in node.parents else node
        images = _set_size(plan, plan.parent(labels, "images"))
    seen, steps = images * params.epochs, params.epochs * steps_of(images, params.batch)
    each = params.batch // params.passes
    work = passes("train", size, seen, steps * params.passes, params.precision)
    work += views("views", seen, counts.resolution, steps)
    memory = training_memory(size, min(each, images), params.precision)
    return Job(node.stage, work, memory, float(image_bytes(images, counts.resolution)))


def _tested(job: Job, sizes: list[Size], images: int, times: int, resolution: int) -> Job:
    """The job with so many passes of images through each network."""
    work, steps = job.work, times * steps_of(images, TEST_BATCH)
    for size in sizes:
        work += passes("forward", size, times * images, steps)
    memory = max(forward_memory(size, min(TEST_BATCH, images)) for size in sizes)
    pixels = job.pixels + image_bytes(images, resolution)
    return replace(job, work=work, memory=max(job.memory, memory), pixels=pixels)


def _validate(plan: Plan, node: Node) -> list[Job]:
    """A student, and passes of the validation images of its classes through it."""
    counts, epochs = counts_of(plan, node), Student.of(node.params).epochs
    sizes, times = [_student(plan, node)], min(EVALUATIONS, epochs)
    val = counts.val * plan.class_count(node) // counts.classes
    return [_tested(_trained(plan, node), sizes, val, times, counts.resolution)]


def _curriculum(plan: Plan, node: Node) -> list[Job]:
    """A student, and a pass of the training images through it and through each teacher."""
    counts = counts_of(plan, node)
    teachers = [_teacher(plan, node, role) for role in teacher_roles(node.parents)]
    sizes = [_student(plan, node), *teachers]
    return [_tested(_trained(plan, node), sizes, counts.train, 1, counts.resolution)]


def _student(plan: Plan, node: Node) -> Size:
    resolution: int = plan.data_of(node).params["resolution"]
    return student_size(Network(**node.params["student"]), resolution, plan.class_count(node))


def _teacher(plan: Plan, node: Node, role: str, resolution: int | None = None) -> Size:
    """The network of a probe, with its classifier. resolution: of its images, if it is not the
    dataset's."""
    probe = plan.parent(node, role)
    resolution = resolution or plan.data_of(node).params["resolution"]
    return backbone_size(backbone_of(plan, probe), resolution, plan.class_count(probe))


def _set_size(plan: Plan, images: Node) -> int:
    """How many images a set has."""
    count: int = plan.class_count(images) * images.params["ipc"]
    return count


def _training_pixels(counts: Counts) -> float:
    return float(image_bytes(counts.train, counts.resolution))


def _of_shards(slots: Range, block: Range) -> str:
    return f"slots_{range_name(slots)}_classes_{range_name(block)}"


JOBS: dict[str, Jobs] = {
    "whiten": whiten_jobs,
    "experts": expert_jobs,
    "learn": learn_jobs,
    "squeeze": _squeeze,
    "probe": _probe,
    "informativeness": _informativeness,
    "statistics": _statistics,
    "forgetting": _forgetting,
    "coreset": _coreset,
    "patches": _patches,
    "recover": _recover,
    "verify": _verify,
    "relabel": _relabel,
    "curriculum": _curriculum,
    "validate": _validate,
}
