# Images of others, taken once. One rule for each number of classes.
for count in sorted({plan.class_count(node) for node in plan.of("import_images")}):

    rule:
        name:
            f"import_images_{count}"
        input:
            config="results/import_images/{node}/config.json",
            code=code_of("import_images"),
            data=dataset("import_images"),
        output:
            checksums=f"results/import_images/{{node}}/slots_{{slots}}/shards_{range_name((0, count))}.sha256",
            shards=[
                f"results/import_images/{{node}}/slots_{{slots}}/class_{index:04d}.safetensors"
                for index in range(count)
            ],
        log:
            "logs/import_images/{node}/slots_{slots}.log",
        wildcard_constraints:
            node=only(n for n in plan.of("import_images") if plan.class_count(n) == count),
        conda:
            "../envs/scdd.yaml"
        threads: THREADS
        resources:
            **needs("import_images"),
        params:
            source=imported("import_images"),
            slots=lambda w: half_open(w.slots),
            folder=lambda w, output: Path(output[0]).parents[1],
        shell:
            "exec python -m scdd.interop.import_images --config {input.config} --data {input.data[0]}"
            " --source {params.source:q} --slots {params.slots} --device cpu --out {params.folder}"
            " 2> {log}"
