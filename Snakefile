# SC-DD: from images to the table of a paper.
#
#   data → squeeze → probe → recover → imageset → relabel → validate → tables
#
# `scdd.plan` turns the configuration into artifacts; the rules say how each is made of its parents.
# An artifact lies at results/<stage>/<label>-<digest>/, where the digest stands for everything that
# made it: a changed parameter gives new folders, an old value finds its old ones.
from snakemake.utils import min_version

min_version("9.0")


include: "rules/configuration.smk"
include: "rules/common.smk"
include: "rules/cluster.smk"
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
include: "rules/paper.smk"


# `paper` and `paper_mini` are `all` of their own configurations. None has an output, so it runs every
# time: the copies without a digest are never those of an earlier configuration, and every run ends
# with the tables on the screen, or with what the paper has.
for target in ("all", *PAPERS):

    rule:
        name:
            target
        default_target: target == "all"
        input:
            tables=[file for node in plan.of("tables") for file in plan.targets(node)],
            paper=[file for node in plan.of("paper") for file in plan.targets(node)],
        log:
            f"logs/{target}.log",
        localrule: True
        conda:
            "envs/scdd.yaml"
        params:
            shown=lambda w, input: input.paper or input.tables,
        shell:
            "python -m scdd.report.publish {input} --show {params.shown} 2> {log}"


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
