# The plan of this run, and how a rule finds the files of an artifact's parents in it.
import re
import shlex

from snakemake.exceptions import WorkflowError

from scdd.artifacts.run import NAME as RUN, RESULTS
from scdd.artifacts.slots import range_name
from scdd.errors import ScddError
from scdd.jobs import done
from scdd.params.recover import Recover
from scdd.plan import cluster, code, load
from scdd.plan.yaml_files import read_yaml
from scdd.plan.stages import LABELS, STAGES, stages_with
from scdd.report import sections

if set("{}") & set(str(workflow.basedir)):
    raise WorkflowError(
        f"Snakemake takes braces in a path for wildcards. Rename the folder {workflow.basedir}."
    )

# where a configuration's `base` is looked for: beside the file that names it
files = workflow.overwrite_configfiles or [Path(workflow.basedir) / "config.yaml"]

try:
    if workflow.is_main_process:
        for file in map(Path, files):
            read_yaml(file)  # Snakemake has read it, but takes the last of two equal keys
    plan = load.for_run(config, Path(files[-1]).parent, workflow.is_main_process)
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
# Snakemake formats the prefix as it does a command, where braces are doubled.
checkout = shlex.quote(str(workflow.basedir))
shell.prefix(f"export PYTHONPATH={checkout}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; ")


wildcard_constraints:
    node=r"[^/]+",
    slots=r"\d+-\d+",
    epochs=r"\d+-\d+",


def node_of(stage, wildcards):
    return plan.nodes[f"{stage}/{wildcards.node}"]


def code_of(stage):
    """The print of the code that makes an artifact of `stage`."""
    return lambda wildcards: code.print_path(node_of(stage, wildcards))


def parents(stage, role):
    """What the parents in `role` have made, of an artifact of `stage`: one file for each, and
    nothing where it has no such parent."""
    return lambda wildcards: plan.made_by(node_of(stage, wildcards), role)


def dataset(stage, *files):
    """dataset.json, and `files` beside it, of the dataset that an artifact descends from."""

    def find(wildcards):
        folder = plan.data_of(node_of(stage, wildcards)).folder
        return [folder / file for file in ("dataset.json", *files)]

    return find


def root_of(stage):
    """Where the dataset's files are, as an argument."""
    return lambda wildcards: plan.roots[plan.data_of(node_of(stage, wildcards)).key]["root"]


def imported(stage):
    """The files of others that an artifact is made of, as an argument. They are not an input, since
    only their content counts."""
    return lambda wildcards: plan.imports[node_of(stage, wildcards).key]


def checkpoint(wildcards):
    """The file that a squeeze imports, as an argument. It is not an input: only its content
    counts."""
    file = plan.imports.get(node_of("squeeze", wildcards).key)
    return f"--checkpoint {shlex.quote(file)}" if file else ""


def real_images(wildcards):
    """The training set of a recovery that needs real images; nothing for others."""
    node = node_of("recover", wildcards)
    needed = Recover.of(node.params).reads_images
    return plan.data_of(node).folder / "train.safetensors" if needed else []


def label_shards(wildcards):
    """The soft-label files that a student uses; nothing for hard labels."""
    node = node_of("validate", wildcards)
    if "labels" not in node.parents:
        return []
    return plan.label_shards(plan.parent(node, "labels"), plan.label_epochs(node))


def image_set(wildcards):
    """The image set that a student is trained on; nothing where that is the whole dataset."""
    node = node_of("validate", wildcards)
    if "labels" in node.parents:
        node = plan.parent(node, "labels")
    return plan.made_by(node, "images")


def whole_dataset(wildcards):
    """The training set, where a student is trained on it; nothing for others."""
    node = node_of("validate", wildcards)
    return plan.parent(node, "data").folder / "train.safetensors" if "data" in node.parents else []


def option(name):
    """`--name` with the input of that name; nothing where that input is empty."""
    return lambda wildcards, input: f"--{name} {input[name]}" if input.get(name) else ""


def shards(stage, block):
    """What a job makes that makes the images of a block of classes, for a range of slots."""
    folder = f"results/{stage}/{{node}}/slots_{{slots}}"
    return {
        "shards": [f"{folder}/class_{index:04d}.safetensors" for index in range(*block)],
        "checksums": f"{folder}/shards_{range_name(block)}.sha256",
    }


def shards_folder(wildcards, output):
    """The artifact's folder, in which a job that makes images writes, as an argument."""
    return Path(output.checksums).parents[1]


def blocks_of(stage):
    """The blocks of classes of all artifacts of a stage that makes images."""
    return sorted({block for node in plan.of(stage) for block in plan.class_blocks(node)})


def rule_name(stage, block):
    """The stage's name if it has one block, so that --until and -R know it; else with the block."""
    return stage if len(blocks_of(stage)) == 1 else f"{stage}_{range_name(block)}".replace("-", "_")


def with_block(stage, block):
    """A wildcard constraint: the artifacts whose images are made by this block of classes."""
    nodes = [node for node in plan.of(stage) if block in plan.class_blocks(node)]
    return "|".join(re.escape(node.name) for node in nodes)


def half_open(name):
    """`0010-0019` as `10:20`."""
    first, last = map(int, name.split("-"))
    return f"{first}:{last + 1}"
