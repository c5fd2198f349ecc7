# A student on one image set: with its soft labels, with its classes alone, or, where there is no
# image set, on the whole training set.
rule validate:
    input:
        code=code_of("validate"),
        data=dataset("validate", "val.safetensors"),
        images=image_set("validate"),
        labels=label_shards("validate"),
        train=whole_dataset,
        whitened=whitened_validation,
    output:
        metrics="results/validate/{node}/metrics.json",
        history="results/validate/{node}/history.csv",
    log:
        "logs/validate/{node}/validate.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("validate", work="work/validate/{node}"),
    params:
        config="results/validate/{node}/config.json",
        job=resumed("work/validate/{node}"),
        root=root_of("validate"),
        images=option("images"),
        labels=lambda w, input: f"--labels {Path(input.labels[0]).parent}" if input.labels else "",
    shell:
        "exec python -m scdd.evaluate.validate --config {params.config} --code {input.code}"
        " {params.job} --data {input.data[0]} --root {params.root:q} {params.images}"
        " {params.labels} --out {output.metrics} --history {output.history} 2> {log}"
