# SRe2L's label files in place of a teacher's labels.
rule import_labels:
    input:
        code=code_of("import_labels"),
        data=dataset("import_labels"),
        images=parents("import_labels", "images"),
    output:
        "results/import_labels/{node}/epochs_{epochs}.safetensors",
    log:
        "logs/import_labels/{node}/epochs_{epochs}.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("import_labels"),
    params:
        config="results/import_labels/{node}/config.json",
        source=imported("import_labels", "source"),
        epochs=lambda w: half_open(w.epochs),
    shell:
        "exec python -m scdd.interop.import_labels --config {params.config} --data {input.data[0]}"
        " --images {input.images} {params.source} --epochs {params.epochs}"
        " --device cpu --out {output} 2> {log}"
