# The frozen configuration of each artifact: all that its job may know of config.yaml.
rule freeze:
    output:
        "results/{stage}/{node}/config.json",
    log:
        "logs/{stage}/{node}/freeze.log",
    conda:
        "../envs/scdd.yaml"
    localrule: True
    wildcard_constraints:
        stage="data|squeeze|probe|recover|baselines|imageset|relabel|validate|tables",
    shell:
        "python -m scdd.plan.freeze {output} 2> {log}"
