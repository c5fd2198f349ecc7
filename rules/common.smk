# The plan of this run, and how a rule finds an artifact's parents in it.
import re
import shlex

from snakemake.exceptions import WorkflowError

from scdd.artifacts.run import NAME as RUN, RESULTS
from scdd.artifacts.slots import range_name
from scdd.errors import ScddError
from scdd.jobs import done, orphans as driver
from scdd.plan import cluster, code, load
from scdd.plan.stages import STAGES
from scdd.report import sections

try:
    plan = load.for_run(config, workflow.is_main_process)
    slurm = cluster.for_run(
        Path(workflow.basedir) / "slurm" / "cluster.yaml", workflow.is_main_process
    )
    if workflow.is_main_process:
        code.write_prints(plan.nodes.values())
except ScddError as error:
    raise WorkflowError(str(error)) from None


# A job parses this file again: it must find what the driver read, not read its own.
envvars:
    load.VARIABLE,
    RUN,
    cluster.VARIABLE,


# Jobs must find this checkout's programs wherever the run takes place. The rules start them by
# `exec`: a shell in between would die of Slurm's SIGTERM while its program is still saving.
# Snakemake formats the prefix as it does a command: four braces are one for the shell.
shell.prefix(f"export PYTHONPATH='{workflow.basedir}'${{{{PYTHONPATH:+:$PYTHONPATH}}}}; ")


THREADS = plan.machine["threads"]
DEVICE = plan.machine["device"]
SAVE_EVERY = plan.machine["save_every"]
PASS_WIDTH = plan.machine["pass_width"]
# the arguments that tell a job how to use the machine
MACHINE = (
    f"--device {DEVICE} --jobs-per-gpu {plan.machine['jobs_per_gpu']}"
    f" --compile {plan.machine['compile']}"
)


wildcard_constraints:
    node=r"[^/]+",
    slots=r"\d+-\d+",
    epochs=r"\d+-\d+",


def on_slurm():
    """Whether this is the driver of Slurm jobs, or one of them; known when jobs are made only."""
    plugin = workflow.executor_plugin
    return plugin is not None and plugin.name.startswith("slurm")


def needs(stage, work=None):
    """The resources of a job of `stage`. A run without Slurm heeds `gpu` alone.

    `work`, with wildcards, is where the job keeps its state: it waits for a job that an earlier,
    dead driver left there.
    """

    def options(wildcards):
        signal = "--signal=TERM@300"  # well before the time limit, so that a job can save
        if work and on_slurm() and workflow.is_main_process:
            return f"{signal} {driver.after(Path(work.format(**dict(wildcards.items()))))}".rstrip()
        return signal

    asked = slurm.placement(stage) | {
        "runtime": slurm.runtime(stage),
        "mem_mb": lambda wildcards, attempt: slurm.mem(stage, attempt),
        "slurm_extra": options,
    }
    if STAGES[stage].gpu and DEVICE != "cpu":
        by_gres = slurm.gpu == "gres"
        asked["gpu"] = lambda wildcards: 0 if by_gres and on_slurm() else 1
        asked["gres"] = lambda wildcards: "gpu:1" if by_gres and on_slurm() else None
    return asked


onstart:
    if on_slurm():
        try:
            driver.start(Path.cwd())
        except ScddError as error:
            raise WorkflowError(str(error)) from None


def node_of(stage, wildcards):
    return plan.nodes[f"{stage}/{wildcards.node}"]


def code_of(stage):
    """The print of the code that makes an artifact of `stage`."""
    return lambda wildcards: code.print_path(node_of(stage, wildcards))


def parent(stage, *roles, file):
    """`file` of the artifact that is reached from one of `stage` by way of `roles`."""

    def find(wildcards):
        node = node_of(stage, wildcards)
        for role in roles:
            node = plan.parent(node, role)
        return node.folder / file

    return find


def teachers(stage):
    """The probes that images are recovered from, or labelled by: the first, then the others."""

    def find(wildcards):
        probes = plan.teachers(node_of(stage, wildcards))
        return [probe.folder / "probe.safetensors" for probe in probes]

    return find


def informed(wildcards):
    """What a recovery whose r_bn is `auto` reads it from; nothing for others."""
    node = node_of("recover", wildcards)
    return (
        plan.parent(node, "informativeness").folder / "informativeness.json"
        if "informativeness" in node.parents
        else []
    )


def ordered(wildcards):
    """The order in which a coreset takes real images; nothing for other baselines."""
    node = node_of("select", wildcards)
    if "order" not in node.parents:
        return []
    return plan.parent(node, "order").folder / "order.safetensors"


def started(wildcards):
    """The training set of a recovery that needs real images; nothing for others."""
    node = node_of("recover", wildcards)
    real = node.params["start"] == "real" or node.params["statistics"] == "class"
    return plan.data_of(node).folder / "train.safetensors" if real else []


def dataset(stage, *files):
    """dataset.json, and `files` beside it, of the dataset that an artifact descends from."""

    def find(wildcards):
        folder = plan.data_of(node_of(stage, wildcards)).folder
        return [folder / file for file in ("dataset.json", *files)]

    return find


def root_of(stage):
    """Where the dataset's files are, as an argument."""
    return lambda wildcards: plan.roots[plan.data_of(node_of(stage, wildcards)).key]["root"]


def checkpoint(wildcards):
    """The file that a squeeze imports, as an argument. It is no input: only its content counts."""
    file = plan.imports.get(node_of("squeeze", wildcards).key)
    return f"--checkpoint {shlex.quote(file)}" if file else ""


def imported(stage):
    """The files of others that an artifact is made of. They are no input, for the same reason."""
    return lambda wildcards: plan.imports[node_of(stage, wildcards).key]


def only(nodes):
    """A wildcard constraint that lets through these artifacts and no others."""
    return "|".join(re.escape(node.name) for node in nodes) or "none"


def half_open(name):
    """`0010-0019` as `10:20`."""
    first, last = map(int, name.split("-"))
    return f"{first}:{last + 1}"


def training_set(wildcards):
    """What a student is trained on: soft labels and their images, images alone, or the dataset."""
    node = node_of("validate", wildcards)
    if "labels" in node.parents:
        labels = plan.parent(node, "labels")
        files = plan.label_shards(labels, plan.label_epochs(node))
        return {"labels": files, "images": plan.parent(labels, "images").folder / "set.json"}
    if "images" in node.parents:
        return {"images": plan.parent(node, "images").folder / "set.json"}
    return {"train": plan.parent(node, "data").folder / "train.safetensors"}
