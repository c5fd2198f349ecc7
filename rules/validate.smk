# A student on one image set: with its soft labels, with its classes alone, or, where there is no
# image set, on the whole training set.
rule validate:
    input:
        unpack(training_set),
        config="results/validate/{node}/config.json",
        code=code_of("validate"),
        data=dataset("validate", "val.safetensors"),
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
        machine=MACHINE,
        every=SAVE_EVERY,
        work="work/validate/{node}",
        root=root_of("validate"),
        images=lambda w, input: f"--images {input.images}" if "images" in input.keys() else "",
        labels=lambda w, input: (
            f"--labels {Path(input.labels[0]).parent}" if "labels" in input.keys() else ""
        ),
    shell:
        "exec python -m scdd.evaluate.validate --config {input.config} --code {input.code}"
        " --work {params.work} --save-every {params.every} --data {input.data[0]}"
        " --root {params.root:q} {params.images} {params.labels} {params.machine}"
        " --out {output.metrics} --history {output.history} 2> {log}"
