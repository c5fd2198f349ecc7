"""The plan: every artifact, what it is made with and from what, and the files it consists of."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

from scdd.artifacts import expert_files
from scdd.artifacts.config import numbered
from scdd.artifacts.run import RESULTS
from scdd.artifacts.sizes import FILTERS, FLOAT_BYTES, convnet_parameters, image_bytes, store_bytes
from scdd.artifacts.slots import (
    Range,
    blocks,
    checksums_path,
    frames_path,
    losses_path,
    range_name,
    shard_path,
    slot_ranges,
    snapshot_folder,
)
from scdd.jobs.costs import cost_path
from scdd.params.base import Section
from scdd.params.learn import Trajectory
from scdd.params.protocol import Relabel
from scdd.plan.identity import digest
from scdd.plan.stages import EXPERTS, IMAGES, LABELS, PAGES, STAGES
from scdd.report.sections import pages

# in a report's parameters: what has a method's title, and the file of measures of what it is about
ROWS = ("cells", "snapshots", "verified", "probes", "backbones", "ranking", "continual")
# they use a teacher that was made for others
BORROWERS = ("relabel", "coreset", "patches", "verify", "curriculum")


@dataclass(frozen=True)
class Node:
    """One artifact. `parents` maps a role ('data', 'teacher', ...) to another node's `key`."""

    stage: str
    label: str
    digest: str
    params: dict[str, Any]
    parents: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.label}-{self.digest}"

    @property
    def key(self) -> str:
        return f"{self.stage}/{self.name}"

    @property
    def folder(self) -> Path:
        return RESULTS.joinpath(self.stage, self.name)

    def frozen(self) -> dict[str, Any]:
        """The content of the artifact's config.json: `scdd.artifacts.config.Frozen`."""
        parents = {role: key.rpartition("-")[2] for role, key in self.parents.items()}
        return {**asdict(self), "parents": parents, "version": STAGES[self.stage].version}


@dataclass(frozen=True)
class Use:
    """What an artifact is made for: a method, by its title, and a protocol; None: any."""

    title: str
    protocol: str | None


@dataclass(frozen=True)
class Filling:
    """What fills the first or the last slots of an image set: the first `count` images of each
    class of a source, whose files are below `folder`."""

    source: Node
    folder: Path
    count: int


@dataclass
class Plan:
    """Every artifact of a run, by key.

    roots: where the files of each dataset are. classes: how many classes it has; train: how many
    training images, where that is known. imports: the files
    of others that an artifact is made of. machine: how this machine runs the jobs.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    roots: dict[str, dict[str, Any]] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    train: dict[str, int | None] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    # of the first `_indexed` nodes, by the keys of their parents
    _users: dict[str, list[Node]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _indexed: int = field(default=0, init=False, repr=False, compare=False)

    def add(
        self,
        stage: str,
        label: str,
        params: Mapping[str, Any],
        parents: Mapping[str, Node],
        identity: Mapping[str, Any] | None = None,
    ) -> Node:
        """The node with this identity: a new one, or that of another experiment.

        identity: of `params` what is in the digest; None: all.
        """
        name = digest(
            {
                "stage": stage,
                "version": STAGES[stage].version,
                "params": params if identity is None else identity,
                "parents": {role: node.digest for role, node in parents.items()},
            }
        )
        keys = {role: node.key for role, node in parents.items()}
        as_read_back: dict[str, Any] = json.loads(json.dumps(params))
        node = Node(stage, label, name, as_read_back, keys)
        return self.nodes.setdefault(node.key, node)

    def add_section(
        self,
        stage: str,
        label: str,
        sections: Section | tuple[Section, ...],
        parents: Mapping[str, Node],
        without: Collection[str] = (),
        **more: Any,
    ) -> Node:
        """`add` with the parameters of checked sections, but those in `without`, and `more`, whose
        values may be sections too."""
        params, identity = dict(more), dict(more)
        for key, value in more.items():
            if isinstance(value, Section):
                params[key], identity[key] = value.dump(), value.identity()
        for section in sections if isinstance(sections, tuple) else (sections,):
            params |= {k: v for k, v in section.dump().items() if k not in without}
            identity |= {k: v for k, v in section.identity().items() if k not in without}
        return self.add(stage, label, params, parents, identity)

    def of(self, stage: str) -> list[Node]:
        return [node for node in self.nodes.values() if node.stage == stage]

    def targets(self, node: Node) -> list[Path]:
        """The files by which one sees that an artifact is finished."""
        paths: list[Path] = []
        for name in STAGES[node.stage].done:
            if name == IMAGES:
                users = [user for user in self.users(node) if "at" not in user.params]
                users = users or self.users(node)  # snapshots alone
                paths += self._shards(max(self._fillings_by(node, users), key=lambda f: f.count))
            elif name == LABELS:
                paths += self.label_shards(node, self.store_epochs(node))
            elif name == EXPERTS:
                paths += self.expert_files(node, self.expert_epochs(node))
            else:
                names = pages(node.params) if name == PAGES else [name]
                paths += [node.folder / each for each in names]
        return paths

    @cached_property
    def uses(self) -> dict[str, list[Use]]:
        """By key: what an artifact is made for. Of a finished plan.

        Datasets and whitenings are no method's. A teacher is that of the methods whose images are
        recovered from it, not of those that borrow its labels or features.
        """
        uses: dict[str, list[Use]] = {}

        def note(key: str, use: Use) -> None:
            if use in uses.setdefault(key, []):
                return
            uses[key].append(use)
            node = self.nodes[key]
            for role, parent in node.parents.items():
                borrowed = role.startswith("teacher") and node.stage in BORROWERS
                if role not in ("data", "whitening") and not borrowed:
                    note(parent, use)

        for tables in self.of("tables"):
            for row in chain.from_iterable(tables.params.get(name, ()) for name in ROWS):
                use = Use(row["title"], row.get("protocol"))
                for file in ("metrics", "informativeness"):
                    if file in row:
                        note(str(Path(row[file]).parent), use)
        return uses

    def parent(self, node: Node, role: str) -> Node:
        return self.nodes[node.parents[role]]

    def made_by(self, node: Node, role: str) -> list[Path]:
        """The file that shows that a parent is finished, of each parent in `role` (then role_2,
        role_3, ...); none where there is no such parent."""
        roles = numbered(role, node.parents)
        return [self.targets(self.parent(node, each))[0] for each in roles]

    def data_of(self, node: Node) -> Node:
        """The dataset that `node` descends from."""
        while node.stage != "data":
            node = self.nodes[next(iter(node.parents.values()))]
        return node

    def class_count(self, node: Node) -> int:
        """The classes of the dataset that `node` descends from; of a memory of continual learning,
        and of what is made of it, those that it has."""
        while node.stage != "data":
            if "seen" in node.params:
                return int(node.params["seen"])
            node = self.nodes[next(iter(node.parents.values()))]
        return self.classes[node.key]

    def class_blocks(self, source: Node) -> list[Range]:
        """The blocks of classes whose images a job makes; without a recovery, all classes."""
        count = self.class_count(source)
        return blocks(count, source.params.get("block", count))

    def fillings(self, images: Node) -> list[Filling]:
        """What fills an image set: its source, or one of its snapshots; and, if it has one, the
        source of its last slots."""
        ipc, source = images.params["ipc"], self.parent(images, "source")
        count = images.params.get("distilled", ipc)
        folder = snapshot_folder(source.folder, images.params.get("at"))
        fillings = [Filling(source, folder, count)]
        if "last" in images.parents:
            last = self.parent(images, "last")
            fillings.append(Filling(last, last.folder, ipc - count))
        return fillings

    def _fillings_by(self, source: Node, sets: Iterable[Node]) -> list[Filling]:
        """How a source of images fills these image sets of it."""
        fillings = chain.from_iterable(map(self.fillings, sets))
        return [filling for filling in fillings if filling.source.key == source.key]

    def shards(self, images: Node) -> list[Path]:
        """The image files of an image set."""
        return [shard for filling in self.fillings(images) for shard in self._shards(filling)]

    def _shards(self, filling: Filling) -> list[Path]:
        return [
            shard_path(filling.folder, slots, index)
            for slots in slot_ranges(filling.count)
            for index in range(self.class_count(filling.source))
        ]

    def checksums(self, images: Node) -> list[Path]:
        """The jobs that an image set waits for, each by its file of checksums.

        All shards of all jobs are tens of thousands of files. As inputs they would add half a
        minute to a dry run of ImageNet.
        """
        return [
            checksums_path(filling.folder, slots, block)
            for filling in self.fillings(images)
            for slots in slot_ranges(filling.count)
            for block in self.class_blocks(filling.source)
        ]

    def losses(self, source: Node, ipc: int) -> list[Path]:
        """The loss histories of a recovery up to `ipc`."""
        return [
            losses_path(source.folder, slots, block)
            for slots in slot_ranges(ipc)
            for block in self.class_blocks(source)
        ]

    def frames(self, source: Node) -> Path:
        """The first images of a recovery, at some of its iterations."""
        (slots,), first = slot_ranges(1), self.class_blocks(source)[0]
        return frames_path(source.folder, slots, first)

    def label_epochs(self, student: Node) -> int:
        """How many epochs of soft labels a student uses, over and over if it trains for more."""
        epochs: int = student.params["label_epochs"]
        return epochs

    def label_shards(self, labels: Node, epochs: int) -> list[Path]:
        """The soft-label files that hold the first `epochs` epochs."""
        spans = _whole_shards(labels, epochs)
        return [labels.folder / f"epochs_{range_name(span)}.safetensors" for span in spans]

    def expert_files(self, experts: Node, epochs: int) -> list[Path]:
        """The files with all experts' parameters after each of their first `epochs` epochs."""
        count, per_file = experts.params["count"], experts.params["per_file"]
        return expert_files.paths(experts.folder, count, per_file, epochs)

    def expert_epochs(self, experts: Node) -> int:
        """How many epochs the experts will be trained for: for the method that follows longest."""
        users = [node for node in self.of("learn") if experts.key in node.parents.values()]
        return max(followed_epochs(user) for user in users)

    def store_epochs(self, labels: Node) -> int:
        """How many epochs a store will have: whole shards, for the student that uses most."""
        students = self.users(labels)
        return _whole_shards(labels, max(map(self.label_epochs, students)))[-1][1]

    def bytes(self, node: Node) -> int | None:
        """Of an image set's pixels, a label store's or experts' tensors; None for other stages."""
        if node.stage == "imageset":
            return self.set_bytes(node)
        if EXPERTS in STAGES[node.stage].done:
            return self.expert_bytes(node)
        return self.store_bytes(node) if LABELS in STAGES[node.stage].done else None

    def store_bytes(self, labels: Node, epochs: int | None = None) -> int:
        """The size of the tensors in a label store, of the first `epochs` or (None) of all."""
        classes = self.class_count(labels)
        images = classes * self.parent(labels, "images").params["ipc"]
        epochs = self.store_epochs(labels) if epochs is None else epochs
        return store_bytes(Relabel.of(labels.params), images, classes, epochs)

    def expert_bytes(self, experts: Node) -> int:
        """The size of the tensors with the experts' parameters."""
        params, network = experts.params, experts.params["network"]
        numbers = convnet_parameters(
            int(network["arch"].removeprefix("convnet")),
            round(FILTERS * network["width"]),
            self.data_of(experts).params["resolution"],
            self.class_count(experts),
        )
        epochs = self.expert_epochs(experts)
        return expert_files.size(numbers, params["count"], epochs, params["storage"])

    def set_bytes(self, images: Node) -> int:
        """The size of an image set's pixels."""
        size = self.data_of(images).params["resolution"]
        each = 1 if images.params["pixels"] == "uint8" else FLOAT_BYTES
        return image_bytes(self.class_count(images) * images.params["ipc"], size, each)

    def costs(self, node: Node) -> dict[str, list[str]]:
        """The cost files, below results/, of all jobs that `node` depends on and its own, by stage.

        Imports have none, since what they bring was made elsewhere.
        """
        costs: dict[str, list[str]] = {stage: [] for stage in STAGES}
        waiting, seen = [(node, [node.stage])], set[str]()
        while waiting:
            current, jobs = waiting.pop()
            if current.key in seen:
                continue
            seen.add(current.key)
            parents = [self.nodes[key] for key in current.parents.values()]
            waiting += [(parent, self._jobs(parent, current)) for parent in parents]
            if not STAGES[current.stage].imports and current.params.get("method") != "imported":
                paths = [cost_path(current.folder, job).relative_to(RESULTS) for job in jobs]
                costs[current.stage] += map(str, paths)
        return {stage: files for stage, files in costs.items() if files}

    def users(self, node: Node) -> list[Node]:
        """The artifacts that `node` is a parent of."""
        if self._indexed < len(self.nodes):  # they are only ever added
            for user in islice(self.nodes.values(), self._indexed, None):
                for key in set(user.parents.values()):
                    self._users.setdefault(key, []).append(user)
            self._indexed = len(self.nodes)
        return self._users.get(node.key, [])

    def largest_ipc(self, source: Node) -> int:
        """How many images of each class the image sets of a source use at most."""
        return max(filling.count for filling in self._fillings_by(source, self.users(source)))

    def jobs(self, node: Node) -> list[str]:
        """All jobs of `node` that its users need, by the names of scdd.jobs.costs."""
        users = self.users(node) or [node]
        return list(dict.fromkeys(job for user in users for job in self._jobs(node, user)))

    def _jobs(self, node: Node, user: Node) -> list[str]:
        """The jobs of `node` that its child `user` needs, by the names of scdd.jobs.costs."""
        used = self._fillings_by(node, [user]) if user.stage == "imageset" else []
        count = used[0].count if used else 1
        slots = [f"slots_{range_name(span)}" for span in slot_ranges(count)]
        match node.stage:
            case "recover":
                classes = [f"classes_{range_name(block)}" for block in self.class_blocks(node)]
                return [f"{span}_{block}" for span in slots for block in classes]
            case "select":
                return slots
            case "experts":
                return [path.stem for path in self.expert_files(node, followed_epochs(user))]
            case "relabel":
                shards = self.label_shards(node, self.label_epochs(user))
                return [path.stem for path in shards]
            case _:
                return [node.stage]


def followed_epochs(learn: Node) -> int:
    """The last epoch of its experts that a method reads."""
    return Trajectory.of(learn.params).last_epoch


def _whole_shards(labels: Node, epochs: int) -> list[Range]:
    size = labels.params["epochs_per_shard"]
    stop = -(-epochs // size) * size
    if labels.stage == "import_labels":  # there are no more
        stop = min(stop, len(labels.params["sha256"]))
    return blocks(stop, size)
