# Images that are not recovered: real ones and noise. One rule for each number of classes.
for count in sorted({plan.class_count(node) for node in plan.of("baselines")}):

    rule:
        name:
            f"baseline_{count}"
        input:
            config="results/baselines/{node}/config.json",
            code=code_of("baselines"),
            data=dataset("baselines", "train.safetensors"),
            order=ordered,
        output:
            checksums=f"results/baselines/{{node}}/slots_{{slots}}/shards_{range_name((0, count))}.sha256",
            shards=[
                f"results/baselines/{{node}}/slots_{{slots}}/class_{index:04d}.safetensors"
                for index in range(count)
            ],
        log:
            "logs/baselines/{node}/slots_{slots}.log",
        wildcard_constraints:
            node=only(n for n in plan.of("baselines") if plan.class_count(n) == count),
        conda:
            "../envs/scdd.yaml"
        threads: THREADS
        resources:
            **needs("baselines"),
        params:
            root=root_of("baselines"),
            order=lambda w, input: f"--order {input.order}" if input.order else "",
            slots=lambda w: half_open(w.slots),
            folder=lambda w, output: Path(output[0]).parents[1],
        shell:
            "exec python -m scdd.baselines --config {input.config} --data {input.data[0]}"
            " --root {params.root:q} {params.order} --slots {params.slots} --device cpu"
            " --out {params.folder} 2> {log}"
