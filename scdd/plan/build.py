"""From experiments to the plan: names resolved, presets filled in, every stage added once."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from scdd.artifacts.run import RESULTS
from scdd.errors import ScddError, nearest
from scdd.jobs.events import require_tensorboard
from scdd.params.experiment import Ablation, Experiment, Method
from scdd.params.learn import LEARNS, Experts
from scdd.params.network import Network
from scdd.params.patches import Patches
from scdd.params.probe import Probe
from scdd.params.recover import Recover
from scdd.params.select import Ccfs, Forgetting
from scdd.params.squeeze import SQUEEZES
from scdd.plan import datasets
from scdd.plan.backbones import looks
from scdd.plan.continual import learn_in_steps
from scdd.plan.differences import origins
from scdd.plan.draft import Draft, in_words
from scdd.plan.evaluation import OF_COSTS, Report
from scdd.plan.methods import kind_of
from scdd.plan.methods.base import Distilled, Kind, title_of
from scdd.plan.methods.curricula import Curricula
from scdd.plan.methods.recovery import Recovery
from scdd.plan.plan import Plan
from scdd.plan.presets import merge
from scdd.plan.protocols import bundle, check_protocols, protocols_of, require_listed
from scdd.plan.ranking import rank
from scdd.plan.scaling import network_of, series, sizes
from scdd.plan.settings import Setting, in_a_cell, merged
from scdd.plan.stages import STAGES
from scdd.plan.sweeps import Sweep, expand

Methods = list[tuple[Method, Kind]]


def build(experiments: Sequence[Experiment], *, check_files: bool = True) -> Plan:
    """The plan of all experiments together. Raises ScddError for what no job could do; of several
    experiments it names the one.

    Without `check_files` the datasets' folders need not exist, as long as no name depends on them.
    """
    plan = Plan()
    names: list[str] = []
    for config in experiments:
        if config.experiment in names:
            raise ScddError(f"two experiments are named {config.experiment!r}.")
        names.append(config.experiment)
        try:
            expanded, sweeps = expand(config)
            _add(datasets.draft(plan, expanded, check_files), sweeps)
        except ScddError as error:
            if len(experiments) == 1:
                raise
            raise ScddError(f"{config.experiment}: {error}") from None
        machine = config.machine.dump()
        if config.machine.tensorboard:
            require_tensorboard()
        if plan.machine not in ({}, machine):
            raise ScddError("machine: experiments that run together must have the same.")
        plan.machine = machine
    return plan


def _add(draft: Draft, sweeps: Sequence[Sweep]) -> None:
    """Add an experiment's artifacts to the plan."""
    methods = [(method, kind_of(method)) for method in draft.config.methods]
    _check(draft, methods, sweeps)
    draft.shared = {
        name: sweep.name for sweep in sweeps if sweep.one_teacher for name in sweep.variants
    }
    for method, kind in methods:
        if probe := kind.probe(draft, method):
            draft.probes[draft.teacher_name(method)] = probe
    draft.images = {
        method.name: partial(kind.soft_set, draft, method)
        for method, kind in methods
        if isinstance(kind, Distilled) and not isinstance(kind, Curricula)
    }
    report = Report()
    for method, kind in methods:
        kind.add(draft, report, method)
    rank(draft, report, methods)
    learn_in_steps(draft, report, methods)
    _add_tables(draft, methods, report, sweeps)


def _check(draft: Draft, methods: Methods, sweeps: Sequence[Sweep]) -> None:
    """Check names, and every section of the configuration, used or not: a misspelt key must not
    wait for the day it is used."""
    config = draft.config
    names = [method.name for method, _ in methods]
    names += [sweep.name for sweep in sweeps if sweep.kind == "method"]
    if len(set(names)) < len(names):
        raise ScddError("methods: a name appears twice; give each entry a name of its own.")
    titles = [title_of(method, kind) for method, kind in methods]
    if len(set(titles)) < len(titles):
        raise ScddError("methods: two have the same title, and a table could not tell them apart.")
    for name, values in config.squeeze.items():
        if name not in SQUEEZES:
            raise ScddError(f"unknown key squeeze.{name}. {nearest(name, SQUEEZES)}")
        draft.checked(SQUEEZES[name], ("squeeze", name), values)
    draft.checked(Probe, ("probe",), config.probe)
    draft.checked(Forgetting, ("forgetting",), config.forgetting)
    draft.checked(Ccfs, ("ccfs", "ccfs"), config.ccfs)
    draft.checked(Experts, ("experts",), config.experts)
    draft.checked(Patches, ("patches", "rded"), config.patches)
    for name in config.learn:
        if name not in LEARNS:
            raise ScddError(f"unknown key learn.{name}. {nearest(name, LEARNS)}")
    recoveries = [
        (kind.preset_of(method), method.recover)
        for method, kind in methods
        if isinstance(kind, Recovery)
    ]
    for preset, own in recoveries or [("scdd-paper", {})]:
        draft.checked(Recover, ("recover", preset), merge(config.recover, own))
    check_protocols(draft)
    if config.ablation is not None:
        _check_ablation(draft, methods, config.ablation)


def _check_ablation(draft: Draft, methods: Methods, base: Ablation) -> None:
    require_listed(draft, base.protocol, "ablation.protocol")
    known = [
        method.name
        for method, kind in methods
        if isinstance(kind, Distilled) and base.protocol in protocols_of(draft, method)
    ]
    if base.method not in known:
        raise ScddError(
            f"ablation.method: no method {base.method!r} with the protocol {base.protocol}. "
            f"{nearest(base.method, known)}"
        )


def _add_tables(draft: Draft, methods: Methods, report: Report, sweeps: Sequence[Sweep]) -> None:
    config, data, plan = draft.config, draft.data, draft.plan
    titles = {method.name: title_of(method, kind) for method, kind in methods}
    titles |= {sweep.name: sweep.title for sweep in sweeps if sweep.one_teacher}
    probes = []
    for name, probe in draft.probes.items():
        backbone = plan.parent(probe, "backbone")
        probes.append(
            {
                "method": name,
                "title": titles[name],
                "metrics": str(probe.folder.relative_to(RESULTS) / "metrics.json"),
                "history": str(backbone.folder.relative_to(RESULTS) / "history.csv"),
            }
        )
    backbones = looks(draft)
    params: dict[str, Any] = {
        "experiment": config.experiment,
        "dataset": data.params["folder"] or data.params["name"],
        "classes": draft.class_count,
        "holdout": config.dataset.holdout,
        "data": str(data.folder.relative_to(RESULTS) / "dataset.json"),
        "cells": report.cells,
        "costs": [
            {**dict(zip(OF_COSTS, key, strict=True)), "stages": stages}
            for key, stages in report.costs.items()
        ],
        "probes": probes,
        "recoveries": report.recoveries,
        "notes": draft.notes,
        "controls": [method.name for method, kind in methods if kind.is_control(method)],
        "figures": config.figures.dump(),
    }
    if report.verified:
        params |= {"verified": report.verified, "verifier": config.verifier}
    if report.learned:
        params["learned"] = report.learned
    if report.snapshots:
        params["snapshots"] = report.snapshots
    if report.ranking:
        params["ranking"] = report.ranking
    if report.continual:
        params["continual"] = report.continual
    if backbones:
        params |= {"backbones": backbones, "balance": config.informativeness.balance}
    if sweeps:
        _note_choice(draft, sweeps)
        params["sweeps"] = [asdict(sweep) for sweep in sweeps]
    if config.ablation is not None:
        params["ablation"] = _ablation(draft, config.ablation)
    if scaling := series(draft, methods, sweeps):
        params["scaling"] = scaling
    # what a column is called and where a number is from do not change the numbers, settings are in
    # the parents' digests, and a network's name tells its size
    headings = {name: stage.heading for name, stage in STAGES.items() if stage.heading}
    settings = [line._asdict() for line in (*_experiment(draft), *merged(draft.settings))]
    shown = {**params, "headings": headings, "settings": settings}
    shown["origins"] = origins(plan, report.cells)
    if scaling or backbones:
        shown["sizes"] = sizes(draft, _networks(draft, methods))
    plan.add("tables", config.experiment, shown, {"data": data}, params)


def _networks(draft: Draft, methods: Methods) -> list[Network]:
    """Those that images are recovered from and that are looked at."""
    looked_at = [each.backbone or draft.config.backbone for each in draft.config.backbones]
    recovered = [network_of(draft, each) for each, kind in methods if isinstance(kind, Recovery)]
    return [*recovered, *looked_at]


def _note_choice(draft: Draft, sweeps: Sequence[Sweep]) -> None:
    """Say below the tables what choosing the best of a sweep means."""
    swept = "; ".join(f"{sweep.title} over {' and '.join(sweep.keys)}" for sweep in sweeps)
    draft.note(
        f"Swept: {swept}. "
        + (
            "The best was not chosen on the test set."
            if draft.config.dataset.holdout
            else "The best of a sweep is chosen on the test set; with dataset.holdout it is not."
        )
    )


def _experiment(draft: Draft) -> list[Setting]:
    """What the experiment is of, as settings: nothing is published of it."""
    config = draft.config
    values = {
        "dataset": config.dataset.name,
        "classes": draft.class_count,
        "resolution": draft.resolution,
        "holdout": config.dataset.holdout,
        "backbone": config.backbone.label,
        "students": [student.label for student in config.students],
        "methods": [method.name for method in config.methods],
        "protocols": config.protocols,
        "ipc": config.ipc,
        "seeds": config.seeds,
    }
    return [Setting("experiment", key, in_a_cell(value)) for key, value in values.items()]


def _ablation(draft: Draft, base: Ablation) -> dict[str, Any]:
    """What is compared, and what each method and protocol changes, as far as it is set here."""
    keys = {
        "preset",
        "teacher",
        "observer",
        "base",
        "backbone",
        "squeeze",
        "probe",
        "recover",
        "patches",
        "ccfs",
    }
    methods = {
        method.name: in_words(
            {key: value for key, value in method.dump().items() if key in keys and value}
        )
        for method in draft.config.methods
    }
    published = bundle(draft, base.protocol)[0]
    protocols = {}
    for name in draft.config.protocols:
        parent, shared, own = bundle(draft, name)
        protocols[name] = in_words(own if parent == published else merge(shared, own))
    return {**base.dump(), "methods": methods, "protocols": protocols}
