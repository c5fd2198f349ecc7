# One rule a class block: the outputs of a rule are a fixed list, and a job makes one image file for
# each class of its block. The plan knows the blocks before the first job starts.
for block in blocks_of("recover"):
    folder, classes = "results/recover/{node}/slots_{slots}", range_name(block)
    state = f"work/recover/{{node}}/slots_{{slots}}_classes_{classes}"

    rule:
        name:
            rule_name("recover", block)
        input:
            code=code_of("recover"),
            data=dataset("recover"),
            teacher=parents("recover", "teacher"),
            informativeness=parents("recover", "informativeness"),
            statistics=parents("recover", "statistics"),
            patches=parents("recover", "patches"),
            train=real_images,
        output:
            **shards(
                "recover",
                block,
                losses=f"{folder}/losses_{classes}.csv",
                # of the first block alone
                frames=[f"{folder}/frames_{classes}.safetensors"] if block[0] == 0 else [],
            ),
        log:
            f"logs/recover/{{node}}/slots_{{slots}}_classes_{classes}.log",
        wildcard_constraints:
            node=with_block("recover", block),
        conda:
            "../envs/scdd.yaml"
        threads: THREADS
        resources:
            **needs("recover", work=state),
        params:
            config="results/recover/{node}/config.json",
            job=resumed(state),
            root=root_of("recover"),
            informativeness=option("informativeness"),
            statistics=option("statistics"),
            patches=option("patches"),
            width=f"--pass-width {plan.machine['pass_width']}" if plan.machine["pass_width"] else "",
            classes="{}:{}".format(*block),
            slots=lambda w: half_open(w.slots),
            folder=shards_folder,
        shell:
            "exec python -m scdd.recover --config {params.config} --code {input.code} {params.job}"
            " --data {input.data[0]} --root {params.root:q} --teacher {input.teacher}"
            " {params.informativeness} {params.statistics} {params.patches} {params.width}"
            " --classes {params.classes}"
            " --slots {params.slots} --out {params.folder} 2> {log}"
