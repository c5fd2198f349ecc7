# SRe2L's label files in place of a teacher's labels.
rule fkd:
    input:
        config="results/fkd/{node}/config.json",
        code=code_of("fkd"),
        data=dataset("fkd"),
        images=parent("fkd", "images", file="set.json"),
    output:
        "results/fkd/{node}/epochs_{epochs}.safetensors",
    log:
        "logs/fkd/{node}/epochs_{epochs}.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("fkd"),
    params:
        source=imported("fkd"),
        epochs=lambda w: half_open(w.epochs),
    shell:
        "exec python -m scdd.fkd --config {input.config} --data {input.data[0]}"
        " --images {input.images} --source {params.source:q} --epochs {params.epochs}"
        " --device cpu --out {output} 2> {log}"
