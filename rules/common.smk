# Loads the plan of this run, and has the functions by which rules find their inputs in it.
import gc
import re
import shlex

from scdd.artifacts.run import NAME as RUN, RESULTS
from scdd.artifacts.slots import (
    checksums_path,
    range_name,
    shard_path,
    slot_ranges,
    snapshot_folder,
)
from scdd.errors import ScddError
from scdd.jobs import done
from scdd.params.learn import LEARNS
from scdd.params.recover import Recover
from scdd.plan import cluster, code, load, runs
from scdd.plan.plan import followed_epochs
from scdd.plan.yaml_files import read_yaml
from scdd.plan.stages import LABELS, STAGES, stages_with
from scdd.report import sections
from scdd.report.paper import files as paper_files

if set("{}") & set(str(workflow.basedir)):
    raise WorkflowError(
        f"Snakemake takes braces in a path for wildcards. Rename the folder {workflow.basedir}."
    )

# the configuration; a relative `base` in it is looked for in its folder
files = workflow.overwrite_configfiles or [Path(workflow.basedir) / CONFIGURATION]

try:
    if workflow.is_main_process:
        for file in map(Path, files):
            read_yaml(file)  # Snakemake has read it too, but accepts duplicate keys
    plan = load.for_run(
        config,
        Path(files[-1]).parent,
        workflow.is_main_process,
        is_dry=workflow.output_settings.dryrun,
    )
    if ASKED and not plan.of("paper"):
        raise ScddError(f"{files[-1]} has no key paper, which `snakemake {ASKED[0]}` makes.")
    slurm = cluster.for_run(
        Path(workflow.basedir) / "slurm" / "cluster.yaml", workflow.is_main_process
    )
    if workflow.is_main_process:
        code.write_prints(plan.nodes.values())
except ScddError as error:
    raise WorkflowError(str(error)) from None


# The graph of the jobs is millions of objects that stay: to look for garbage among them as often as
# Python does took a tenth to a fifth of a large dry run.
if workflow.is_main_process:
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


# Each job parses this file again. Through these variables it gets what the driver read, even if the
# files were edited since.
envvars:
    load.VARIABLE,
    RUN,
    cluster.VARIABLE,


# Jobs must import scdd from this checkout, whatever folder Snakemake runs in. Rules start programs
# with `exec`: otherwise Slurm's SIGTERM would end the shell while the program is still saving.
# Braces are doubled because Snakemake formats the prefix like a command.
checkout = shlex.quote(str(workflow.basedir))
shell.prefix(f"export PYTHONPATH={checkout}${{{{PYTHONPATH:+:$PYTHONPATH}}}}; ")


wildcard_constraints:
    node=r"[^/]+",
    slots=r"\d+-\d+",
    epochs=r"\d+-\d+",


def node_of(stage, wildcards):
    return plan.nodes[f"{stage}/{wildcards.node}"]


def code_of(stage):
    """The file with the fingerprint of the code that makes an artifact of `stage`."""
    return lambda wildcards: code.print_path(node_of(stage, wildcards))


def parents(stage, role):
    """The files made by the parents that an artifact of `stage` has in `role`: one for each parent;
    none if it has no such parent."""
    return lambda wildcards: plan.made_by(node_of(stage, wildcards), role)


def dataset(stage, *files):
    """The dataset.json of the dataset that an artifact descends from, then `files` beside it."""

    def find(wildcards):
        folder = plan.data_of(node_of(stage, wildcards)).folder
        return [folder / file for file in ("dataset.json", *files)]

    return find


def root_of(stage):
    """The folder with the original files of the dataset, for a command line."""
    return lambda wildcards: plan.roots[plan.data_of(node_of(stage, wildcards)).key]["root"]


def imported(stage, name):
    """`--name` followed by the path of the files that an artifact is imported from; empty for those
    that are not. They are not an input of the rule, because their content counts and not their
    time."""

    def argument(wildcards):
        path = plan.imports.get(node_of(stage, wildcards).key)
        return f"--{name} {shlex.quote(path)}" if path else ""

    return argument


def real_images(wildcards):
    """The training set, for a recovery that reads real images; empty for others."""
    node = node_of("recover", wildcards)
    needed = Recover.of(node.params).reads_images
    return plan.data_of(node).folder / "train.safetensors" if needed else []


def label_shards(stage):
    """The soft-label files that a student of `stage` uses; empty for hard labels."""

    def find(wildcards):
        node = node_of(stage, wildcards)
        if "labels" not in node.parents:
            return []
        return plan.label_shards(plan.parent(node, "labels"), plan.label_epochs(node))

    return find


def image_set(stage):
    """The image set that a student of `stage` is trained on; empty if that is the whole dataset."""

    def find(wildcards):
        node = node_of(stage, wildcards)
        if "labels" in node.parents:
            node = plan.parent(node, "labels")
        return plan.made_by(node, "images")

    return find


def last_slots(wildcards):
    """Where the images of an image set's last slots are, for a command line; empty if one source
    fills all of it."""
    fillings = plan.fillings(node_of("imageset", wildcards))[1:]
    return " ".join(f"--last {filling.folder}" for filling in fillings)


def whitened_validation(wildcards):
    """The whitened images that a student of whitened images is tested on; empty for others."""
    node = node_of("validate", wildcards)
    if "images" not in node.parents:
        return []
    whitenings = plan.made_by(plan.parent(node, "images"), "whitening")
    return [file.with_name("val.safetensors") for file in whitenings]


def whole_dataset(wildcards):
    """The training set, for a student that is trained on all of it; empty for others."""
    node = node_of("validate", wildcards)
    return plan.parent(node, "data").folder / "train.safetensors" if "data" in node.parents else []


def option(name):
    """`--name` followed by the input of that name; empty if that input is empty."""
    return lambda wildcards, input: f"--{name} {input[name]}" if input.get(name) else ""


def earlier_epochs(wildcards):
    """The experts' file of the range of epochs before; empty for the first one."""
    node, first = node_of("experts", wildcards), int(wildcards.epochs.split("-")[0])
    files = plan.expert_files(node, first)
    ours = [file for file in files if f"experts_{wildcards.experts}_" in file.name]
    return ours[-1:]


def expert_files(wildcards):
    """The files of experts that a method follows; empty for the other methods."""
    node = node_of("learn", wildcards)
    if "experts" not in node.parents:
        return []
    return plan.expert_files(plan.parent(node, "experts"), followed_epochs(node))


def size_of(node):
    """The classes, as a block, the IPC, and the iterations of the snapshots of learned images."""
    params = LEARNS[node.params["method"]].of(node.params)
    snapshots = tuple(params.snapshot_iterations)
    return plan.class_blocks(node)[0], node.params["ipc"], snapshots


def learned_sizes():
    """All that are there, once."""
    return sorted({size_of(node) for node in plan.of("learn")})


def learn_name(block, ipc, snapshots):
    """The stage's name; with the size if there are several."""
    if len(learned_sizes()) == 1:
        return "learn"
    parts = [f"learn_{block[1]}_classes_ipc_{ipc}", *map(str, snapshots)]
    return "_".join(parts)


def with_size(*size):
    """A wildcard constraint: the names of the artifacts with this size."""
    nodes = [node for node in plan.of("learn") if size_of(node) == size]
    return "|".join(re.escape(node.name) for node in nodes)


def learned_files(iteration, slots, block):
    """Checksums and shards of learned images after so many iterations; None: of the finished."""
    folder = snapshot_folder(Path("results/learn/{node}"), iteration)
    files = [shard_path(folder, slots, index) for index in range(*block)]
    return [checksums_path(folder, slots, block), *files]


def shards(stage, block, **others):
    """The outputs of a job that makes images: `others`, checksums, and one file for each class of
    `block`.

    The last ones are what no other job waits for: Snakemake looks for a file in this order, and
    they are hundreds.
    """
    folder = f"results/{stage}/{{node}}/slots_{{slots}}"
    return {
        **others,
        "checksums": f"{folder}/shards_{range_name(block)}.sha256",
        "shards": [f"{folder}/class_{index:04d}.safetensors" for index in range(*block)],
    }


def shards_folder(wildcards, output):
    """The artifact's folder, in which a job that makes images writes, for a command line."""
    return Path(output.checksums).parents[1]


def blocks_of(stage):
    """The blocks of classes that jobs of a stage make images of, each once."""
    return sorted({block for node in plan.of(stage) for block in plan.class_blocks(node)})


def rule_name(stage, block):
    """The stage's name, so that --until and -R can use it; with the block if there are several."""
    return stage if len(blocks_of(stage)) == 1 else f"{stage}_{range_name(block)}".replace("-", "_")


def with_block(stage, block):
    """A wildcard constraint: the names of the artifacts that have this block of classes."""
    nodes = [node for node in plan.of(stage) if block in plan.class_blocks(node)]
    return "|".join(re.escape(node.name) for node in nodes)


def half_open(name):
    """The range in a file name, both ends included, as an argument: `0010-0019` gives `10:20`."""
    first, last = map(int, name.split("-"))
    return f"{first}:{last + 1}"
