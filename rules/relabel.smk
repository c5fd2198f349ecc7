rule relabel:
    input:
        code=code_of("relabel"),
        data=dataset("relabel"),
        images=parents("relabel", "images"),
        teacher=parents("relabel", "teacher"),
    output:
        "results/relabel/{node}/epochs_{epochs}.safetensors",
    log:
        "logs/relabel/{node}/epochs_{epochs}.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("relabel", work="work/relabel/{node}/epochs_{epochs}"),
    params:
        config="results/relabel/{node}/config.json",
        job=resumed("work/relabel/{node}/epochs_{epochs}"),
        epochs=lambda w: half_open(w.epochs),
    shell:
        "exec python -m scdd.labels.relabel --config {params.config} --code {input.code}"
        " {params.job} --data {input.data[0]} --images {input.images} --teacher {input.teacher}"
        " --epochs {params.epochs} --out {output} 2> {log}"
