rule verify:
    input:
        code=code_of("verify"),
        data=dataset("verify"),
        images=parents("verify", "images"),
        teacher=parents("verify", "teacher"),
    output:
        "results/verify/{node}/metrics.json",
    log:
        "logs/verify/{node}/verify.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("verify"),
    params:
        config="results/verify/{node}/config.json",
        machine=MACHINE,
    shell:
        "exec python -m scdd.evaluate.verify --config {params.config} --data {input.data[0]}"
        " --images {input.images} --teacher {input.teacher} {params.machine}"
        " --out {output} 2> {log}"
