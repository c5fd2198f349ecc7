# SC-DD: from images to the table of a paper.
#
#   data → squeeze → probe → recover → imageset → relabel → validate → tables
#
# `scdd.plan` turns the configuration into artifacts; the rules say how each is made of its parents.
# An artifact lies at results/<stage>/<label>-<digest>/, where the digest stands for everything that
# made it: a changed parameter gives new folders, an old value finds its old ones.
from snakemake.utils import min_version

min_version("9.0")

# a given --configfile stands alone: mixed with the default's keys it would be neither of the two
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/cluster.smk"
include: "rules/freeze.smk"
include: "rules/data.smk"
include: "rules/whiten.smk"
include: "rules/squeeze.smk"
include: "rules/probe.smk"
include: "rules/informativeness.smk"
include: "rules/statistics.smk"
include: "rules/patches.smk"
include: "rules/recover.smk"
include: "rules/coreset.smk"
include: "rules/forgetting.smk"
include: "rules/curriculum.smk"
include: "rules/select.smk"
include: "rules/experts.smk"
include: "rules/learn.smk"
include: "rules/import_images.smk"
include: "rules/imageset.smk"
include: "rules/verify.smk"
include: "rules/relabel.smk"
include: "rules/import_labels.smk"
include: "rules/validate.smk"
include: "rules/tables.smk"


# It has no output, so it runs every time: the copies without a digest are never those of an
# earlier configuration, and every run ends with the table on the screen.
rule all:
    default_target: True
    input:
        [file for node in plan.of("tables") for file in plan.targets(node)],
    log:
        "logs/all.log",
    localrule: True
    conda:
        "envs/scdd.yaml"
    shell:
        "python -m scdd.report.publish {input} 2> {log}"


# Parts of the pipeline by name: what is there after them is used by the next run.
rule images:
    input:
        [file for node in plan.of("imageset") for file in plan.targets(node)],
    localrule: True


rule labels:
    input:
        [
            file
            for stage in stages_with(LABELS)
            for node in plan.of(stage)
            for file in plan.targets(node)
        ],
    localrule: True


rule students:
    input:
        [file for node in plan.of("validate") for file in plan.targets(node)],
    localrule: True


# After a run that ended well nobody needs second copies of what it made.
onsuccess:
    done.tidy(plan.nodes)
