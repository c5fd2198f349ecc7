# Which real images an observer puts first, and the crop of each: for RDED's images, and for
# recoveries that start from patches.
rule patches:
    input:
        code=code_of("patches"),
        data=dataset("patches", "train.safetensors"),
        teacher=parents("patches", "teacher"),
    output:
        "results/patches/{node}/patches.safetensors",
    log:
        "logs/patches/{node}/patches.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("patches", work="work/patches/{node}"),
    params:
        config="results/patches/{node}/config.json",
        job=resumed("work/patches/{node}"),
        root=root_of("patches"),
    shell:
        "exec python -m scdd.patches --config {params.config} --code {input.code} {params.job}"
        " --data {input.data[0]} --root {params.root:q} --teacher {input.teacher} --out {output}"
        " 2> {log}"
