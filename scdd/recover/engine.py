"""Recovery: the loop on tensors (SC-DD, arXiv 2404.07976, section 3; SRe2L's and CDA's recovery).

A unit's images are a batch, and its statistics are the batch's: which images are in a batch is part
of the method. Several units share a pass through the network to fill a GPU, each with its own
statistics and views, which changes only the rounding.
"""

import contextlib
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from scdd.artifacts.statistics import Real
from scdd.errors import ScddError
from scdd.jobs import gpus
from scdd.jobs.capture import Compiled, captured, captures
from scdd.jobs.progress import Progress, say
from scdd.jobs.saved import JobState, Snapshot
from scdd.networks.precision import autocast
from scdd.networks.schedules import half_cosine
from scdd.params.recover import Recover, Segment
from scdd.recover.committees import shares
from scdd.recover.densification import densification
from scdd.recover.distance import Beside, StatisticsLoss
from scdd.recover.matching import frozen, objective
from scdd.recover.residuals import nearest
from scdd.recover.units import Statistics, Unit, Views
from scdd.views.geometry import resized

CHECK_EVERY = 100  # iterations between looks at the losses
EPSILON = 1e-8  # Adam's
AVERAGE = 0.99  # of the moving average of images that flatness is about
FILLED = 0.8  # of the GPU memory that a job may have, by the units of a pass


AVERAGE_IMAGE = "average"  # in `Pass.more`, if flatness is asked for
# losses by unit, the gradient of the views, and the new averages of the statistics
Slope = tuple[Tensor, Tensor, Statistics | None]


def _averages(teacher: int) -> tuple[str, str]:
    """The names in `Pass.more` of the averages of its statistics, if there are some."""
    return f"means_{teacher}", f"variances_{teacher}"


class NotFinite(ScddError):
    """A loss or an image is not finite: unit and iteration are named."""


@dataclass(frozen=True)
class Units:
    """The units of a job, by their `keys`: `size` images each. draw: a key to its unit, the same
    whenever it is called; what: the job's name in its log; teachers: a key to the numbers of the
    unit's teachers, None: all of them."""

    keys: Sequence[int]
    size: int
    draw: Callable[[int], Unit]
    what: str = "recover"
    teachers: Callable[[int], tuple[int, ...]] | None = None


@dataclass(frozen=True)
class FramePlan:
    """What is kept of images on their way from noise: after the iterations `after`, ascending, the
    first `images` of each of the first `units`."""

    after: Sequence[int] = ()
    units: int = 1
    images: int = sys.maxsize


@dataclass
class Pass:
    """Units that are recovered together, after `done` iterations.

    keys: the units'; images, and Adam's mean and square of their gradients: float32
    [units, n, 3, S, S], as large as in `segment`; losses: float32 [units, T, 3], of which the first
    `done` are known; more: what else goes on from one iteration to the next, each [units, ...].
    """

    keys: list[int]
    done: int
    images: Tensor
    mean: Tensor
    square: Tensor
    losses: Tensor
    segment: Segment
    more: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def begin(cls, units: Sequence[Unit], params: Recover, device: torch.device) -> "Pass":
        start = torch.stack([unit.start for unit in units]).to(device)
        segment = params.segments(start.shape[-1])[0]
        images = resized(start, segment.size)
        losses = torch.zeros(len(units), params.iterations, 3, device=device)
        moments = torch.zeros_like(images), torch.zeros_like(images)
        return cls([unit.key for unit in units], 0, images, *moments, losses, segment)

    @classmethod
    def of(cls, state: Mapping[str, Any], device: torch.device) -> "Pass":
        """On the device, with tensors of its own."""
        own = tree_map(lambda x: x.to(device).clone() if isinstance(x, Tensor) else x, state)
        return cls(**{**own, "segment": Segment(*own["segment"])})

    def state(self) -> dict[str, Any]:
        state = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**state, "segment": astuple(self.segment)}

    def halves(self) -> list["Pass"]:
        """The same work in two passes; the first one has the larger half of the units."""
        cut = (len(self.keys) + 1) // 2
        return [self._part(half) for half in (slice(cut), slice(cut, None))]

    def _part(self, rows: slice) -> "Pass":
        return Pass(
            self.keys[rows],
            self.done,
            self.images[rows],
            self.mean[rows],
            self.square[rows],
            self.losses[rows],
            self.segment,
            {name: tensor[rows] for name, tensor in self.more.items()},
        )

    def go_on(self, more: Mapping[str, Tensor]) -> None:
        """Take the new values of `more`, and the images into their average; in place, as `step`."""
        for name, value in more.items():
            self.more[name].copy_(value)
        if AVERAGE_IMAGE in self.more:
            self.more[AVERAGE_IMAGE].lerp_(self.images, 1 - AVERAGE)

    def step(self, gradient: Tensor, params: Recover, valid: tuple[Tensor, Tensor]) -> None:
        """A step of the segment's Adam, as torch's, then the clamp; in place, and without memory of
        its own: if memory runs out, no half step must remain."""
        first, second = params.betas
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        self.done += 1
        steps = self.done - self.segment.first
        root = math.sqrt(1 - second**steps)
        torch.sqrt(self.square, out=gradient).div_(root).add_(EPSILON)
        rate = params.lr * half_cosine(self.done - 1, params.iterations) / (1 - first**steps)
        self.images.addcdiv_(self.mean, gradient, value=-rate).clamp_(*valid)

    def enter(self, segment: Segment, images: Tensor) -> None:
        """Begin a later segment with these images, a new Adam and a new average of the images."""
        moments = torch.zeros_like(images), torch.zeros_like(images)
        if AVERAGE_IMAGE in self.more:
            self.more = {**self.more, AVERAGE_IMAGE: images.clone()}
        self.images, self.segment, (self.mean, self.square) = images, segment, moments


@dataclass(frozen=True)
class Recovered:
    """images: the last iterates, normalised float32 [units, n, 3, R, R]; losses: float32
    [units, T, 3], as `objective` gives them, before each step; frames: float32
    [frames, framed images, 3, R, R], after the iterations that were asked for; all on the CPU.
    widths: how many units each pass had that was finished."""

    images: Tensor
    losses: Tensor
    frames: Tensor
    widths: list[int]


class _Job:
    """What the loop keeps between passes: which units are finished, begun and to do."""

    def __init__(
        self,
        networks: Sequence[nn.Module],
        units: Units,
        params: Recover,
        valid: tuple[Tensor, Tensor],
        real: Sequence[Real],
        frames: FramePlan,
        compiled: Compiled,
        saved: JobState,
    ) -> None:
        self.draw, self.params, self.valid, self.saved = units.draw, params, valid, saved
        everyone = tuple(range(len(networks)))
        self.teachers_of = units.teachers or (lambda _: everyone)
        self.compiled, self.frames = compiled, frames
        self.device = valid[0].device
        self.width: int | None = None
        self.finished: dict[int, tuple[Tensor, Tensor]] = {}
        self.begun: list[Pass] = []
        self.shots: dict[int, list[Tensor]] = {key: [] for key in units.keys[: frames.units]}
        self.widths: list[int] = []
        if (state := saved.content) is not None:
            self.width, self.widths = state["width"], state["widths"]
            self.shots = {key: [s.clone() for s in shots] for key, shots in state["frames"].items()}
            self.finished = {key: saved.part(f"unit_{key}") for key in state["finished"]}
            self.begun = [Pass.of(begun, self.device) for begun in state["begun"]]
        self.in_parts = set(self.finished)
        known = {key for begun in self.begun for key in begun.keys} | self.in_parts
        self.todo = [key for key in units.keys if key not in known]
        own: Sequence[Real | None] = real or [None] * len(networks)
        self.teachers = [
            (network, StatisticsLoss(network, params, of_network))
            for network, of_network in zip(networks, own, strict=True)
        ]
        # made again for each width: the measured one's, all passes', the last one's
        full = compiled == "full"
        self.objective = torch.compile(objective, fullgraph=True) if full else objective
        self.slopes = self.fresh_slopes()

    def done(self) -> int:
        """Iterations of units."""
        iterations = self.params.iterations
        return len(self.finished) * iterations + sum(p.done * len(p.keys) for p in self.begun)

    def snapshot(self) -> Snapshot:
        new = {
            f"unit_{key}": result
            for key, result in self.finished.items()
            if key not in self.in_parts
        }
        self.in_parts.update(self.finished)
        state = {
            "width": self.width,
            "widths": self.widths,
            "finished": list(self.finished),
            "begun": [begun.state() for begun in self.begun],
            "frames": self.shots,
        }
        return Snapshot(state, new)

    def begin(self, units: Sequence[Unit]) -> Pass:
        """A pass with what goes on from one iteration to the next."""
        now = Pass.begin(units, self.params, self.device)
        for number, (_, matched) in enumerate(self.teachers):
            if (averages := matched.start(len(units))) is not None:
                now.more |= dict(zip(_averages(number), averages, strict=True))
        if self.params.flatness:
            now.more[AVERAGE_IMAGE] = now.images.clone()
        return now

    def fresh_slopes(self) -> list[Callable[..., Slope]]:
        """For each teacher the function that gives losses by unit, [units, 3], times a weight, the
        gradient of their sum with respect to the views, and the new averages of its statistics.
        Captures are of one pass: they hold its memory."""

        def slope_of(network: nn.Module, matched: StatisticsLoss) -> Callable[..., Slope]:
            def slope(views: Tensor, labels: Tensor, beside: Beside, weight: float) -> Slope:
                leaf = views.detach().requires_grad_()
                parts = weight * self.objective(network, matched, leaf, labels, self.params, beside)
                # no unit's loss depends on another's images
                gradient = torch.autograd.grad(parts[:, 0].sum(), leaf)[0]
                return parts.detach(), gradient, matched.averages

            return captured(slope, self.device, self.compiled)

        return [slope_of(network, matched) for network, matched in self.teachers]

    def gradient(
        self, now: Pass, views: Views, acting: Iterable[tuple[int, float]]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient of each unit's own loss, which is recorded, with respect to its images; and
        what then replaces some of `now.more`.

        acting: the teachers of whose losses it is the sum, with their weights; one after the other:
        only one's activations are in memory.
        """
        leaf, step = now.images.detach().requires_grad_(), now.done
        losses, gradient = now.losses[:, step].zero_(), torch.zeros_like(leaf)
        more: dict[str, Tensor] = {}
        average = now.more.get(AVERAGE_IMAGE)
        for number, weight in acting:
            names, seen = _averages(number), views.of(leaf, step)
            beside = Beside(
                targets=None if views.targets is None else views.targets[number],
                kept=views.kept(step, number),
                averages=(now.more[names[0]], now.more[names[1]]) if names[0] in now.more else None,
                average=None if average is None else views.of(average, step),
            )
            parts, of_seen, averages = self.slopes[number](
                seen.detach(), views.labels(step), beside, weight
            )
            losses += parts
            gradient += torch.autograd.grad(seen, leaf, of_seen)[0]
            if averages is not None:
                more |= dict(zip(names, averages, strict=True))
        if self.params.densification:
            # not with the teachers': a GPU cannot capture eigenvalues
            dense = densification(views.of(leaf, step), views.classes)
            dense = self.params.densification * dense
            losses[:, 0] += dense.detach()
            gradient += torch.autograd.grad(dense.sum(), leaf)[0]
        return gradient, more

    def fitting(self) -> int:
        """How many units a pass can have: one on the CPU; on a GPU what its memory holds by a
        measurement with one unit and each teacher, in passes of equal size. Captured teachers keep
        their memory; of others only one at a time needs it."""
        most = len(self.todo)
        if self.device.type != "cuda" or most <= 1:
            return 1
        torch.cuda.empty_cache()  # what earlier work left in the cache does not count as free
        free, whole = torch.cuda.mem_get_info(self.device)
        before = torch.cuda.memory_allocated(self.device)
        unit = self.draw(self.todo[0])
        segments = self.params.segments(unit.start.shape[-1])
        largest = max(segments, key=lambda segment: segment.size)
        alone = self.begin([unit])
        alone.done = max(largest.first, *(unit.joins or (0,)))
        views, needs = Views([unit], self.device), []
        try:
            alone.enter(largest, resized(alone.images, largest.size))
            for number in range(len(self.teachers)):
                torch.cuda.reset_peak_memory_stats(self.device)
                self.gradient(alone, views, [(number, 1.0)])
                needs.append(torch.cuda.max_memory_allocated(self.device) - before)
        except torch.OutOfMemoryError as error:
            self.forget(error)
            return 1  # which ends in an error when it is tried
        together = len(self.teachers_of(unit.key)) if captures(self.compiled, self.device) else 1
        need = sum(sorted(needs)[-together:])
        available = FILLED * min(free, whole * gpus.share())
        width = max(1, min(most, int(available / need)))
        return math.ceil(most / math.ceil(most / width))

    def next(self) -> Pass:
        """The pass to work on: the units of a new one have the same teachers."""
        if not self.begun:
            teachers = self.teachers_of(self.todo[0])
            alike = [key for key in self.todo if self.teachers_of(key) == teachers][: self.width]
            self.todo = [key for key in self.todo if key not in alike]
            units = [self.draw(key) for key in alike]
            self.begun.append(self.begin(units))
        return self.begun[0]

    def run(self, now: Pass, progress: Progress) -> None:
        """From its current iteration to the last one."""
        params = self.params
        units = [self.draw(key) for key in now.keys]
        views, teachers = Views(units, self.device), self.teachers_of(now.keys[0])
        self.slopes = self.fresh_slopes()
        while now.done < params.iterations:
            self.enter(now, units)
            if now.done in views.joined:
                self.slopes = self.fresh_slopes()  # captures of fewer images have served
            self.picture(now)
            acting = shares(params, teachers, now.done)
            gradient, more = self.gradient(now, views, acting)
            now.go_on(more)
            now.step(gradient, params, self.valid)
            if now.done % CHECK_EVERY == 0 or now.done == params.iterations:
                _require_finite(units, now)
            progress.advance(views.all_labels.numel() / params.iterations)
            if now.done < params.iterations:
                self.saved.offer(self.done(), self.snapshot)

    def enter(self, now: Pass, units: Sequence[Unit]) -> None:
        """Begin the next segment, if the pass is at its first iteration. If memory runs out, all is
        as before."""
        if now.done < now.segment.end:
            return
        segments = self.params.segments(units[0].start.shape[-1])
        following = next(segment for segment in segments if segment.first == now.done)
        if following.size != now.segment.size:
            self.slopes = self.fresh_slopes()  # captures of another size are not needed any more
        images = resized(now.images, following.size)
        if (residual := self.params.residual) is not None:
            images = residual.alpha * images + (1 - residual.alpha) * self.patches(images, units)
        now.enter(following, images)

    def patches(self, images: Tensor, units: Sequence[Unit]) -> Tensor:
        """What a residual mixes into the images of units, as large as they are: their starts, or
        the nearest of their pools."""
        made = []
        for own, unit in zip(images, units, strict=True):
            given = unit.start if unit.pool is None else unit.pool
            given = resized(given.to(self.device), images.shape[-1])
            made.append(given if unit.pool is None else nearest(self.features, own, given))
        return torch.stack(made)

    def features(self, images: Tensor) -> Tensor:
        """Of the method's own teacher."""
        network, matched = self.teachers[0]
        features: Any = network.features
        with autocast(self.device, self.params.precision):
            return matched.unwatched(features, images).float()

    def picture(self, now: Pass) -> None:
        """Keep the frames of the pass, if there are some after this iteration."""
        if now.done not in self.frames.after:
            return
        place = self.frames.after.index(now.done)
        size = self.params.sizes[-1] if self.params.sizes else now.images.shape[-1]
        for row, key in enumerate(now.keys):
            if key in self.shots:
                images = now.images[row, : self.frames.images].to("cpu", copy=True)
                self.shots[key][place:] = [resized(images, size)]

    def finish(self, now: Pass) -> None:
        self.picture(now)
        self.begun.remove(now)
        for row, key in enumerate(now.keys):
            # copies: views would keep, and save, the whole pass
            images, losses = now.images[row], now.losses[row]
            self.finished[key] = images.to("cpu", copy=True), losses.to("cpu", copy=True)
        self.widths.append(len(now.keys))
        self.saved.offer(self.done(), self.snapshot)

    def forget(self, error: torch.OutOfMemoryError) -> None:
        """Free the memory of the pass that ran out of it. Its stack frames and what the layers saw
        keep its graph alive; a later teacher's also during the next passes of the first ones."""
        traceback.clear_frames(error.__traceback__)
        self.slopes = self.fresh_slopes()
        for _, matched in self.teachers:
            matched.begin(0)
        torch.cuda.empty_cache()

    def halve(self, now: Pass) -> None:
        """Out of memory: continue with half as many units a pass."""
        if len(now.keys) == 1:
            raise ScddError(
                f"the GPU's memory does not hold a unit of {now.images.shape[1]} images in the "
                "teacher. Use a GPU with more memory, or recover.precision bf16; a smaller "
                "recover.block changes the method."
            )
        self.begun[:1] = now.halves()
        self.width = len(self.begun[0].keys)
        say(f"out of memory: from now on {self.width} units a pass")


def recover_units(
    networks: Sequence[nn.Module],
    units: Units,
    params: Recover,
    valid: tuple[Tensor, Tensor],
    *,
    real: Sequence[Real] = (),
    frames: FramePlan = FramePlan(),
    width: int | None = None,
    compiled: Compiled = "none",
    saved: JobState | None = None,
) -> Recovered:
    """Recover all units from the teachers `networks`, whose losses are weighted as `params` says.

    valid: lower and upper end of the pixels, normalised, [3, 1, 1] on the networks' device; real:
    what each teacher sees of real images, if more is matched than its running statistics; width:
    units a pass, None: one on the CPU, on a GPU what its memory holds; compiled: see
    `scdd.jobs.capture`, torch.compile rounds otherwise; saved: where to resume from, and where to
    leave the state. The networks are set to eval mode and frozen.

    Nothing waits for the device but a look at the losses now and then: if one is not finite,
    NotFinite names unit and iteration, and the finished units are saved. A pass that the GPU's
    memory does not hold is halved, and resumed where it was; ScddError if it is a single unit.
    """
    networks = [frozen(network, params.precision) for network in networks]
    job = _Job(networks, units, params, valid, real, frames, compiled, saved or JobState())
    total, each = len(units.keys) * units.size, units.size / params.iterations
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(units.what, total, job.done() * each))
        for _, matched in job.teachers:
            stack.enter_context(matched)
        job.width = job.width or width or job.fitting()
        while job.begun or job.todo:
            now = job.next()
            try:
                job.run(now, progress)
            except torch.OutOfMemoryError as error:
                job.forget(error)
                job.halve(now)
                continue
            except NotFinite:
                job.begun.clear()
                job.saved.save(job.done(), job.snapshot())
                raise
            job.finish(now)
    images, losses = zip(*[job.finished[key] for key in units.keys], strict=True)
    pictures = images[0].new_zeros(0, *images[0].shape)
    if frames.after:
        pictures = torch.cat([torch.stack(shots) for shots in job.shots.values()], dim=1)
    return Recovered(torch.stack(images), torch.stack(losses), pictures, job.widths)


def _require_finite(units: Sequence[Unit], now: Pass) -> None:
    fine = now.losses[:, : now.done].isfinite().all(2)
    whole = now.images.flatten(1).isfinite().all(1)
    if bool(fine.all()) and bool(whole.all()):
        return
    # the first iteration that is not, by unit; `done` where only the images are not
    first = torch.where(fine.all(1), now.done, fine.long().argmin(1))
    first = torch.where(whole & fine.all(1), now.done + 1, first)
    row = int(first.argmin())
    raise NotFinite(
        f"recovery of {units[row].name} is not finite from "
        f"iteration {first[row]} on. Lower recover.lr or recover.r_bn, or use precision float32."
    )
