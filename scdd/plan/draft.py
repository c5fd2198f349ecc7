"""One experiment on its way into the plan: its dataset, what its stages share, and the notes below
its tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scdd.data.sets import Facts
from scdd.params.base import Section, required
from scdd.params.experiment import Experiment, Method
from scdd.plan.config import S, parse
from scdd.plan.plan import Node, Plan
from scdd.plan.presets import (
    BY_IPC,
    Preset,
    flatten,
    merge,
    preset,
    preset_names,
    published_ipcs,
)
from scdd.plan.settings import Setting, at, settings

# whose keys in the configuration stand below a name; elsewhere a path's second part is a preset's
BY_NAME = {"squeeze", "learn", "protocol"}


@dataclass
class Draft:
    """What the functions of this package add an experiment's artifacts to.

    facts: the dataset's, without the images that are held out; resolution: pixels a side; family:
    whose published parameters apply ('cifar', 'tiny', 'imagenet', 'digits'); data: the dataset's
    node; tested_on: the student's parameter that says how validation images are cut; probes: the
    probes of the methods that have one, by `teacher_name`; images: by the name of a method whose
    images others can be added to, its set of so many a class for soft labels; notes: sentences
    below the tables; settings: every parameter beside what is published, once, in order; shared:
    for variants that have one teacher together, what it is called.
    """

    plan: Plan
    config: Experiment
    facts: Facts
    resolution: int
    family: str
    data: Node
    tested_on: dict[str, int | None] = field(default_factory=dict)
    probes: dict[str, Node] = field(default_factory=dict)
    images: Mapping[str, Callable[[int], Node]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    settings: dict[Setting, None] = field(default_factory=dict)
    shared: Mapping[str, str] = field(default_factory=dict)

    @property
    def class_count(self) -> int:
        return self.plan.classes[self.data.key]

    @property
    def class_names(self) -> list[str] | None:
        """The classes in order, None where only the files have their names."""
        known = self.data.params["classes"] or self.facts.classes
        return None if known is None or isinstance(known, int) else list(known)

    def teacher_name(self, method: Method) -> str:
        """What the method's own teacher is called: as the method, but where it is shared."""
        return self.shared.get(method.name, method.name)

    def import_from(self, node: Node, path: str) -> None:
        """Say that a node is made of the files of others at `path`."""
        self.plan.imports.setdefault(node.key, path)
        if self.config.dataset.holdout:
            self.note(
                f"{Path(path).name} is imported. If its makers used the whole training set, they "
                "used the held-out images too, and accuracies that depend on it are too high."
            )

    def note(self, text: str) -> None:
        """Add a sentence below the tables, once."""
        if text not in self.notes:
            self.notes.append(text)

    def tell(
        self,
        part: str,
        path: tuple[str, ...],
        values: Section,
        *own: Mapping[str, Any],
        ipc: int | None = None,
    ) -> None:
        """Add a section's values to the settings, beside what is published at `path`: of CIFAR, if
        there is nothing of this dataset's family."""
        name, families = self.config.dataset.name, (self.family, "cifar")
        near = ((of, preset(*path, of, ipc=ipc)) for of in (name, *families))
        of, published = next(((of, there) for of, there in near if there.values), ("", Preset()))
        lines = settings(part, values, published, of, flatten(merge(*own)))
        self.settings |= dict.fromkeys(lines)

    def published(self, path: tuple[str, ...], ipc: int | None = None) -> Preset:
        """The published values at `path`, of this dataset or else of its family."""
        return preset(*path, self._of(path), ipc=ipc)

    def published_ipcs(self, path: tuple[str, ...]) -> list[int]:
        """The IPCs for which the published values at `path` have some of their own."""
        return published_ipcs(*path, self._of(path))

    def _of(self, path: tuple[str, ...]) -> str:
        """Whose published values at `path` apply: this dataset's, or its family's."""
        name = self.config.dataset.name
        return name if preset(*path, name).values else self.family

    def checked(
        self,
        section: type[S],
        path: tuple[str, ...],
        own: Mapping[str, Any],
        where: str = "",
        ipc: int | None = None,
    ) -> S:
        """The published values at `path` with the experiment's `own` on top, checked.

        where: the keys' place in the configuration, if it is not the path. ipc: where some IPCs
        have values of their own. Raises ScddError.
        """
        where = where or (".".join(path) if path[0] in BY_NAME else path[0])
        return parse(section, merge(self.published(path, ipc).values, own), where)

    def section(
        self,
        section: type[S],
        path: tuple[str, ...],
        *own: Mapping[str, Any],
        ipc: int | None = None,
    ) -> S:
        """`checked`, with notes that say what is assumed, and where a published name has other
        values in this experiment."""
        published, changes = self.published(path, ipc), merge(*own)
        values = self.checked(section, path, changes, ipc=ipc)
        needed = {key: changes[key] for key in required(section) if key in changes}
        unchanged = (
            self.checked(section, path, merge(needed, published.values), ipc=ipc)
            if published.values
            else values
        )
        changed = [
            key
            for key in flatten(changes)
            if key in published.sources or _value(values, key) != _value(unchanged, key)
        ]
        assumed = [
            key
            for key, source in published.sources.items()
            if source == "assumed" and key not in changed
        ]
        name = " ".join(dict.fromkeys(path))  # "ccfs", not "ccfs ccfs"
        self.tell(name, path, values, changes, ipc=ipc)
        if assumed:
            self.note(f"{name}: neither paper nor code states {', '.join(assumed)}; assumed.")
        if changed:
            self.note(f"{name}: this experiment has its own {', '.join(changed)}.")
        if not published.values and path[-1] in preset_names("recover"):
            self.note(f"{name}: nothing is published for {self.config.dataset.name}; own values.")
        return values


def in_words(values: Mapping[str, Any]) -> str:
    """Settings as `lr 0.1, view.flip False, eta 2 from IPC 10`."""
    words = []
    for key in flatten({k: v for k, v in values.items() if k not in ("like", BY_IPC)}):
        value: Any = values
        for part in key.split("."):
            value = value[part]
        words.append(f"{key} {value}")
    for ipc, own in values.get(BY_IPC, {}).items():
        words += [f"{each} from IPC {ipc}" for each in in_words(own).split(", ") if each]
    return ", ".join(words)


def _value(section: Section, key: str) -> Any:
    return at(section.dump(), key)
