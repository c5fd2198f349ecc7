"""From experiments to the plan: names resolved, presets filled in, every stage added once."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scdd.artifacts.classes import require_same_classes
from scdd.artifacts.run import RESULTS
from scdd.artifacts.sizes import label_bytes, top_k
from scdd.artifacts.slots import most_slots, slot_ranges
from scdd.data import sets
from scdd.data.folders import by_index_alone, tensor_files
from scdd.errors import ScddError, nearest
from scdd.params.base import Section, default_of, parameters, pick
from scdd.params.experiment import Ablation, Backbone, Experiment, Method
from scdd.params.network import ARCHITECTURES, Network
from scdd.params.probe import Probe
from scdd.params.protocol import Loss, Protocol, Relabel, Train, Whole
from scdd.params.recover import Recover
from scdd.params.select import Forgetting, Import
from scdd.params.squeeze import SQUEEZES, Imported, Source
from scdd.params.views import Transform
from scdd.plan.checkpoints import WHERE, settle
from scdd.plan.config import S, flatten, merge, parse, preset, preset_names
from scdd.plan.imports import check_labels, check_set
from scdd.plan.methods import METHODS, SQUEEZE_TITLES, Kind
from scdd.plan.plan import Node, Plan
from scdd.plan.stages import STAGES
from scdd.plan.students import STUDENTS, TIMM, settled


def build(experiments: Iterable[Experiment], *, check_files: bool = True) -> Plan:
    """The plan of all experiments together. Raises ScddError for what no job could do.

    Without `check_files` the datasets' folders need not exist, as long as no name depends on them.
    """
    plan = Plan()
    seen: list[str] = []
    for experiment in experiments:
        if experiment.experiment in seen:
            raise ScddError(f"two experiments are named {experiment.experiment!r}.")
        seen.append(experiment.experiment)
        _Builder(plan, experiment, check_files).build()
        machine = experiment.machine.dump()
        if plan.machine not in ({}, machine):
            raise ScddError("machine: experiments that run together must have the same.")
        plan.machine = machine
    return plan


class _Builder:
    """Adds one experiment's nodes to the plan; its fields are what the stages share."""

    def __init__(self, plan: Plan, config: Experiment, check_files: bool) -> None:
        self.plan, self.config, self.check_files = plan, config, check_files
        name = config.dataset.name
        if name not in sets.names():
            raise ScddError(f"dataset.name: unknown {name!r}. {nearest(name, sets.names())}")
        self.facts = _less(sets.module(name).FACTS, config.dataset.holdout)
        self.resolution = config.dataset.resolution or self.facts.resolution
        self.family = self.facts.family or _family(name, self.resolution)
        if config.dataset.download and not self.facts.downloads:
            raise ScddError(f"dataset.download: {name} cannot be downloaded.")
        self.methods = [(method, _kind(method)) for method in config.methods]
        self.notes: list[str] = []
        self._check_names()
        self.data = self._data()
        self.tested_on = self._tested_on()
        self.probes = {
            method.name: self._probe(method, kind) for method, kind in self.methods if kind.squeeze
        }
        self.cells: list[dict[str, Any]] = []
        self.costs: dict[tuple[Any, ...], dict[str, list[str]]] = {}
        self.verified: list[dict[str, Any]] = []

    def _check_names(self) -> None:
        config = self.config
        names = [method.name for method in config.methods]
        if len(set(names)) < len(names):
            raise ScddError("methods: a name stands twice; give each entry a name of its own.")
        titles = [kind.title for _, kind in self.methods]
        if len(set(titles)) < len(titles):
            raise ScddError("methods: two have the same title, and a table could not tell them.")
        # also what no method uses is checked: a misspelt key must not wait for the day it is used
        for name in config.squeeze:
            if name not in SQUEEZES:
                raise ScddError(f"unknown key squeeze.{name}. {nearest(name, SQUEEZES)}")
            self._checked(SQUEEZES[name], ("squeeze", name), config.squeeze[name])
        self._checked(Probe, ("probe",), config.probe)
        self._checked(Forgetting, ("forgetting",), config.forgetting)
        recoveries = [(k.preset, m.recover) for m, k in self.methods if k.squeeze and k.preset]
        for name, own in recoveries or [("scdd-paper", {})]:
            self._checked(Recover, ("recover", name), merge(config.recover, own))
        for method, kind in self.methods:
            unused: tuple[str, ...] = ("preset", "committee", "squeeze", "probe", "recover")
            unused = () if kind.squeeze else unused
            unused += () if kind.squeeze or kind.order == "forgetting" else ("backbone",)
            unused += () if kind.order == "coreset" else ("features",)
            unused += ("ipc", "teacher", "protocols") if kind.images == "whole" else ()
            unused += ("like",) if method.imported else ()
            unused += ("teacher",) if method.labels or kind.labels == "hard" else ()
            for key in unused:
                if getattr(method, key) != default_of(parameters(Method)[key]):
                    raise ScddError(f"methods.{method.name}.{key}: this method has no use for it.")
        self._check_protocols()
        self._check_ablation()

    def _check_protocols(self) -> None:
        config = self.config
        published = set(preset_names("protocol"))
        known = published | {*config.protocols}
        for name, values in config.protocol.items():
            base = values.get("like")
            if base is not None and base not in (bases := sorted(published - {"whole"})):
                raise ScddError(f"protocol.{name}.like: unknown {base!r}. {nearest(base, bases)}")
            if base not in (None, name) and name in published - {"whole"}:
                raise ScddError(
                    f"protocol.{name}.like: {name} is a published protocol itself. Give the one "
                    f"that varies {base} a name of its own."
                )
            if base is None and name not in known:
                raise ScddError(f"unknown key protocol.{name}. {nearest(name, known)}")
            if name == "whole":
                self._checked(Whole, ("protocol", name), values)
            else:
                self._checked_protocol(name)
        bundles = {*preset_names("protocol"), *config.protocol} - {"whole"}
        for name in config.protocols:
            if name not in bundles:
                raise ScddError(f"protocols: unknown {name!r}. {nearest(name, bundles)}")
        for method in config.methods:
            for name in method.protocols or ():
                self._listed(name, f"methods.{method.name}.protocols")

    def _listed(self, protocol: str, where: str) -> None:
        if protocol not in (listed := self.config.protocols):
            raise ScddError(
                f"{where}: {protocol!r} is none of the experiment's protocols. "
                f"{nearest(protocol, listed)}"
            )

    def _check_ablation(self) -> None:
        if (base := self.config.ablation) is None:
            return
        self._listed(base.protocol, "ablation.protocol")
        known = [m.name for m, k in self.methods if base.protocol in self._protocols(m, k)]
        if base.method not in known:
            raise ScddError(
                f"ablation.method: no method {base.method!r} with the protocol {base.protocol}. "
                f"{nearest(base.method, known)}"
            )

    def _protocols(self, method: Method, kind: Kind) -> tuple[str, ...]:
        """The protocols that a method's images are evaluated by."""
        return () if kind.images == "whole" else method.protocols or self.config.protocols

    def _checked(
        self, model: type[S], path: tuple[str, ...], own: Mapping[str, Any], where: str = ""
    ) -> S:
        where = where or ("recover" if path[0] == "recover" else ".".join(path))
        return parse(model, merge(preset(*path, self.family).values, own), where)

    def _section(self, model: type[S], path: tuple[str, ...], *own: Mapping[str, Any]) -> S:
        """A section's published values under the experiment's `own`, checked.

        The table's notes say what is assumed, and where a published name has other values here.
        """
        found, changes = preset(*path, self.family), merge(*own)
        section = self._checked(model, path, changes)
        published = self._checked(model, path, {}) if found.values else section
        changed = [
            key
            for key in flatten(changes)
            if key in found.sources or _value(section, key) != _value(published, key)
        ]
        assumed = [
            key
            for key, source in found.sources.items()
            if source == "assumed" and key not in changed
        ]
        name = " ".join(path)
        if assumed:
            self._note(f"{name}: neither paper nor code states {', '.join(assumed)}; assumed.")
        if changed:
            self._note(f"{name}: this experiment has its own {', '.join(changed)}.")
        if not found.values and path[-1] in preset_names("recover"):
            self._note(f"{name}: nothing is published for {self.config.dataset.name}; own values.")
        return section

    def _bundle(self, name: str) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
        """A protocol's published name; what this experiment sets for it and all that are like it;
        and what it sets for this one alone."""
        own = self.config.protocol.get(name, {})
        base = own.get("like")
        return (base, self.config.protocol.get(base, {}), own) if base else (name, own, {})

    def _checked_protocol(self, name: str) -> Protocol:
        base, shared, own = self._bundle(name)
        path = ("protocol", base)
        return self._checked(Protocol, path, merge(shared, own), f"protocol.{name}")

    def _protocol(self, name: str) -> Protocol:
        """A protocol's values, of which the table's notes tell as `_section` says."""
        base, shared, own = self._bundle(name)
        section = self._section(Protocol, ("protocol", base), shared)
        if base not in preset_names("protocol"):
            told = f"{_told(shared)}; else" if shared else "all"
            self._note(f"protocol {name}: {told} the defaults of `scdd keys`, none published.")
        if not own:
            return section
        told = _told(own)
        self._note(f"protocol {name}: {base}" + (f", but for {told}." if told else "."))
        return self._checked_protocol(name)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _network(self, network: Network, where: str) -> dict[str, Any]:
        """A backbone: a ResNet, whose BatchNorm statistics the recovery matches."""
        if network.arch in ARCHITECTURES:
            return settled(network, self.resolution, where)
        if network.arch in STUDENTS or network.arch.startswith(TIMM):
            raise ScddError(
                f"{where}: {network.arch} can be a student only. Backbones are "
                f"{', '.join(ARCHITECTURES)}."
            )
        raise ScddError(
            f"{where}: unknown arch {network.arch!r}. {nearest(network.arch, ARCHITECTURES)}"
        )

    def _data(self) -> Node:
        dataset = self.config.dataset
        root = Path(dataset.root)
        if self.check_files and self.facts.needs is not None and not dataset.download:
            needed = root / self.facts.needs
            if not needed.is_dir():
                raise ScddError(
                    f"dataset.root: the folder {needed} does not exist; {dataset.name} is read "
                    "from there."
                )
        classes, count = _classes(self.facts, dataset.classes, root)
        params: dict[str, Any] = {
            "name": dataset.name,
            "classes": classes,
            "resolution": self.resolution,
            "mean": dataset.mean or self.facts.mean,
            "std": dataset.std or self.facts.std,
        }
        label = dataset.name
        if self.facts.classes is None:  # a user's folder has no name but its own
            label = params["folder"] = root.resolve().name
        name = f"{label}-{self.resolution}"
        if dataset.holdout:
            name += f"-holdout{dataset.holdout:g}"
            params["holdout"] = dataset.holdout
        node = self.plan.add("data", name, params, {})
        where = {"root": dataset.root, "download": dataset.download}
        if self.plan.roots.setdefault(node.key, where) != where:
            raise ScddError(f"dataset.root: two experiments read {label} from different places.")
        self.plan.classes[node.key] = count
        return node

    def _tested_on(self) -> dict[str, int | None]:
        """A student's parameter that says how validation images are cut; null for whole squares."""
        size, short = self.resolution, self.config.dataset.val_resize
        if short is None:  # as torchvision and all published figures of ImageNet have it
            large = _family(self.config.dataset.name, size) == self.family == "imagenet"
            short = round(size * 256 / 224) if large and self.facts.photos else size
        if short < size:
            raise ScddError(
                f"dataset.val_resize: {short}, but the images have {size} pixels a side. "
                f"Set it to {size} or more."
            )
        if short > size and not self.facts.photos:
            raise ScddError(
                f"dataset.val_resize: {self.config.dataset.name} has no images of other sizes "
                "to cut from. Leave it out."
            )
        if short == size:
            return {"val_resize": None}
        self._note(
            f"Students are tested on the centre {size}x{size} of validation images whose shorter "
            f"side is resized to {short}; probes on whole centre squares."
        )
        return {"val_resize": short}

    def _probe(self, method: Method, kind: Kind) -> Node:
        """A recovering method's teacher."""
        name = str(method.squeeze.get("method", kind.squeeze))
        if name not in SQUEEZES:
            known = nearest(name, SQUEEZES)
            raise ScddError(f"methods.{method.name}.squeeze.method: unknown {name!r}. {known}")
        network = method.backbone or self.config.backbone
        return self._squeezed(name, network, method.squeeze, method.probe)

    def _squeezed(
        self, name: str, chosen: Network, own: Mapping[str, Any], own_probe: Mapping[str, Any]
    ) -> Node:
        """A backbone squeezed by the method `name`, with its linear classifier."""
        network = self._network(chosen, "backbone")
        shared = self.config.squeeze.get(name, {})
        squeeze = self._section(SQUEEZES[name], ("squeeze", name), shared, own)
        _images_suffice(name, squeeze, self.resolution, self.facts.train)
        label = f"{self.data.label}-{name}-{chosen.label}"
        probe = self._section(Probe, ("probe",), self.config.probe, own_probe)
        if isinstance(squeeze, Imported):
            backbone = self._imported(squeeze.source, label, network, probe)
        elif probe.features == "imported":
            raise ScddError(
                f"probe.features: imported, but the squeeze {name} brings no classifier. "
                "Set it to clean or augmented."
            )
        else:
            parents = {"data": self.data}
            backbone = self.plan.add_section("squeeze", label, squeeze, parents, **network)
        return self.plan.add_section("probe", label, probe, {"backbone": backbone})

    def _imported(self, source: Source, label: str, network: dict[str, Any], probe: Probe) -> Node:
        """A backbone from a checkpoint that others trained."""
        source, content = settle(source, self.data.params)
        licence = f"licence {source.licence}" if source.licence else "licence not stated"
        told = ", ".join(filter(None, [Path(source.file).name, source.url, licence]))
        self._note(f"Imported backbone: {told}.")
        if probe.features == "imported":
            self._check_order(source)
        section, parents = Imported(source=source), {"data": self.data}
        more = {**network, "sha256": content}
        node = self.plan.add_section("squeeze", label, section, parents, **more)
        self.plan.imports.setdefault(node.key, source.file)
        return node

    def _check_order(self, source: Source) -> None:
        """Whether a checkpoint's classifier is one for the dataset's classes, as far as it is known
        before the dataset is read; the probe's job checks it all."""
        names, count = source.classes, self.plan.classes[self.data.key]
        known = self.data.params["classes"] or self.facts.classes
        if names is None:
            name = Path(source.file).name
            self._note(f"{name} does not tell its classifier's class order; assumed the dataset's.")
        elif isinstance(known, list | tuple):
            require_same_classes(names, f"{WHERE}.classes", known, self.config.dataset.name)
        elif len(names) != count:
            raise ScddError(f"{WHERE}.classes: {len(names)} names, but there are {count} classes.")

    def _recover(self, preset: str, own: Mapping[str, Any]) -> Recover:
        recover = self._section(Recover, ("recover", preset), self.config.recover, own)
        count = self.plan.classes[self.data.key]
        if recover.block > count:
            raise ScddError(
                f"recover.block: {recover.block}, but there are {count} classes. "
                f"Set it to {count} or less."
            )
        return recover

    def _informativeness(self, teacher: Node, recover: Recover) -> Node:
        """A look at `teacher` by a short recovery, like `recover` but for its length and r_bn."""
        informativeness = self.config.informativeness
        params = {k: v for k, v in recover.dump().items() if k not in NOT_OF_LOOKS}
        identity = {k: v for k, v in recover.identity().items() if k not in NOT_OF_LOOKS}
        return self.plan.add(
            "informativeness",
            teacher.label,
            {**informativeness.dump(), "recover": params},
            {"teacher": teacher},
            {**informativeness.identity(), "recover": identity},
        )

    def _backbones(self) -> list[dict[str, Any]]:
        """Every backbone that is to be looked at, once for each of its seeds."""
        looks: list[dict[str, Any]] = []
        names: list[tuple[str, str]] = []
        for number, backbone in enumerate(self.config.backbones):
            name, where = backbone.method, f"backbones.{number}"
            if name not in SQUEEZES:
                raise ScddError(f"{where}.method: unknown {name!r}. {nearest(name, SQUEEZES)}")
            if backbone.seeds and "seed" not in parameters(SQUEEZES[name]):
                raise ScddError(f"{where}.seeds: the squeeze {name} has no seed.")
            title = backbone.title or SQUEEZE_TITLES.get(name, name)
            network = backbone.backbone or self.config.backbone
            if (title, network.label) in names:
                raise ScddError(
                    f"{where}: a second {title}, {network.label}; give it a title of its own."
                )
            names.append((title, network.label))
            looks += [
                {"title": title, "network": network.label, **look}
                for look in self._looks(backbone, network)
            ]
        return looks

    def _looks(self, backbone: Backbone, network: Network) -> Iterable[dict[str, Any]]:
        recover = self._recover("scdd-paper", {})
        for seed in backbone.seeds or (None,):
            own = backbone.squeeze if seed is None else {**backbone.squeeze, "seed": seed}
            probe = self._squeezed(backbone.method, network, own, backbone.probe)
            parts = {
                "informativeness": self._informativeness(probe, recover).folder
                / "informativeness.json",
                "metrics": probe.folder / "metrics.json",
                "history": self.plan.parent(probe, "backbone").folder / "history.csv",
            }
            files = {name: str(path.relative_to(RESULTS)) for name, path in parts.items()}
            yield {"squeeze": backbone.method, "seed": seed, **files}

    def _import_images(self, method: Method, source: Import) -> Node:
        """The images of others."""
        where, path = f"methods.{method.name}.import", Path(source.path)
        ipcs = method.ipc or self.config.ipc
        if method.labels and len(ipcs) > 1:
            raise ScddError(
                f"methods.{method.name}.labels: they are of all images of {path}, so there is one "
                "ipc only. Set the method's ipc to it."
            )
        known = self.data.params["classes"] or self.facts.classes
        names, count = (
            known if not isinstance(known, int) else None,
            self.plan.classes[self.data.key],
        )
        content = check_set(
            where,
            path,
            names,
            count,
            max(ipcs),
            resolution=self.resolution,
            in_order=self._in_own_order(),
            labelled=bool(method.labels),
        )
        tensors = bool(tensor_files(path))
        if source.mean is not None and not tensors:
            raise ScddError(
                f"{where}.mean: {path} is an image folder, whose pixels are not normalised. "
                "Leave mean and std out."
            )
        self._note(f"{method.title or method.name}: images of others, from {path.name}.")
        if tensors or by_index_alone(path, names):
            self._note(f"{path.name} does not tell its class order; assumed the dataset's.")
        label = f"{self.data.label}-imported"
        node = self.plan.add_section(
            "import_images", label, source, {"data": self.data}, sha256=content
        )
        self.plan.imports.setdefault(node.key, source.path)
        return node

    def _in_own_order(self) -> bool:
        """Whether each class of the experiment has the index that it has in the whole dataset."""
        dataset, known = self.config.dataset, self.facts.classes
        wanted = dataset.classes
        own = known if isinstance(known, tuple) else sets.class_folders(Path(dataset.root))
        return not isinstance(wanted, tuple) or wanted == tuple(own[: len(wanted)])

    def _source(self, method: Method, kind: Kind) -> Node:
        """Where a method's images come from: a recovery, a baseline or others."""
        if method.imported is not None:
            return self._import_images(method, method.imported)
        if kind.order:
            return self.plan.add(
                "select",
                f"{self.data.label}-{kind.images}",
                {"method": kind.images},
                {"data": self.data, "order": self._order(method, kind)},
            )
        if kind.preset is None:
            return self.plan.add_section(
                "select",
                f"{self.data.label}-{kind.images}",
                self.config.sampling,
                {"data": self.data},
                method=kind.images,
            )
        recover = self._recover(kind.preset, method.recover)
        if method.preset:
            self._note(f"{kind.title}: recovered with the values of {method.preset}.")
        if method.committee:
            names = " and ".join([method.name, *method.committee])
            self._note(f"{kind.title}: recovered from the teachers of {names}.")
        teacher = self.probes[method.name]
        parents = {"teacher": teacher}
        for number, name in enumerate(method.committee, start=2):
            if name not in self.probes or name == method.name:
                others = [other for other in self.probes if other != method.name]
                raise ScddError(
                    f"methods.{method.name}.committee: {name!r} is no other method with a probe. "
                    f"{nearest(name, others)}"
                )
            parents[f"teacher_{number}"] = self.probes[name]
        if recover.r_bn == "auto":
            parents["informativeness"] = self._informativeness(teacher, recover)
        return self.plan.add_section("recover", teacher.label, recover, parents)

    def _order(self, method: Method, kind: Kind) -> Node:
        """The order in which a coreset takes the training images of each class."""
        if kind.order == "forgetting":
            chosen = method.backbone or self.config.backbone
            section = self._section(Forgetting, ("forgetting",), self.config.forgetting)
            network, label = self._network(chosen, "backbone"), f"{self.data.label}-{chosen.label}"
            self._note(
                f"{kind.title}: events counted over {section.epochs} epochs of {chosen.label}."
            )
            parents = {"data": self.data}
            return self.plan.add_section("forgetting", label, section, parents, **network)
        name = method.features or self._teachers(method)[0]
        if name not in self.probes:
            raise ScddError(
                f"methods.{method.name}.features: {name!r} is no method with a probe. "
                f"{nearest(name, self.probes)}"
            )
        self._note(f"{kind.title}: chosen by the features of {name}'s backbone.")
        teacher = self.probes[name]
        label, parents = f"{teacher.label}-{kind.images}", {"teacher": teacher}
        return self.plan.add_section(
            "coreset", label, self.config.coreset, parents, method=kind.images
        )

    def _images(self, method: Method, kind: Kind, source: Node, ipc: int) -> Node:
        most, name = self.facts.per_class, self.config.dataset.name
        if (kind.images == "random" or kind.order) and most is not None and ipc > most:
            raise ScddError(
                f"ipc: {ipc}, but the smallest class of {name} has {most} training images, and "
                f"method {method.name!r} takes real ones."
            )
        end = slot_ranges(ipc)[-1][1]
        if source.params.get("start") == "real" and most is not None and end > most:
            raise ScddError(
                f"ipc: {ipc}, but the smallest class of {name} has {most} training images, and "
                f"method {method.name!r} starts {end} from real ones. Lower ipc to "
                f"{most_slots(most)}."
            )
        params = {"method": source.params.get("method", source.stage), "ipc": ipc}
        return self.plan.add("imageset", f"{source.label}-ipc{ipc}", params, {"source": source})

    def _verify(self, kind: Kind, images: Node, ipc: int) -> None:
        """What the verifier, if there is one, sees on recovered images."""
        name = self.config.verifier
        if name is None:
            return
        if name not in self.probes:
            raise ScddError(
                f"verifier: {name!r} is no method with a probe. {nearest(name, self.probes)}"
            )
        parents = {"images": images, "teacher": self.probes[name]}
        node = self.plan.add("verify", f"{images.label}-by-{name}", {}, parents)
        metrics = str(node.folder.relative_to(RESULTS) / "metrics.json")
        self.verified.append({"title": kind.title, "ipc": ipc, "metrics": metrics})

    def _teachers(self, method: Method) -> tuple[str, ...]:
        """The methods whose probes label this method's images: those it names, its own, or the
        first there is."""
        names = method.teacher or ((method.name,) if method.name in self.probes else ())
        names = names or tuple(self.probes)[:1]
        if not names:
            raise ScddError(f"methods.{method.name}: needs a teacher, and no method has a probe.")
        for name in names:
            if name not in self.probes:
                raise ScddError(
                    f"methods.{method.name}: needs a teacher, and no method {name!r} with a probe "
                    f"is listed. {nearest(name, self.probes)}"
                )
        return names

    def _labels(
        self, method: Method, images: Node, name: str, protocol: Protocol
    ) -> tuple[Node, dict[str, Any]]:
        """The soft labels of an image set by the protocol `name`, and what students are told of
        them."""
        relabel = pick(Relabel, protocol)
        count, k = self.plan.classes[self.data.key], top_k(relabel.form)
        if k is not None and k > count:
            raise ScddError(
                f"protocol.{name}.form: {relabel.form}, but there are {count} classes. Set k to "
                f"{count} or less."
            )
        kept = protocol.label_epochs or protocol.epochs
        if kept < protocol.epochs:
            size = min(kept, relabel.epochs_per_shard)  # a shard of more would hold unused epochs
            relabel = replace(relabel, epochs_per_shard=size)
        tied: dict[str, Any] = {"batch": protocol.batch} if relabel.by_batch else {}
        if k is not None:  # the share of the other classes is that at the students' temperature
            tied["temperature"] = protocol.temperature
        teachers = [self.probes[teacher] for teacher in self._teachers(method)]
        roles = ["teacher", *(f"teacher_{number}" for number in range(2, len(teachers) + 1))]
        parents = {"images": images, **dict(zip(roles, teachers, strict=True))}
        node = self.plan.add_section("relabel", images.label, relabel, parents, **tied)
        return node, {**_loss(protocol), "label_epochs": kept}

    def _fkd(
        self, method: Method, folder: str, images: Node, protocol: Protocol
    ) -> tuple[Node, dict[str, Any]]:
        """Soft labels from SRe2L's files in place of a teacher's, and what students are told of
        them."""
        path, where, batch = Path(folder), f"methods.{method.name}.labels", protocol.batch
        count = self.plan.class_count(images) * images.params["ipc"]
        epochs = protocol.label_epochs or protocol.epochs
        names = self._protocols(method, _kind(method))
        users = [user for name in names if (user := self._checked_protocol(name)).labels == "soft"]
        most = max(user.label_epochs or user.epochs for user in users)
        hashes = check_labels(where, path, count, batch=batch, epochs=most)
        title = method.title or method.name
        self._note(
            f"{title}: soft labels of others, from {path.name}, which does not tell its teacher "
            "and its class order; the latter is assumed to be the folders'."
        )
        self._note(f"{title}: views, mixing and their form are the files', not the protocol's.")
        params = {
            "sha256": hashes,
            "batch": batch,
            "form": "float16",
            "epochs_per_shard": FKD_SHARD,
        }
        node = self.plan.add("import_labels", images.label, params, {"images": images})
        self.plan.imports.setdefault(node.key, folder)
        return node, {**_loss(protocol), "label_epochs": epochs}

    def _students(
        self, label: str, protocol: str = "", prescribed: Network | None = None
    ) -> Iterable[tuple[Network, dict[str, Any], int, str]]:
        """Those of the experiment, or the one that a protocol prescribes; with every seed."""
        students = (prescribed,) if prescribed else self.config.students
        where = f"protocol.{protocol}.student" if prescribed else "students"
        for student in students:
            network = settled(student, self.resolution, where)
            for seed in self.config.seeds:
                yield student, network, seed, f"{label}-{student.label}-seed{seed}"

    def _cell(self, method: Method, kind: Kind, node: Node, **more: Any) -> None:
        folder = node.folder.relative_to(RESULTS)
        files = {name: str(folder / f) for name, f in OF_VALIDATE.items()}
        cell = {"method": method.name, "title": kind.title, **more, **files}
        self.cells.append(cell)
        # the stages before are those of all seeds' students
        spent = self.costs.setdefault(tuple(cell[key] for key in OF_COSTS), {})
        for stage, paths in self.plan.costs(node).items():
            spent[stage] = list(dict.fromkeys([*spent.get(stage, ()), *paths]))

    def _validate_whole(self, method: Method, kind: Kind) -> None:
        """The upper bound: students trained on the whole training set with its own labels."""
        own = self.config.protocol.get("whole", {})
        section = self._section(Whole, ("protocol", "whole"), own)
        for student, network, seed, label in self._students(f"{self.data.label}-whole"):
            node = self.plan.add_section(
                "validate",
                label,
                section,
                {"data": self.data},
                **self.tested_on,
                mix_by="set",
                dsa=False,
                student=network,
                labels="hard",
                seed=seed,
            )
            self._cell(
                method,
                kind,
                node,
                images=None,
                ipc=None,
                student=student.label,
                protocol="whole",
                teacher=None,
                stored=None,
                seed=seed,
            )

    def _validate(self, method: Method, kind: Kind, images: Node, name: str) -> None:
        """Students of one image set by one protocol, with soft labels or the classes alone."""
        protocol = self._protocol(name)
        train = pick(Train, protocol)
        if protocol.patches > self.resolution:
            raise ScddError(
                f"protocol.{name}.patches: {protocol.patches}, but the images have "
                f"{self.resolution} pixels a side."
            )
        of: dict[str, Node]
        soft = kind.labels == protocol.labels == "soft"
        if soft and method.labels is not None:
            teacher: str | None = "imported"
            labels, more = self._fkd(method, method.labels, images, protocol)
            of = {"labels": labels}
            stored: dict[str, Any] | None = self._stored(labels, protocol)
        elif soft:
            teacher = " + ".join(self._teachers(method))
            labels, more = self._labels(method, images, name, protocol)
            of, stored = {"labels": labels}, self._stored(labels, protocol)
        else:
            teacher, of, stored = None, {"images": images}, None
            more = _hard_views(protocol)
        for student, network, seed, label in self._students(images.label, name, protocol.student):
            node = self.plan.add_section(
                "validate",
                label,
                train,
                of,
                **more,
                **self.tested_on,
                student=network,
                labels="soft" if soft else "hard",
                seed=seed,
            )
            self._cell(
                method,
                kind,
                node,
                images=str(images.folder.relative_to(RESULTS) / "set.json"),
                ipc=images.params["ipc"],
                student=student.label,
                protocol=name,
                teacher=teacher,
                stored=stored,
                seed=seed,
            )

    def _stored(self, labels: Node, protocol: Protocol) -> dict[str, Any]:
        """A student's soft labels: their form in words, and bytes an image over all epochs."""
        epochs = protocol.label_epochs or protocol.epochs
        form = protocol.form + (", drawn views" if protocol.views == "drawn" else "")
        if labels.stage == "import_labels":
            form = "as imported"
        form += f", {epochs} of {protocol.epochs} epochs" if epochs < protocol.epochs else ""
        each = label_bytes(Relabel.of(labels.params), self.plan.class_count(labels))
        return {"form": form, "bytes": epochs * each}

    def build(self) -> None:
        recoveries = []
        for method, kind in self.methods:
            if kind.images == "whole":
                self._validate_whole(method, kind)
                continue
            source = self._source(method, kind)
            ipcs = method.ipc or self.config.ipc
            for ipc in ipcs:
                images = self._images(method, kind, source, ipc)
                if kind.images == "recover":
                    self._verify(kind, images, ipc)
                for protocol in self._protocols(method, kind):
                    self._validate(method, kind, images, protocol)
            if source.stage == "recover":
                losses = self.plan.losses(source, max(ipcs))
                recoveries.append(
                    {
                        "method": method.name,
                        "title": kind.title,
                        "losses": [str(path.relative_to(RESULTS)) for path in losses],
                        "frames": str(self.plan.frames(source).relative_to(RESULTS)),
                    }
                )
        self._tables(recoveries)

    def _tables(self, recoveries: list[dict[str, Any]]) -> None:
        looks = self._backbones()
        titles = {method.name: kind.title for method, kind in self.methods}
        probes = []
        for name, probe in self.probes.items():
            backbone = self.plan.parent(probe, "backbone")
            probes.append(
                {
                    "method": name,
                    "title": titles[name],
                    "metrics": str(probe.folder.relative_to(RESULTS) / "metrics.json"),
                    "history": str(backbone.folder.relative_to(RESULTS) / "history.csv"),
                }
            )
        params: dict[str, Any] = {
            "experiment": self.config.experiment,
            "dataset": self.data.params.get("folder", self.data.params["name"]),
            "classes": self.plan.classes[self.data.key],
            "data": str(self.data.folder.relative_to(RESULTS) / "dataset.json"),
            "cells": self.cells,
            "costs": [
                {**dict(zip(OF_COSTS, key, strict=True)), "stages": stages}
                for key, stages in self.costs.items()
            ],
            "probes": probes,
            "recoveries": recoveries,
            "notes": self.notes,
            "figures": self.config.figures.dump(),
        }
        if self.verified:
            params |= {"verified": self.verified, "verifier": self.config.verifier}
        if looks:
            params |= {"backbones": looks, "balance": self.config.informativeness.balance}
        if self.config.dataset.holdout:
            params["holdout"] = self.config.dataset.holdout
        if self.config.ablation is not None:
            params["ablation"] = self._ablation(self.config.ablation)
        # what a column is called does not change its numbers
        headings = {name: stage.heading for name, stage in STAGES.items() if stage.heading}
        self.plan.add(
            "tables",
            self.config.experiment,
            {**params, "headings": headings},
            {"data": self.data},
            params,
        )

    def _ablation(self, base: Ablation) -> dict[str, Any]:
        """What is compared, and what each method and protocol changes, as far as it is set here."""
        keys = {"preset", "teacher", "backbone", "squeeze", "probe", "recover"}
        methods = {
            method.name: _told(
                {key: value for key, value in method.dump().items() if key in keys and value}
            )
            for method, _ in self.methods
        }
        published = self._bundle(base.protocol)[0]
        protocols = {}
        for name in self.config.protocols:
            bundle, shared, own = self._bundle(name)
            protocols[name] = _told(own if bundle == published else merge(shared, own))
        return {**base.dump(), "methods": methods, "protocols": protocols}


# what a look at a backbone does not take from the recovery that it is made for: it starts from
# noise, sees no real image and stores none
NOT_OF_LOOKS = {"iterations", "r_bn", "start", "statistics", "storage"}
FKD_SHARD = 25  # epochs in one label file: 25 of ImageNet at IPC 50 are 2.4 GiB
OF_COSTS = ("method", "title", "teacher", "ipc", "protocol", "student")
OF_VALIDATE = {"metrics": "metrics.json", "history": "history.csv"}


def _loss(protocol: Protocol) -> dict[str, Any]:
    """What a student with soft labels minimises; what its loss does not use is left out."""
    unused = "temperature" if protocol.loss == "mse-ce" else "ce_weight"
    loss = pick(Loss, protocol).dump()
    return {key: value for key, value in loss.items() if key != unused}


def _hard_views(protocol: Protocol) -> dict[str, Any]:
    """The views of a student with hard labels. Where the protocol has soft ones, its images are not
    mixed: hard labels are there the control that has nothing of a teacher."""
    transform, mix_by = pick(Transform, protocol), protocol.mix_by
    if protocol.labels == "soft":
        transform, mix_by = replace(transform, mix="none"), "set"
    return {**transform.dump(), "mix_by": mix_by, "dsa": protocol.dsa}


def _value(section: Section, key: str) -> Any:
    """At a key as `view.flip`; None where it is in nothing."""
    value: Any = section.dump()
    for part in key.split("."):
        value = (value or {}).get(part)
    return value


def _kind(method: Method) -> Kind:
    if method.imported is not None:
        return Kind(method.title or method.name, "import")
    if method.labels is not None:
        raise ScddError(f"methods.{method.name}.labels: they belong to images: set import too.")
    base = method.like or method.name
    if base not in METHODS:
        where = f"methods.{method.name}.like" if method.like else "methods"
        raise ScddError(f"{where}: unknown method {base!r}. {nearest(base, METHODS)}")
    kind = METHODS[base]
    if method.preset and method.preset not in (known := preset_names("recover")):
        told = nearest(method.preset, known)
        raise ScddError(f"methods.{method.name}.preset: unknown {method.preset!r}. {told}")
    own = method.title or (method.name if method.like else kind.title)
    return replace(kind, title=own, preset=method.preset or kind.preset)


def _told(values: Mapping[str, Any]) -> str:
    """Settings in words, as `lr 0.1, view.flip False`."""
    said = []
    for key in flatten({key: value for key, value in values.items() if key != "like"}):
        value: Any = values
        for part in key.split("."):
            value = value[part]
        said.append(f"{key} {value}")
    return ", ".join(said)


def _less(facts: sets.Facts, share: float) -> sets.Facts:
    """What remains of a dataset for training where a share of it is held out."""
    if not share:
        return facts
    train, least = facts.train, facts.per_class
    return replace(
        facts,
        train=train and round(train * (1 - share)),
        per_class=least and least - sets.held_out(least, share),
    )


def _images_suffice(name: str, squeeze: Section, resolution: int, most: int | None) -> None:
    """Refuse small crops that are larger than an image, and batches than the training set."""
    small, batch = getattr(squeeze, "small", None), getattr(squeeze, "batch", 0)
    if small is not None and (small.size or 0) > resolution:
        raise ScddError(
            f"squeeze.{name}.small.size: a crop of {small.size} pixels is larger than the images, "
            f"which have {resolution} a side."
        )
    if most is not None and batch > most:
        raise ScddError(
            f"squeeze.{name}.batch: {batch}, but there are {most} training images at most."
        )


def _family(name: str, resolution: int) -> str:
    """Whose published parameters fit images of this size; digits have none."""
    if name == "digits":
        return "digits"
    return "cifar" if resolution <= 40 else "tiny" if resolution <= 96 else "imagenet"


def _classes(
    facts: sets.Facts, wanted: int | tuple[str, ...] | None, root: Path
) -> tuple[list[str] | None, int]:
    """The class subset as far as it is known before the first job, and how many classes it has.

    None stands for all classes of a dataset that has a name; a user's folder has none, so that
    its class list is part of its identity.
    """
    known = facts.classes
    names = list(known) if isinstance(known, tuple) else sets.class_folders(root)
    if not names and (isinstance(wanted, int) or (known is None and wanted is None)):
        raise ScddError(f"dataset.root: {root / 'train'} has no class folders.")
    count = known if isinstance(known, int) and not names else len(names)
    if wanted is None:
        if isinstance(known, int) and count != known:
            raise ScddError(
                f"dataset.root: {root / 'train'} has {count} class folders, not {known}. "
                "Set dataset.classes to use a subset."
            )
        return (names if known is None else None), count
    if isinstance(wanted, int):
        if wanted > count:
            raise ScddError(f"dataset.classes: {wanted}, but there are {count} classes.")
        return names[:wanted], wanted
    if len(wanted) < 2:
        raise ScddError("dataset.classes: two classes are needed at least.")
    for name in wanted:
        if names and name not in names:
            raise ScddError(f"dataset.classes: no class {name!r}. {nearest(name, names)}")
    if len(set(wanted)) < len(wanted):
        raise ScddError("dataset.classes: a class stands twice.")
    return list(wanted), len(wanted)
