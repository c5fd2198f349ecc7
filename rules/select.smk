# Images that are not recovered: real ones, mosaics of their crops, and noise. One rule for each
# number of classes.
for block in blocks_of("select"):

    rule:
        name:
            rule_name("select", block)
        input:
            code=code_of("select"),
            data=dataset("select", "train.safetensors"),
            order=parents("select", "order"),
            patches=parents("select", "patches"),
        output:
            **shards("select", block),
        log:
            "logs/select/{node}/slots_{slots}.log",
        wildcard_constraints:
            node=with_block("select", block),
        conda:
            "../envs/scdd.yaml"
        threads: THREADS
        resources:
            **needs("select"),
        params:
            config="results/select/{node}/config.json",
            root=root_of("select"),
            order=option("order"),
            patches=option("patches"),
            slots=lambda w: half_open(w.slots),
            folder=shards_folder,
        shell:
            "exec python -m scdd.select --config {params.config} --data {input.data[0]}"
            " --root {params.root:q} {params.order} {params.patches} --slots {params.slots}"
            " --device cpu --out {params.folder} 2> {log}"
