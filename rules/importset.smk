# Images of others, taken once. One rule for each number of classes.
for count in sorted({plan.class_count(node) for node in plan.of("importset")}):

    rule:
        name:
            f"importset_{count}"
        input:
            config="results/importset/{node}/config.json",
            code=code_of("importset"),
            data=dataset("importset"),
        output:
            checksums=f"results/importset/{{node}}/slots_{{slots}}/shards_{range_name((0, count))}.sha256",
            shards=[
                f"results/importset/{{node}}/slots_{{slots}}/class_{index:04d}.safetensors"
                for index in range(count)
            ],
        log:
            "logs/importset/{node}/slots_{slots}.log",
        wildcard_constraints:
            node=only(n for n in plan.of("importset") if plan.class_count(n) == count),
        conda:
            "../envs/scdd.yaml"
        threads: THREADS
        resources:
            **needs("importset"),
        params:
            source=imported("importset"),
            slots=lambda w: half_open(w.slots),
            folder=lambda w, output: Path(output[0]).parents[1],
        shell:
            "exec python -m scdd.importset --config {input.config} --data {input.data[0]}"
            " --source {params.source:q} --slots {params.slots} --device cpu --out {params.folder}"
            " 2> {log}"
