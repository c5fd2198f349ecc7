# Images of others. One rule for each number of classes.
for block in blocks_of("import_images"):

    rule:
        name:
            rule_name("import_images", block)
        input:
            code=code_of("import_images"),
            data=dataset("import_images"),
            whitening=parents("import_images", "whitening"),
        output:
            **shards("import_images", block),
        log:
            "logs/import_images/{node}/slots_{slots}.log",
        wildcard_constraints:
            node=with_block("import_images", block),
        conda:
            "../envs/scdd.yaml"
        threads: THREADS
        resources:
            **needs("import_images"),
        params:
            config="results/import_images/{node}/config.json",
            source=imported("import_images", "source"),
            slots=lambda w: half_open(w.slots),
            whitening=option("whitening"),
            folder=shards_folder,
        shell:
            "exec python -m scdd.interop.import_images --config {params.config}"
            " --data {input.data[0]} {params.source} --slots {params.slots}"
            " {params.whitening} --device cpu --out {params.folder} 2> {log}"
