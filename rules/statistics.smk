# What a teacher's layers see of the training images, for recoveries that match more than its running
# BatchNorm statistics.
rule statistics:
    input:
        code=code_of("statistics"),
        data=dataset("statistics", "train.safetensors"),
        teacher=parents("statistics", "teacher"),
    output:
        "results/statistics/{node}/statistics.safetensors",
    log:
        "logs/statistics/{node}/statistics.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("statistics", work="work/statistics/{node}"),
    params:
        config="results/statistics/{node}/config.json",
        job=resumed("work/statistics/{node}"),
        root=root_of("statistics"),
    shell:
        "exec python -m scdd.recover.statistics --config {params.config} --code {input.code}"
        " {params.job} --data {input.data[0]} --root {params.root:q} --teacher {input.teacher}"
        " --out {output} 2> {log}"
