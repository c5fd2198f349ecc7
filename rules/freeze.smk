# The frozen configuration of each artifact: all that its job may know of config.yaml.
rule freeze:
    output:
        "results/{stage}/{node}/config.json",
    log:
        "logs/{stage}/{node}/freeze.log",
    wildcard_constraints:
        stage="|".join(STAGES),
    localrule: True
    conda:
        "../envs/scdd.yaml"
    shell:
        "python -m scdd.plan.freeze {output} 2> {log}"
