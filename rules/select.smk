# Images that are not recovered: real ones and noise. One rule for each number of classes.
for count in sorted({plan.class_count(node) for node in plan.of("select")}):

    rule:
        name:
            f"select_{count}"
        input:
            config="results/select/{node}/config.json",
            code=code_of("select"),
            data=dataset("select", "train.safetensors"),
            order=ordered,
        output:
            checksums=f"results/select/{{node}}/slots_{{slots}}/shards_{range_name((0, count))}.sha256",
            shards=[
                f"results/select/{{node}}/slots_{{slots}}/class_{index:04d}.safetensors"
                for index in range(count)
            ],
        log:
            "logs/select/{node}/slots_{slots}.log",
        wildcard_constraints:
            node=only(n for n in plan.of("select") if plan.class_count(n) == count),
        conda:
            "../envs/scdd.yaml"
        threads: THREADS
        resources:
            **needs("select"),
        params:
            root=root_of("select"),
            order=lambda w, input: f"--order {input.order}" if input.order else "",
            slots=lambda w: half_open(w.slots),
            folder=lambda w, output: Path(output[0]).parents[1],
        shell:
            "exec python -m scdd.select --config {input.config} --data {input.data[0]}"
            " --root {params.root:q} {params.order} --slots {params.slots} --device cpu"
            " --out {params.folder} 2> {log}"
