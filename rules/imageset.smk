# One small file stands between the image files and everything after them.
rule imageset:
    input:
        code=code_of("imageset"),
        data=dataset("imageset"),
        checksums=lambda w: plan.checksums(node_of("imageset", w)),
        whitening=parents("imageset", "whitening"),
    output:
        "results/imageset/{node}/set.json",
    log:
        "logs/imageset/{node}/imageset.log",
    conda:
        "../envs/scdd.yaml"
    threads: THREADS
    resources:
        **needs("imageset"),
    params:
        config="results/imageset/{node}/config.json",
        source=lambda w: plan.fillings(node_of("imageset", w))[0].folder,
        last=last_slots,
        whitening=option("whitening"),
    shell:
        "exec python -m scdd.imageset --config {params.config} --data {input.data[0]}"
        " --source {params.source} {params.last} {params.whitening} --device cpu --out {output} 2> {log}"
