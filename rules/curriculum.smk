# Which real images a student of an image set still lacks.
rule curriculum:
    input:
        code=code_of("curriculum"),
        data=dataset("curriculum", "train.safetensors"),
        images=image_set("curriculum"),
        labels=label_shards("curriculum"),
        teacher=parents("curriculum", "teacher"),
        difficulty=parents("curriculum", "difficulty"),
        before=parents("curriculum", "before"),
    output:
        "results/curriculum/{node}/order.safetensors",
    log:
        "logs/curriculum/{node}/curriculum.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("curriculum", work="work/curriculum/{node}"),
    params:
        config="results/curriculum/{node}/config.json",
        job=resumed("work/curriculum/{node}"),
        root=root_of("curriculum"),
        labels=lambda w, input: Path(input.labels[0]).parent,
        before=option("before"),
    shell:
        "exec python -m scdd.select.curriculum --config {params.config} --code {input.code}"
        " {params.job} --data {input.data[0]} --root {params.root:q} --images {input.images}"
        " --labels {params.labels} --teacher {input.teacher} --difficulty {input.difficulty}"
        " {params.before} --out {output} 2> {log}"
